"""Names of tensors, and where each spine layer is among them."""

from __future__ import annotations

from ...layers import Absence, LayerMap, Place, Spine, explain_absences
from .ir import Graph, Op, Value


def name_values(graph: Graph, spine: Spine) -> None:
    """Give every value a name of its own, after the module path and the layer that it belongs to.

    Args:
        graph: A graph whose inputs have names.
        spine: The layers.
    """
    for value, name in zip(graph.outputs, graph.output_names, strict=True):
        value.name = value.name or name
    modules = {layer.id: layer.module for layer in spine.layers}
    taken = {value.name for value in (*graph.inputs, *graph.outputs) if value.name}
    constants: set[Value] = set()
    for each in (graph, *graph.subgraphs()):
        prefix = "" if each is graph else f"{each.name}/"
        for value in each.inputs:
            value.name = value.name or _free(f"{prefix}input", taken)
        for op in each.ops:
            base = _layer_name(op, modules)
            for value in op.outputs:
                own = value.origins[-1].layer if value.origins else None
                name = _path(modules, own) if own else f"{base}/{op.kind.lower()}"
                value.name = value.name or _free(prefix + name, taken)
            for place, operand in enumerate(op.inputs):
                if operand is not None and operand.is_constant and operand not in constants:
                    constants.add(operand)  # weights have names, which several may share
                    own = operand.name or f"{op.output.name}/operand_{place}"
                    operand.name = _free(own, taken)


def layer_map(graph: Graph, spine: Spine) -> LayerMap:
    """Return where each layer of the spine is in a graph whose values have names."""
    mapped: dict[str, Place] = {}
    for value in (*graph.inputs, *(value for op in graph.ops for value in op.outputs)):
        for origin in value.origins:
            if origin.layer not in mapped or mapped[origin.layer].reshaped:
                mapped[origin.layer] = Place(
                    tensor=value.name, permutation=origin.permutation, reshaped=origin.reshaped
                )
    computed = {layer: op for op in graph.ops for layer in op.layers}
    users = graph.users()
    for layer in spine.ids():
        op = computed.get(layer)
        if layer not in mapped and op is not None:
            mapped[layer] = Place(
                absence=Absence.FUSED,
                into=_representative(op, users),
                detail=f"computed within {op.kind}",
            )
    explained = explain_absences(spine, mapped)
    # operators keep the layers that they compute: what no operator has only moved data
    return LayerMap(
        places={
            layer: _MOVED
            if place.absence is Absence.UNEXPLAINED and layer not in computed
            else place
            for layer, place in explained.places.items()
        }
    )


_MOVED = Place(
    absence=Absence.ELIMINATED, detail="it only moves data, which its readers take from elsewhere"
)


def _representative(op: Op, users: dict[Value, list[Op]]) -> str | None:
    """The layer that an operator's result stands for, or the first one downstream that there is."""
    waiting, seen = [op], {op}
    while waiting:
        current = waiting.pop(0)
        for value in current.outputs:
            if value.origins:
                return value.origins[-1].layer
            following = [each for each in users.get(value, ()) if each not in seen]
            seen.update(following)
            waiting += following
    return None


def _layer_name(op: Op, modules: dict[str, str]) -> str:
    return _path(modules, op.layers[-1]) if op.layers else "graph"


def _path(modules: dict[str, str], layer: str) -> str:
    module = modules.get(layer, "")
    return f"{module}/{layer}" if module else layer


def _free(name: str, taken: set[str]) -> str:
    free, count = name, 1
    while free in taken:
        count += 1
        free = f"{name}_{count}"
    taken.add(free)
    return free
