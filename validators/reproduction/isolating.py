"""One layer of an artifact alone: its piece, what that is fed, and what it should give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...artifact import Artifact, Quantization, TensorSpec
from ...errors import SourceError
from ...samples import Samples
from ..drift.feeding import fed_values
from ..drift.forms import in_artifact_form
from ..drift.plan import Chunk, feeding_layers
from ..drift.truth import Arrays, ChunkTruth, Memory
from ..reference import separable_layers
from ..running import Run, Runner, artifact_inputs
from ..runtime import RUNTIMES, fed_name
from .pieces import PieceFile, write_piece

_MOST_SAMPLES, _LEAST_SAMPLES = 16, 4
_MOST_BYTES = 2**25  # of golden tensors, where that is more than the least samples


@dataclass(frozen=True, kw_only=True)
class IsolatedLayer:
    """A layer that was cut out.

    Attributes:
        piece: What computes it.
        tensor: The tensor that it makes.
        fed: Tensors of the whole artifact that the piece is fed.
        inputs: What the piece reads, by the names of its inputs, ``[K, *shape]`` as it stores them.
        expected: What the reference has for its tensor, ``[K, *shape]``, in real numbers and in the
            artifact's axes.
        scale: Of the integers that the piece makes; 1 for real numbers.
        zero_point: Likewise.
        noise: RMS error of the worst legitimate implementation of the same piece.
    """

    piece: PieceFile
    tensor: str
    fed: tuple[str, ...]
    inputs: Arrays
    expected: NDArray[Any]
    scale: float
    zero_point: int
    noise: float


@dataclass(frozen=True, kw_only=True)
class Isolator:
    """Cuts layers out of an artifact, with the reference's values around them.

    Attributes:
        runner: Runs the artifact.
        source: The artifact that defines the spine.
        truth: Name of the runtime that makes the reference of it.
        artifact: What is cut.
        runtime: Name of the runtime that it runs in.
        samples: The inputs that it was compared on.
    """

    runner: Runner
    source: Artifact
    truth: str
    artifact: Artifact
    runtime: str
    samples: Samples

    def isolate(self, layer: str, folder: Path) -> IsolatedLayer:
        """Write the piece that computes a layer into a folder, and make its golden tensors.

        Args:
            layer: A layer that was run alone in this artifact.
            folder: Where the piece goes.

        Raises:
            SourceError: The file cannot be cut.
            WorkFailure: The artifact or the reference does not run.
        """
        places = self.artifact.layer_map.mapped()
        assert self.source.spine is not None
        ids, separable = self.source.spine.ids(), separable_layers(self.source)
        before = [
            each
            for each in ids[: ids.index(layer)]
            if each in places and each in separable and places[each].tensor != places[layer].tensor
        ]
        shown = self._shown([*before, layer])
        while True:
            piece = self._written(layer, before, shown, folder)
            read = [each for each in before if fed_name(str(places[each].tensor)) in piece.inputs]
            near = feeding_layers(self.source.spine, [layer], before)
            truth = ChunkTruth(
                runner=self.runner,
                source=self.source,
                runtime=self.truth,
                separable=separable,
                samples=self.samples.head(_MOST_SAMPLES),
                chunk=Chunk(
                    layers=(layer,),
                    feeding=tuple(dict.fromkeys((*read, *near))),
                    start=0,
                    stop=min(self.samples.count, _MOST_SAMPLES),
                ),
                memory=Memory(),
            )
            known = (*truth.chunk.feeding, layer)  # what reads the layer itself does not matter
            feeds, fed = fed_values(truth, {each: places[each] for each in known}, shown)
            unfed = {each for each in read if str(places[each].tensor) not in feeds}
            if not unfed:
                break
            before = [each for each in before if each not in unfed]  # the piece begins earlier
        given = self._given(piece, feeds)
        place = places[layer]
        stored, code = shown.arrays.taps[str(place.tensor)], _code(str(place.tensor), shown)
        values = truth.values(layer)
        expected = in_artifact_form(place, values, (len(values), *stored.shape[1:]))
        assert expected is not None  # it was compared
        count = _count([expected, *given.values()])
        errors = truth.isolated_noise(self.artifact, (layer,), fed)[layer]
        return IsolatedLayer(
            piece=piece,
            tensor=str(place.tensor),
            fed=_fed(piece, feeds),
            inputs={name: array[:count] for name, array in given.items()},
            expected=expected[:count],
            scale=code.scales[0],
            zero_point=code.zero_points[0],
            noise=max(float(np.sqrt(np.mean(np.square(each[:count])))) for each in errors),
        )

    def _shown(self, layers: Sequence[str]) -> Run:
        """A run of one sample that tells the shapes and types of layers' tensors."""
        places = self.artifact.layer_map.mapped()
        taps = list(dict.fromkeys(str(places[each].tensor) for each in layers))
        runtime = RUNTIMES.get(self.runtime)()
        return self.runner.run(runtime, self.artifact, self.samples.head(1), taps)

    def _written(self, layer: str, before: Sequence[str], shown: Run, folder: Path) -> PieceFile:
        places = self.artifact.layer_map.mapped()
        # several layers may share a tensor
        cuts = dict.fromkeys(str(places[each].tensor) for each in before)
        specs = [_spec(name, shown) for name in cuts]
        return write_piece(self.artifact, _spec(str(places[layer].tensor), shown), specs, folder)

    def _given(self, piece: PieceFile, feeds: Arrays) -> Arrays:
        """What the piece reads, by the names of its inputs."""
        samples = self.samples.head(_MOST_SAMPLES)
        own = artifact_inputs(self.runner.inputs, self.artifact.signature, samples)
        values = {**own, **{fed_name(name): array for name, array in feeds.items()}}
        missing = [name for name in piece.inputs if name not in values]
        # a file without a signature names its inputs by its tensors, in the signature's order
        values |= dict(zip(missing, own.values(), strict=False))
        return {name: values[name] for name in piece.inputs}


def _fed(piece: PieceFile, feeds: Arrays) -> tuple[str, ...]:
    """The tensors that a piece is fed, in the order of its inputs."""
    names = {fed_name(name): name for name in feeds}
    return tuple(names[each] for each in piece.inputs if each in names)


def _spec(name: str, shown: Run) -> TensorSpec:
    array = shown.arrays.taps[name]
    return TensorSpec(name=name, shape=array.shape[1:], dtype=array.dtype.name)


def _code(name: str, shown: Run) -> Quantization:
    """What the numbers of a tensor stand for."""
    if shown.arrays.taps[name].dtype.kind not in "iu" or name not in shown.quantization:
        return Quantization(scales=(1.0,), zero_points=(0,))
    found = shown.quantization[name]
    if found.axis is not None:
        raise SourceError(f"{name} has a scale for each channel, which no script is written for")
    return found


def _count(arrays: Sequence[NDArray[Any]]) -> int:
    """How many samples are kept."""
    size = sum(each[:1].nbytes for each in arrays)
    return min(len(arrays[0]), max(_LEAST_SAMPLES, _MOST_BYTES // max(1, size)))
