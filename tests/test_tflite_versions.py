"""Versions of operators: LiteRT's rules row by row, and what the installed runtime registers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy
from tflite_files import TFLiteFile

from bridge.converters.tflite.ir import Op, Value, constant
from bridge.converters.tflite.operators import OPERATORS
from bridge.converters.tflite.sizes import Dim, Size
from bridge.tflite_releases import RELEASES
from bridge.tflite_versions import RULES, minimum_runtime, operator_version

Inputs = list[Value | None]
IMAGE = (1, 8, 8, 4)
BATCH = Dim(sympy.Symbol("s0"), 2)


class Row:
    """One operator, its version, and the first release that has it.

    Args:
        kind: The operator.
        inputs: Its inputs.
        version: The version that LiteRT's own tools give it.
        release: The first release with that.
        result: Type of the result; that of the first input unless stated.
        options: Its options.
    """

    def __init__(
        self,
        kind: str,
        inputs: Inputs,
        version: int,
        release: str,
        *,
        result: str | None = None,
        **options: Any,
    ) -> None:
        first = inputs[0]
        assert first is not None
        output = Value(shape=first.shape, dtype=result or first.dtype)
        self.op = Op(kind=kind, inputs=inputs, outputs=[output], options=options)
        self.version, self.release = version, release

    def __str__(self) -> str:
        types = "-".join("none" if each is None else repr(each)[2:-1] for each in self.op.inputs)
        options = "-".join(f"{name}={value}" for name, value in self.op.options.items())
        return "-".join(filter(None, [self.op.kind, types, options]))


def t(dtype: str, *shape: Size) -> Value:
    return Value(shape=shape, dtype=dtype)


def f32(*shape: Size) -> Value:
    return t("float32", *shape)


def i8(*shape: Size) -> Value:
    return t("int8", *shape)


def i32(*shape: Size) -> Value:
    return t("int32", *shape)


def truth(*shape: Size) -> Value:
    return t("bool", *shape)


def axes(*values: int) -> Value:
    return constant(np.array(values, np.int32))


def rows_of_one_input() -> list[Row]:
    """Operators whose version depends on the type of their first input alone."""
    versions: dict[str, dict[str, tuple[int, str]]] = {
        "ABS": {"float32": (1, "1.13.0"), "int8": (2, "2.4.0"), "int32": (5, "2.12.0")},
        "NEG": {"float32": (1, "1.9.0"), "int32": (1, "1.9.0")},
        "SIGN": {"float32": (1, "2.11.0"), "int32": (2, "2.12.0")},
        "EXP": {"float32": (1, "1.7.0"), "int8": (2, "2.12.0")},
        "LOG": {"float32": (1, "1.14.0"), "int8": (2, "2.15.0")},
        "SQRT": {"float32": (1, "1.10.0"), "int8": (2, "2.21.0")},
        "RSQRT": {"float32": (1, "1.10.0"), "int8": (2, "2.5.0")},
        "SQUARE": {"float32": (1, "1.12.0")},
        "SIN": {"float32": (1, "1.9.0")},
        "COS": {"float32": (1, "1.14.0")},
        "FLOOR": {"float32": (1, "1.9.0")},
        "CEIL": {"float32": (1, "1.14.0")},
        "ROUND": {"float32": (1, "1.14.0")},
        "ELU": {"float32": (1, "1.14.0")},
        "RELU": {"float32": (1, "1.5.0"), "int8": (2, "2.1.0"), "uint8": (2, "2.1.0")},
        "RELU6": {"float32": (1, "1.5.0"), "int8": (2, "1.14.0")},
        "RELU_N1_TO_1": {"float32": (1, "1.5.0")},
        "RELU_0_TO_1": {"float32": (1, "2.10.0")},
        "TANH": {"float32": (1, "1.14.0"), "int8": (2, "1.14.0")},
        "LOGISTIC": {"float32": (1, "1.14.0"), "int8": (2, "1.14.0")},
        "HARD_SWISH": {"float32": (1, "1.15.0"), "int8": (1, "1.15.0")},
        "GELU": {"float32": (1, "2.9.0"), "int8": (2, "2.9.0"), "uint8": (2, "2.9.0")},
        "LEAKY_RELU": {"float32": (1, "1.13.1"), "int8": (1, "1.13.1")},
        "SOFTMAX": {"float32": (1, "1.5.0"), "int8": (2, "1.14.0")},
        "LOG_SOFTMAX": {"float32": (1, "1.14.0"), "int8": (2, "1.14.0")},
        "L2_NORMALIZATION": {"float32": (1, "1.5.0"), "int8": (2, "1.14.0")},
        "LOGICAL_NOT": {"bool": (1, "1.11.0")},
        "ZEROS_LIKE": {"float32": (1, "1.12.0"), "int32": (1, "1.12.0")},
        "SHAPE": {"float32": (1, "1.10.0"), "bool": (1, "1.10.0")},
        "SQUEEZE": {"float32": (1, "1.6.0"), "int8": (1, "1.6.0")},
        "WHERE": {"bool": (1, "1.14.0"), "float32": (2, "2.8.0"), "int32": (2, "2.8.0")},
        "DEQUANTIZE": {"float16": (3, "1.15.0"), "int8": (2, "1.14.0"), "uint8": (1, "1.13.1")},
        "AVERAGE_POOL_2D": {"float32": (1, "1.5.0"), "int8": (2, "1.14.0")},
        "MAX_POOL_2D": {"float32": (1, "1.5.0"), "int8": (2, "1.14.0")},
        "L2_POOL_2D": {"float32": (1, "1.5.0")},
        "DEPTH_TO_SPACE": {"float32": (1, "2.1.0"), "int8": (2, "2.5.0")},
        "SPACE_TO_DEPTH": {"float32": (1, "1.5.0"), "int8": (2, "1.14.0")},
        "UNPACK": {
            "float32": (1, "1.11.0"),
            "int32": (1, "1.11.0"),
            "int8": (2, "1.14.0"),
            "uint8": (2, "1.14.0"),
            "bool": (3, "2.2.0"),
        },
        "IF": {"bool": (1, "1.15.0")},
        "WHILE": {"int32": (1, "1.15.0")},
    }
    return [
        Row(kind, [t(dtype, *IMAGE)], version, release)
        for kind, types in versions.items()
        for dtype, (version, release) in types.items()
    ]


def rows_with_a_constant() -> list[Row]:
    """Operators whose version depends on the first input's type, with axes or sizes beside it."""
    versions: dict[str, dict[str, tuple[int, str]]] = {
        "MEAN": {"float32": (1, "1.6.0"), "int8": (2, "1.14.0")},
        "SUM": {"float32": (1, "1.10.0"), "int32": (1, "1.10.0"), "int8": (2, "1.15.0")},
        "REDUCE_MAX": {"float32": (1, "1.11.0"), "int8": (2, "1.14.0")},
        "REDUCE_MIN": {"float32": (1, "1.11.0"), "int8": (2, "1.14.0")},
        "REDUCE_PROD": {"float32": (1, "1.11.0"), "int8": (2, "2.6.0")},
        "REDUCE_ANY": {"bool": (1, "1.11.0")},
        "REDUCE_ALL": {"bool": (1, "2.6.0")},
        "ARG_MAX": {"float32": (1, "1.9.0"), "int8": (2, "1.14.0"), "bool": (3, "2.9.0")},
        "ARG_MIN": {"float32": (1, "1.9.0"), "int8": (2, "1.14.0"), "bool": (3, "2.9.0")},
        "TOPK_V2": {"float32": (1, "1.7.0"), "int32": (1, "1.7.0"), "int8": (2, "1.14.0")},
        "CUMSUM": {"float32": (1, "2.4.0"), "int32": (1, "2.4.0")},
        "REVERSE_V2": {"float32": (1, "1.14.0"), "bool": (2, "2.2.0"), "int8": (3, "2.5.0")},
        "RESHAPE": {"float32": (1, "1.5.0"), "bool": (1, "1.5.0"), "int8": (1, "1.5.0")},
        "EXPAND_DIMS": {"float32": (1, "1.10.0")},
        "BROADCAST_TO": {"float32": (2, "2.5.0"), "bool": (2, "2.5.0"), "int8": (3, "2.5.0")},
        "TILE": {"float32": (1, "1.10.1"), "bool": (1, "1.10.1"), "int8": (3, "2.8.0")},
        "MIRROR_PAD": {"float32": (1, "1.13.1"), "int8": (2, "2.3.0")},
        "GATHER_ND": {"float32": (1, "1.14.0"), "int32": (1, "1.14.0"), "bool": (5, "2.16.0")},
        "SPLIT_V": {"float32": (1, "1.13.1"), "int32": (1, "1.13.1"), "int8": (2, "2.3.0")},
        "PACK": {"float32": (1, "1.11.0"), "bool": (1, "1.11.0"), "int8": (2, "1.14.0")},
        "CONCATENATION": {"float32": (1, "1.5.0"), "bool": (1, "1.5.0"), "int8": (2, "1.14.0")},
        "EQUAL": {"float32": (1, "1.14.0"), "bool": (1, "1.14.0"), "int8": (2, "1.14.0")},
        "NOT_EQUAL": {"float32": (1, "1.14.0"), "int8": (2, "1.14.0")},
        "LESS": {"float32": (1, "1.14.0"), "int8": (2, "1.14.0")},
        "LESS_EQUAL": {"float32": (1, "1.14.0"), "int8": (2, "1.14.0")},
        "GREATER": {"float32": (1, "1.14.0"), "int8": (2, "1.14.0")},
        "GREATER_EQUAL": {"float32": (1, "1.14.0"), "int8": (2, "1.14.0")},
        "LOGICAL_AND": {"bool": (1, "1.11.0")},
        "LOGICAL_OR": {"bool": (1, "1.11.0")},
        "POW": {"float32": (1, "1.10.0"), "int32": (1, "1.10.0")},
        "ATAN2": {"float32": (1, "2.10.0")},
        "PRELU": {"float32": (1, "1.8.0")},
        "RIGHT_SHIFT": {"int32": (1, "2.13.0")},
        "BITWISE_XOR": {"int32": (1, "2.13.0"), "bool": (1, "2.13.0")},
        "SQUARED_DIFFERENCE": {"float32": (1, "1.13.1"), "int8": (2, "2.5.0")},
        "FLOOR_DIV": {"int32": (1, "1.14.0"), "float32": (2, "1.14.0"), "int8": (3, "2.13.0")},
        "FLOOR_MOD": {"int32": (1, "1.13.0"), "float32": (1, "1.13.0"), "int8": (2, "2.13.0")},
        "RANGE": {"int32": (1, "1.13.0"), "float32": (1, "1.13.0"), "int64": (2, "2.14.0")},
        "SCATTER_ND": {"int32": (1, "2.1.0")},
        "EMBEDDING_LOOKUP": {"int32": (1, "1.13.0")},
        "ONE_HOT": {"int32": (1, "1.11.0")},
        "NON_MAX_SUPPRESSION_V4": {"float32": (1, "2.1.0")},
        "NON_MAX_SUPPRESSION_V5": {"float32": (1, "2.1.0")},
        "CONV_3D": {"float32": (1, "2.5.0")},
        "CONV_3D_TRANSPOSE": {"int32": (1, "2.6.0")},
    }
    return [
        Row(kind, [t(dtype, *IMAGE), t(dtype, *IMAGE)], version, release)
        for kind, types in versions.items()
        for dtype, (version, release) in types.items()
    ]


