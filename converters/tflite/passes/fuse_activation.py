"""Fuses activations into the operators before them."""

from __future__ import annotations

from ..ir import Graph, Op

_ACTIVATIONS = frozenset({"RELU", "RELU6", "RELU_N1_TO_1"})
# What XNNPACK takes with a fused activation.
_FUSES = frozenset(
    {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SUB", "MUL", "DIV",
     "MAX_POOL_2D", "AVERAGE_POOL_2D"}
)  # fmt: skip


def fuse_activation(graph: Graph) -> None:
    """Let operators apply the activation that alone reads them.

    Afterwards no RELU, RELU6 or RELU_N1_TO_1 follows a float operator that could apply it, unless
    its operand is read by others too.
    """
    users = graph.users()
    source = graph.producers()
    outputs = set(graph.outputs)
    gone: set[Op] = set()
    for op in graph.ops:
        if op.kind not in _ACTIVATIONS or op.inputs[0] is None:
            continue
        before = source.get(op.inputs[0])
        if before is None or before.kind not in _FUSES or before.output in outputs:
            continue
        if len(users[before.output]) != 1 or before.output.dtype != "float32":
            continue
        if before.options.get("fused_activation_function", "NONE") != "NONE":
            continue
        before.options["fused_activation_function"] = op.kind
        before.outputs = op.outputs
        before.layers += op.layers
        source[op.output] = before
        gone.add(op)
    graph.ops = [op for op in graph.ops if op not in gone]
