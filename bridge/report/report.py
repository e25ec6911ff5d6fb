"""``report.json``: what was converted, by which route, and how far it drifted, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from .. import __version__
from ..artifact import Artifact
from ..layers import Spine
from ..outcome import Outcome
from ..validators.compatibility.assessment import Assessment
from ..validators.metrics import Metrics
from ..validators.results import Drift, LayerResult, TargetResult, Validation
from .manifest import outcome_json, versions

REPORT_VERSION = 2


class Conversion(Protocol):
    """What became of one target format, as far as the report needs it."""

    @property
    def format(self) -> str:
        """Format that was asked for."""

    @property
    def routes(self) -> Sequence[tuple[str, Sequence[Outcome]]]:
        """Name and outcomes of each route that was tried, in order."""

    @property
    def artifact(self) -> Artifact | None:
        """The result, if a route succeeded."""

    @property
    def seconds(self) -> float:
        """Time of all the hops of the route that succeeded."""

    @property
    def error(self) -> str:
        """Why no route could be tried, if that is so."""


def report_document(
    *,
    source: Mapping[str, Any],
    options: Mapping[str, Any],
    conversions: Sequence[Conversion],
    spine: Spine | None,
    validation: Validation | None,
    key: str | None,
    assessment: Assessment | None = None,
) -> dict[str, Any]:
    """Return the report.

    Args:
        source: What the user gave, as in the manifest.
        options: The options of the run.
        conversions: One for each target format, in the order asked for.
        spine: The layers of the source; ``None`` if it could not be captured.
        validation: The comparison; ``None`` if it was not asked for or could not begin.
        key: Key of all that the report depends on; ``None`` if it cannot be reused.
        assessment: What of the artifacts runs where, and their contracts.
    """
    assessed = assessment or Assessment()
    targets = validation.targets if validation else ()
    return {
        "schema": "driftbridge/report",
        "version": REPORT_VERSION,
        "driftbridge": __version__,
        "key": key,
        "source": dict(source),
        "options": dict(options),
        "versions": versions(),
        "conversions": [_conversion(each) for each in conversions],
        "validation": _validation(validation) if validation else None,
        "layers": [
            {
                "id": layer.id,
                "op": layer.op,
                "module": layer.module,
                "source": layer.source,
                "inputs": list(layer.inputs),
                "shape": None if layer.shape is None else list(layer.shape),
                "targets": {
                    target.target: _layer(target.runtime, target.layers.rows[layer.id])
                    for target in targets
                    if layer.id in target.layers.rows
                },
            }
            for layer in (spine.layers if spine else ())
        ],
        "compatibility": dict(assessed.compatibility),
        "contract": dict(assessed.contract),
    }


def _conversion(conversion: Conversion) -> dict[str, Any]:
    artifact = conversion.artifact
    return {
        "format": conversion.format,
        "ok": artifact is not None,
        "error": conversion.error,
        "seconds": conversion.seconds,
        "routes": [
            {"name": name, "outcomes": [outcome_json(each) for each in outcomes]}
            for name, outcomes in conversion.routes
        ],
        "artifact": None
        if artifact is None
        else {
            "path": artifact.path.name,
            "sha256": artifact.sha256,
            "size": artifact.size,
            "signature": artifact.signature.to_json(),
            "producer": artifact.producer,
            "producer_version": artifact.producer_version,
            "notes": list(artifact.notes),
            "precision": artifact.precision,
        },
    }


def _validation(validation: Validation) -> dict[str, Any]:
    return {
        "verdict": validation.verdict.value,
        "reference": validation.reference,
        "reference_outcome": outcome_json(validation.reference_outcome),
        "reference_accuracy": validation.reference_accuracy,
        "inputs": {
            "origin": validation.origin,
            "samples": validation.samples,
            "layer_samples": validation.layer_samples,
            "how": dict(validation.how),
        },
        "thresholds": validation.thresholds.to_json(),
        "targets": {each.target: _target(each) for each in validation.targets},
    }


def _target(result: TargetResult) -> dict[str, Any]:
    rows = result.layers.rows.values()
    return {
        "format": result.artifact.format.name,
        "sha256": result.artifact.sha256,
        "runtime": result.runtime,
        "runtime_version": result.version,
        "outcome": outcome_json(result.outcome),
        "verdict": result.verdict.value,
        "reason": result.reason,
        "outputs": {name: metrics.to_json() for name, metrics in result.outputs.items()},
        "top1_agreement": result.top1_agreement,
        "accuracy": result.accuracy,
        "deterministic": result.deterministic,
        "load_seconds": result.load_seconds,
        "run_seconds": result.run_seconds,
        "layers": {
            "outcome": outcome_json(result.layers.outcome) if result.layers.outcome else None,
            "observer_effect": result.layers.observer_effect,
            "introduced": result.layers.introduced,
            "isolation": result.layers.isolation,
            "coverage": result.layers.coverage.to_json() if result.layers.coverage else None,
            "first_failure": result.layers.first_failure,
            "mapped": sum(row.mapped for row in rows),
            "unexplained": sum(row.reason.startswith("unexplained") for row in rows),
            "total": len(rows),
        },
    }


def _layer(runtime: str, row: LayerResult) -> dict[str, Any]:
    return {
        "runtime": runtime,
        "mapped": row.mapped,
        "reason": row.reason,
        "tensor": row.tensor,
        "cluster": list(row.cluster),
        "confidence": row.confidence,
        "metrics": row.metrics.to_json() if row.metrics else None,
        "accumulated": _drift(row.accumulated, None, row.gain),
        "isolated": _drift(row.isolated, row.isolated_metrics, None),
        "histogram": row.histogram.to_json() if row.histogram else None,
        "verdict": row.verdict.value,
    }


def _drift(
    drift: Drift | None, metrics: Metrics | None, gain: float | None
) -> dict[str, Any] | None:
    if drift is None:
        return None
    unknown: dict[str, Any] = {"ratio": None, "low": None, "high": None}
    return {
        **(drift.ratio.to_json() if drift.ratio is not None else unknown),
        **({"metrics": metrics.to_json()} if metrics is not None else {"gain": gain}),
        "verdict": drift.verdict.value,
    }
