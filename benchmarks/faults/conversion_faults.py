"""Faults in the conversion: an operator of the capture is lowered as if an argument were another.

What results is a file that is well formed, and whose layer map is right: just what a lowering that
ignores or mixes up an argument makes.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import bridge
from bridge.layers import LayerMap, Place

from .arguments import changed_arguments
from .edits import TORCHSCRIPT, Edit, FaultKind
from .sites import Apply, FaultyFile, Injected, Operator, seeded_tensors

_CONVOLUTIONS = ("aten::conv1d", "aten::conv2d")


class CapturedProgram(FaultyFile):
    """A captured program that is converted with one wrong argument.

    Args:
        path: The capture, a ``.pt2`` file.
        target: Format that it is converted to.
        places: Where its layers are in the good artifact of that format.
    """

    def __init__(self, path: Path, target: str, places: LayerMap) -> None:
        super().__init__(path)
        self.target, self.good = target, places
        self.program = torch.export.load(path)
        self.nodes = [each for each in self.program.graph.nodes if each.op == "call_function"]
        self.operators = [
            Operator(
                index=index,
                kind=_kind(node.target),
                inputs=tuple(each.name for each in node.all_input_nodes),
                outputs=(node.name,),
            )
            for index, node in enumerate(self.nodes)
        ]

    def edits(self, kind: FaultKind) -> Sequence[Edit]:
        """Return how a kind is made: as in TorchScript, whose operators these are."""
        if kind.rare:  # found by many trials, and each costs a conversion here
            return []
        return [
            replace(each, operators=(*each.operators, *_CONVOLUTIONS))
            if "aten::_convolution" in each.operators
            else each
            for each in kind.edits.get(TORCHSCRIPT, ())
            if each.how in ("attribute", "slice")
        ]

    def plan(self, operator: Operator, edit: Edit, rng: np.random.Generator) -> Apply | None:
        """Return what sets the arguments, or ``None``; the result's shape stays."""
        node = self.nodes[operator.index]
        values = _arguments(node)
        made = changed_arguments(edit, values)
        if made is None or not _keeps_shape(node, made):
            return None

        def apply() -> None:
            node.args, node.kwargs = _call(node, made)

        return apply

    def seeded(self, operator: Operator, places: LayerMap) -> tuple[str, ...]:
        """Return the tensors of the operator's layer, or of the next ones that have any."""
        mapped = places.mapped()
        layers = LayerMap(places={layer: Place(tensor=layer) for layer in mapped})
        found = seeded_tensors(self.operators, operator.outputs, layers)
        return tuple(dict.fromkeys(str(mapped[layer].tensor) for layer in found))

    def save(self) -> Injected:
        """Convert the capture as it is now."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.pt2"
            buffer = io.BytesIO()
            torch.export.save(self.program, buffer)
            path.write_bytes(buffer.getvalue())
            result = bridge.convert(path, to=self.target, out=Path(folder) / "out", validate=False)
            artifact = result.artifacts.get(self.target)
            if artifact is None:
                raise ValueError(f"{self.path} with a fault cannot be converted to {self.target}")
            return Injected(
                content=artifact.path.read_bytes(),
                layer_map=artifact.layer_map,
                signature=artifact.signature,
                renamed={
                    str(place.tensor): str(artifact.layer_map.place(layer).tensor)
                    for layer, place in self.good.mapped().items()
                },
            )


def _kind(target: Any) -> str:
    """``aten::gelu`` of ``aten.gelu.default``."""
    return target._schema.name if isinstance(target, torch._ops.OpOverload) else str(target)


def _arguments(node: torch.fx.Node) -> dict[str, Any]:
    """Name → value of each argument, defaults included; ``None`` for tensors."""
    given = {}
    for place, each in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
        value = (
            node.args[place]
            if place < len(node.args)
            else node.kwargs.get(each.name, each.default_value)
        )
        constant = not isinstance(value, torch.fx.Node)
        given[each.name] = (
            list(value) if isinstance(value, list | tuple) else (value if constant else None)
        )
    return given


def _call(node: torch.fx.Node, made: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of a node with some of them replaced."""
    names = [each.name for each in node.target._schema.arguments]  # type: ignore[union-attr]
    args = [made.get(name, value) for name, value in zip(names, node.args, strict=False)]
    later = {name: value for name, value in made.items() if name not in names[: len(args)]}
    return tuple(args), {**node.kwargs, **later}


def _keeps_shape(node: torch.fx.Node, made: dict[str, Any]) -> bool:
    """Whether the node gives a result of the same shape with other arguments."""
    before = node.meta.get("val")
    args, kwargs = torch.fx.node.map_arg(
        _call(node, made), lambda each: torch.empty_like(each.meta["val"], device="meta")
    )
    try:
        after = node.target(*args, **kwargs)  # type: ignore[operator]
    except (RuntimeError, IndexError):
        return False
    return isinstance(before, torch.Tensor) and before.shape == after.shape
