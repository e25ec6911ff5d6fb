"""Finding the layer map of an artifact."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ...artifact import Artifact
from ...errors import UnsupportedError
from ...formats import EXPORTED, ONNX, TFLITE
from ...samples import Samples
from ...worker import WorkFailure
from ..running import Runner
from ..runtime import RUNTIMES, Runtime
from ..taps.exported import NodeRunner, load_program
from ..tensors import one_thread, to_torch
from .confirmation import Confirmation
from .description import Alignment, described
from .graph import Graph
from .layouts import Array
from .matching import Matcher
from .onnx_graph import read_onnx
from .probes import Probes
from .tflite_graph import read_tflite

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

_PROBES = 2
_MOST_TRIED = 16  # samples that are tried for probes
_READERS: dict[str, Callable[[Path], Graph]] = {TFLITE.name: read_tflite, ONNX.name: read_onnx}


def can_align(artifact: Artifact, source: Artifact) -> bool:
    """Whether an artifact's layers can be looked for: a file of ours or of a source we captured."""
    return (
        artifact.format.name in _READERS
        and source.format == EXPORTED
        and source.spine is not None
        and not artifact.layer_map.places
    )


def align(artifact: Artifact, source: Artifact, *, runner: Runner, samples: Samples) -> Alignment:
    """Find where the layers of a source are in a TFLite or ONNX file.

    The artifact runs on two of the samples with all its tensors shown. The pairs are found on the
    first and confirmed on the second; a pair that the second one contradicts is dropped.

    Args:
        artifact: The file, whose inputs and outputs correspond to the source's by their order.
        source: The captured program, with its spine.
        runner: Runs the artifact.
        samples: Inputs in the source's names, axes and types.

    Returns:
        The alignment.

    Raises:
        WorkFailure: The artifact runs in no runtime that shows its tensors.
    """
    return _in_any_runtime(
        artifact, lambda runtime: _aligned(artifact, source, runner, samples, runtime)
    )


def _in_any_runtime(artifact: Artifact, work: Callable[[Runtime], T]) -> T:
    """Do something in the first runtime that shows the tensors inside, and runs the file."""
    first: WorkFailure | None = None
    for runtime in _tapping(artifact):
        try:
            return work(runtime)
        except WorkFailure as error:
            first = first or error
    if first is None:
        raise UnsupportedError(f"no runtime here shows the tensors of {artifact.format}", [])
    raise first


def _aligned(
    artifact: Artifact, source: Artifact, runner: Runner, samples: Samples, runtime: Runtime
) -> Alignment:
    assert source.spine is not None
    nodes = _loaded(source)
    head = _telling(artifact, source, nodes, runner, samples, runtime)
    graph, probes = _probed(artifact, runner, head, runtime)
    inputs = _inputs(artifact, source, graph, nodes.inputs)
    matcher = Matcher(source.spine, nodes, graph, probes, inputs)
    with one_thread():
        nodes.run(_given(source, nodes, head, 0), visitor=matcher)
        confirmed = None
        if probes.count > 1:
            confirmed = Confirmation(probes, matcher.pairs, 1)
            nodes.run(_given(source, nodes, head, 1), visitor=confirmed)
    return described(source.spine, graph, matcher, confirmed)


def measured_again(
    artifact: Artifact, source: Artifact, alignment: Alignment, *, runner: Runner, samples: Samples
) -> dict[str, float]:
    """Measure the pairs of an alignment on another input.

    Args:
        artifact: The file.
        source: The captured program.
        alignment: What was found.
        runner: Runs the artifact.
        samples: Inputs, of which the first one counts.

    Returns:
        Layer → relative RMS error of its tensor, with the artifact's own inputs of the layer.

    Raises:
        WorkFailure: The artifact does not run.
    """
    head = samples.head(1)
    _, probes = _in_any_runtime(artifact, lambda runtime: _probed(artifact, runner, head, runtime))
    nodes, confirmed = _loaded(source), Confirmation(probes, alignment.pairs, 0)
    with one_thread():
        nodes.run(_given(source, nodes, head, 0), visitor=confirmed)
    return confirmed.errors


def _telling(
    artifact: Artifact,
    source: Artifact,
    nodes: NodeRunner,
    runner: Runner,
    samples: Samples,
    runtime: Runtime,
) -> Samples:
    """The first samples with finite outputs: a mask that hides all there is gives NaN everywhere.

    Masks are not floating point numbers; of a model that takes such alone the first samples will
    do.
    """
    if all(spec.dtype.startswith("float") for spec in source.signature.inputs):
        return samples.head(_PROBES)
    tried = samples.head(_MOST_TRIED)
    outputs = runner.run(runtime, artifact, tried).arrays.outputs.values()
    chosen: list[int] = []
    for index in range(tried.count):
        if not all(_is_finite(each[index]) for each in outputs):
            continue
        with one_thread():
            made = nodes.run(_given(source, nodes, tried, index)).outputs
        if all(_is_finite(each.numpy()) for each in made):
            chosen.append(index)
        if len(chosen) == _PROBES:
            break
    if not chosen:
        return samples.head(_PROBES)
    arrays = {name: array[chosen] for name, array in samples.arrays.items()}
    return replace(samples, arrays=arrays, labels=None)


def _is_finite(values: Array) -> bool:
    return values.dtype.kind != "f" or bool(np.isfinite(values).all())


def _probed(
    artifact: Artifact, runner: Runner, samples: Samples, runtime: Runtime
) -> tuple[Graph, Probes]:
    graph = _READERS[artifact.format.name](artifact.path)
    run = runner.run(runtime, artifact, samples, _shown(graph))
    return graph, Probes(graph, run.arrays.taps)


def _loaded(source: Artifact) -> NodeRunner:
    return NodeRunner(load_program(source.path), path=source.path, double=True)


def _tapping(artifact: Artifact) -> Iterator[Runtime]:
    """The runtimes of a format that show the tensors inside."""
    for kind in RUNTIMES:
        fits = artifact.format in kind.formats and kind.taps and not kind.reference_only
        if fits and kind().probe().available:
            yield kind()


def _shown(graph: Graph) -> list[str]:
    made = {key for each in graph.operations for key in each.outputs} | set(graph.inputs.values())
    return [name for key, name in graph.names.items() if key in made and key in graph.live]


def _inputs(
    artifact: Artifact, source: Artifact, graph: Graph, placeholders: Sequence[str]
) -> dict[str, str]:
    """Placeholder → key of the artifact's input."""
    named = _placeholders(source, placeholders)
    return {
        named[spec.name]: graph.inputs[its.name]
        for spec, its in zip(source.signature.inputs, artifact.signature.inputs, strict=True)
        if its.name in graph.inputs
    }


def _placeholders(source: Artifact, placeholders: Sequence[str]) -> dict[str, str]:
    names = [spec.name for spec in source.signature.inputs]
    own = names if set(names) == set(placeholders) else placeholders
    return dict(zip(names, own, strict=True))


def _given(
    source: Artifact, nodes: NodeRunner, samples: Samples, index: int
) -> dict[str, torch.Tensor]:
    named = _placeholders(source, nodes.inputs)
    return {named[name]: to_torch(np.array(samples.arrays[name][index])) for name in named}
