"""Optimising passes on the TFLite graph, and the order in which they run.

Each pass is one module with a function that takes a graph and changes it in place; its docstring
states what it needs and what holds afterwards.
"""

from __future__ import annotations

from ..context import CompileOptions
from ..ir import Graph
from .dead_code import remove_dead_code


def optimise(graph: Graph, options: CompileOptions) -> None:
    """Run all passes over a graph and its subgraphs."""
    remove_dead_code(graph)
