"""The runs that show every layer, alone and in its place, and what they measure."""

from __future__ import annotations

import functools
import json
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np

from ...artifact import Artifact
from ...layers import Place
from ...samples import Samples
from ...worker import IN_PROCESS, WorkFailure
from ..histogram import Histogram, error_histogram
from ..metrics import measure
from ..running import Run, Runner
from ..runtime import Runtime
from .feeding import fed_values
from .forms import in_source_form
from .plan import Chunk
from .records import LayerRecord, RecordStore, TargetRecord, record_key
from .truth import Arrays, ChunkTruth, Fed, Memory

Steps = Generator[None, None, TargetRecord]

_AT_ONCE = 2  # one runs in a worker while the other is measured here

_MORE_THAN_NOISE = 3.0
_LEAST_NOISE = 2.0**-24


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

    def cannot_isolate(self, separable: frozenset[str]) -> str:
        """Say why its layers cannot be run alone, or nothing."""
        if not self.runtime.cuts:
            return f"{self.runtime.title} cannot run the layers of a model on their own"
        return "" if separable else "the source has no reference in float64"


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
        memory = Memory()
        with _background() as background:
            for number, part in enumerate(parts):
                self.say(
                    f"layers: {len(part.layers)} on samples {part.start + 1} to {part.stop}"
                    f" (part {number + 1} of {len(parts)})"
                )
                going = [
                    index for index, each in enumerate(found) if isinstance(each, TargetRecord)
                ]
                chunk = _ChunkMeasurer.of(self, part, background, memory)
                records = _interleaved([chunk.record(subjects[index]) for index in going])
                for index, record in zip(going, records, strict=True):
                    sofar = found[index]
                    if isinstance(sofar, TargetRecord) and isinstance(record, TargetRecord):
                        sofar.extend(record)
                    else:
                        found[index] = record
        return found


@contextmanager
def _background() -> Iterator[Executor]:
    """A thread that waits for the workers, which run while this process computes."""
    executor = ThreadPoolExecutor(1)
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _interleaved(tasks: Sequence[Steps]) -> list[TargetRecord | WorkFailure]:
    """Run tasks to their end, two at a time and by turns.

    Args:
        tasks: Each yields where it has begun something in the background and waits for it next.

    Returns:
        For each task what it returned, or the failure that it raised.
    """
    found: dict[int, TargetRecord | WorkFailure] = {}
    waiting = deque(enumerate(tasks))
    going: deque[tuple[int, Steps]] = deque()
    while waiting or going:
        if waiting and len(going) < _AT_ONCE:
            going.append(waiting.popleft())
            going.rotate(1)  # it begins at once
        number, task = going.popleft()
        try:
            next(task)
        except StopIteration as finished:
            found[number] = finished.value
        except WorkFailure as error:
            found[number] = error
        else:
            going.append((number, task))
    return [found[number] for number in range(len(tasks))]


