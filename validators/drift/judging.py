"""From what was measured to rows with a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ...artifact import Artifact
from ...layers import Absence, Spine
from ..metrics import Metrics, combined
from ..ratio import UNIT_ROUNDOFF, Ratio, drift_ratio
from ..results import Drift, LayerResult
from ..verdict import Thresholds, Verdict, judge_accumulated, judge_isolated, worst
from .records import LayerRecord, TargetRecord


def layer_rows(
    artifact: Artifact,
    spine: Spine,
    record: TargetRecord,
    limits: Thresholds,
    alone: Mapping[str, Thresholds],
) -> dict[str, LayerResult]:
    """Return a row for every layer of the spine.

    Args:
        artifact: What was measured.
        spine: The layers.
        record: The measurement.
        limits: The thresholds of the artifact's precision.
        alone: Layers that have others when they run alone, with these.
    """
    clusters = fused_clusters(artifact, spine)
    unit = UNIT_ROUNDOFF[artifact.precision]
    rows = {}
    for layer in spine.ids():
        place = artifact.layer_map.place(layer)
        known = record.layers.get(layer)
        if place.tensor is None or known is None:
            rows[layer] = unmapped(artifact, layer)
            continue
        row = _row(known, limits, alone.get(layer, limits), unit)
        rows[layer] = replace(
            row, tensor=place.tensor, cluster=clusters[layer], confidence=place.confidence
        )
    return _with_gains(spine, rows)


def unmapped(artifact: Artifact, layer: str) -> LayerResult:
    """Return the row of a layer without a tensor: the reason."""
    place = artifact.layer_map.place(layer)
    reason = str(place.absence or Absence.UNEXPLAINED)
    reason += f" into {place.into}" if place.into else ""
    reason += f": {place.detail}" if place.detail else ""
    return LayerResult(mapped=False, reason=reason)


def fused_clusters(artifact: Artifact, spine: Spine) -> dict[str, tuple[str, ...]]:
    """Return for each layer with a tensor the layers that it stands for, itself last."""
    places = {layer: artifact.layer_map.place(layer) for layer in spine.ids()}
    members: dict[str, list[str]] = {}
    for layer, place in places.items():
        holder = place if place.into is None else places.get(place.into, place)
        if holder.tensor is not None:
            members.setdefault(holder.tensor, []).append(layer)
    return {
        layer: (*(each for each in members[place.tensor] if each != layer), layer)
        for layer, place in places.items()
        if place.tensor is not None
    }


def first_introduced(rows: Mapping[str, LayerResult]) -> str | None:
    """Return the first layer that fails on its own."""
    for layer, row in rows.items():
        if row.isolated is not None and row.isolated.verdict is Verdict.FAIL:
            return layer
    return None


def first_failure(spine: Spine, rows: Mapping[str, LayerResult]) -> str | None:
    """Return the first failing layer none of whose inputs fails."""
    failing = {layer for layer, row in rows.items() if row.verdict is Verdict.FAIL}
    for layer in spine.layers:
        if layer.id in failing and not failing.intersection(layer.inputs):
            return layer.id
    return None


def _row(
    record: LayerRecord, limits: Thresholds, alone_limits: Thresholds, unit: float
) -> LayerResult:
    if record.misfit:
        return LayerResult(mapped=False, reason=record.misfit, verdict=Verdict.FAIL)
    metrics = combined(record.accumulated)
    ratio = _ratio(record.accumulated, record.noise, unit)
    accumulated = Drift(ratio=ratio, verdict=judge_accumulated(metrics, ratio, limits))
    alone, isolated = None, None
    if record.isolated:
        alone = combined(record.isolated)
        ratio = _ratio(record.isolated, record.isolated_noise, unit)
        isolated = Drift(ratio=ratio, verdict=judge_isolated(alone, ratio, alone_limits))
    judged = [each.verdict for each in (accumulated, isolated) if each is not None]
    return LayerResult(
        mapped=True,
        metrics=metrics,
        accumulated=accumulated,
        isolated_metrics=alone,
        isolated=isolated,
        histogram=record.histogram,
        verdict=worst(judged),
    )


def _ratio(
    measured: Sequence[Metrics], noise: Sequence[Sequence[float]], unit: float
) -> Ratio | None:
    if not noise:
        return None
    return drift_ratio(
        np.array([each.rmse for each in measured]),
        np.array(noise),
        np.array([each.reference_rms for each in measured]),
        unit,
    )


def _with_gains(spine: Spine, rows: dict[str, LayerResult]) -> dict[str, LayerResult]:
    """Add the gains: each layer's accumulated ratio over the largest of those that it reads."""
    reaching: dict[str, float | None] = {}
    done = {}
    for layer in spine.layers:
        before = [value for each in layer.inputs if (value := reaching.get(each)) is not None]
        row = rows[layer.id]
        ratio = row.accumulated.ratio if row.accumulated else None
        # a layer without a tensor hands on what reached it
        largest = max(before, default=None)
        reaching[layer.id] = ratio.value if ratio is not None else largest
        gain = None
        if ratio is not None and largest and np.isfinite(largest) and np.isfinite(ratio.value):
            gain = ratio.value / largest
        done[layer.id] = replace(row, gain=gain)
    return done
