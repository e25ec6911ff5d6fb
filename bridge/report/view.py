"""What every form of the report shows of its document: targets in a line each, and the command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .reading import accumulated, isolated, targets_of
from .wording import db_text, figure_text, number, percent_text, plural, severity


@dataclass(frozen=True, kw_only=True)
class TargetLine:
    """One target: an artifact in a runtime, or a format that was not reached.

    Attributes:
        name: The target's name; of a format that was not reached, the format.
        format: The format.
        runtime: Where it ran, with its version; empty if it did not.
        verdict: pass, warn, fail, inconclusive or not run.
        reason: Why, in one line.
        ran: Whether it ran to the end.
        unavailable: Whether it could not run because something is not installed here.
        route: The hops that made the artifact.
        size: Its size in bytes.
        sqnr: SQNR of the worst output in dB.
        ratio: Largest accumulated drift ratio of its layers.
        introduced: Largest isolated drift ratio of its layers.
        top1: Share of samples with the reference's top class.
        accuracy: Share of samples with the true class.
        seconds: Median time of one sample.
        layer: The layer to look at first; ``None`` if none fails.
    """

    name: str
    format: str
    runtime: str = ""
    verdict: str = "not run"
    reason: str = ""
    ran: bool = False
    unavailable: bool = False
    route: str = ""
    size: int | None = None
    sqnr: float | None = None
    ratio: float | None = None
    introduced: float | None = None
    top1: float | None = None
    accuracy: float | None = None
    seconds: float | None = None
    layer: str | None = None


def target_lines(document: Mapping[str, Any]) -> list[TargetLine]:
    """Return a line for each target, in the order asked for; none is left out."""
    targets = targets_of(document)
    lines: list[TargetLine] = []
    shown: set[str] = set()
    for conversion in document["conversions"]:
        names = [name for name, each in targets.items() if each["format"] == conversion["format"]]
        if not conversion["ok"]:
            lines.append(_failed(conversion))
        elif not names:
            lines.append(_unvalidated(conversion))
        else:
            lines += [_line(document, name, conversion) for name in names]
            shown.update(names)
    lines += [_line(document, name, None) for name in targets if name not in shown]
    return lines


def overall(document: Mapping[str, Any]) -> tuple[str, str]:
    """Return the verdict on everything, and one sentence about it."""
    lines = target_lines(document)
    if not lines:
        return "not run", "Nothing was converted, and nothing was validated."
    counted = [each for each in lines if not each.unavailable] or lines
    verdict = max((each.verdict for each in counted), key=severity)
    counts = {
        kind: [each.name for each in counted if each.verdict == kind]
        for kind in ("fail", "not run", "warn", "inconclusive", "pass")
    }
    words = {
        "fail": "failed",
        "not run": "not run",
        "warn": "to be looked at",
        "inconclusive": "inconclusive",
        "pass": "passed",
    }
    parts = [
        f"{len(names)} of {plural(len(counted), 'target')} {words[kind]}"
        if kind == verdict
        else f"{len(names)} {words[kind]}"
        for kind, names in counts.items()
        if names
    ]
    unavailable = sum(each.unavailable for each in lines)
    if unavailable and unavailable != len(lines):
        parts.append(f"{unavailable} cannot run here")
    return verdict, ", ".join(parts) + "."


def layer_by_id(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the layers by their ids."""
    return {layer["id"]: layer for layer in document["layers"]}


