"""The layout pass: one order of axes for every value, chosen for the whole graph at once.

Lowerings write transposes wherever a kernel's layout is not PyTorch's. This pass takes all of them
out, asks each operator in which orders it could work (``rules``), chooses the orders that leave the
cheapest transposes (``solve``), and writes those into the graph (``rewrite``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ir import Graph, Permutation, Value
from .linear import join_linear, part_linear
from .network import is_transpose, network_of
from .rewrite import rewrite
from .solve import solve


def assign_layouts(
    graph: Graph,
    inputs: Mapping[Value, Permutation] | None = None,
    outputs: Sequence[Permutation | None] | None = None,
) -> None:
    """Choose the order of every value's axes and remove the transposes that this makes needless.

    Args:
        graph: The graph; each of its transposes is by a constant.
        inputs: Inputs that lie in another order in the file.
        outputs: For each output the order in which it lies in the file; ``None`` for its own.
    """
    if not inputs and not any(outputs or ()) and not any(is_transpose(op) for op in graph.ops):
        return
    join_linear(graph)
    network = network_of(graph, inputs or {}, outputs or [None] * len(graph.outputs))
    solve(network)
    rewrite(graph, network)
    part_linear(graph)