FIVE, FIVE_BY_ONE, SIX = (1, 2, 3, 4, 5), (1, 1, 3, 4, 5), (1, 2, 1, 2, 1, 2)
WEIGHT, BIAS = f32(8, 3, 3, 4), f32(8)

ROWS = [
    *rows_of_one_input(),
    *rows_with_a_constant(),
    # arithmetic: types, and broadcasting above rank 4
    Row("ADD", [f32(*IMAGE), f32(4)], 1, "1.5.0"),
    Row("ADD", [f32(*FIVE), f32(*FIVE_BY_ONE)], 1, "1.5.0"),
    Row("ADD", [i32(2), i32(2)], 1, "1.5.0"),
    Row("ADD", [i8(2), i8(2)], 2, "1.14.0"),
    Row("ADD", [t("int64", 2), t("int64", 2)], 4, "2.6.0"),
    Row("SUB", [f32(*FIVE), f32(*FIVE)], 1, "1.6.0"),
    Row("SUB", [f32(*IMAGE), f32(1, 1, 1, 4)], 1, "1.6.0"),
    Row("SUB", [i8(2), i8(2)], 2, "1.14.0"),
    Row("SUB", [f32(*FIVE), f32(*FIVE_BY_ONE)], 3, "2.3.0"),
    Row("SUB", [f32(), f32(*FIVE)], 3, "2.3.0"),
    Row("SUB", [f32(BATCH, *FIVE[1:]), f32(*FIVE)], 3, "2.3.0"),
    Row("SUB", [f32(BATCH, *FIVE[1:]), f32(BATCH, *FIVE[1:])], 1, "1.6.0"),
    Row("SUB", [t("int64", 2), t("int64", 2)], 4, "2.4.0"),
    Row("SUB", [t("int64", *FIVE), t("int64", 1)], 4, "2.4.0"),
    Row("MUL", [f32(*FIVE), f32(*FIVE_BY_ONE)], 1, "1.5.0"),
    Row("MUL", [i8(2), i8(2)], 2, "1.14.0"),
    Row("MUL", [t("int64", 2), t("int64", 2)], 5, "2.6.0"),
    Row("DIV", [f32(*IMAGE), f32(4)], 1, "1.6.0"),
    Row("DIV", [f32(*FIVE), f32(*FIVE)], 1, "1.6.0"),
    Row("DIV", [f32(*FIVE), f32(*FIVE_BY_ONE)], 2, "2.3.0"),
    Row("MAXIMUM", [f32(*FIVE), f32(*FIVE)], 1, "1.14.0"),
    Row("MAXIMUM", [f32(*FIVE), f32(*FIVE_BY_ONE)], 3, "2.3.0"),
    Row("MAXIMUM", [i8(2), i8(2)], 2, "1.14.0"),
    Row("MAXIMUM", [i8(*FIVE), i8(*FIVE_BY_ONE)], 3, "2.3.0"),
    Row("MINIMUM", [f32(*IMAGE), f32(4)], 1, "1.14.0"),
    Row("MINIMUM", [f32(*SIX), f32(1)], 3, "2.3.0"),
    # types in and out
    Row("CAST", [i32(2)], 1, "1.5.0", result="float32"),
    Row("CAST", [truth(2)], 1, "1.5.0", result="float32"),
    Row("CAST", [t("int64", 2)], 1, "1.5.0", result="int32"),
    Row("CAST", [t("uint8", 2)], 1, "1.5.0", result="float32"),
    Row("CAST", [i8(2)], 3, "2.8.0", result="float32"),
    Row("CAST", [f32(2)], 3, "2.8.0", result="int8"),
    Row("CAST", [t("float16", 2)], 5, "2.12.0", result="float32"),
    Row("CAST", [f32(2)], 5, "2.12.0", result="float16"),
    Row("CAST", [i8(2)], 5, "2.12.0", result="float16"),
    Row("FILL", [axes(2), f32()], 1, "1.13.0"),
    Row("FILL", [axes(2), truth()], 2, "2.3.0"),
    Row("FILL", [axes(2), i8()], 3, "2.5.0"),
    Row("FILL", [axes(2), t("float16")], 4, "2.12.0"),
    Row("SELECT", [truth(*IMAGE), f32(*IMAGE), f32(*IMAGE)], 1, "1.14.0"),
    Row("SELECT", [truth(*FIVE), f32(*FIVE), f32(*FIVE)], 3, "2.12.0"),
    Row("SELECT_V2", [truth(*FIVE), f32(*FIVE), f32()], 1, "2.2.0"),
    # convolutions and products
    Row("CONV_2D", [f32(*IMAGE), WEIGHT, BIAS], 1, "1.5.0"),
    Row("CONV_2D", [f32(*IMAGE), WEIGHT, BIAS], 1, "1.5.0", dilation_w_factor=2),
    Row("CONV_2D", [f32(*IMAGE), WEIGHT, BIAS], 1, "1.5.0", fused_activation_function="RELU"),
    Row("CONV_2D", [f32(*IMAGE), f32(8, 3, 3, 2), BIAS], 6, "2.9.0"),
    Row("CONV_2D", [f32(*IMAGE), i8(8, 3, 3, 4), BIAS], 2, "1.14.0"),
    Row("CONV_2D", [i8(*IMAGE), i8(8, 3, 3, 4), i32(8)], 3, "1.14.0"),
    Row("DEPTHWISE_CONV_2D", [f32(*IMAGE), f32(1, 3, 3, 4), f32(4)], 1, "1.5.0"),
    Row(
        "DEPTHWISE_CONV_2D",
        [f32(*IMAGE), f32(1, 3, 3, 8), f32(8)],
        1,
        "1.5.0",
        depth_multiplier=2,
        dilation_w_factor=1,
        dilation_h_factor=1,
    ),
    Row(
        "DEPTHWISE_CONV_2D",
        [f32(*IMAGE), f32(1, 3, 3, 4), f32(4)],
        2,
        "1.12.0",
        dilation_h_factor=2,
    ),
    Row("DEPTHWISE_CONV_2D", [i8(*IMAGE), i8(1, 3, 3, 4), i32(4)], 3, "1.14.0"),
    Row("DEPTHWISE_CONV_2D", [f32(*IMAGE), i8(1, 3, 3, 4), f32(4)], 4, "2.2.0"),
    Row("TRANSPOSE_CONV", [axes(1, 16, 16, 8), WEIGHT, f32(*IMAGE)], 1, "1.9.0", result="float32"),
    Row(
        "TRANSPOSE_CONV",
        [axes(1, 16, 16, 8), i8(8, 3, 3, 4), i8(*IMAGE)],
        2,
        "2.2.0",
        result="int8",
    ),
    Row(
        "TRANSPOSE_CONV",
        [axes(1, 16, 16, 8), WEIGHT, f32(*IMAGE), BIAS],
        3,
        "2.3.0",
        result="float32",
        fused_activation_function="NONE",
    ),
    Row(
        "TRANSPOSE_CONV",
        [axes(1, 16, 16, 8), WEIGHT, f32(*IMAGE), None],
        1,
        "1.9.0",
        result="float32",
    ),
    Row(
        "TRANSPOSE_CONV",
        [axes(1, 16, 16, 8), WEIGHT, f32(*IMAGE), BIAS],
        4,
        "2.13.0",
        result="float32",
        fused_activation_function="RELU",
    ),
    Row("FULLY_CONNECTED", [f32(2, 4), f32(8, 4), BIAS], 1, "1.5.0"),
    Row("FULLY_CONNECTED", [f32(2, 4), f32(8, 4), BIAS], 1, "1.5.0", keep_num_dims=False),
    Row("FULLY_CONNECTED", [f32(2, 3, 4), f32(8, 4), BIAS], 5, "2.0.0", keep_num_dims=True),
    Row("FULLY_CONNECTED", [f32(2, 3, 4), f32(8, 4), None], 5, "2.0.0", keep_num_dims=True),
    Row("FULLY_CONNECTED", [f32(2, 3, 4), f32(8, 4)], 6, "2.1.0", keep_num_dims=True),
    Row("FULLY_CONNECTED", [f32(2, 4), i8(8, 4), BIAS], 3, "1.14.0"),
    Row(
        "FULLY_CONNECTED", [f32(2, 4), i8(8, 4), BIAS], 9, "2.3.0", asymmetric_quantize_inputs=True
    ),
    Row("FULLY_CONNECTED", [i8(2, 4), i8(8, 4), i32(8)], 4, "1.14.0"),
    Row("BATCH_MATMUL", [f32(2, 3, 4), f32(2, 4, 5)], 1, "2.3.0", adj_x=False, adj_y=True),
    Row("BATCH_MATMUL", [i8(2, 3, 4), i8(2, 4, 5)], 2, "2.3.0"),
    Row("BATCH_MATMUL", [f32(2, 3, 4), i8(2, 4, 5)], 1, "2.3.0"),
    Row(
        "BATCH_MATMUL",
        [f32(2, 3, 4), i8(2, 4, 5)],
        4,
        "2.5.0",
        asymmetric_quantize_inputs=True,
    ),
    Row("UNIDIRECTIONAL_SEQUENCE_LSTM", [f32(2, 3, 4), f32(8, 4), f32(8, 4)], 1, "1.13.1"),
    Row("UNIDIRECTIONAL_SEQUENCE_LSTM", [f32(2, 3, 4), i8(8, 4), i8(8, 4)], 2, "1.14.0"),
    Row(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        [f32(2, 3, 4), f32(8, 4), f32(8, 4)],
        4,
        "2.12.0",
        diagonal_recurrent_tensors=True,
    ),
    # what depends on ranks
    Row("TRANSPOSE", [f32(*IMAGE), axes(0, 3, 1, 2)], 1, "1.6.0"),
    Row("TRANSPOSE", [i8(*IMAGE), axes(0, 3, 1, 2)], 2, "1.14.0"),
    Row("TRANSPOSE", [truth(*IMAGE), axes(0, 3, 1, 2)], 3, "1.15.0"),
    Row("TRANSPOSE", [f32(*FIVE), axes(0, 1, 2, 4, 3)], 4, "2.3.0"),
    Row("TRANSPOSE", [truth(*FIVE), axes(0, 1, 2, 4, 3)], 4, "2.3.0"),
    Row("TRANSPOSE", [f32(*SIX), axes(0, 1, 2, 3, 5, 4)], 6, "2.12.0"),
    Row("TRANSPOSE", [f32(*SIX, 2), axes(0, 1, 2, 3, 4, 6, 5)], 8, "2.22.0"),
    Row("SLICE", [f32(*IMAGE), axes(0, 0, 0, 0), axes(*IMAGE)], 1, "1.14.0"),
    Row("SLICE", [truth(*IMAGE), axes(0, 0, 0, 0), axes(*IMAGE)], 1, "1.14.0"),
    Row("SLICE", [i8(*IMAGE), axes(0, 0, 0, 0), axes(*IMAGE)], 2, "1.14.0"),
    Row("SLICE", [f32(*FIVE), axes(0, 0, 0, 0, 0), axes(*FIVE)], 5, "2.5.0"),
    Row("STRIDED_SLICE", [f32(4), axes(0), axes(4), axes(2)], 1, "1.6.0"),
    Row("STRIDED_SLICE", [i8(4), axes(0), axes(4), axes(2)], 2, "1.14.0"),
    Row("STRIDED_SLICE", [truth(4), axes(0), axes(4), axes(2)], 3, "2.1.0"),
    Row("STRIDED_SLICE", [f32(*FIVE), axes(0), axes(4), axes(2)], 4, "2.2.0"),
    Row("STRIDED_SLICE", [f32(4), axes(0), axes(4), axes(2)], 1, "1.6.0", shrink_axis_mask=1),
    Row("STRIDED_SLICE", [f32(4), axes(0), axes(4), axes(2)], 6, "2.6.0", new_axis_mask=1),
    Row("STRIDED_SLICE", [f32(4), axes(0), axes(4), axes(2)], 6, "2.6.0", ellipsis_mask=1),
    Row("STRIDED_SLICE", [f32(4), axes(0), axes(4), axes(2)], 8, "2.14.0", offset=True),
    Row("PAD", [f32(*IMAGE), axes(1, 1)], 1, "1.5.0"),
    Row("PAD", [i8(*IMAGE), axes(1, 1)], 2, "1.14.0"),
    Row("PAD", [f32(*FIVE), axes(1, 1)], 4, "2.6.0"),
    Row("PAD", [truth(*IMAGE), axes(1, 1)], 5, "2.20.0"),
    Row("PADV2", [f32(*IMAGE), axes(1, 1), f32()], 1, "1.9.0"),
    Row("PADV2", [i32(*IMAGE), axes(1, 1), i32()], 1, "1.9.0"),
    Row("PADV2", [f32(*FIVE), axes(1, 1), f32()], 4, "2.6.0"),
    Row("SPACE_TO_BATCH_ND", [f32(*IMAGE), axes(2, 2), axes(0, 0)], 1, "1.6.0"),
    Row("SPACE_TO_BATCH_ND", [i8(*IMAGE), axes(2, 2), axes(0, 0)], 2, "1.14.0"),
    Row("SPACE_TO_BATCH_ND", [f32(1, 8, 4), axes(2), axes(0, 0)], 3, "2.3.0"),
    Row("BATCH_TO_SPACE_ND", [f32(4, 8, 8, 4), axes(2, 2), axes(0, 0)], 1, "1.6.0"),
    Row("BATCH_TO_SPACE_ND", [f32(2, 8, 4), axes(2), axes(0, 0)], 3, "2.3.0"),
    # what depends on the second input
    Row("SPLIT", [axes(0), f32(*IMAGE)], 1, "1.5.0"),
    Row("SPLIT", [axes(0), truth(*IMAGE)], 1, "1.5.0"),
    Row("SPLIT", [axes(0), i8(*IMAGE)], 2, "1.14.0"),
    Row("SPLIT", [axes(0), i32(*IMAGE)], 3, "1.14.0"),
    Row("DYNAMIC_UPDATE_SLICE", [f32(4), f32(1), axes(0)], 1, "2.9.0"),
    Row("DYNAMIC_UPDATE_SLICE", [f32(4), f32(1), t("int64", 1)], 2, "2.17.0"),
    Row("DYNAMIC_UPDATE_SLICE", [t("float16", 4), t("float16", 1), axes(0)], 3, "2.19.0"),
    # what depends on options
    Row("GATHER", [f32(4, 3), axes(1)], 1, "1.6.0", axis=0),
    Row("GATHER", [i32(4, 3), axes(1)], 1, "1.6.0", axis=0, batch_dims=0),
    Row("GATHER", [i8(4, 3), axes(1)], 2, "1.14.0"),
    Row("GATHER", [truth(4, 3), axes(1)], 3, "1.15.0"),
    Row("GATHER", [truth(4, 3), i32(4, 1)], 5, "2.5.0", axis=1, batch_dims=1),
    Row("RESIZE_BILINEAR", [f32(*IMAGE), axes(16, 16)], 1, "1.7.0"),
    Row("RESIZE_BILINEAR", [f32(*IMAGE), axes(16, 16)], 1, "1.7.0", align_corners=True),
    Row("RESIZE_BILINEAR", [i8(*IMAGE), axes(16, 16)], 2, "1.14.0"),
    Row("RESIZE_BILINEAR", [f32(*IMAGE), axes(16, 16)], 3, "2.2.0", half_pixel_centers=True),
    Row("RESIZE_NEAREST_NEIGHBOR", [f32(*IMAGE), axes(16, 16)], 1, "1.13.1"),
    Row("RESIZE_NEAREST_NEIGHBOR", [i8(*IMAGE), axes(16, 16)], 2, "1.14.0"),
    Row("RESIZE_NEAREST_NEIGHBOR", [f32(*IMAGE), axes(16, 16)], 3, "2.3.0", align_corners=True),
    Row(
        "RESIZE_NEAREST_NEIGHBOR", [f32(*IMAGE), axes(16, 16)], 3, "2.3.0", half_pixel_centers=True
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_an_operator_has_the_version_that_litert_gives_it(row: Row) -> None:
    version = operator_version(row.op)
    assert version == row.version
    assert minimum_runtime([(row.op.kind, version)]) == row.release


def test_every_operator_that_can_be_emitted_has_a_rule_and_a_row() -> None:
    assert sorted(RULES) == sorted(OPERATORS)
    assert set(OPERATORS) <= set(RELEASES)
    assert sorted({row.op.kind for row in ROWS}) == sorted(OPERATORS)


def test_an_operator_without_a_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="MATRIX_DIAG has no rule"):
        operator_version(Op(kind="MATRIX_DIAG", inputs=[f32(2)], outputs=[f32(2, 2)]))


@pytest.mark.parametrize(
    ("kind", "version"), sorted({(row.op.kind, row.version) for row in ROWS}), ids=str
)
def test_the_runtime_registers_every_version(kind: str, version: int) -> None:
    from ai_edge_litert.interpreter import Interpreter

    file = TFLiteFile()
    x, y = file.tensor("x", (1,)), file.tensor("y", (1,))
    file.operator(kind, [x], y)
    file.model.operatorCodes[0].version = version
    file.inputs, file.outputs = {"x": x}, {"y": y}
    Interpreter(model_content=file.finish())  # it looks every operator up, and prepares none


def test_the_latest_release_that_any_operator_needs_counts() -> None:
    assert minimum_runtime([]) == ""
    assert minimum_runtime([("ADD", 1)]) == "1.5.0"
    assert minimum_runtime([("GELU", 1), ("PAD", 5), ("SUB", 3)]) == "2.20.0"
    assert minimum_runtime([("TILE", 1), ("ADD", 1)]) == "1.10.1"  # not as texts compare
