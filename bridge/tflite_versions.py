"""Versions of TFLite operators, and the first runtime release that has each.

The rules are LiteRT's own, for the types and options that our compiler can emit:
``GetBuiltinOperatorVersion`` in ``tools/versioning/op_version.cc``. One that is too high keeps a
file from runtimes that could run it; one that is too low lets it into some that cannot.

The compiler writes files by them, and the validator checks any file with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from .tflite_releases import RELEASES


class Tensor(Protocol):
    """What the rules ask of a tensor."""

    @property
    def shape(self) -> Sequence[Any]:
        """Sizes; two that may differ when the model runs are not equal."""

    @property
    def dtype(self) -> str:
        """NumPy name of the element type."""

    @property
    def rank(self) -> int:
        """Number of axes."""


class Op(Protocol):
    """What the rules ask of an operator."""

    @property
    def kind(self) -> str:
        """TFLite's builtin name, such as ``CONV_2D``."""

    @property
    def inputs(self) -> Sequence[Tensor | None]:
        """What it reads; ``None`` for an optional input that is left out."""

    @property
    def output(self) -> Tensor:
        """Its first result."""

    @property
    def options(self) -> Mapping[str, Any]:
        """Fields of its options table in snake case; enumerations by name."""


Rule: TypeAlias = Callable[[Op], int]

_INT8 = ("int8", "int8", "int8")
_HYBRID = ("float32", "int8", "float32")  # weights are dequantized on the fly


def operator_version(op: Op) -> int:
    """Return the version of an operator with these types and options.

    Raises:
        ValueError: ``RULES`` has no rule for its kind.
    """
    rule = RULES.get(op.kind)
    if rule is None:
        raise ValueError(f"{op.kind} has no rule in {__name__}")
    return rule(op)


def minimum_runtime(codes: Iterable[tuple[str, int]], *, at_least: str = "") -> str:
    """Return the first release of the runtime that has every operator in these versions.

    Args:
        codes: Kind and version of each operator.
        at_least: A release that something else in the file needs.

    Returns:
        A release in TensorFlow's line, by which the runtime counts (``"2.3.0"``); empty for a model
        without operators, as from LiteRT's own tools.
    """
    releases = [at_least, *(RELEASES[kind][version - 1] for kind, version in codes)]
    return max(releases, key=lambda each: [int(part) for part in each.split(".") if part])


# -- what rules ask ----------------------------------------------------------------------------


def _dtype(op: Op, place: int = 0) -> str:
    """Type of an input; empty for one that is left out."""
    value = op.inputs[place] if place < len(op.inputs) else None
    return value.dtype if value is not None else ""


def _rank(op: Op) -> int:
    return max((value.rank for value in op.inputs[:1] if value is not None), default=0)


def _types(op: Op) -> tuple[str, str, str]:
    """Types of input, weights and result."""
    return _dtype(op, 0), _dtype(op, 1), op.output.dtype


def _broadcasts_high(op: Op) -> bool:
    """Whether operands of more than four axes differ in shape.

    A size that changes differs from 1 here, though the file's ``shape`` says 1 for it.
    """
    first, second = op.inputs[:2]
    assert first is not None
    assert second is not None
    return max(first.rank, second.rank) > 4 and first.shape != second.shape


def _is_fused(op: Op) -> bool:
    return bool(op.options.get("fused_activation_function", "NONE") != "NONE")


# -- rules -------------------------------------------------------------------------------------


def _one(op: Op) -> int:
    return 1


def _typed(place: int = 0, **versions: int) -> Rule:
    """The version that belongs to the type of one input, and 1 for all other types."""
    return lambda op: versions.get(_dtype(op, place), 1)


def _conv_2d(op: Op) -> int:
    image, weight = op.inputs[:2]
    assert image is not None
    assert weight is not None
    if image.shape[-1] != weight.shape[-1]:  # groups
        return 6
    return {_INT8: 3, _HYBRID: 2}.get(_types(op), 1)


def _depthwise_conv_2d(op: Op) -> int:
    quantized = {_INT8: 3, _HYBRID: 4}.get(_types(op))
    if quantized:
        return quantized
    dilations = (op.options.get(f"dilation_{axis}_factor", 1) for axis in "hw")
    return 2 if any(each != 1 for each in dilations) else 1


def _fully_connected(op: Op) -> int:
    if len(op.inputs) == 2:  # no place for a bias
        return 6
    if op.options.get("keep_num_dims"):
        return 5
    hybrid = 9 if op.options.get("asymmetric_quantize_inputs") else 3
    return {_INT8: 4, _HYBRID: hybrid}.get(_types(op), 1)


def _transpose_conv(op: Op) -> int:
    if _is_fused(op):
        return 4
    if len(op.inputs) == 4 and op.inputs[3] is not None:  # a bias
        return 3
    return 2 if _dtype(op, 1) == "int8" else 1


def _batch_matmul(op: Op) -> int:
    if _types(op) == _HYBRID and op.options.get("asymmetric_quantize_inputs"):
        return 4
    return 2 if _dtype(op) == "int8" else 1


def _broadcasting(version: int, **typed: int) -> Rule:
    """A version for broadcasting above rank 4, and versions for types."""

    def rule(op: Op) -> int:
        if _dtype(op) == "int64" and "int64" in typed:
            return typed["int64"]
        return version if _broadcasts_high(op) else typed.get(_dtype(op), 1)

    return rule


