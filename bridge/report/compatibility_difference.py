"""What changed in how well artifacts fit a phone: operators, delegates, memory, latency."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .wording import figure_text, size_text

# Changes are plain mappings here: the fields of ``difference.Change``.
Fields = dict[str, Any]

_LEAST_MEMORY = 0.05  # share by which peak memory must change to be told


def compatibility_changes(
    before: Mapping[str, Any], after: Mapping[str, Any], latency: float
) -> Iterator[Fields]:
    """Yield what changed for each artifact whose compatibility both reports have.

    Args:
        before: The report that is the measure.
        after: The report that is judged.
        latency: Share by which the median latency may grow.
    """
    old, new = (document.get("compatibility") or {} for document in (before, after))
    for format_, facts in new.items():
        if format_ in old:
            for change in _format(old[format_], facts, latency):
                yield {"subject": format_, **change}


def _format(old: Mapping[str, Any], new: Mapping[str, Any], latency: float) -> Iterator[Fields]:
    yield from _operators(_counts(old), _counts(new))
    yield from _delegates(old, new)
    was, now = old.get("tensors"), new.get("tensors")
    if was and now:
        for what, key in (("tensors of dynamic shape", "dynamic"), ("64-bit tensors", "int64")):
            yield from _count("operators", what, len(was[key]), len(now[key]))
    yield from _needed(old.get("min_runtime") or {}, new.get("min_runtime") or {})
    yield from _memory(old.get("memory") or {}, new.get("memory") or {})
    yield from _latencies(old.get("latency"), new.get("latency"), latency)


def _needed(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Fields]:
    was, now = old.get("needed"), new.get("needed")
    if was and now and was != now:
        yield {
            "kind": "runtime",
            "what": "oldest LiteRT that runs it",
            "before": was,
            "after": now,
            "judgement": "regression" if _release(now) > _release(was) else "better",
        }


def _memory(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Fields]:
    was, now = old.get("peak"), new.get("peak")
    if was and now and abs(now / was - 1) > _LEAST_MEMORY:
        yield {
            "kind": "memory",
            "what": "peak memory",
            "before": size_text(was),
            "after": size_text(now),
            "judgement": "changed" if now > was else "better",
        }


def _counts(facts: Mapping[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in facts.get("operators") or ():
        counts[each["name"]] = counts.get(each["name"], 0) + each["count"]
    return counts


def _operators(old: Mapping[str, int], new: Mapping[str, int]) -> Iterator[Fields]:
    """The total is judged, and so are transposes: the other kinds may take each other's place."""
    yield from _count("operators", "operators", sum(old.values()), sum(new.values()))
    for name in sorted({*old, *new}):
        was, now = old.get(name, 0), new.get(name, 0)
        for change in _count("operators", name, was, now):
            yield change if name == "TRANSPOSE" else {**change, "judgement": "changed"}


def _delegates(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Fields]:
    was, now = old.get("xnnpack"), new.get("xnnpack")
    if was and now and not was["reason"] and not now["reason"]:
        for what, key in (("XNNPACK partitions", "partitions"), ("left by XNNPACK", "left")):
            yield from _count("operators", what, len(was[key]), len(now[key]))
    was, now = old.get("gpu"), new.get("gpu")
    if was and now:
        refused = len(was["operators"]), len(now["operators"])
        yield from _count("operators", "refused by the GPU delegate", *refused)
        if was["compatible"] != now["compatible"]:
            yield {
                "kind": "runtime",
                "what": "GPU delegate takes all of it",
                "before": "yes" if was["compatible"] else "no",
                "after": "yes" if now["compatible"] else "no",
                "judgement": "better" if now["compatible"] else "regression",
            }


def _count(kind: str, what: str, was: int, now: int) -> Iterator[Fields]:
    if was != now:
        yield {
            "kind": kind,
            "what": what,
            "before": str(was),
            "after": str(now),
            "judgement": "regression" if now > was else "better",
        }


def _latencies(
    old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, tolerance: float
) -> Iterator[Fields]:
    """Yield slower and faster medians; those of two machines are told and not judged.

    A slower median is a regression only if it is beyond the spread: the new tenth percentile is
    above the old median.
    """
    if not old or not new:
        return
    same = old["machine"] == new["machine"]
    earlier = {each["threads"]: each for each in old["threads"]}
    for now in new["threads"]:
        was = earlier.get(now["threads"])
        if was is None or not was["median_ms"]:
            continue
        change = now["median_ms"] / was["median_ms"] - 1
        if abs(change) <= tolerance:
            continue
        slower = change > 0 and now["p10_ms"] > was["median_ms"]
        judgement = "regression" if slower else "better" if change < 0 else "changed"
        threads = f"{now['threads']} thread{'s' if now['threads'] != 1 else ''}"
        yield {
            "kind": "latency",
            "what": f"median on {threads} {100 * change:+.0f} %"
            + ("" if same else ", two machines"),
            "before": f"{figure_text(was['median_ms'])} ms",
            "after": f"{figure_text(now['median_ms'])} ms",
            "judgement": judgement if same else "changed",
        }


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
