"""TFLite's builtin operators: the options table of each, and the shape and type of its results.

Facts of the schema (``schema.fbs`` of LiteRT). An operator that is not here cannot be emitted; a
new one is one row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import inference as infer
from .inference import Inference


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One builtin operator.

    Attributes:
        options: Name of its options table; empty for none.
        infer: Shapes and types of its results from its inputs and options; ``None`` where only the
            caller knows them.
        defaults: Options that the schema's own default does not suit.
    """

    options: str = ""
    infer: Inference | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)


def _rows(
    options: Callable[[str], str] | str, rule: Inference | None, *kinds: str
) -> dict[str, Operator]:
    return {
        kind: Operator(options=options if isinstance(options, str) else options(kind), infer=rule)
        for kind in kinds
    }


def _camel(kind: str) -> str:
    return "".join(part.capitalize() for part in kind.split("_")) + "Options"


OPERATORS: dict[str, Operator] = {
    **_rows(
        _camel,
        infer.broadcasting,
        "ADD",
        "SUB",
        "MUL",
        "DIV",
        "FLOOR_DIV",
        "FLOOR_MOD",
        "POW",
        "SQUARED_DIFFERENCE",
        "RIGHT_SHIFT",
        "BITWISE_XOR",
    ),
    **_rows("ATan2Options", infer.broadcasting, "ATAN2"),
    **_rows("MaximumMinimumOptions", infer.broadcasting, "MAXIMUM", "MINIMUM"),
    **_rows(
        _camel,
        infer.comparing,
        "EQUAL",
        "NOT_EQUAL",
        "LESS",
        "LESS_EQUAL",
        "GREATER",
        "GREATER_EQUAL",
        "LOGICAL_AND",
        "LOGICAL_OR",
    ),
    **_rows(
        _camel,
        infer.same,
        "ABS",
        "NEG",
        "EXP",
        "COS",
        "SQUARE",
        "SIGN",
        "HARD_SWISH",
        "LOGICAL_NOT",
        "GELU",
        "LEAKY_RELU",
        "ZEROS_LIKE",
        "LOG_SOFTMAX",
    ),
    **_rows(
        "",
        infer.same,
        "RELU",
        "RELU6",
        "RELU_N1_TO_1",
        "RELU_0_TO_1",
        "TANH",
        "LOGISTIC",
        "ELU",
        "SIN",
        "LOG",
        "SQRT",
        "RSQRT",
        "FLOOR",
        "CEIL",
        "ROUND",
    ),
    **_rows("", infer.broadcasting, "PRELU"),
    "SOFTMAX": Operator(options="SoftmaxOptions", infer=infer.same, defaults={"beta": 1.0}),
    "L2_NORMALIZATION": Operator(options="L2NormOptions", infer=infer.same),
    "CUMSUM": Operator(options="CumsumOptions", infer=infer.same),
    "REVERSE_V2": Operator(options="ReverseV2Options", infer=infer.same),
    "CAST": Operator(options="CastOptions"),
    "DEQUANTIZE": Operator(options="DequantizeOptions"),
    "SELECT": Operator(options="SelectOptions", infer=infer.selecting),
    "SELECT_V2": Operator(options="SelectV2Options", infer=infer.selecting),
    "CONV_2D": Operator(options="Conv2DOptions", infer=infer.conv_2d),
    "DEPTHWISE_CONV_2D": Operator(options="DepthwiseConv2DOptions", infer=infer.depthwise_conv_2d),
    "CONV_3D": Operator(options="Conv3DOptions"),
    "CONV_3D_TRANSPOSE": Operator(options="Conv3DOptions"),
    "TRANSPOSE_CONV": Operator(options="TransposeConvOptions"),
    "FULLY_CONNECTED": Operator(options="FullyConnectedOptions", infer=infer.fully_connected),
    "BATCH_MATMUL": Operator(options="BatchMatMulOptions", infer=infer.batch_matmul),
    **_rows("Pool2DOptions", infer.pool_2d, "AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"),
    **_rows(
        "ReducerOptions",
        infer.reducing,
        "MEAN",
        "SUM",
        "REDUCE_MAX",
        "REDUCE_MIN",
        "REDUCE_PROD",
        "REDUCE_ANY",
        "REDUCE_ALL",
    ),
    "ARG_MAX": Operator(options="ArgMaxOptions"),
    "ARG_MIN": Operator(options="ArgMinOptions"),
    "TOPK_V2": Operator(options="TopKV2Options"),
    "RESHAPE": Operator(options="ReshapeOptions"),
    "TRANSPOSE": Operator(options="TransposeOptions", infer=infer.transpose),
    "CONCATENATION": Operator(options="ConcatenationOptions", infer=infer.concatenation),
    "PACK": Operator(options="PackOptions", infer=infer.pack),
    "UNPACK": Operator(options="UnpackOptions"),
    "SPLIT": Operator(options="SplitOptions"),
    "SPLIT_V": Operator(options="SplitVOptions"),
    "SLICE": Operator(options="SliceOptions"),
    "STRIDED_SLICE": Operator(options="StridedSliceOptions"),
    "DYNAMIC_UPDATE_SLICE": Operator(options="DynamicUpdateSliceOptions", infer=infer.same),
    "PAD": Operator(options="PadOptions", infer=infer.pad),
    "PADV2": Operator(options="PadV2Options", infer=infer.pad),
    "MIRROR_PAD": Operator(options="MirrorPadOptions", infer=infer.pad),
    "GATHER": Operator(options="GatherOptions"),
    "GATHER_ND": Operator(options="GatherNdOptions"),
    "SCATTER_ND": Operator(options="ScatterNdOptions"),
    "EMBEDDING_LOOKUP": Operator(),
    "ONE_HOT": Operator(options="OneHotOptions"),
    "TILE": Operator(options="TileOptions"),
    "BROADCAST_TO": Operator(options="BroadcastToOptions"),
    "EXPAND_DIMS": Operator(options="ExpandDimsOptions"),
    "SQUEEZE": Operator(options="SqueezeOptions"),
    "SHAPE": Operator(options="ShapeOptions"),
    "FILL": Operator(options="FillOptions"),
    "RANGE": Operator(options="RangeOptions"),
    "RESIZE_BILINEAR": Operator(options="ResizeBilinearOptions"),
    "RESIZE_NEAREST_NEIGHBOR": Operator(options="ResizeNearestNeighborOptions"),
    "DEPTH_TO_SPACE": Operator(options="DepthToSpaceOptions", infer=infer.depth_to_space),
    "SPACE_TO_DEPTH": Operator(options="SpaceToDepthOptions", infer=infer.space_to_depth),
    "SPACE_TO_BATCH_ND": Operator(options="SpaceToBatchNDOptions"),
    "BATCH_TO_SPACE_ND": Operator(options="BatchToSpaceNDOptions"),
    "NON_MAX_SUPPRESSION_V4": Operator(options="NonMaxSuppressionV4Options"),
    "NON_MAX_SUPPRESSION_V5": Operator(options="NonMaxSuppressionV5Options"),
    "WHERE": Operator(options="WhereOptions"),
    "WHILE": Operator(options="WhileOptions"),
    "IF": Operator(options="IfOptions"),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Operator(options="UnidirectionalSequenceLSTMOptions"),
}
