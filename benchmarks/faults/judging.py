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

    def judge(self, artifact: Artifact) -> Judgement:
        """Validate an artifact."""
        with tempfile.TemporaryDirectory() as scratch:
            validation = compare(
                source=self._source,
                reference=None,
                artifacts=[artifact],
                samples=self._samples,
                pool=self._pool,
                scratch=Path(scratch),
                say=lambda text: None,
            )
        if validation is None or not validation.targets:
            raise RuntimeError(f"{artifact.path.name} was not compared")
        target = validation.targets[0]
        layers = target.layers.rows
        assert self._source.artifact is not None and self._source.artifact.spine is not None
        return Judgement(
            verdict=str(target.verdict),
            reason=target.reason,
            rows=tuple(
                _row(layer, layers[layer])
                for layer in self._source.artifact.spine.ids()
                if layer in layers
            ),
        )


def at(artifact: Artifact, path: Path) -> Artifact:
    """Return an artifact that is the same but for its file."""
    return replace(artifact, path=path, sha256=digest(path), size=size_of(path))


def _row(layer: str, result: Any) -> Row:
    if not result.mapped:
        return Row(layer=layer)
    return Row(
        layer=layer,
        accumulated=_ratio(result.drift_ratio, [result.metrics]),
        accumulated_verdict=_judged(result.verdict),
    )


def _ratio(ratio: float | None, metrics: Sequence[Any]) -> float:
    """A ratio that a NaN does not hide: where NaN or infinity do not match, it is infinite."""
    if any(each is not None and not each.same_nonfinite for each in metrics):
        return math.inf
    return math.nan if ratio is None else float(ratio)


def _judged(verdict: Any) -> str:
    return "" if str(verdict) == "not run" else str(verdict)
