"""Where to look: everything of a report that asks for somebody's attention, gravest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .reading import accumulated, isolated, limits_of, reproduction_of, targets_of
from .view import first_to_look_at, layer_by_id, layer_title, outcome_text
from .wording import db_text, figure_text, plural

ERROR, WARNING, NOTE = "error", "warning", "note"
_ORDER = (ERROR, WARNING, NOTE)
_LOW_COVERAGE = 0.95

# What each kind of finding is, for the tools that want rules (SARIF).
KINDS: dict[str, str] = {
    "conversion-failed": "A format that was asked for could not be made.",
    "not-run": "An artifact did not run to its end, so nothing is known about it.",
    "unavailable": "A runtime is not installed here, so nothing is known about the artifact in it.",
    "drift-introduced": "A layer computes something else than the source model's.",
    "drift-accumulated": "A layer's result is off; its runtime cannot tell which layer began it.",
    "outputs-drift": "The outputs of an artifact are further from the reference than they may be.",
    "inconclusive": "Too few inputs to tell drift from chance.",
    "observer-effect": "Looking at the layers changed the outputs.",
    "nondeterministic": "Repeated runs on the same input gave different outputs.",
    "coverage": "Many layers could not be found in the artifact.",
    "gpu-refused": "The GPU delegate of LiteRT does not take an operator.",
    "xnnpack-left": "XNNPACK leaves an operator to the plain kernels.",
    "runtime-too-old": "The artifact needs a newer LiteRT than it declares.",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that asks for attention.

    Attributes:
        kind: One of ``KINDS``.
        level: ``error``, ``warning`` or ``note``.
        targets: Targets, or formats, that it is about.
        title: What it is, in a few words.
        text: What is known about it, and what to do.
        layer: The layer to look at, if there is one.
        source: The user's file and line, if known.
        details: Names and texts of what else is known, such as both sides' operator.
    """

    kind: str
    level: str
    targets: tuple[str, ...]
    title: str
    text: str
    layer: str | None = None
    source: str = ""
    details: tuple[tuple[str, str], ...] = ()


def findings(document: Mapping[str, Any]) -> list[Finding]:
    """Return the findings of a report, errors first; the same layer in several targets is one."""
    found = [
        *_drifts(document),
        *_conversions(document),
        *_runs(document),
        *_compatibility(document),
    ]
    return sorted(_joined(found), key=lambda each: _ORDER.index(each.level))


def source_of(layer: Mapping[str, Any] | None) -> str:
    """Return a layer's place in the user's code, or an empty text."""
    return str(layer["source"]) if layer else ""


def _joined(found: Sequence[Finding]) -> list[Finding]:
    """Join what says the same of several targets."""
    joined: dict[tuple[str, str, str, str], Finding] = {}
    for each in found:
        drift = each.kind.startswith("drift")  # of one layer in several targets
        key = (each.kind, each.level, each.title, "" if drift else each.text)
        before = joined.get(key)
        if before is None:
            joined[key] = each
        elif before.targets != each.targets:
            text = before.text
            if each.text not in text:
                text = f"{text} In {each.targets[0]}: {_lower(each.text)}"
            targets = (*before.targets, *each.targets)
            details = tuple(dict.fromkeys((*before.details, *each.details)))
            changes = {"targets": targets, "text": text, "details": details}
            joined[key] = Finding(**{**vars(before), **changes})
    return list(joined.values())


def _conversions(document: Mapping[str, Any]) -> Iterator[Finding]:
    for conversion in document["conversions"]:
        if conversion["ok"]:
            continue
        tried = [
            outcome_text(outcome)
            for route in conversion["routes"]
            for outcome in route["outcomes"]
            if outcome["symptom"] not in ("ok", "not reached")
        ]
        yield Finding(
            kind="conversion-failed",
            level=ERROR,
            targets=(conversion["format"],),
            title=f"no {conversion['format']} was made",
            text="; ".join(dict.fromkeys(tried)) or conversion["error"] or "no route was tried",
        )


def _runs(document: Mapping[str, Any]) -> Iterator[Finding]:
    validation = document.get("validation")
    if validation and validation["reference_outcome"]["symptom"] != "ok":
        yield Finding(
            kind="not-run",
            level=ERROR,
            targets=(validation["reference"],),
            title="the reference did not run, so nothing was compared",
            text=outcome_text(validation["reference_outcome"]),
        )
    for name, target in targets_of(document).items():
        symptom = target["outcome"]["symptom"]
        if symptom != "ok":
            away = symptom == "unavailable"
            yield Finding(
                kind="unavailable" if away else "not-run",
                level=NOTE if away else ERROR,
                targets=(name,),
                title=f"{name} cannot run here" if away else f"{name} did not run to its end",
                text=outcome_text(target["outcome"]),
            )
        shown = target["layers"]["outcome"]
        if symptom == "ok" and shown and shown["symptom"] != "ok":
            yield Finding(
                kind="not-run",
                level=WARNING,
                targets=(name,),
                title=f"the layers of {name} were not compared",
                text=outcome_text(shown),
            )
        if target["layers"]["observer_effect"]:
            yield Finding(
                kind="observer-effect",
                level=WARNING,
                targets=(name,),
                title=f"{name}: looking at the layers changed the outputs",
                text="The verdict is on the shipped artifact; its layers are those of a copy that "
                "computes something else.",
            )
        if target.get("deterministic") is False:
            yield Finding(
                kind="nondeterministic",
                level=ERROR,
                targets=(name,),
                title=f"{name}: repeated runs differ",
                text="The same input gave different outputs.",
            )