@dataclass(frozen=True, kw_only=True)
class _ChunkMeasurer:
    """Measures subjects on one chunk."""

    measurer: Measurer
    chunk: Chunk
    samples: Samples
    truth: ChunkTruth
    background: Executor

    @classmethod
    def of(
        cls, measurer: Measurer, chunk: Chunk, background: Executor, memory: Memory
    ) -> _ChunkMeasurer:
        whole = measurer.samples
        samples = Samples(
            arrays={
                name: np.asarray(array)[chunk.start : chunk.stop]
                for name, array in whole.arrays.items()
            },
            origin=whole.origin,
        )
        truth = ChunkTruth(
            runner=measurer.runner,
            source=measurer.source,
            runtime=measurer.truth,
            separable=measurer.separable,
            samples=samples,
            chunk=chunk,
            memory=memory,
        )
        return cls(
            measurer=measurer, chunk=chunk, samples=samples, truth=truth, background=background
        )

    def record(self, subject: Subject) -> Steps:
        """Measure a subject, or take what an earlier run measured of it."""
        key = self._key(subject)
        record = self.measurer.store.read(key)
        if record is None:
            record = yield from self._measured(subject)
            self.measurer.store.write(key, record)
        return record

    def _key(self, subject: Subject) -> str:
        arrays, chunk = self.samples.arrays, self.chunk
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
                *(f"{name}{array.dtype}{array.shape}" for name, array in arrays.items()),
                *(sha256(array.tobytes()).hexdigest() for array in arrays.values()),
            )
        )

    def _measured(self, subject: Subject) -> Steps:
        places = {layer: place for layer, place in subject.places().items() if place.tensor}
        shown = {layer: places[layer] for layer in self.chunk.layers if layer in places}
        feeding = {layer: places[layer] for layer in self.chunk.feeding if layer in places}
        # the shapes and types of the tensors that will be fed are those of a run
        begun = self._begin(subject, {**shown, **feeding})
        yield
        noise = self.truth.accumulated_noise(subject.artifact, tuple(shown))
        run = begun.result()
        record = TargetRecord()
        try:
            record.observer_effect = self._differs(subject, run)
            record.seconds = sum(run.seconds)
            for layer, place in shown.items():
                record.layers[layer] = self._compared(layer, place, run, noise.get(layer, []))
            record.isolation = subject.cannot_isolate(self.measurer.separable)
            if record.isolation:
                return record
            feeds, fed = fed_values(self.truth, {**feeding, **shown}, run)
        finally:
            run.discard()
        begun = self._begin(subject, shown, feeds)
        del feeds  # whoever runs it has it
        yield
        self._isolate(subject, shown, fed, begun, record)
        return record

    def _begin(
        self, subject: Subject, shown: Mapping[str, Place], feeds: Arrays | None = None
    ) -> Future[Run]:
        """Begin to run a subject; what runs in process runs now."""
        taps = list(dict.fromkeys(str(place.tensor) for place in shown.values()))
        runtime, artifact = subject.runtime, subject.artifact
        work = functools.partial(
            self.measurer.runner.run, runtime, artifact, self.samples, taps, feeds
        )
        if runtime.place != IN_PROCESS:
            return self.background.submit(work)
        done: Future[Run] = Future()
        try:
            done.set_result(work())
        except WorkFailure as error:
            done.set_exception(error)
        return done

    def _differs(self, subject: Subject, run: Run) -> bool:
        """Whether an output is another one than the untouched artifact's, where that was run."""
        for spec in subject.artifact.signature.outputs:
            plain = subject.plain.output(spec)[self.chunk.start : self.chunk.stop]
            shown = run.output(spec)[: len(plain)]
            if not np.array_equal(plain, shown, equal_nan=spec.dtype.startswith("float")):
                return True
        return False

    def _compared(
        self, layer: str, place: Place, run: Run, noise: list[list[float]]
    ) -> LayerRecord:
        expected, actual = self.truth.values(layer), in_source_form(place, run)
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
        fed: Mapping[str, Fed],
        begun: Future[Run],
        record: TargetRecord,
    ) -> None:
        """Measure each layer alone, or say in the record why that cannot be."""
        noise = self.truth.isolated_noise(subject.artifact, tuple(shown), fed)
        try:
            alone = begun.result()
        except WorkFailure as error:
            record.isolation = f"the pieces of the model do not run: {error}"
            return
        try:
            pieces: dict[str, LayerRecord] = {}
            for layer, place in shown.items():
                row = record.layers[layer]
                if row.misfit:
                    continue
                # of the layers that share a tensor, the first is what the piece computes
                piece = pieces.get(str(place.tensor))
                if piece is None:
                    piece = self._compared(layer, place, alone, noise.get(layer, []))
                    pieces[str(place.tensor)] = piece
                row.isolated, row.isolated_noise = list(piece.accumulated), list(piece.noise)
                row.histogram = self._histogram(layer, place, alone, piece)
        finally:
            alone.discard()

    def _histogram(
        self, layer: str, place: Place, alone: Run, piece: LayerRecord
    ) -> Histogram | None:
        """The spread of the error on the first sample where it is more than noise."""
        for index, metrics in enumerate(piece.accumulated):
            noise = max((each[index] for each in piece.noise), default=0.0)
            if metrics.rmse > _MORE_THAN_NOISE * max(noise, _LEAST_NOISE * metrics.reference_rms):
                expected = self.truth.values(layer)[index]
                actual = in_source_form(place, alone)[index].reshape(expected.shape)
                return error_histogram(expected, actual)
        return None
