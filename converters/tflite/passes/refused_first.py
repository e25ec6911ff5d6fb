"""Puts first what XNNPACK refuses and what needs none of its results."""

from __future__ import annotations

from ..ir import Graph, Op

# What XNNPACK takes, on float32 (some of it in some forms only).
_TAKEN = frozenset(
    {"ABS", "ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CEIL", "CONCATENATION", "CONV_2D", "COS",
     "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE", "DEQUANTIZE", "DIV", "ELU", "EXP", "FLOOR",
     "FULLY_CONNECTED", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC", "MAXIMUM",
     "MAX_POOL_2D", "MEAN", "MINIMUM", "MUL", "NEG", "PAD", "PRELU", "REDUCE_MAX", "REDUCE_MIN",
     "RELU", "RELU6", "RELU_N1_TO_1", "RESHAPE", "RESIZE_BILINEAR", "ROUND", "RSQRT", "SIN",
     "SLICE", "SOFTMAX", "SPACE_TO_DEPTH", "SPLIT", "SQRT", "SQUARE", "SQUARED_DIFFERENCE",
     "STRIDED_SLICE", "SUB", "SUM", "TANH", "TRANSPOSE", "TRANSPOSE_CONV"}
)  # fmt: skip


def refused_first(graph: Graph) -> None:
    """Let XNNPACK begin once all that it refuses is done that does not wait for it.

    LiteRT makes a partition of all that can run when it meets the first operator that XNNPACK
    takes; an embedding or a mask that comes later in the list then ends the partition that it could
    have preceded. Afterwards no refused operator that is computed from the inputs by refused ones
    alone follows one that is taken.
    """
    source = graph.producers()
    early: dict[Op, None] = {}
    for op in graph.ops:
        before = (source.get(value) for _, value in op.live_inputs())
        if not _is_taken(op) and all(each is None or each in early for each in before):
            early[op] = None
    graph.ops = [*early, *(op for op in graph.ops if op not in early)]


def _is_taken(op: Op) -> bool:
    return op.kind in _TAKEN and all(value.dtype == "float32" for value in op.outputs)
