"""The reference's values of one chunk, and how far legitimate implementations are from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...artifact import Artifact, TensorSpec
from ...formats import EXPORTED
from ...layers import Place
from ...outcome import Stage
from ...samples import Samples
from ...worker import IN_PROCESS, WorkFailure
from ...worker.failure import describe, failure
from ...worker.limits import TimeLimitError, time_limit
from ..recording import cannot_be_stacked
from ..running import Runner, artifact_inputs, to_source_axes
from ..runtime import RUNTIMES, fed_name
from ..tensors import empty_aligned
from .emulation import EmulationSession, emulation
from .noise import BASELINES, moved_row, perturbed_samples, rms_error
from .own_noise import own_noise
from .plan import Chunk

Arrays = dict[str, NDArray[Any]]
Floors = dict[str, list[list[float]]]  # layer → baseline → sample → RMS error


@dataclass(kw_only=True)
class Memory:
    """Arrays that one chunk after the other fills: new memory costs more than what is written."""

    _arrays: Arrays = field(default_factory=dict)

    def keep(self, names: Sequence[str]) -> None:
        """Free what is not of these names."""
        self._arrays = {name: self._arrays[name] for name in names if name in self._arrays}

    def take(self, name: str, count: int, like: NDArray[Any]) -> NDArray[Any]:
        """Return ``[count, *like.shape]`` of its type, with whatever is in it."""
        array = self._arrays.get(name)
        if array is None or array.shape[1:] != like.shape or len(array) < count:
            array = self._arrays[name] = np.empty((count, *like.shape), like.dtype)
        return array[:count]


@dataclass(frozen=True, kw_only=True)
class Fed:
    """What the readers of a layer are fed.

    Attributes:
        dtype: The type that they read.
        values: ``[K, *shape]``; ``None`` for those of the reference.
    """

    dtype: str
    values: NDArray[Any] | None = None

    def of(self, expected: NDArray[Any]) -> NDArray[Any]:
        """Return the values in their type, where these are the reference's."""
        with np.errstate(over="ignore", invalid="ignore"):
            return (expected if self.values is None else self.values).astype(self.dtype)


