"""Layer maps of what onnx2tf makes: which tensor is which ONNX value, and why others have none.

TensorFlow's converter names a TFLite tensor after the TensorFlow nodes that went into its
operator, joined with semicolons. Of the nodes in such a name only the last in execution order
was computed; the others were fused into it. Where several operators were made for one node, the
last of them holds its result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...layers import Absence, LayerMap, Place
from .axes import Kind, normal, permuted
from .graphs import (
    onnx_kind,
    signature_tensors,
    tensor_names,
    tflite_graph,
    value_made_with,
)
from .trace import Conversion, layouts_in

_REARRANGING = (Kind.RESHAPE, Kind.TRANSPOSE)

Lost = dict[str, tuple[Absence, str, str]]


@dataclass(frozen=True, kw_only=True)
class Found:
    """Where ONNX values are in an artifact.

    Attributes:
        tensors: Value → tensor of the artifact.
        layouts: Value → permutation of that tensor; ``None`` for the identity.
        lost: Value without a tensor → absence, the value that it went into (or nothing), detail.
    """

    tensors: Mapping[str, str]
    layouts: Mapping[str, tuple[int, ...] | None]
    lost: Mapping[str, tuple[Absence, str, str]]


def carried(layer_map: LayerMap, found: Found) -> LayerMap:
    """Carry a layer map from the ONNX model to an artifact of onnx2tf."""
    layers = {place.tensor: layer for layer, place in layer_map.mapped().items()}
    places: dict[str, Place] = {}
    for layer, place in layer_map.places.items():
        value = place.tensor or ""
        tensor = found.tensors.get(value)
        layout = found.layouts.get(value)
        absence, into, detail = found.lost.get(value, (Absence.UNEXPLAINED, "", ""))
        # one at a time: two values may be the same tensor in different layouts
        one = LayerMap(places={layer: place}).carry(
            {value: tensor} if tensor else {},
            permutations={tensor: layout} if tensor and layout else None,
            lost={value: (absence, detail)},
        )
        carried_place = one.places[layer]
        if place.tensor and not tensor:
            carried_place = replace(carried_place, into=layers.get(into))
        places[layer] = carried_place
    return LayerMap(places=places)


def in_saved_model(conversion: Conversion) -> Found:
    """Find the values in the graph of the SavedModel's signature."""
    tensors: dict[str, str] = {}
    layouts: dict[str, tuple[int, ...] | None] = {}
    lost: Lost = {}
    for value in _values(conversion):
        if value in conversion.input_layouts:
            tensors[value] = f"{conversion.arguments[value]}:0"
            layouts[value] = conversion.input_layouts[value]
        elif value in conversion.layouts and value in conversion.tensors:
            tensors[value] = conversion.tensors[value]
            layouts[value] = normal(conversion.layouts[value])
        else:
            lost[value] = _why(conversion, value) or _ambiguous(conversion, value)
    return Found(tensors=tensors, layouts=layouts, lost=lost)


def in_tflite(conversion: Conversion, model: Any) -> Found:
    """Find the values in a TFLite model.

    Args:
        conversion: What the model was made from.
        model: The model (a ``ModelT`` of the schema's object interface).
    """
    signature = signature_tensors(model)
    claims, fused = _claims(conversion, model)
    same = _same(conversion)
    roots = {value: same.get(tensor, tensor) for value, tensor in conversion.tensors.items()}
    held = {value: claims[root] for value, root in roots.items() if root in claims}
    held.update((name, signature[conversion.arguments[name]]) for name in conversion.input_layouts)
    held.update((name, signature[name]) for name in conversion.output_layouts)
    layouts = _layouts(conversion, model, held)
    tensors: dict[str, str] = {}
    lost: Lost = {}
    for value in _values(conversion):
        why = _why(conversion, value)
        if value in held and value in layouts:
            tensors[value] = held[value]
        elif value in held:
            lost[value] = _reshaped(conversion, model, value, held[value])
        elif why:
            lost[value] = why
        elif roots[value] in fused:
            into = value_made_with(conversion.graph, conversion.tensors, [fused[roots[value]]])
            lost[value] = (Absence.FUSED, into, "")
        else:
            lost[value] = _vanished(conversion, value, held)
    return Found(
        tensors=tensors,
        layouts={value: normal(layout) for value, layout in layouts.items()},
        lost=lost,
    )


def _values(conversion: Conversion) -> list[str]:
    source = conversion.source
    stored = [each.name for each in source.model.graph.initializer]
    return [*stored, *source.inputs, *source.fused, *source.producers]


def _why(conversion: Conversion, value: str) -> tuple[Absence, str, str] | None:
    """Return why a value has no tensor in TensorFlow's graph, or ``None`` if it has one."""
    if value in conversion.input_layouts:
        return None
    if value in conversion.merged:
        into = value
        while into in conversion.merged:
            into = conversion.merged[into]
        return Absence.FUSED, into, ""
    if value in conversion.constants or value not in conversion.source.producers:
        return Absence.FOLDED, "", "a constant, computed during the conversion"
    if value in conversion.tensors:
        return None
    return Absence.ELIMINATED, "", "onnx2tf computes what follows without it"


