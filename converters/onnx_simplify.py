"""onnx → onnx: onnxsim, kept only if the result computes the same."""

from __future__ import annotations

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
    if task.examples is not None:
        _compare(str(task.source.path), str(task.out), task.examples)
    return HopResult(
        signature=task.source.signature,
        layer_map=_layer_map(task, simplified),
        producer_version=version_of("onnxsim") or "",
    )


def _layer_map(task: HopTask, simplified: Any) -> LayerMap:
    """Values keep their names; what is gone gets the reason that the spine shows."""
    assert task.source is not None
    values = {name for node in simplified.graph.node for name in node.output}
    before = task.source.layer_map
    kept: dict[str, Place] = {
        layer: place for layer, place in before.mapped().items() if place.tensor in values
    }
    if task.spine is None:
        return LayerMap(places={**before.places, **kept})
    absent = {
        layer: place
        for layer, place in before.places.items()
        if place.tensor is None and place.absence is not None
    }
    return explain_absences(task.spine, {**absent, **kept})


def _restore_metadata(model: Any, simplified: Any) -> None:
    """Onnxsim drops the nodes' metadata: give it back to the nodes that make the same values."""
    known = {node.output[0]: node for node in model.graph.node if node.output}
    for node in simplified.graph.node:
        if node.output and node.output[0] in known and not node.metadata_props:
            node.metadata_props.extend(known[node.output[0]].metadata_props)


def _compare(before: str, after: str, examples: Any) -> None:
    wanted, got = _run(before, examples), _run(after, examples)
    for index, (expected, actual) in enumerate(zip(wanted, got, strict=True)):
        if expected.shape != actual.shape or not _same(expected, actual):
            raise MismatchError(f"onnxsim changed the result of output {index}")


def _run(path: str, examples: Any) -> list[NDArray[Any]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
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