@dataclass(kw_only=True)
class ChunkTruth:
    """What several targets need of one chunk: it is made once, when it is first asked for.

    Runtimes that run in process show their tensors where they lie, and nothing of it is written.

    Attributes:
        runner: Runs what does not run in process.
        source: The artifact that defines the spine.
        runtime: Name of the runtime that makes the truth of it.
        separable: Layers that may be run alone; without any there are no noise floors either.
        samples: The chunk's inputs.
        chunk: Its layers.
        memory: Where the truth is kept.
    """

    runner: Runner
    source: Artifact
    runtime: str
    separable: frozenset[str]
    samples: Samples
    chunk: Chunk
    memory: Memory
    _values: Arrays | None = None
    _accumulated: dict[str, Floors] = field(default_factory=dict)
    _isolated: dict[tuple[str, tuple[str, ...], tuple[str, ...]], Floors] = field(
        default_factory=dict
    )

    def place(self, layer: str) -> Place:
        """Return the place of a layer in the source."""
        return self.source.layer_map.place(layer)

    def values(self, layer: str) -> NDArray[Any]:
        """Return the reference's values of a layer, ``[K, *shape]``, in float64 if it has that.

        Raises:
            WorkFailure: The reference does not run.
        """
        if self._values is None:
            self._values = self._run()
        return self._values[layer]

    def accumulated_noise(self, artifact: Artifact, layers: Sequence[str]) -> Floors:
        """Return the RMS errors of each baseline, run through; nothing if it has none.

        Args:
            artifact: The artifact whose noise floor it is.
            layers: The layers that are wanted.

        Raises:
            WorkFailure: A baseline does not run.
        """
        if not self.separable:
            return {}
        key = self._numerics(artifact)
        if key not in self._accumulated:
            self._accumulated[key] = self._noise(artifact, self.chunk.layers, {})
        floors = self._accumulated[key]
        return {layer: floors[layer] for layer in layers if layer in floors}

    def isolated_noise(
        self, artifact: Artifact, layers: Sequence[str], fed: Mapping[str, Fed]
    ) -> Floors:
        """Return the RMS errors of each baseline, alone; nothing if it has none.

        Args:
            artifact: The artifact whose noise floor it is.
            layers: The layers that are wanted.
            fed: What the readers of layers are fed.

        Raises:
            WorkFailure: A baseline does not run.
        """
        key = (self._numerics(artifact), tuple(layers), tuple(fed))
        if key not in self._isolated:
            self._isolated[key] = self._noise(artifact, layers, fed)
        return self._isolated[key]

    def _numerics(self, artifact: Artifact) -> str:
        """What artifacts have one noise floor: those of a precision, but for integers' scales."""
        emulated = emulation(artifact, self.source)
        return artifact.precision if emulated is None else artifact.sha256

    def _run(self) -> Arrays:
        layers = [*self.chunk.layers, *self.chunk.feeding]
        names = [str(self.place(layer).tensor) for layer in layers]
        runtime = RUNTIMES.get(self.runtime)()
        if runtime.place == IN_PROCESS:
            taps = self._kept(names)
        else:
            run = self.runner.run(runtime, self.source, self.samples, names)
            taps = run.arrays.taps
        return {
            layer: to_source_axes(taps[name], self.place(layer).permutation)
            for layer, name in zip(layers, names, strict=True)
        }

    def _kept(self, names: Sequence[str]) -> Arrays:
        """Run the truth here, and keep its tensors in memory."""
        kept: Arrays = {}
        self.memory.keep(names)
        with self._failures():
            session = RUNTIMES.get(self.runtime)().open(self.source, names)
            for index, given in enumerate(self._rows(self.samples)):

                def keep(name: str, value: NDArray[Any], index: int = index) -> None:
                    if name not in kept:
                        kept[name] = self.memory.take(name, self.samples.count, value)
                    stacked = kept[name]
                    if stacked.shape[1:] != value.shape:
                        raise cannot_be_stacked(
                            name, index, value, stacked.shape[1:], stacked.dtype
                        )
                    stacked[index] = value

                session.watch(given, keep)
        return kept

    def _noise(self, artifact: Artifact, layers: Sequence[str], fed: Mapping[str, Fed]) -> Floors:
        if self.source.format == EXPORTED:
            return self._noise_of_program(artifact, layers, fed)
        if artifact.precision != "float32":
            return {}  # what a file's own runtime makes of it is float32 only
        return own_noise(
            self.runner,
            self.source,
            self.samples,
            {layer: self.values(layer) for layer in layers},
            {layer: each.of(self.values(layer)) for layer, each in fed.items()},
        )

    def _noise_of_program(
        self, artifact: Artifact, layers: Sequence[str], fed: Mapping[str, Fed]
    ) -> Floors:
        """Run the baselines here, one sample after the other, and measure each layer."""
        layer_of = {str(self.place(layer).tensor): layer for layer in layers}
        truth = {layer: self.values(layer) for layer in layers}
        baselines = BASELINES[artifact.precision]
        emulated = emulation(artifact, self.source)
        if emulated is not None and fed:
            emulated = emulated.ranging(layers, self.values)
        floors: Floors = {layer: [[] for _ in baselines] for layer in layers}
        cuts = [
            TensorSpec(name=layer, shape=self.values(layer).shape[1:], dtype=each.dtype)
            for layer, each in fed.items()
        ]
        with self._failures():
            sessions = [
                (emulated or RUNTIMES.get(each.runtime)()).open(self.source, list(layer_of), cuts)
                for each in baselines
            ]
            self._learn([each for each in sessions if isinstance(each, EmulationSession)], fed)
            plain, moved = self._rows(self.samples), self._rows(perturbed_samples(self.samples))
            rows, moved_rows = self._buffers(fed), self._buffers(fed)
            for index, pair in enumerate(zip(plain, moved, strict=True)):
                self._fill(rows, index, fed)
                for number, (baseline, session) in enumerate(zip(baselines, sessions, strict=True)):
                    given = rows
                    if baseline.perturbed:
                        given = {
                            name: moved_row(name, row, moved_rows[name])
                            for name, row in rows.items()
                        }

                    def see(
                        name: str, actual: NDArray[Any], index: int = index, number: int = number
                    ) -> None:
                        layer = layer_of[name]
                        error = rms_error(truth[layer][index], actual)
                        floors[layer][number].append(error)

                    inputs = {**pair[baseline.perturbed], **given}
                    if isinstance(session, EmulationSession):
                        inputs = session.kept(inputs)
                    session.watch(inputs, see)
        return floors

    def _learn(self, sessions: Sequence[EmulationSession], fed: Mapping[str, Fed]) -> None:
        """Show all samples to emulations that need the ranges of what is inside of layers."""
        learning = [each for each in sessions if each.learns]
        buffers = self._buffers(fed) if learning else {}
        for index, row in enumerate(self._rows(self.samples) if learning else ()):
            self._fill(buffers, index, fed)
            for session in learning:
                session.learn(session.kept({**row, **buffers}))

    def _rows(self, samples: Samples) -> Iterator[Arrays]:
        """The source's inputs of each sample."""
        stacked = artifact_inputs(self.runner.inputs, self.source.signature, samples)
        for index in range(samples.count):
            yield {name: np.array(array[index]) for name, array in stacked.items()}

    def _buffers(self, fed: Mapping[str, Fed]) -> Arrays:
        """Memory for one sample of what is fed, which all samples share."""
        return {
            fed_name(layer): empty_aligned(self.values(layer).shape[1:], each.dtype)
            for layer, each in fed.items()
        }

    def _fill(self, rows: Arrays, index: int, fed: Mapping[str, Fed]) -> None:
        """Write what the readers of cut layers are fed."""
        with np.errstate(over="ignore", invalid="ignore"):
            for layer, each in fed.items():
                values = self.values(layer) if each.values is None else each.values
                rows[fed_name(layer)][...] = values[index]

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn what a run in process raises into a failure, as a worker's would be."""
        try:
            with time_limit(self.runner.pool.limits.seconds):
                yield
        except WorkFailure:
            raise
        except (Exception, TimeLimitError) as error:
            raise failure(describe(error), Stage.RUN) from error
