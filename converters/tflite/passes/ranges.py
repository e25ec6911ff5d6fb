"""What is known of the numbers in a value without running the graph."""

from __future__ import annotations

from ..ir import Op, Value

_NEVER_NEGATIVE = frozenset(
    {"RELU", "RELU6", "RELU_0_TO_1", "LOGISTIC", "ABS", "SQUARE", "EXP", "SQRT", "RSQRT", "SOFTMAX",
     "SQUARED_DIFFERENCE"}
)  # fmt: skip
# Not negative if all of their operands are.
_KEEPING = frozenset(
    {"MAX_POOL_2D", "AVERAGE_POOL_2D", "RESHAPE", "TRANSPOSE", "CONCATENATION", "SLICE", "PAD",
     "MEAN", "SUM", "ADD", "MUL", "MAXIMUM", "MINIMUM", "RESIZE_BILINEAR", "STRIDED_SLICE"}
)  # fmt: skip
_DEPTH = 12


def not_negative(value: Value | None, source: dict[Value, Op], depth: int = _DEPTH) -> bool:
    """Tell whether no number in a value can be below zero.

    Args:
        value: The value.
        source: Value → operator that writes it.
        depth: How many operators to look back.
    """
    if value is None:
        return True
    if value.data is not None:
        return bool((value.data >= 0).all()) if value.dtype == "float32" else True
    op = source.get(value)
    if op is None or depth == 0:
        return False
    if op.kind in _NEVER_NEGATIVE:
        return True
    if op.options.get("fused_activation_function") in ("RELU", "RELU6"):
        return True
    return op.kind in _KEEPING and all(
        not_negative(each, source, depth - 1)
        for each in op.inputs
        if each and each.dtype == "float32"
    )
