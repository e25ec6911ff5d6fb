"""onnx → onnx: onnxsim, kept only if the result computes the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..availability import version_of
from ..errors import MismatchError
from ..formats import ONNX
from ..hop import Hop, HopResult, HopTask, register_hop
from ..layers import LayerMap, Place, explain_absences
from ..outcome import Stage

_LEAST_SQNR_DB = 100.0


def convert(task: HopTask) -> HopResult:
    """Simplify an ONNX file; node metadata and value names survive.

    Raises:
        MismatchError: The simplified model gives another result on the example inputs; whoever
            called keeps the file that was to be simplified.
    """
    import onnx
    import onnxsim

    assert task.source is not None
    task.enter(Stage.LOAD)
    model = onnx.load(task.source.path)
    task.enter(Stage.LOWER)
    simplified, _ = onnxsim.simplify(model)
    _restore_metadata(model, simplified)
    task.enter(Stage.SERIALIZE)
    onnx.save(simplified, task.out)
    task.enter(Stage.COMPARE)
    kept = _kept_values(task, simplified)
    if task.examples is not None:
        _compare(task.source.path, task.out, task.examples)
        kept = _confirmed(model, simplified, kept, task.examples)
    return HopResult(
        signature=task.source.signature,
        layer_map=_layer_map(task, kept),
        producer_version=version_of("onnxsim") or "",
    )


def _kept_values(task: HopTask, simplified: Any) -> dict[str, Place]:
    """Layers whose value is still there by its name."""
    assert task.source is not None
    values = {name for node in simplified.graph.node for name in node.output}
    mapped = task.source.layer_map.mapped()
    return {layer: place for layer, place in mapped.items() if place.tensor in values}


def _confirmed(before: Any, after: Any, kept: dict[str, Place], examples: Path) -> dict[str, Place]:
    """Layers whose value is still what it was; onnxsim gives a name to another value at times.

    Where it moved a Reshape, the value has its elements in another shape.
    """
    names = list(dict.fromkeys(place.tensor for place in kept.values() if place.tensor))
    try:
        old, new = (_run(_exposing(model, names), examples) for model in (before, after))
    except ValueError:  # a protobuf of more than 2 GB cannot be run from memory
        return {}
    confirmed = {}
    for layer, place in kept.items():
        index = names.index(str(place.tensor))
        expected, actual = old[index], new[index]
        if expected.size == actual.size and _same(expected, actual.reshape(expected.shape)):
            reshaped = place.reshaped or expected.shape != actual.shape
            confirmed[layer] = replace(place, reshaped=reshaped)
    return confirmed


def _layer_map(task: HopTask, kept: dict[str, Place]) -> LayerMap:
    assert task.source is not None
    before = task.source.layer_map
    if task.spine is None:
        return LayerMap(places={**before.places, **kept})
    absent = {layer: place for layer, place in before.places.items() if place.tensor is None}
    return explain_absences(task.spine, {**absent, **kept})


def _exposing(model: Any, names: list[str]) -> bytes:
    """The model with only the named values as outputs; types are left to the runtime."""
    import onnx

    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    del exposed.graph.output[:]
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    content: bytes = exposed.SerializeToString()
    return content


def _restore_metadata(model: Any, simplified: Any) -> None:
    """Onnxsim drops the nodes' metadata: give it back to the nodes that make the same values."""
    known = {node.output[0]: node for node in model.graph.node if node.output}
    for node in simplified.graph.node:
        if node.output and node.output[0] in known and not node.metadata_props:
            node.metadata_props.extend(known[node.output[0]].metadata_props)


def _compare(before: Path, after: Path, examples: Path) -> None:
    wanted, got = _run(str(before), examples), _run(str(after), examples)
    for index, (expected, actual) in enumerate(zip(wanted, got, strict=True)):
        if expected.shape != actual.shape or not _same(expected, actual):
            raise MismatchError(f"onnxsim changed the result of output {index}")


def _run(model: str | bytes, examples: Path) -> list[NDArray[Any]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    with np.load(examples) as stored:
        feeds = {
            each.name: stored[name]
            for each, name in zip(session.get_inputs(), stored.files, strict=True)
        }
    return [np.asarray(each) for each in session.run(None, feeds)]


def _same(expected: NDArray[Any], actual: NDArray[Any]) -> bool:
    """Equal up to rounding (signal over error at least 100 dB), with the same NaN and Inf."""
    if expected.dtype.kind != "f":
        return bool(np.array_equal(expected, actual))
    finite = np.isfinite(expected)
    if not np.array_equal(expected[~finite], actual[~finite], equal_nan=True):
        return False
    reference = expected[finite].astype(np.float64)
    error = actual[finite].astype(np.float64) - reference
    limit = 10 ** (-_LEAST_SQNR_DB / 20) * np.sqrt(np.mean(reference**2)) if reference.size else 0.0
    return not error.size or bool(np.sqrt(np.mean(error**2)) <= limit)


register_hop(
    Hop(
        name="onnxsim",
        title="onnxsim",
        source=ONNX,
        target=ONNX,
        convert=convert,
        cost=1.0,
        packages=("onnx", "onnxsim", "onnxruntime"),
        imports=("onnxruntime", "onnxsim"),
    )
)
