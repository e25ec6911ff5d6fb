"""The runs that show every layer, alone and in its place, and what they measure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...artifact import Artifact, TensorSpec
from ...errors import BridgeError
from ...formats import EXPORTED
from ...layers import Place
from ...outcome import Stage
from ...samples import Samples
from ...worker import WorkFailure
from ...worker.failure import describe, failure
from ..histogram import Histogram, error_histogram
from ..metrics import measure
from ..quantization.affine import dequantized, quantized
from ..running import Run, Runner, artifact_inputs, to_source_axes
from ..runtime import RUNTIMES, Runtime, fed_name
from ..runtimes.eager import EagerSession
from .emulation import Emulation, EmulationSession, emulation
from .forms import in_artifact_form, in_source_form
from .noise import BASELINES, moved_row, perturbed_samples, rms_error
from .own_noise import own_noise
from .plan import Chunk
from .records import LayerRecord, RecordStore, TargetRecord, record_key

Arrays = dict[str, NDArray[Any]]

_MORE_THAN_NOISE = 3.0
_LEAST_NOISE = 2.0**-24
_FED_TYPES = ("float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An artifact in one runtime, whose layers are to be measured.

    Attributes:
        artifact: The artifact.
        runtime: Where it runs.
        plain: The run of the untouched artifact over all samples.
    """

    artifact: Artifact
    runtime: Runtime
    plain: Run

    def places(self) -> dict[str, Place]:
        """Return the layers that have a tensor, with their places."""
        return self.artifact.layer_map.mapped()


@dataclass(frozen=True, kw_only=True)
class Measurer:
    """Measures the layers of subjects against one source.

    Attributes:
        runner: Runs the artifacts.
        source: The artifact that defines the spine.
        truth: Name of the runtime that makes the reference of it.
        separable: Layers that may be run alone; empty if the source has no float64 reference.
        samples: The inputs.
        store: What an earlier run measured.
        say: Called with lines of progress.
    """

    runner: Runner
    source: Artifact
    truth: str
    separable: frozenset[str]
    samples: Samples
    store: RecordStore = field(default_factory=RecordStore)
    say: Callable[[str], None] = lambda text: None

    def measure(
        self, subjects: Sequence[Subject], parts: Sequence[Chunk]
    ) -> list[TargetRecord | WorkFailure]:
        """Measure every subject, chunk by chunk.

        Returns:
            For each subject its record, or how the run that shows its layers failed.
        """
        found: list[TargetRecord | WorkFailure] = [TargetRecord() for _ in subjects]
        for number, part in enumerate(parts):
            self.say(
                f"layers: {len(part.layers)} on samples {part.start + 1} to {part.stop}"
                f" (part {number + 1} of {len(parts)})"
            )
            chunk = _ChunkMeasurer(measurer=self, chunk=part)
            try:
                for index, subject in enumerate(subjects):
                    record = found[index]
                    if isinstance(record, WorkFailure):
                        continue
                    try:
                        record.extend(chunk.record(subject))
                    except WorkFailure as error:
                        found[index] = error
            finally:
                chunk.discard()
        return found


