"""What a validation found: a row per target, and in it a row per layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from ..artifact import Artifact
from ..outcome import Outcome, Symptom
from .histogram import Histogram
from .metrics import Metrics
from .ratio import Ratio
from .thresholds import ThresholdTable
from .verdict import Verdict, worst


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A drift ratio and its judgement.

    Attributes:
        ratio: Error over noise; ``None`` where the noise is not known.
        verdict: The judgement.
    """

    ratio: Ratio | None
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class LayerResult:
    """One layer of one target.

    Attributes:
        mapped: Whether the layer has a tensor there that was compared.
        reason: Why not.
        tensor: The artifact's tensor.
        cluster: Layers that the tensor stands for: those fused into this one, and itself.
        confidence: How sure the pair is: 1 for recorded origins, less for what was found.
        metrics: Its error in the whole artifact, if it was compared.
        accumulated: That error over the noise there.
        isolated_metrics: Its error when fed the reference's own values, if the runtime can do that.
        isolated: That error over the noise of the layer alone.
        histogram: Spread of that error on one input, where it is more than noise.
        gain: The accumulated ratio over the largest of its inputs: below 1 the layer damps, above
            it amplifies.
        verdict: The worse of both judgements.
    """

    mapped: bool
    reason: str = ""
    tensor: str | None = None
    cluster: tuple[str, ...] = ()
    confidence: float | None = None
    metrics: Metrics | None = None
    accumulated: Drift | None = None
    isolated_metrics: Metrics | None = None
    isolated: Drift | None = None
    histogram: Histogram | None = None
    gain: float | None = None
    verdict: Verdict = Verdict.NOT_RUN


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Layers that compute something.

    Attributes:
        mapped: How many have a tensor that was compared.
        explained: How many have none for a reason: fused, folded, eliminated, opaque.
        total: How many there are.
    """

    mapped: int
    explained: int
    total: int

    def to_json(self) -> dict[str, int]:
        """Return the counts as JSON data."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class LayersResult:
    """All layers of one target.

    Attributes:
        rows: Layer id → its row, in spine order.
        outcome: How the run that showed them ended; ``None`` if the runtime shows none.
        observer_effect: Whether looking at the layers changed the outputs.
        introduced: First layer that fails on its own, in spine order; ``None`` if none does, or
            layers were not run alone.
        isolation: Why layers were not run alone; empty if they were.
        first_failure: First failing layer none of whose inputs fails, in spine order.
        coverage: How many of the layers that compute something were compared; ``None`` if the
            runtime shows no layers.
    """

    rows: Mapping[str, LayerResult] = field(default_factory=dict)
    outcome: Outcome | None = None
    observer_effect: bool | None = None
    introduced: str | None = None
    isolation: str = ""
    first_failure: str | None = None
    coverage: Coverage | None = None


@dataclass(frozen=True, kw_only=True)
class TargetResult:
    """One artifact in one runtime.

    Attributes:
        target: Name of the row: the format, with ``@runtime`` for all but its first runtime.
        artifact: What ran.
        runtime: Where it ran.
        outcome: How that ended.
        version: Version of the runtime.
        load_seconds: Time to load the artifact.
        run_seconds: Median time of one sample.
        outputs: Metrics of each output, by the source's name.
        top1_agreement: Share of rows with the reference's top-1 class; ``None`` if the first
            output is not of the form ``[batch, classes]``.
        accuracy: Share of rows with the true class, where labels are known.
        deterministic: Whether a second run of the first sample gave the same bits.
        verdict: The judgement on the whole model.
        reason: Why it is not a pass.
        layers: The layers.
    """

    target: str
    artifact: Artifact
    runtime: str
    outcome: Outcome
    version: str = ""
    load_seconds: float | None = None
    run_seconds: float | None = None
    outputs: Mapping[str, Metrics] = field(default_factory=dict)
    top1_agreement: float | None = None
    accuracy: float | None = None
    deterministic: bool | None = None
    verdict: Verdict = Verdict.NOT_RUN
    reason: str = ""
    layers: LayersResult = field(default_factory=LayersResult)


@dataclass(frozen=True, kw_only=True)
class Validation:
    """All targets of one validation.

    Attributes:
        reference: Runtime that made the truth.
        reference_outcome: How that ended; nothing is compared unless it is ok.
        origin: Where the samples come from.
        samples: How many samples the whole models ran on.
        layer_samples: How many of them the layers were compared on.
        how: Input name → where its values come from.
        reference_accuracy: Accuracy of the reference, where labels are known.
        thresholds: The limits by which all was judged.
        targets: The rows.
    """

    reference: str
    reference_outcome: Outcome
    origin: str
    samples: int
    layer_samples: int = 0
    how: Mapping[str, str] = field(default_factory=dict)
    reference_accuracy: float | None = None
    thresholds: ThresholdTable = field(default_factory=ThresholdTable)
    targets: tuple[TargetResult, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all targets; those that cannot run here do not count."""
        return worst(
            each.verdict for each in self.targets if each.outcome.symptom is not Symptom.UNAVAILABLE
        )