def consumers(document: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return for each layer those that read it; empty lists where the document does not say."""
    found: dict[str, list[str]] = {layer["id"]: [] for layer in document["layers"]}
    for layer in document["layers"]:
        for source in dict.fromkeys(layer.get("inputs") or ()):
            if source in found:
                found[source].append(layer["id"])
    return found


def layer_title(layer: Mapping[str, Any]) -> str:
    """Return a layer in the user's terms: id, operator, module path, file and line."""
    place = f", {layer['source']}" if layer["source"] else ""
    return f"{layer['id']} ({layer['op']}, module {layer['module'] or 'root'}{place})"


def first_to_look_at(target: Mapping[str, Any]) -> str | None:
    """Return the layer that introduced a target's failure, or else the first that fails."""
    layers = target["layers"]
    first: str | None = layers.get("introduced") or layers["first_failure"]
    return first


def failing_layers(document: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield each layer that fails, with the target that it fails in, in spine order."""
    for layer in document["layers"]:
        for name, row in layer["targets"].items():
            if row_verdict(row) == "fail":
                yield layer, name


def row_verdict(row: Mapping[str, Any]) -> str:
    """Return a layer's verdict in a target, of what it introduces and of what arrives there."""
    verdicts = [str(row["verdict"])]
    verdicts += [str(d["verdict"]) for d in (accumulated(row), isolated(row)) if d]
    known = [each for each in verdicts if each != "not run"]
    return max(known, key=severity, default="not run")


def _failed(conversion: Mapping[str, Any]) -> TargetLine:
    routes = conversion["routes"]
    return TargetLine(
        name=conversion["format"],
        format=conversion["format"],
        verdict="fail",
        reason=f"no file was made: {_why_not_made(conversion)}",
        route=_arrows(routes[-1]["name"]) if routes else "",
    )


def _why_not_made(conversion: Mapping[str, Any]) -> str:
    bad = [
        outcome
        for route in conversion["routes"]
        for outcome in route["outcomes"]
        if outcome["symptom"] not in ("ok", "not reached")
    ]
    bad.sort(key=lambda outcome: outcome["symptom"] == "unavailable")  # what ran tells more
    return outcome_text(bad[0]) if bad else conversion["error"] or "no route was tried"


def outcome_text(outcome: Mapping[str, Any]) -> str:
    """Return how something ended, in a line; all of what it said is elsewhere."""
    detail = outcome["detail"].strip().splitlines()
    text = f"{outcome['subject']}: {outcome['symptom']} at {outcome['stage']}"
    return f"{text}: {detail[0]}" if detail else text


def _unvalidated(conversion: Mapping[str, Any]) -> TargetLine:
    return TargetLine(
        name=conversion["format"],
        format=conversion["format"],
        reason="converted, but not run and not compared",
        route=_arrows(conversion["routes"][-1]["name"]) if conversion["routes"] else "",
        size=conversion["artifact"]["size"],
    )


def _line(
    document: Mapping[str, Any], name: str, conversion: Mapping[str, Any] | None
) -> TargetLine:
    target = targets_of(document)[name]
    rows = [row for layer in document["layers"] if (row := layer["targets"].get(name))]
    symptom = target["outcome"]["symptom"]
    ran = symptom == "ok"
    facts = TargetLine(
        name=name,
        format=target["format"],
        runtime=f"{target['runtime']} {target['runtime_version']}".strip(),
        verdict=target["verdict"],
        ran=ran,
        unavailable=symptom == "unavailable",
        route=_arrows(conversion["routes"][-1]["name"])
        if conversion and conversion["routes"]
        else "",
        size=conversion["artifact"]["size"] if conversion else None,
        sqnr=min((float(each["sqnr_db"]) for each in target["outputs"].values()), default=None),
        ratio=_largest(accumulated(row) for row in rows),
        introduced=_largest(isolated(row) for row in rows),
        top1=target["top1_agreement"],
        accuracy=target["accuracy"],
        seconds=target["run_seconds"],
        layer=first_to_look_at(target),
    )
    return TargetLine(**{**vars(facts), "reason": _reason(document, target, facts)})


def _reason(document: Mapping[str, Any], target: Mapping[str, Any], line: TargetLine) -> str:
    if not line.ran:
        return outcome_text(target["outcome"])
    parts = [target["reason"]] if target["reason"] else []
    if line.layer is not None:
        layer = layer_by_id(document).get(line.layer)
        title = layer_title(layer) if layer else line.layer
        introduced = target["layers"].get("introduced") is not None
        if layer and line.layer in target["reason"]:  # it says the rest
            place = f"module {layer['module'] or 'root'}, {layer['source']}".removesuffix(", ")
            parts.append(f"{line.layer} is in {place}")
        else:
            parts.append(
                f"introduced at {title}" if introduced else f"first failing layer: {title}"
            )
    if not parts:
        parts = list(_good_news(target, line))
    if target["layers"]["observer_effect"]:
        parts.append("looking at its layers changed the outputs")
    return "; ".join(parts)


def _good_news(target: Mapping[str, Any], line: TargetLine) -> Iterator[str]:
    if line.sqnr is not None:
        exact = line.sqnr == float("inf")
        yield "equal to the reference" if exact else f"outputs at {db_text(line.sqnr)}"
    worst = line.introduced if line.introduced is not None else line.ratio
    compared = target["layers"]["mapped"]
    if worst is not None:
        what = "introduces" if line.introduced is not None else "shows"
        yield (
            f"no layer of {compared} {what} more than {figure_text(worst)} × the noise of rounding"
        )
    elif not compared:
        yield "its layers cannot be seen"
    if line.top1 is not None:
        yield f"top class agrees in {percent_text(line.top1)}"


def _largest(drifts: Iterator[Mapping[str, Any] | None]) -> float | None:
    ratios = [number(each["ratio"]) for each in drifts if each]
    known = [each for each in ratios if each is not None and each == each]
    return max(known, default=None)


def _arrows(route: str) -> str:
    return route.replace("/", " → ")
