"""What changed between two reports, and what of it is a regression."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from .compatibility_difference import compatibility_changes
from .reading import accumulated, isolated, targets_of
from .view import TargetLine, layer_title, row_verdict, target_lines
from .wording import db_text, figure_text, number, percent_text, seconds_text, severity, size_text

_LEAST_RATIO = 2.0  # below it a drift ratio is the noise of rounding itself
_ROUNDING_DB = 140.0  # about one rounding of float32 in each value
_LEAST_SHARE = 0.001  # of samples whose class must change


class Judgement(StrEnum):
    """What a change means. ``CHANGED`` is neither good nor bad by itself."""

    REGRESSION = "regression"
    BETTER = "better"
    CHANGED = "changed"


@dataclass(frozen=True, kw_only=True)
class Tolerances:
    """How much worse something may be.

    Attributes:
        size: Share by which a file may grow.
        latency: Share by which the median latency may grow.
        sqnr: Decibels that an output or a layer may lose.
        ratio: Factor by which a drift ratio may grow.
    """

    size: float = 0.01
    latency: float = 0.10
    sqnr: float = 6.0
    ratio: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that changed.

    Attributes:
        kind: ``verdict``, ``drift``, ``layer``, ``operators``, ``size``, ``latency``, ``memory``,
            ``runtime``, ``inputs``, ``source``, ``option``, ``threshold`` or ``version``.
        subject: What it is about: a target, a format, a library.
        what: What of it.
        before: How it was, for people; empty for what was not there.
        after: How it is.
        judgement: What it means.
        layer: The layer it is about, if it is about one.
    """

    kind: str
    subject: str
    what: str
    before: str
    after: str
    judgement: Judgement = Judgement.CHANGED
    layer: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the change as plain JSON data."""
        return {**asdict(self), "judgement": self.judgement.value}


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any], tolerances: Tolerances | None = None
) -> list[Change]:
    """Return what changed, regressions first.

    Args:
        before: The report that is the measure.
        after: The report that is judged.
        tolerances: How much worse something may be.
    """
    limits = tolerances or Tolerances()
    changes = [
        *_targets(before, after, limits),
        *_layers(before, after, limits),
        *(
            Change(**{**each, "judgement": Judgement(each["judgement"])})
            for each in compatibility_changes(before, after, limits.latency)
        ),
        *_surroundings(before, after),
    ]
    order = list(Judgement)
    return sorted(changes, key=lambda each: order.index(each.judgement))


def _targets(
    before: Mapping[str, Any], after: Mapping[str, Any], limits: Tolerances
) -> Iterator[Change]:
    old = {line.name: line for line in target_lines(before)}
    new = {line.name: line for line in target_lines(after)}
    for name, line in old.items():
        if name in new:
            yield from _target(line, new[name], limits)
            yield from _agreement(line, new[name], comparable=_inputs(before) == _inputs(after))
        elif not any(line.format == each.format and not each.runtime for each in new.values()):
            yield Change(
                kind="verdict",
                subject=name,
                what="target",
                before=line.verdict,
                after="not there",
                judgement=Judgement.REGRESSION,
            )
    for name, line in new.items():
        if name not in old:
            yield Change(
                kind="verdict", subject=name, what="target", before="not there", after=line.verdict
            )
    sizes = {line.format: line.size for line in old.values()}
    for format_, size in {line.format: line.size for line in new.values()}.items():
        was = sizes.get(format_)
        if size is not None and was is not None and size != was:
            grown = size > was * (1 + limits.size)
            yield Change(
                kind="size",
                subject=format_,
                what=f"size {_percent(was, size)}",
                before=size_text(was),
                after=size_text(size),
                judgement=_judged(grown, size < was),
            )


def _target(old: TargetLine, new: TargetLine, limits: Tolerances) -> Iterator[Change]:
    if old.verdict != new.verdict:
        worse = severity(new.verdict) > severity(old.verdict)
        yield Change(
            kind="verdict",
            subject=new.name,
            what=f"verdict: {new.reason}" if worse and new.reason else "verdict",
            before=old.verdict,
            after=new.verdict,
            judgement=_judged(worse, not worse),
        )
    yield from _drop("SQNR", old.name, old.sqnr, new.sqnr, limits)
    for what, was, now in (
        ("ρ alone, largest", old.introduced, new.introduced),
        ("ρ accumulated, largest", old.ratio, new.ratio),
    ):
        yield from _growth(what, new.name, was, now, limits)
    if old.runtime != new.runtime and old.runtime and new.runtime:
        yield Change(
            kind="version",
            subject=new.name,
            what="runtime",
            before=old.runtime,
            after=new.runtime,
        )
    if old.seconds and new.seconds and new.seconds > old.seconds * (1 + limits.latency):
        yield Change(
            kind="latency",
            subject=new.name,
            what="time of a sample while it was compared; not judged",
            before=seconds_text(old.seconds),
            after=seconds_text(new.seconds),
        )


def _drop(
    what: str,
    subject: str,
    was: float | None,
    now: float | None,
    limits: Tolerances,
    layer: str | None = None,
) -> Iterator[Change]:
    if was is None or now is None or was == now:
        return
    # from equal values to an error in the last digits is no more than rounding
    lost = min(was, _ROUNDING_DB) - min(now, _ROUNDING_DB)
    if math.isnan(lost):
        if math.isnan(was) and math.isnan(now):
            return
        lost = math.inf if math.isnan(now) else -math.inf
    if abs(lost) >= limits.sqnr:
        yield Change(
            kind="layer" if layer else "drift",
            subject=subject,
            what=what,
            before=db_text(was),
            after=db_text(now),
            judgement=_judged(lost > 0, lost < 0),
            layer=layer,
        )


def _agreement(old: TargetLine, new: TargetLine, *, comparable: bool) -> Iterator[Change]:
    """Shares of samples; those of other samples are no better and no worse."""
    for what, was, now in (
        ("top-1 agreement", old.top1, new.top1),
        ("accuracy", old.accuracy, new.accuracy),
    ):
        if was is not None and now is not None and was != now:
            worse, better = now < was - _LEAST_SHARE, now > was
            yield Change(
                kind="drift",
                subject=new.name,
                what=what if comparable else f"{what}, on other inputs",
                before=percent_text(was),
                after=percent_text(now),
                judgement=_judged(worse, better) if comparable else Judgement.CHANGED,
            )


def _growth(
    what: str,
    subject: str,
    was: float | None,
    now: float | None,
    limits: Tolerances,
    layer: str | None = None,
) -> Iterator[Change]:
    if was is None or now is None or was == now:
        return
    least = min(was, now)
    factor = max(was, now) / max(least, 1.0)  # below 1 there is nothing to gain
    if factor >= limits.ratio and max(was, now) >= _LEAST_RATIO:
        yield Change(
            kind="layer" if layer else "drift",
            subject=subject,
            what=what,
            before=figure_text(was),
            after=figure_text(now),
            judgement=_judged(now > was, now < was),
            layer=layer,
        )


def _layers(
    before: Mapping[str, Any], after: Mapping[str, Any], limits: Tolerances
) -> Iterator[Change]:
    names = [name for name in targets_of(after) if name in targets_of(before)]
    for old, new in _pairs(before, after):
        for name in names:
            was, now = old["targets"].get(name), new["targets"].get(name)
            if was and now:
                yield from _layer(name, new, was, now, limits)


def _layer(
    name: str,
    layer: Mapping[str, Any],
    was: Mapping[str, Any],
    now: Mapping[str, Any],
    limits: Tolerances,
) -> Iterator[Change]:
    old, new = row_verdict(was), row_verdict(now)
    title = layer_title(layer)
    if old != new:
        worse = severity(new) > severity(old)
        lost = new == "not run" and not now["reason"].startswith("unexplained")
        yield Change(
            kind="layer",
            subject=name,
            what=title,
            before=old,
            after=f"{new} ({now['reason']})" if now["reason"] else new,
            judgement=Judgement.CHANGED
            if lost or (old == "not run" and new != "fail")
            else _judged(worse, not worse),
            layer=layer["id"],
        )
        return  # its figures say the same once more
    for what, drift in (("ρ alone", isolated), ("ρ accumulated", accumulated)):
        first, second = drift(was), drift(now)
        if first and second:
            ratios = number(first["ratio"]), number(second["ratio"])
            yield from _growth(f"{what} of {title}", name, *ratios, limits, layer["id"])


def _pairs(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Pair layers by their ids, or by operator and place in their module where ids moved."""
    old = {layer["id"]: layer for layer in before["layers"]}
    same = {
        layer["id"]
        for layer in after["layers"]
        if layer["id"] in old
        and (old[layer["id"]]["op"], old[layer["id"]]["module"]) == (layer["op"], layer["module"])
    }
    left = _placed([layer for layer in before["layers"] if layer["id"] not in same])
    moved = _placed([layer for layer in after["layers"] if layer["id"] not in same])
    where = {layer["id"]: place for place, layer in moved.items()}
    for layer in after["layers"]:
        if layer["id"] in same:
            yield old[layer["id"]], layer
        elif where[layer["id"]] in left:
            yield left[where[layer["id"]]], layer