def _drifts(document: Mapping[str, Any]) -> Iterator[Finding]:
    layers = layer_by_id(document)
    for name, target in targets_of(document).items():
        first = first_to_look_at(target)
        if first is not None:
            yield _drift(document, name, target, first, layers.get(first))
        elif target["verdict"] in ("fail", "warn", "inconclusive"):
            kind = "inconclusive" if target["verdict"] == "inconclusive" else "outputs-drift"
            yield Finding(
                kind=kind,
                level=ERROR if target["verdict"] == "fail" else WARNING,
                targets=(name,),
                title=f"{name}: {target['verdict']}",
                text=target["reason"] or "No single layer stands out; see the chart.",
            )
        coverage = target["layers"].get("coverage")
        if coverage and coverage["total"]:
            known = coverage["mapped"] + coverage["explained"]
            if known / coverage["total"] < _LOW_COVERAGE:
                yield Finding(
                    kind="coverage",
                    level=WARNING,
                    targets=(name,),
                    title=f"{name}: layers are missing",
                    text=f"{known} of {plural(coverage['total'], 'compute layer')} were found or "
                    "explained; the others may drift unseen.",
                )


def _drift(
    document: Mapping[str, Any],
    name: str,
    target: Mapping[str, Any],
    first: str,
    layer: Mapping[str, Any] | None,
) -> Finding:
    row = layer["targets"].get(name) if layer else None
    _, limit = limits_of(document, name)
    introduced = target["layers"].get("introduced") == first
    alone, arrived = (isolated(row), accumulated(row)) if row else (None, None)
    parts = []
    if row and row["metrics"] and not row["metrics"]["same_nonfinite"]:
        metrics = row["metrics"]
        parts.append(
            f"NaN or infinity: {metrics['nonfinite_actual']} here, "
            f"{metrics['nonfinite_reference']} in the reference"
        )
    if introduced and alone and alone["ratio"] is not None:
        ratio = figure_text(alone["ratio"])
        parts.append(f"fed exact inputs it is {ratio} × the noise of rounding (limit {limit:g})")
    elif arrived and arrived["ratio"] not in (None, "nan"):
        ratio = figure_text(arrived["ratio"])
        parts.append(f"what arrives there is {ratio} × the noise of rounding (limit {limit:g})")
    if row and row["metrics"] and row["metrics"]["same_nonfinite"]:
        parts.append(f"{db_text(row['metrics']['sqnr_db'])} accumulated")
    others = [each for each in (row or {}).get("cluster") or () if each != first]
    if others:
        parts.append(f"the file computes it in one with {', '.join(others)}")
    if not introduced:
        parts.append(target["layers"].get("isolation") or "an earlier layer may have begun it")
    return Finding(
        kind="drift-introduced" if introduced else "drift-accumulated",
        level=ERROR,
        targets=(name,),
        title=("the drift begins at " if introduced else "the first layer that fails is ")
        + (layer_title(layer) if layer else first),
        text=_upper("; ".join(parts)) + ".",
        layer=first,
        source=source_of(layer),
        details=tuple(_details(name, target, first)),
    )


def _details(name: str, target: Mapping[str, Any], layer: str) -> Iterator[tuple[str, str]]:
    blame = target.get("blame") or {"layer": None}
    if blame["layer"] == layer:
        if "error" in blame:
            yield "no reproduction", blame["error"]
            return
        yield "in the source", blame["call"]
        if blame["operators"]:
            yield f"in {name}", "; ".join(blame["operators"])
    reproduction = reproduction_of(target)
    if reproduction:
        yield "reproduction", reproduction


def _compatibility(document: Mapping[str, Any]) -> Iterator[Finding]:
    for format_, facts in (document.get("compatibility") or {}).items():
        if facts.get("reason"):
            yield Finding(
                kind="not-run",
                level=WARNING,
                targets=(format_,),
                title=f"what {format_} needs could not be told",
                text=facts["reason"],
            )
        gpu = facts.get("gpu") or {"operators": ()}
        for (operator, reason), each in _grouped(gpu["operators"], "reason").items():
            yield Finding(
                kind="gpu-refused",
                level=WARNING,
                targets=(format_,),
                title=f"the GPU delegate does not take {operator}",
                text=f"{_uses(each)}: {reason}",
                layer=each[0].get("layer"),
                source=each[0].get("source") or "",
            )
        xnnpack = facts.get("xnnpack") or {"left": ()}
        for (operator, why), each in _grouped(xnnpack["left"], "why").items():
            yield Finding(
                kind="xnnpack-left",
                level=NOTE,
                targets=(format_,),
                title=f"XNNPACK leaves {operator} to the plain kernels",
                text=f"{_uses(each)}: {why}",
                layer=each[0].get("layer"),
                source=each[0].get("source") or "",
            )
        runtime = facts.get("min_runtime") or {}
        declared, needed = runtime.get("declared"), runtime.get("needed")
        enough = runtime.get("enough")
        if enough is None and declared and needed:
            enough = _release(declared) >= _release(needed)
        if enough is False:
            yield Finding(
                kind="runtime-too-old",
                level=WARNING,
                targets=(format_,),
                title=f"{format_} needs LiteRT {needed}",
                text=f"The file declares {declared}; its operators need {needed}.",
            )


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _grouped(
    operators: Sequence[Mapping[str, Any]], reason: str
) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for each in operators:
        groups.setdefault((each["name"], each[reason]), []).append(each)
    return groups


def _uses(operators: Sequence[Mapping[str, Any]]) -> str:
    first = operators[0]
    place = first.get("source") or first.get("tensor") or f"operator {first['index']}"
    return f"{plural(len(operators), 'use')}, first at {place}"


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
