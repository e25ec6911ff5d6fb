"""What the validator says about an artifact: the one place that calls it."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bridge.api.comparing import compare
from bridge.artifact import Artifact, digest, size_of
from bridge.samples import Samples
from bridge.sources import Source
from bridge.worker import Limits, WorkPool

FAIL, WARN = "fail", "warn"


@dataclass(frozen=True, kw_only=True)
class Row:
    """The judgement on one layer.

    Attributes:
        layer: Its id.
        low: Lower end of the isolated drift ratio's interval; NaN where it was not measured.
        isolated: The isolated drift ratio; infinite where NaN or infinity do not match.
        accumulated: The accumulated one, likewise.
        verdict: Of the isolated figures; empty without any.
        accumulated_verdict: Of the accumulated ones.
    """

    layer: str
    low: float = math.nan
    isolated: float = math.nan
    accumulated: float = math.nan
    verdict: str = ""
    accumulated_verdict: str = ""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The judgement on an artifact in the first runtime of its format.

    Attributes:
        verdict: On the whole artifact.
        reason: Why it is not a pass.
        rows: The layers in spine order.
    """

    verdict: str
    reason: str
    rows: tuple[Row, ...]

    def blamed(self) -> str | None:
        """The first layer that fails by itself; if none does, the first that fails at all."""
        alone = [row.layer for row in self.rows if row.verdict == FAIL]
        whole = [row.layer for row in self.rows if row.accumulated_verdict == FAIL]
        return next(iter(alone or whole), None)

    def worst(self) -> list[str]:
        """Layers by their isolated ratio (the accumulated one without it), the worst first."""
        isolated = any(row.verdict for row in self.rows)
        ratio = {row.layer: row.isolated if isolated else row.accumulated for row in self.rows}
        known = [row.layer for row in self.rows if not math.isnan(ratio[row.layer])]
        return sorted(known, key=lambda layer: -ratio[layer])  # stable: the earlier one first

    def alarms(self) -> list[str]:
        """Layers with a warning or a failure."""
        return [
            row.layer for row in self.rows if {row.verdict, row.accumulated_verdict} & {WARN, FAIL}
        ]

    def judged(self) -> int:
        """How many layers were compared."""
        return sum(bool(row.verdict or row.accumulated_verdict) for row in self.rows)


class Judge:
    """Validates artifacts of one model; the workers stay between calls.

    Args:
        source: The capture that is the reference.
        samples: The inputs.
    """

    def __init__(self, source: Artifact, samples: Samples) -> None:
        self._source = Source(text=source.path.name, artifact=source)
        self._samples = samples
        self._pool = WorkPool(limits=Limits(), progress=lambda text: None)

    def __enter__(self) -> Judge:
        self._pool.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._pool.__exit__(*error)

    def judge(self, artifacts: Sequence[Artifact]) -> list[Judgement]:
        """Validate artifacts, all against one run of the reference."""
        with tempfile.TemporaryDirectory() as scratch:
            validation = compare(
                source=self._source,
                reference=None,
                artifacts=artifacts,
                samples=self._samples,
                pool=self._pool,
                scratch=Path(scratch),
                say=lambda text: None,
            )
        targets = [] if validation is None else list(validation.targets)
        first = [each for each in targets if "@" not in each.target]  # the format's first runtime
        if len(first) != len(artifacts):
            raise RuntimeError(f"{len(first)} of {len(artifacts)} artifacts were compared")
        return [
            Judgement(
                verdict=str(each.verdict),
                reason=each.reason,
                rows=tuple(_row(layer, row) for layer, row in each.layers.rows.items()),
            )
            for each in first
        ]


def at(artifact: Artifact, path: Path) -> Artifact:
    """Return an artifact that is the same but for its file."""
    return replace(artifact, path=path, sha256=digest(path), size=size_of(path))


def _row(layer: str, result: Any) -> Row:
    if not result.mapped:  # a tensor of another shape is a failure, one that is not there is not
        failed = _judged(result.verdict) == FAIL
        ratio = math.inf if failed else math.nan
        verdict = FAIL if failed else ""
        return Row(
            layer=layer,
            low=ratio,
            isolated=ratio,
            accumulated=ratio,
            verdict=verdict,
            accumulated_verdict=verdict,
        )
    low, isolated, verdict = _figures(result.isolated, result.isolated_metrics)
    _, accumulated, accumulated_verdict = _figures(result.accumulated, result.metrics)
    return Row(
        layer=layer,
        low=low,
        isolated=isolated,
        accumulated=accumulated,
        verdict=verdict,
        accumulated_verdict=accumulated_verdict,
    )


def _figures(drift: Any, metrics: Any) -> tuple[float, float, str]:
    """Lower end, ratio and verdict; NaN or infinity that do not match make the ratio infinite."""
    if drift is None:
        return math.nan, math.nan, ""
    if metrics is not None and not metrics.same_nonfinite:
        return math.inf, math.inf, _judged(drift.verdict)
    if drift.ratio is None:
        return math.nan, math.nan, _judged(drift.verdict)
    return float(drift.ratio.low), float(drift.ratio.value), _judged(drift.verdict)


def _judged(verdict: Any) -> str:
    return "" if str(verdict) == "not run" else str(verdict)
