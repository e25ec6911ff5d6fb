"""The kinds of faults that only a file of integers can have: scales and zero points that are wrong.

They are made in the file alone: what reads a result is told of its scale, as the file's writer
would, so that nothing but one layer is wrong.
"""

from __future__ import annotations

from .edits import INT8, FaultKind, quantization

# Results whose scale is free; those of the other kernels are fixed or their inputs'.
_FREE = (
    "CONV_2D DEPTHWISE_CONV_2D TRANSPOSE_CONV FULLY_CONNECTED BATCH_MATMUL ADD SUB MUL DIV MEAN SUM"
    " GELU HARD_SWISH PRELU LEAKY_RELU ELU SQUARED_DIFFERENCE SQUARE RSQRT SQRT"
)
_WEIGHTED = "CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED"
_SEVERAL = "ADD SUB MUL CONCATENATION BATCH_MATMUL"


def _of_result(name: str, about: str, change: str, by: float) -> FaultKind:
    return FaultKind(
        name=name, about=about, edits={INT8: (quantization(_FREE, "result", change, by),)}
    )


def _of_input(name: str, about: str, place: int, change: str, by: float | None = None) -> FaultKind:
    edit = quantization(_WEIGHTED, place, change, by)
    return FaultKind(name=name, about=about, edits={INT8: (edit,)})


QUANTIZED_KINDS: tuple[FaultKind, ...] = (
    _of_result(
        "scale ×4", "a result's scale is four times too wide: two bits are lost", "scale", 4
    ),
    _of_result("scale ×64", "a result's scale is far too wide: two bits are left", "scale", 64),
    _of_result(
        "scale ÷4", "a result's scale is too narrow: what is large saturates", "scale", 0.25
    ),
    _of_result("zero point", "a result's zero point is off by 90: one side saturates", "shift", 90),
    _of_input("weight's scales", "all scales of a weight are 30 % too large", 1, "all", 1.3),
    _of_input("channel's scale", "one channel's scale is 30 % too large", 1, "channel", 1.3),
    _of_input("scales rolled", "each channel has its neighbour's scale", 1, "roll", 1),
    _of_input("scales merged", "one scale for a weight that has one for each channel", 1, "merged"),
    _of_input("bias's scale", "a bias is stored in the steps of the result", 2, "of result"),
    FaultKind(
        name="scale of the other",
        about="one of several inputs is read with the scale of another one",
        edits={INT8: (quantization(_SEVERAL, "inputs", "exchanged"),)},
    ),
)
