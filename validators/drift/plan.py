"""Which layers and samples are captured at once, so that memory stays within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...layers import Spine
from ...mutation import alias_groups, written

if TYPE_CHECKING:
    import torch

DEFAULT_BYTES = 4 * 2**30
# Of one element: truth in float64, and of two targets what is fed and what came out, in float32.
_BYTES_PER_ELEMENT = 8 + 2 * (4 + 4)


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """What is captured at once.

    Attributes:
        layers: The layers that are measured, in spine order.
        feeding: Layers before them whose values feed them when they run on their own.
        start: First sample.
        stop: The sample after the last.
    """

    layers: tuple[str, ...]
    feeding: tuple[str, ...]
    start: int
    stop: int


def chunks(spine: Spine, layers: Sequence[str], start: int, stop: int, budget: int) -> list[Chunk]:
    """Split layers and samples so that each part fits a budget.

    Samples are split first, which costs nothing but the loading of the models. Only where the
    layers of one sample are too large are the layers split too; then the model runs once for each
    group of layers.

    Args:
        spine: All layers.
        layers: Those that some artifact has, in spine order.
        start: First sample.
        stop: The sample after the last.
        budget: Bytes.
    """
    sizes = {layer.id: _bytes(layer.shape) for layer in spine.layers}
    groups: list[list[str]] = [[]]
    filled = 0
    for layer in layers:
        if groups[-1] and filled + sizes[layer] > budget:
            groups.append([])
            filled = 0
        groups[-1].append(layer)
        filled += sizes[layer]
    made = []
    for group in groups:
        feeding = feeding_layers(spine, group, layers) if len(groups) > 1 else []
        room = max(1, sum(sizes[each] for each in (*group, *feeding)))
        step = max(1, min(stop - start, budget // room))
        made += [
            Chunk(
                layers=tuple(group),
                feeding=tuple(feeding),
                start=first,
                stop=min(stop, first + step),
            )
            for first in range(start, stop, step)
        ]
    return made


def _bytes(shape: tuple[int, ...] | None) -> int:
    count = 1
    for size in shape or ():
        count *= size
    return count * _BYTES_PER_ELEMENT


def feeding_layers(spine: Spine, group: Sequence[str], measured: Sequence[str]) -> list[str]:
    """Return the measured layers outside a group that it reads, through others or directly."""
    inputs = {layer.id: layer.inputs for layer in spine.layers}
    inside, known = set(group), set(measured)
    found: dict[str, None] = {}
    waiting = [each for layer in group for each in inputs[layer]]
    seen = set()
    while waiting:
        layer = waiting.pop()
        if layer in seen or layer in inside or layer not in inputs:
            continue
        seen.add(layer)
        if layer in known:
            found[layer] = None
        else:
            waiting += inputs[layer]
    return [layer for layer in measured if layer in found]


def separable(program: torch.export.ExportedProgram) -> set[str]:
    """Return the layers whose readers may be fed other memory than that of the layer's result.

    Where an operator writes in place, all that shares the memory belongs together, unless it is
    only the operand and the results of such operators, one after the other.
    """
    group = alias_groups(program)
    writes = {node: written(node) for node in program.graph.nodes}
    mutated = {group[target] for targets in writes.values() for target in targets}
    entangled = {
        group[node]
        for node in program.graph.nodes
        if group[node] in mutated and group[node] is not node and not writes[node]
    }
    return {node.name for node in program.graph.nodes if group[node] not in entangled}