@dataclass(kw_only=True)
class _ChunkMeasurer:
    """Measures subjects on one chunk; what several of them need is made once, when it is needed."""

    measurer: Measurer
    chunk: Chunk
    _truth: Run | None = None
    _noise: dict[tuple[str, tuple[str, ...]], dict[str, list[list[float]]]] = field(
        default_factory=dict
    )

    def record(self, subject: Subject) -> TargetRecord:
        """Measure a subject, or take what an earlier run measured of it."""
        key = self._key(subject)
        known = self.measurer.store.read(key)
        if known is not None:
            return known
        record = self._measured(subject)
        self.measurer.store.write(key, record)
        return record

    def discard(self) -> None:
        """Free the disk."""
        if self._truth is not None:
            self._truth.discard()

    def _key(self, subject: Subject) -> str:
        samples, chunk = self._samples(), self.chunk
        return record_key(
            (
                self.measurer.source.sha256,
                self.measurer.truth,
                subject.artifact.sha256,
                subject.runtime.name,
                subject.runtime.version(),
                json.dumps(subject.artifact.layer_map.to_json(), sort_keys=True),
                *chunk.layers,
                "feeding",
                *chunk.feeding,
                *(f"{name}{array.dtype}{array.shape}" for name, array in samples.arrays.items()),
                *(sha256(array.tobytes()).hexdigest() for array in samples.arrays.values()),
            )
        )

    def _samples(self) -> Samples:
        whole = self.measurer.samples
        return Samples(
            arrays={
                name: np.asarray(array)[self.chunk.start : self.chunk.stop]
                for name, array in whole.arrays.items()
            },
            origin=whole.origin,
        )

    def _measured(self, subject: Subject) -> TargetRecord:
        places = {layer: place for layer, place in subject.places().items() if place.tensor}
        shown = {layer: places[layer] for layer in self.chunk.layers if layer in places}
        feeding = {layer: places[layer] for layer in self.chunk.feeding if layer in places}
        record = TargetRecord()
        # the shapes and types of the tensors that will be fed are those of a run
        run = self._run(subject, {**shown, **feeding})
        try:
            record.observer_effect = self._differs(subject, run)
            record.seconds = sum(run.seconds)
            noise = self._noise_floors(subject.artifact, tuple(shown), {})
            for layer, place in shown.items():
                record.layers[layer] = self._accumulated(layer, place, run, noise.get(layer, []))
            record.isolation = self._isolate(subject, shown, feeding, run, record)
        finally:
            run.discard()
        return record

    def _run(
        self, subject: Subject, shown: Mapping[str, Place], feeds: Arrays | None = None
    ) -> Run:
        taps = list(dict.fromkeys(str(place.tensor) for place in shown.values()))
        return self.measurer.runner.run(
            subject.runtime, subject.artifact, self._samples(), taps, feeds
        )

    def _differs(self, subject: Subject, run: Run) -> bool:
        """Whether an output is another one than the untouched artifact's, where that was run."""
        for spec in subject.artifact.signature.outputs:
            plain = subject.plain.output(spec)[self.chunk.start : self.chunk.stop]
            shown = run.output(spec)[: len(plain)]
            if not np.array_equal(plain, shown, equal_nan=spec.dtype.startswith("float")):
                return True
        return False

    def _accumulated(
        self, layer: str, place: Place, run: Run, noise: list[list[float]]
    ) -> LayerRecord:
        expected, actual = self._expected(layer), in_source_form(place, run)
        if actual.shape != expected.shape and place.reshaped and actual.size == expected.size:
            actual = actual.reshape(expected.shape)
        if actual.shape != expected.shape:
            shapes = f"{list(actual.shape[1:])}, not {list(expected.shape[1:])}"
            return LayerRecord(misfit=f"its tensor is {shapes}")
        measured = [measure(*pair) for pair in zip(expected, actual, strict=True)]
        return LayerRecord(accumulated=measured, noise=noise)

    def _isolate(
        self,
        subject: Subject,
        shown: Mapping[str, Place],
        feeding: Mapping[str, Place],
        run: Run,
        record: TargetRecord,
    ) -> str:
        """Measure each layer alone; return why that cannot be, if so."""
        if not subject.runtime.cuts:
            return f"{subject.runtime.title} cannot run the layers of a model on their own"
        if not self.measurer.separable:
            return "the source has no reference in float64"
        feeds, fed = self._feeds({**feeding, **shown}, run)
        try:
            alone = self._run(subject, shown, feeds)
        except WorkFailure as error:
            return f"the pieces of the model do not run: {error}"
        try:
            noise = self._noise_floors(subject.artifact, tuple(shown), fed)
            pieces: dict[str, LayerRecord] = {}
            for layer, place in shown.items():
                row = record.layers[layer]
                if row.misfit:
                    continue
                # of the layers that share a tensor, the first is what the piece computes
                piece = pieces.get(str(place.tensor))
                if piece is None:
                    piece = self._accumulated(layer, place, alone, noise.get(layer, []))
                    pieces[str(place.tensor)] = piece
                row.isolated, row.isolated_noise = list(piece.accumulated), list(piece.noise)
                row.histogram = self._histogram(layer, place, alone, piece)
        finally:
            alone.discard()
        return ""

    def _histogram(
        self, layer: str, place: Place, alone: Run, piece: LayerRecord
    ) -> Histogram | None:
        """The spread of the error on the first sample where it is more than noise."""
        for index, metrics in enumerate(piece.accumulated):
            noise = max((each[index] for each in piece.noise), default=0.0)
            if metrics.rmse > _MORE_THAN_NOISE * max(noise, _LEAST_NOISE * metrics.reference_rms):
                expected = self._expected(layer)[index]
                actual = in_source_form(place, alone)[index].reshape(expected.shape)
                return error_histogram(expected, actual)
        return None

    def _feeds(self, places: Mapping[str, Place], run: Run) -> tuple[Arrays, Arrays]:
        """The reference's values for each tensor, in the artifact's form, and by layer."""
        feeds: Arrays = {}
        fed: Arrays = {}
        spine = self.measurer.source.spine
        types = {each.id: each.dtype for each in spine.layers} if spine else {}
        for layer, place in places.items():
            # a file may not say the types of its values: then they are those that it has in float32
            kind = types[layer] or _narrow(self._expected(layer).dtype)
            if layer not in self.measurer.separable or kind not in _FED_TYPES:
                continue
            actual = run.arrays.taps[str(place.tensor)]
            expected = self._expected(layer)
            code = run.quantization.get(str(place.tensor))
            if expected.dtype.kind == "f" and actual.dtype.kind != "f" and code is None:
                continue  # stored in another form
            shaped = in_artifact_form(place, expected, actual.shape)
            if shaped is None:
                continue
            stored = feeds.setdefault(str(place.tensor), quantized(shaped, code, actual.dtype))
            # the baselines get what the integers stand for
            kept = (
                to_source_axes(dequantized(stored, code), place.permutation) if code else expected
            )
            with np.errstate(over="ignore", invalid="ignore"):
                fed[layer] = kept.reshape(expected.shape).astype(kind)
        return feeds, fed

    def _expected(self, layer: str) -> NDArray[Any]:
        if self._truth is None:
            places = self.measurer.source.layer_map.mapped()
            layers = [*self.chunk.layers, *self.chunk.feeding]
            self._truth = self.measurer.runner.run(
                RUNTIMES.get(self.measurer.truth)(),
                self.measurer.source,
                self._samples(),
                [str(places[layer].tensor) for layer in layers],
            )
        place = self.measurer.source.layer_map.place(layer)
        return self._truth.tap(str(place.tensor), place.permutation)

    def _noise_floors(
        self, artifact: Artifact, layers: tuple[str, ...], fed: Arrays
    ) -> dict[str, list[list[float]]]:
        """Layer → RMS errors of each baseline, alone where layers are fed, else run through."""
        if not self.measurer.separable:
            return {}
        if self.measurer.source.format != EXPORTED:
            return self._own_noise(artifact.precision, layers, fed)
        emulated = emulation(artifact, self.measurer.source)
        if emulated is not None and fed:
            emulated = emulated.ranging(layers, self._expected)
        key = (artifact.sha256 if emulated else artifact.precision, (*layers, "fed", *fed))
        if key not in self._noise:
            self._noise[key] = self._measured_noise(artifact.precision, emulated, layers, fed)
        return self._noise[key]

    def _own_noise(
        self, precision: str, layers: tuple[str, ...], fed: Arrays
    ) -> dict[str, list[list[float]]]:
        """The noise of a source that is no captured program; it knows float32 only."""
        if precision != "float32":
            return {}
        key = (precision, (*layers, "fed", *fed))
        if key not in self._noise:
            measurer, truth = self.measurer, {layer: self._expected(layer) for layer in layers}
            self._noise[key] = own_noise(
                measurer.runner, measurer.source, self._samples(), truth, fed
            )
        return self._noise[key]

    def _measured_noise(
        self, precision: str, emulated: Emulation | None, layers: tuple[str, ...], fed: Arrays
    ) -> dict[str, list[list[float]]]:
        """Run the baselines here and measure each layer where it lies: nothing is written."""
        places = self.measurer.source.layer_map.mapped()
        names = {str(places[layer].tensor): layer for layer in layers}
        floors: dict[str, list[list[float]]] = {layer: [] for layer in layers}
        cuts = [
            TensorSpec(name=name, shape=array.shape[1:], dtype=array.dtype.name)
            for name, array in fed.items()
        ]
        for baseline in BASELINES[precision]:
            if baseline.averaged and not fed:
                continue  # run through, all have the file's own ranges
            runtime = emulated or RUNTIMES.get(baseline.runtime)()
            session = runtime.open(self.measurer.source, list(names), cuts)
            assert isinstance(session, EagerSession)
            for errors in floors.values():
                errors.append([])
            for index in range(self.chunk.stop - self.chunk.start):
                inputs = self._baseline_inputs(fed, index, moved=baseline.perturbed)
                if isinstance(session, EmulationSession):
                    inputs = session.begin(inputs, index, averaged=baseline.averaged)

                def see(name: str, actual: NDArray[Any], index: int = index) -> None:
                    error = rms_error(self._expected(names[name])[index], actual)
                    floors[names[name]][-1].append(error)

                try:
                    session.watch(inputs, see)
                except (BridgeError, MemoryError) as error:
                    raise failure(describe(error), Stage.RUN) from error
        return floors

    def _baseline_inputs(self, fed: Arrays, index: int, *, moved: bool) -> Arrays:
        """One sample of the source's inputs, and what its cut layers' readers are fed."""
        source, samples = self.measurer.source, self._samples()
        if moved:
            samples = perturbed_samples(samples)
        stacked = artifact_inputs(self.measurer.runner.inputs, source.signature, samples)
        given = {name: np.array(array[index]) for name, array in stacked.items()}
        for name, array in fed.items():
            row = np.asarray(array[index])
            given[fed_name(name)] = moved_row(name, row) if moved else row
        return given


def _narrow(dtype: np.dtype[Any]) -> str:
    return "float32" if dtype.kind == "f" else dtype.name
