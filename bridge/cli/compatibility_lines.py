"""The lines on compatibility that ``convert`` and ``validate`` print, one for each artifact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..report.wording import size_text


def compatibility_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what of each artifact runs where, and what it takes on this machine."""
    for name, facts in report.get("compatibility", {}).items():
        parts = [*_runtime(facts["min_runtime"]), *_xnnpack(facts["xnnpack"]), *_gpu(facts["gpu"])]
        parts += _figures(facts)
        if parts:
            yield f"{name}: {'; '.join(parts)}"


def _runtime(runtime: Mapping[str, Any] | None) -> Iterator[str]:
    if runtime and runtime["needed"]:
        declared = runtime["declared"]
        lies = f" (it declares {declared})" if runtime["enough"] is False else ""
        yield f"needs the TFLite runtime {runtime['needed']}{lies}"


def _xnnpack(xnnpack: Mapping[str, Any] | None) -> Iterator[str]:
    if xnnpack and not xnnpack["reason"]:
        taken = sum(len(each["operators"]) for each in xnnpack["partitions"])
        left = f", leaves {_names(xnnpack['left'])}" if xnnpack["left"] else ""
        count = len(xnnpack["partitions"])
        partitions = f"{count} partition" + ("" if count == 1 else "s")
        yield f"XNNPACK takes {taken} operators in {partitions}{left}"


def _gpu(gpu: Mapping[str, Any] | None) -> Iterator[str]:
    if gpu:
        refused = _names(gpu["operators"]) or "nothing that is known"
        yield f"the GPU delegate refuses {refused}"


def _figures(facts: Mapping[str, Any]) -> Iterator[str]:
    latency, peak = facts["latency"], facts["memory"]["peak"]
    if latency:
        one = latency["threads"][0]
        yield f"{one['median_ms']:.3g} ms with one thread here"
    if peak is not None:
        yield f"{size_text(peak)} of memory at the peak"


def _names(operators: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(each["name"] for each in operators)
    return ", ".join(
        name if count == 1 else f"{count} {name}" for name, count in counts.most_common()
    )
