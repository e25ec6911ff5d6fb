"""The whole way from a captured program to a graph that can be written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...layers import Spine
from .compiler import lower_program
from .context import CompileOptions
from .ir import Graph
from .passes import optimise
from .provenance import name_values

if TYPE_CHECKING:
    import torch


def compile_program(
    program: torch.export.ExportedProgram,
    spine: Spine,
    options: CompileOptions,
    input_names: Sequence[str],
    output_names: Sequence[str],
) -> Graph:
    """Lower, optimise and name a captured program.

    Args:
        program: The program; it is not changed.
        spine: Its layers.
        options: What the user asks for.
        input_names: Name of each tensor input, in order.
        output_names: Name of each tensor output, in order.

    Raises:
        UnsupportedError: All operators that cannot be expressed.
    """
    import torch

    with torch.no_grad():
        graph = lower_program(program, options, input_names, output_names)
    optimise(graph, options)
    name_values(graph, spine)
    return graph