def _placed(layers: list[Mapping[str, Any]]) -> dict[tuple[str, str, int], Mapping[str, Any]]:
    seen: Counter[tuple[str, str]] = Counter()
    placed = {}
    for layer in layers:
        key = (layer["module"], layer["op"])
        placed[(*key, seen[key])] = layer
        seen[key] += 1
    return placed


def _surroundings(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """What differs around the results: it may explain them, and it may make them incomparable."""
    yield from _listed("version", _versions(before), _versions(after))
    yield from _listed("option", before["options"], after["options"])
    sources = [{"text": each["source"]["text"]} for each in (before, after)]
    yield from _listed("source", *sources)
    yield from _listed("inputs", _inputs(before), _inputs(after))
    yield from _listed("threshold", _thresholds(before), _thresholds(after))
    counts = [{"layers of the model": len(each["layers"])} for each in (before, after)]
    yield from _listed("source", *counts)


def _versions(document: Mapping[str, Any]) -> dict[str, Any]:
    return {"driftbridge": document["driftbridge"], **document["versions"]}


def _inputs(document: Mapping[str, Any]) -> dict[str, Any]:
    inputs = (document.get("validation") or {}).get("inputs") or {}
    return {key: inputs[key] for key in ("origin", "samples") if key in inputs}


def _thresholds(document: Mapping[str, Any]) -> dict[str, Any]:
    thresholds = (document.get("validation") or {}).get("thresholds") or {}
    return {
        f"{precision}: {name}": value
        for precision, limits in thresholds.items()
        if isinstance(limits, dict)
        for name, value in limits.items()
    }


def _listed(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys((*before, *after)):
        was, now = before.get(name), after.get(name)
        if was != now:
            yield Change(kind=kind, subject=kind, what=name, before=_plain(was), after=_plain(now))


def _plain(value: Any) -> str:
    return "none" if value is None else str(value)


def _judged(worse: bool, better: bool) -> Judgement:
    if worse:
        return Judgement.REGRESSION
    return Judgement.BETTER if better else Judgement.CHANGED


def _percent(was: float, now: float) -> str:
    return f"{100 * (now / was - 1):+.1f} %" if was else ""
