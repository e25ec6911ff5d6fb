"""Validation: every artifact in every runtime of its format, against one reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..artifact import Artifact
from ..formats import Format
from ..layers import Absence
from ..outcome import Outcome, Stage, Symptom
from ..samples import Samples
from ..worker import WorkFailure
from .metrics import Metrics, accuracy, measure, top1_agreement
from .reference import Reference
from .results import LayerResult, LayersResult, TargetResult, Validation
from .running import Run, Runner
from .runtime import RUNTIMES, Runtime
from .verdict import THRESHOLDS, Verdict, judge_layer, judge_output, worst


@dataclass(frozen=True, kw_only=True)
class Validator:
    """Compares artifacts with a reference.

    Attributes:
        runner: Runs the artifacts.
        reference: The truth.
        samples: The inputs that made it.
        say: Called with lines of progress.
    """

    runner: Runner
    reference: Reference
    samples: Samples
    say: Callable[[str], None] = lambda text: None

    def validate(self, artifacts: Sequence[Artifact]) -> Validation:
        """Run every artifact and compare it; what fails becomes an outcome."""
        truth = self._truth(0)
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
            layer_samples=self.reference.layer_samples,
            reference_accuracy=self._accuracy(truth),
            targets=tuple(
                self._target(artifact, runtime(), first=not index)
                for artifact in artifacts
                for index, runtime in enumerate(runtimes_for(artifact.format))
            ),
        )

    def _target(self, artifact: Artifact, runtime: Runtime, *, first: bool) -> TargetResult:
        blank = TargetResult(
            target=artifact.format.name if first else f"{artifact.format}@{runtime.name}",
            artifact=artifact,
            runtime=runtime.name,
            outcome=_outcome(runtime, artifact, Stage.LOAD, Symptom.NOT_REACHED),
        )
        availability = runtime.probe()
        if not availability.available:
            return replace(
                blank,
                outcome=replace(
                    blank.outcome, symptom=Symptom.UNAVAILABLE, detail=availability.reason
                ),
                reason=availability.reason,
            )
        misfit = self._misfit(artifact)
        if misfit:
            outcome = replace(blank.outcome, stage=Stage.COMPARE, symptom=Symptom.MISMATCH)
            return replace(blank, outcome=outcome, verdict=Verdict.FAIL, reason=misfit)
        self.say(f"{blank.target}: {self.samples.count} samples in {runtime.title}")
        try:
            recording = self.runner.run(runtime, artifact, self.samples)
        except WorkFailure as error:
            return replace(
                blank,
                outcome=_failed(runtime, artifact, error),
                verdict=Verdict.FAIL,
                reason=f"{error.symptom} at {error.stage}: {error.message}",
            )
        return self._compared(blank, recording, runtime)

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
            least = THRESHOLDS[artifact.precision].top1
            if self.samples.labels is not None and agreement < least:
                text = f"top-1 agreement {agreement:.2%} is below {least:.1%}"
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
            verdict=verdict,
            reason=reason,
            layers=self._layers(artifact, runtime, recording),
        )

    def _judge_outputs(
        self, recording: Run, artifact: Artifact
    ) -> tuple[dict[str, Metrics], Verdict, str]:
        limits = THRESHOLDS[artifact.precision]
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

    def _layers(self, artifact: Artifact, runtime: Runtime, plain: Run) -> LayersResult:
        """Run once more with every mapped tensor shown, and compare each with the reference's."""
        spine, mapped = self.reference.spine, artifact.layer_map.mapped()
        if not runtime.taps:
            blind = LayerResult(mapped=False, reason=f"{runtime.title} shows no inner tensors")
            return LayersResult(rows=dict.fromkeys(spine.ids(), blind))
        if not mapped or self.reference.tapped is None:
            return LayersResult(rows={each: _unmapped(artifact, each) for each in spine.ids()})
        names = list(dict.fromkeys(place.tensor for place in mapped.values() if place.tensor))
        head = self.samples.head(self.reference.layer_samples)
        try:
            recording = self.runner.run(runtime, artifact, head, names)
        except WorkFailure as error:
            return LayersResult(outcome=_failed(runtime, artifact, error))
        rows = {
            each: self._layer(artifact, recording, self.reference.tapped, each)
            for each in spine.ids()
        }
        return LayersResult(
            rows=rows,
            outcome=_outcome(
                runtime, artifact, Stage.COMPARE, Symptom.OK, seconds=sum(recording.seconds)
            ),
            observer_effect=any(
                not np.array_equal(
                    plain.output(spec)[: head.count],
                    recording.output(spec),
                    equal_nan=spec.dtype.startswith("float"),
                )
                for spec in artifact.signature.outputs
            ),
            first_failure=self._first_failure(rows),
        )

    def _layer(self, artifact: Artifact, recording: Run, truth: Run, layer: str) -> LayerResult:
        place = artifact.layer_map.place(layer)
        its = self.reference.layer_map.place(layer)
        if place.tensor is None or its.tensor is None:
            return _unmapped(artifact, layer)
        expected = truth.tap(its.tensor)
        actual = recording.tap(place.tensor, place.permutation)
        if place.reshaped and actual.size == expected.size:
            actual = actual.reshape(expected.shape)
        if expected.shape != actual.shape:
            reason = f"its tensor is {list(actual.shape[1:])}, not {list(expected.shape[1:])}"
            return LayerResult(mapped=False, reason=reason, verdict=Verdict.FAIL)
        metrics = measure(expected, actual)
        single = artifact.precision == "float32"  # which is what the noise floors are of
        floor = self.reference.noise_floors.get(layer) if single else None
        verdict, ratio = judge_layer(metrics, floor, THRESHOLDS[artifact.precision])
        return LayerResult(mapped=True, metrics=metrics, drift_ratio=ratio, verdict=verdict)

    def _first_failure(self, rows: dict[str, LayerResult]) -> str | None:
        failing = {layer for layer, row in rows.items() if row.verdict is Verdict.FAIL}
        for layer in self.reference.spine.layers:
            if layer.id in failing and not failing.intersection(layer.inputs):
                return layer.id
        return None

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


def _unmapped(artifact: Artifact, layer: str) -> LayerResult:
    place = artifact.layer_map.place(layer)
    reason = str(place.absence or Absence.UNEXPLAINED)
    reason += f" into {place.into}" if place.into else ""
    reason += f": {place.detail}" if place.detail else ""
    return LayerResult(mapped=False, reason=reason)


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
