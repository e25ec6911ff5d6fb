"""Validation: every artifact in every runtime of its format, against one reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..artifact import Artifact
from ..formats import Format
from ..outcome import Outcome, Stage, Symptom
from ..samples import Samples, more
from ..worker import WorkFailure
from .drift.coverage import coverage
from .drift.emulation import float_layers
from .drift.judging import first_failure, first_introduced, layer_rows, unmapped
from .drift.measuring import Measurer, Subject
from .drift.plan import DEFAULT_BYTES, chunks
from .drift.records import RecordStore, TargetRecord
from .metrics import Metrics, accuracy, measure, top1_agreement
from .reference import Reference
from .results import LayerResult, LayersResult, TargetResult, Validation
from .running import Run, Runner
from .runtime import RUNTIMES, Runtime
from .thresholds import ThresholdTable
from .verdict import Verdict, judge_output, worst

FLOATS = "float32"
LAYER_SAMPLES = 16
MOST_LAYER_SAMPLES = 64  # where the first ones leave a verdict open


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    """A target on its way: what is known of it, and the run of the untouched artifact."""

    result: TargetResult
    runtime: Runtime
    plain: Run | None = None


@dataclass(frozen=True, kw_only=True)
class Validator:
    """Compares artifacts with a reference.

    Attributes:
        runner: Runs the artifacts.
        reference: The truth.
        samples: The inputs that made it.
        thresholds: The limits.
        memory: Bytes that tensors captured at once may take.
        store: What an interrupted run measured.
        say: Called with lines of progress.
    """

    runner: Runner
    reference: Reference
    samples: Samples
    thresholds: ThresholdTable = field(default_factory=ThresholdTable)
    memory: int = DEFAULT_BYTES
    store: RecordStore = field(default_factory=RecordStore)
    say: Callable[[str], None] = lambda text: None

    def validate(self, artifacts: Sequence[Artifact]) -> Validation:
        """Run every artifact and compare it; what fails becomes an outcome."""
        attempts = [
            self._run(artifact, runtime(), first=not index)
            for artifact in artifacts
            for index, runtime in enumerate(runtimes_for(artifact.format))
        ]
        ran = [each for each in attempts if each.plain is not None]
        results, count = self._layers(ran)
        layers = iter(results)
        targets = []
        for each in attempts:
            if each.plain is None:
                targets.append(each.result)
            else:
                compared = self._compared(each.result, each.plain, each.runtime)
                targets.append(with_layers(compared, next(layers)))
        return Validation(
            reference=self.reference.runtime,
            reference_outcome=Outcome(
                subject=self.reference.runtime,
                target=self.reference.spine.origin,
                stage=Stage.RUN,
                symptom=Symptom.OK,
                seconds=sum(self.reference.whole.seconds),
            ),
            origin=self.samples.origin,
            samples=self.samples.count,
            how=self.samples.how,
            layer_samples=count,
            reference_accuracy=self._accuracy(self._truth(0)),
            thresholds=self.thresholds,
            targets=tuple(targets),
        )

    def _run(self, artifact: Artifact, runtime: Runtime, *, first: bool) -> _Attempt:
        """Run the untouched artifact over all samples."""
        blank = TargetResult(
            target=artifact.format.name if first else f"{artifact.format}@{runtime.name}",
            artifact=artifact,
            runtime=runtime.name,
            outcome=_outcome(runtime, artifact, Stage.LOAD, Symptom.NOT_REACHED),
        )
        attempt = _Attempt(result=blank, runtime=runtime)
        availability = runtime.probe()
        if not availability.available:
            return replace(
                attempt,
                result=replace(
                    blank,
                    outcome=replace(
                        blank.outcome, symptom=Symptom.UNAVAILABLE, detail=availability.reason
                    ),
                    reason=availability.reason,
                ),
            )
        misfit = self._misfit(artifact)
        if misfit:
            outcome = replace(blank.outcome, stage=Stage.COMPARE, symptom=Symptom.MISMATCH)
            failed = replace(blank, outcome=outcome, verdict=Verdict.FAIL, reason=misfit)
            return replace(attempt, result=failed)
        self.say(f"{blank.target}: {self.samples.count} samples in {runtime.title}")
        try:
            plain = self.runner.run(runtime, artifact, self.samples, again=True)
        except WorkFailure as error:
            failed = replace(
                blank,
                outcome=_failed(runtime, artifact, error),
                verdict=Verdict.FAIL,
                reason=f"{error.symptom} at {error.stage}: {error.message}",
            )
            return replace(attempt, result=failed)
        return replace(attempt, plain=plain)

    def _misfit(self, artifact: Artifact) -> str:
        """Say why an artifact cannot be compared at all, or nothing."""
        for kind, its, wanted in (
            ("input", artifact.signature.inputs, self.runner.inputs),
            ("output", artifact.signature.outputs, self.reference.outputs),
        ):
            if len(its) != len(wanted):
                return f"it has {len(its)} {kind}(s), and its source {len(wanted)}"
        return ""

    def _compared(self, blank: TargetResult, recording: Run, runtime: Runtime) -> TargetResult:
        artifact = blank.artifact
        outputs, verdict, reason = self._judge_outputs(recording, artifact)
        agreement = None
        first = recording.output(artifact.signature.outputs[0])
        truth = self._truth(0)
        if _is_scores(truth) and truth.shape == first.shape:
            agreement = top1_agreement(truth, first)
            least = self.thresholds.limits[artifact.precision].top1
            if self.samples.labels is not None and agreement < least:
                text = f"top-1 agreement {agreement:.2%} is below {least:.1%}"
                verdict, reason = Verdict.FAIL, "; ".join(filter(None, (reason, text)))
        if recording.deterministic is False:
            text = "the same input gave other outputs the second time"
            verdict, reason = Verdict.FAIL, "; ".join(filter(None, (reason, text)))
        return replace(
            blank,
            outcome=_outcome(
                runtime, artifact, Stage.COMPARE, Symptom.OK, seconds=sum(recording.seconds)
            ),
            version=recording.version,
            load_seconds=recording.load_seconds,
            run_seconds=float(np.median(recording.seconds)),
            outputs=outputs,
            top1_agreement=agreement,
            accuracy=self._accuracy(first),
            deterministic=recording.deterministic,
            verdict=verdict,
            reason=reason,
        )

    def _judge_outputs(
        self, recording: Run, artifact: Artifact
    ) -> tuple[dict[str, Metrics], Verdict, str]:
        limits = self.thresholds.limits[artifact.precision]
        outputs: dict[str, Metrics] = {}
        verdicts, reasons = [], []
        for index, spec in enumerate(self.reference.outputs):
            truth, actual = self._truth(index), recording.output(artifact.signature.outputs[index])
            if truth.shape == actual.shape:
                outputs[spec.name] = measure(truth, actual)
                verdict, reason = judge_output(outputs[spec.name], limits)
            else:
                verdict = Verdict.FAIL
                reason = f"its shape is {list(actual.shape[1:])}, not {list(truth.shape[1:])}"
            verdicts.append(verdict)
            if reason:
                reasons.append(f"output {spec.name}: {reason}")
        return outputs, worst(verdicts), "; ".join(reasons)

    def _layers(self, attempts: Sequence[_Attempt]) -> tuple[list[LayersResult], int]:
        """Compare the layers of all targets, and say on how many samples."""
        found = [self._unshown(each) for each in attempts]
        seen = [each for each, blind in zip(attempts, found, strict=True) if blind is None]
        source = self.reference.source
        if source is None or not seen:
            return [each or LayersResult() for each in found], 0
        count, measured = self._measured(source, seen, min(self.samples.count, LAYER_SAMPLES))
        shown = (self._layers_result(*pair) for pair in zip(seen, measured, strict=True))
        return [each or next(shown) for each in found], count

    def _measured(
        self, source: Artifact, attempts: Sequence[_Attempt], count: int
    ) -> tuple[int, list[TargetRecord | WorkFailure]]:
        """Measure; where an interval straddles a limit, on more samples up to a cap."""
        subjects = [
            Subject(artifact=each.result.artifact, runtime=each.runtime, plain=each.plain)
            for each in attempts
            if each.plain is not None
        ]
        measurer = Measurer(
            runner=self.runner,
            source=source,
            truth=self.reference.runtime,
            separable=self.reference.separable,
            samples=self.samples,
            store=self.store,
            say=self.say,
        )
        spine = self.reference.spine
        mapped = {layer for each in subjects for layer in each.places()}
        layers = [layer for layer in spine.ids() if layer in mapped]
        records = measurer.measure(subjects, chunks(spine, layers, 0, count, self.memory))
        pairs = zip(attempts, records, strict=True)
        extended = more(self.samples, MOST_LAYER_SAMPLES)
        most = min(extended.count, MOST_LAYER_SAMPLES)
        if count < most and any(self._undecided(*pair) for pair in pairs):
            measurer = replace(measurer, samples=extended)
            later = measurer.measure(subjects, chunks(spine, layers, count, most, self.memory))
            for index, (record, added) in enumerate(zip(records, later, strict=True)):
                if isinstance(record, TargetRecord) and isinstance(added, TargetRecord):
                    record.extend(added)
                elif isinstance(added, WorkFailure):
                    records[index] = added
            count = most
        return count, records

    def _undecided(self, attempt: _Attempt, record: TargetRecord | WorkFailure) -> bool:
        rows = self._layers_result(attempt, record).rows.values()
        return any(row.verdict is Verdict.INCONCLUSIVE for row in rows)

    def _unshown(self, attempt: _Attempt) -> LayersResult | None:
        """The layers of a target that shows none, or ``None`` if it does."""
        spine, artifact = self.reference.spine, attempt.result.artifact
        if not attempt.runtime.taps:
            reason = f"{attempt.runtime.title} shows no inner tensors"
            blind = LayerResult(mapped=False, reason=reason)
            return LayersResult(rows=dict.fromkeys(spine.ids(), blind), isolation=reason)
        if not artifact.layer_map.mapped() or self.reference.source is None:
            rows = {each: unmapped(artifact, each) for each in spine.ids()}
            return LayersResult(rows=rows, coverage=coverage(spine, rows))
        return None

    def _layers_result(self, attempt: _Attempt, record: TargetRecord | WorkFailure) -> LayersResult:
        artifact, runtime = attempt.result.artifact, attempt.runtime
        if isinstance(record, WorkFailure):
            return LayersResult(outcome=_failed(runtime, artifact, record))
        spine = self.reference.spine
        limits, source = self.thresholds.limits, self.reference.source
        # rounding of floats is beside the noise of floats, whatever the rest of the file is
        floats = float_layers(artifact, source) if source is not None else frozenset()
        alone = dict.fromkeys(floats, limits[FLOATS])
        rows = layer_rows(artifact, spine, record, limits[artifact.precision], alone)
        return LayersResult(
            rows=rows,
            outcome=_outcome(runtime, artifact, Stage.COMPARE, Symptom.OK, seconds=record.seconds),
            observer_effect=record.observer_effect,
            introduced=first_introduced(rows),
            isolation=record.isolation,
            coverage=coverage(spine, rows),
            first_failure=first_failure(spine, rows),
        )

    def _truth(self, index: int) -> NDArray[Any]:
        return self.reference.whole.output(self.reference.outputs[index])

    def _accuracy(self, outputs: NDArray[Any]) -> float | None:
        labels = self.samples.labels
        if labels is None or labels.dtype.kind not in "iu" or not _is_scores(outputs):
            return None
        if labels.shape != outputs.shape[:-1]:
            return None
        return accuracy(outputs, labels)


def runtimes_for(format_: Format) -> list[type[Runtime]]:
    """Return the runtimes that run artifacts of a format as they ship, the default one first."""
    return [each for each in RUNTIMES if format_ in each.formats and not each.reference_only]


def with_layers(result: TargetResult, layers: LayersResult) -> TargetResult:
    """Return a target's result with its layers, which can only make the verdict worse."""
    result = replace(result, layers=layers)
    alone = {layer: row.isolated for layer, row in layers.rows.items() if row.isolated is not None}
    # what more inputs could still decide either way is no remark on the whole model
    judged = {
        layer: each.verdict
        for layer, each in alone.items()
        if each.verdict is not Verdict.INCONCLUSIVE
    }
    verdict = worst([result.verdict, *judged.values()])
    if verdict is result.verdict:
        return result
    blamed = next(layer for layer, each in judged.items() if each is verdict)
    ratio = alone[blamed].ratio
    figure = f"drift ratio {ratio.value:.3g}" if ratio is not None else "SQNR below the limit"
    reason = f"layer {blamed} introduces more than rounding ({figure})"
    return replace(result, verdict=verdict, reason="; ".join(filter(None, (result.reason, reason))))


def _is_scores(outputs: NDArray[Any]) -> bool:
    """Whether ``[K, batch, classes]`` may be scores of classes."""
    return outputs.ndim == 3 and outputs.shape[-1] > 1 and outputs.dtype.kind == "f"


def _outcome(
    runtime: Runtime, artifact: Artifact, stage: Stage, symptom: Symptom, seconds: float = 0.0
) -> Outcome:
    return Outcome(
        subject=runtime.name,
        target=artifact.format.name,
        stage=stage,
        symptom=symptom,
        seconds=seconds,
    )


def _failed(runtime: Runtime, artifact: Artifact, error: WorkFailure) -> Outcome:
    return replace(_outcome(runtime, artifact, error.stage, error.symptom), detail=str(error))
