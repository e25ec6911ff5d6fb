"""How faults are made in each format: which operators can carry one, and what is edited there.

The edits themselves are those of the formats' modules. Operators are given in one text, with spaces
between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ONNX, TFLITE, TORCHSCRIPT = "onnx", "tflite", "torchscript"
INT8 = "tflite-int8"  # a TFLite file of integers with scales and zero points


@dataclass(frozen=True, kw_only=True)
class Edit:
    """How a fault is made in one format.

    Attributes:
        operators: Operators that can carry it.
        how: Name of the edit.
        at: What is edited: name of an attribute or argument, or place of an input.
        change: Name of the change, where the edit knows several.
        by: Parameter of the change.
        axis: Axis of output channels of a constant.
        feeds: The operator's result must go to one of these.
        default: Value of an attribute that is not there.
    """

    operators: tuple[str, ...]
    how: str
    at: str | int = ""
    change: str = ""
    by: Any = None
    axis: int = 0
    feeds: tuple[str, ...] = ()
    default: Any = None


@dataclass(frozen=True, kw_only=True)
class FaultKind:
    """A kind of fault.

    Attributes:
        name: Unique name.
        about: What is wrong, for the table.
        edits: Format → how it is made there; a format that is not there cannot carry it.
        rare: Whether it must make NaN or infinity, and for some samples only.
    """

    name: str
    about: str
    edits: Mapping[str, tuple[Edit, ...]] = field(default_factory=dict)
    rare: bool = False


def attribute(operators: str, at: str, change: str, by: Any = None, default: Any = None) -> Edit:
    """Change an option or an argument."""
    return Edit(
        operators=tuple(operators.split()),
        how="attribute",
        at=at,
        change=change,
        by=by,
        default=default,
    )


def constant(
    operators: str, at: int, change: str, by: Any = None, axis: int = 0, feeds: str = ""
) -> Edit:
    """Change an input that the file stores."""
    return Edit(
        operators=tuple(operators.split()),
        how="constant",
        at=at,
        change=change,
        by=by,
        axis=axis,
        feeds=tuple(feeds.split()),
    )


def operator(operators: str, by: str) -> Edit:
    """Put another operator in its place."""
    return Edit(operators=tuple(operators.split()), how="operator", by=by)


def operands(operators: str) -> Edit:
    """Exchange two inputs."""
    return Edit(operators=tuple(operators.split()), how="operands")


def part(operators: str) -> Edit:
    """Take another part of what a slice reads."""
    return Edit(operators=tuple(operators.split()), how="slice")


def quantization(operators: str, at: str | int, change: str, by: Any = None) -> Edit:
    """Change the scales or zero points of the result (``at="result"``), or of an input."""
    return Edit(operators=tuple(operators.split()), how="quantization", at=at, change=change, by=by)


def on_integers(row: Mapping[str, tuple[Edit, ...]]) -> dict[str, tuple[Edit, ...]]:
    """A row whose edits of TFLite files are made in those of integers too."""
    return {**row, INT8: row[TFLITE]}


TS_CONV = "aten::_convolution"
TS_NORMS = "aten::layer_norm aten::batch_norm aten::group_norm aten::instance_norm"
ONNX_NORMS = "LayerNormalization InstanceNormalization BatchNormalization"


def weights(change: str, by: Any = None) -> dict[str, tuple[Edit, ...]]:
    """A change of the weight of a convolution or a linear layer, in every format."""
    return {
        ONNX: (
            constant("Conv", 1, change, by),
            constant("ConvTranspose Gemm MatMul", 1, change, by, axis=1),
        ),
        TFLITE: (
            constant("CONV_2D FULLY_CONNECTED TRANSPOSE_CONV", 1, change, by),
            constant("DEPTHWISE_CONV_2D", 1, change, by, axis=3),
        ),
        TORCHSCRIPT: (
            constant(f"{TS_CONV} aten::linear", 1, change, by),
            constant("aten::addmm", 2, change, by, axis=1),
            constant("aten::lstm aten::gru", 2, change, by),
        ),
    }


def biases(change: str, by: Any = None) -> dict[str, tuple[Edit, ...]]:
    """A change of the bias of a convolution, a linear layer or a norm, in every format."""
    return {
        ONNX: (constant("Conv Gemm LayerNormalization InstanceNormalization", 2, change, by),),
        TFLITE: (constant("CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED", 2, change, by),),
        TORCHSCRIPT: (
            constant(f"{TS_CONV} aten::linear aten::batch_norm", 2, change, by),
            constant("aten::layer_norm", 3, change, by),
        ),
    }


def epsilon(change: str, by: float) -> dict[str, tuple[Edit, ...]]:
    """A change of the constant that a norm adds to the variance, in every format."""
    return {
        ONNX: (
            attribute(ONNX_NORMS, "epsilon", change, by, 1e-5),
            constant("Add", 1, "all" if change == "times" else "set", by, feeds="Sqrt Log"),
        ),
        TFLITE: (
            constant("ADD", 1, "all" if change == "times" else "set", by, feeds="RSQRT SQRT LOG"),
        ),
        TORCHSCRIPT: (
            attribute(TS_NORMS, "eps", change, by),
            constant(
                "aten::add",
                1,
                "all" if change == "times" else "set",
                by,
                feeds="aten::sqrt aten::rsqrt aten::log",
            ),
        ),
    }


def any_of(*rows: Mapping[str, tuple[Edit, ...]]) -> dict[str, tuple[Edit, ...]]:
    """One row of the edits of several."""
    return {name: tuple(edit for row in rows for edit in row.get(name, ())) for name in rows[0]}