def _ambiguous(conversion: Conversion, value: str) -> tuple[Absence, str, str]:
    shape = list(conversion.source.shapes.get(value, ()))
    return Absence.UNEXPLAINED, "", f"layout ambiguous: the sizes {shape} fit more than one"


def _reshaped(
    conversion: Conversion, model: Any, value: str, tensor: str
) -> tuple[Absence, str, str]:
    shape = tflite_graph(model).shapes[tensor]
    if sorted(shape) == sorted(conversion.source.shapes.get(value, ())):
        return _ambiguous(conversion, value)
    return Absence.FUSED, _reader(conversion, value), f"kept with the shape {list(shape)} only"


def _vanished(
    conversion: Conversion, value: str, held: Mapping[str, str]
) -> tuple[Absence, str, str]:
    """Return why TensorFlow's converter left no trace of a value."""
    producers = conversion.source.producers
    if onnx_kind(producers[value].op_type) in _REARRANGING:
        return Absence.ELIMINATED, "", "it only rearranges its input"
    rearranged = {value}
    for node in conversion.source.model.graph.node:
        if rearranged.intersection(node.input) and onnx_kind(node.op_type) in _REARRANGING:
            if node.output[0] in held:
                return Absence.FUSED, node.output[0], "kept in another arrangement only"
            rearranged.add(node.output[0])
    into = value
    while reader := _reader(conversion, into):
        into = reader
        if into in held:
            return Absence.FUSED, into, ""
    return Absence.UNEXPLAINED, "", "TensorFlow's converter kept no trace of it"


def _reader(conversion: Conversion, value: str) -> str:
    """Return the result of the only operator that reads a value; nothing if there are several."""
    readers = [node for node in conversion.source.model.graph.node if value in node.input]
    alone = len(readers) == 1 and value not in conversion.source.outputs
    return str(readers[0].output[0]) if alone else ""


def _claims(conversion: Conversion, model: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Read the names of the TFLite tensors that operators make.

    Returns:
        Tensor of TensorFlow's graph → the TFLite tensor that holds it, and tensor of TensorFlow's
        graph → the one that it was fused into.
    """
    outputs_of = {
        node.outputs[0].partition(":")[0]: node.outputs for node in conversion.graph.nodes
    }
    order = {name: index for index, name in enumerate(outputs_of)}
    names = tensor_names(model)
    existing = set(names)
    same = _same(conversion)
    claims: dict[str, str] = {}
    fused: dict[str, str] = {}
    for operator in model.subgraphs[0].operators:
        outputs = [names[index] for index in operator.outputs]
        parts = [each for each in _parts(outputs[0], order, existing) if each in order]
        if not parts:
            continue
        last = max(parts, key=order.__getitem__)
        root = same.get(f"{last}:0", f"{last}:0")
        if len(outputs) == len(outputs_of[last]):
            claims[root] = outputs[0]
            claims.update((f"{last}:{index}", outputs[index]) for index in range(1, len(outputs)))
        fused.update((same.get(f"{each}:0", f"{each}:0"), root) for each in parts if each != last)
    return claims, {each: into for each, into in fused.items() if each not in claims}


def _same(conversion: Conversion) -> dict[str, str]:
    """Return the tensors of TensorFlow's graph that are nothing but an earlier one."""
    same: dict[str, str] = {}
    shapes = conversion.graph.shapes
    for node in conversion.graph.nodes:
        before, after = node.inputs[0], node.outputs[0]
        if node.kind is Kind.RESHAPE and shapes[before] == shapes[after]:
            same[after] = same.get(before, before)
    return same


def _parts(name: str, order: Mapping[str, int], existing: set[str]) -> Sequence[str]:
    """Split a TFLite name into names of nodes.

    The converter makes a name that is taken unique with a number at its end.
    """
    base = name.rstrip("0123456789")
    parts = name.split(";")
    if parts[-1] in order or base == name:
        return parts
    for cut in range(len(name) - 1, len(base) - 1, -1):
        if name[:cut] in existing:
            return name[:cut].split(";")
    return parts


def _layouts(
    conversion: Conversion, model: Any, held: Mapping[str, str]
) -> dict[str, tuple[int, ...]]:
    """Return the permutation of every held value's tensor, where it can be known."""
    signature = signature_tensors(model)
    seeds = {
        signature[conversion.arguments[name]]: permuted(conversion.axes[name], layout)
        for name, layout in conversion.input_layouts.items()
    }
    layouts: dict[str, tuple[int, ...]] = {}
    rank = {name: len(shape) for name, shape in conversion.source.shapes.items()}
    for name, layout in (*conversion.input_layouts.items(), *conversion.output_layouts.items()):
        layouts[name] = layout or tuple(range(rank[name]))
    found = layouts_in(tflite_graph(model), held, seeds, conversion.axes, conversion.source)
    return {**found, **layouts}