def _ranked(ranks: Mapping[int, int], **typed: int) -> Rule:
    """Versions for ranks above given ones, the highest first, and versions for types."""

    def rule(op: Op) -> int:
        above = (version for rank, version in ranks.items() if _rank(op) > rank)
        return next(above, typed.get(_dtype(op), 1))

    return rule


def _pad(op: Op) -> int:
    if _dtype(op) == "bool":
        return 5
    return 4 if _rank(op) > 4 else _typed(int8=2)(op)


def _in_blocks(op: Op) -> int:
    return 3 if _rank(op) != 4 else _typed(int8=2)(op)


def _strided_slice(op: Op) -> int:
    if op.options.get("offset"):
        return 8
    if op.options.get("ellipsis_mask") or op.options.get("new_axis_mask"):
        return 6
    return 4 if _rank(op) > 4 else _typed(bool=3, int8=2)(op)


def _gather(op: Op) -> int:
    return 5 if op.options.get("batch_dims") else _typed(bool=3, int8=2)(op)


def _resize_bilinear(op: Op) -> int:
    return 3 if op.options.get("half_pixel_centers") else _typed(int8=2)(op)


def _resize_nearest_neighbor(op: Op) -> int:
    if op.options.get("half_pixel_centers") or op.options.get("align_corners"):
        return 3
    return _typed(int8=2)(op)


def _select(op: Op) -> int:
    return 3 if any(value is not None and value.rank == 5 for value in op.inputs) else 1


def _cast(op: Op) -> int:
    both = {_dtype(op), op.output.dtype}
    if both & {"float16", "float64"}:
        return 5
    return 3 if "int8" in both else 1


def _dynamic_update_slice(op: Op) -> int:
    if _dtype(op) == "float16":
        return 3
    return 2 if _dtype(op, 2) == "int64" else 1


def _lstm(op: Op) -> int:
    if op.options.get("diagonal_recurrent_tensors"):
        return 4
    if (_dtype(op), _dtype(op, 2), op.output.dtype) == _HYBRID:
        return 3 if op.options.get("asymmetric_quantize_inputs") else 2
    return 1


def _rows(rule: Rule, *kinds: str) -> dict[str, Rule]:
    return dict.fromkeys(kinds, rule)


RULES: dict[str, Rule] = {
    **_rows(_one, "POW", "RIGHT_SHIFT", "BITWISE_XOR", "ATAN2", "LOGICAL_AND", "LOGICAL_OR",
            "LOGICAL_NOT", "NEG", "COS", "SIN", "SQUARE", "HARD_SWISH", "LEAKY_RELU", "ZEROS_LIKE",
            "RELU_N1_TO_1", "RELU_0_TO_1", "ELU", "FLOOR", "CEIL", "ROUND", "PRELU", "CUMSUM",
            "CONV_3D", "CONV_3D_TRANSPOSE", "L2_POOL_2D", "REDUCE_ANY", "REDUCE_ALL", "RESHAPE",
            "SCATTER_ND", "EMBEDDING_LOOKUP", "ONE_HOT", "EXPAND_DIMS", "SQUEEZE", "SHAPE",
            "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", "SELECT_V2", "WHILE", "IF"),
    **_rows(_typed(int8=2), "FLOOR_MOD", "EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER",
            "GREATER_EQUAL", "SQUARED_DIFFERENCE", "EXP", "LOG", "SQRT", "RSQRT", "TANH",
            "LOGISTIC", "RELU6", "SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION", "AVERAGE_POOL_2D",
            "MAX_POOL_2D", "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "TOPK_V2",
            "CONCATENATION", "PACK", "SPLIT_V", "MIRROR_PAD", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH"),
    **_rows(_typed(int8=2, uint8=2), "RELU", "GELU"),
    **_rows(_typed(int8=2, bool=3), "ARG_MAX", "ARG_MIN"),
    **_rows(_broadcasting(3, int8=2), "MAXIMUM", "MINIMUM"),
    **_rows(_pad, "PAD", "PADV2"),
    **_rows(_in_blocks, "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"),
    "ADD": _typed(int8=2, int64=4),
    "SUB": _broadcasting(3, int8=2, int64=4),
    "MUL": _typed(int8=2, int64=5),
    "DIV": _broadcasting(2),
    "FLOOR_DIV": _typed(float32=2, int8=3),
    "ABS": _typed(int8=2, uint8=2, int32=5),
    "SIGN": _typed(int32=2),
    "CAST": _cast,
    "DEQUANTIZE": _typed(int8=2, float16=3),
    "SELECT": _select,
    "WHERE": lambda op: 1 if _dtype(op) == "bool" else 2,
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "TRANSPOSE_CONV": _transpose_conv,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
    "TRANSPOSE": _ranked({6: 8, 5: 6, 4: 4}, bool=3, int8=2),
    "UNPACK": _typed(int8=2, uint8=2, bool=3),
    "SPLIT": _typed(1, int8=2, int32=3),  # its first input is the axis
    "SLICE": _ranked({4: 5}, int8=2),
    "STRIDED_SLICE": _strided_slice,
    "DYNAMIC_UPDATE_SLICE": _dynamic_update_slice,
    "GATHER": _gather,
    "GATHER_ND": _typed(bool=5),
    "TILE": _typed(int8=3),
    "REVERSE_V2": _typed(bool=2, int8=3),
    "BROADCAST_TO": lambda op: 3 if _dtype(op) == "int8" else 2,  # version 1 was withdrawn
    "FILL": _typed(1, bool=2, int8=3, float16=4),
    "RANGE": _typed(int64=2),
    "RESIZE_BILINEAR": _resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest_neighbor,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
}  # fmt: skip
