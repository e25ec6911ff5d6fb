"""The tables that ``convert`` and ``validate`` print, made from a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from ..report.wording import size_text

_STYLE = {
    "pass": "green",
    "inconclusive": "yellow",
    "warn": "yellow",
    "fail": "bold red",
    "not run": "dim",
}
_ROWS = 12


def summary(report: Mapping[str, Any]) -> Table:
    """Return one row per target and runtime: what it is, what it cost, how far it drifted."""
    table = Table(
        title=_title(report),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        caption=_caption(report),
        caption_justify="left",
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    table.add_column("target", overflow="fold")
    table.add_column("route", overflow="fold")
    table.add_column("runtime", overflow="fold")
    for name in ("size", "seconds", "SQNR dB", "max abs", "top-1", "verdict"):
        table.add_column(name, justify="right" if name != "verdict" else "left", no_wrap=True)
    for conversion in report["conversions"]:
        rows = list(_target_rows(report, conversion))
        for row in rows:
            table.add_row(*row)
        if not rows:
            table.add_row(*_unvalidated(conversion))
    return table


def remarks(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for everything that did not go as wished, and for every note."""
    for conversion in report["conversions"]:
        if conversion["error"]:
            yield f"{conversion['format']}: {conversion['error']}"
        for route in conversion["routes"]:
            for outcome in route["outcomes"]:
                if outcome["symptom"] not in ("ok", "not reached"):
                    yield (
                        f"{conversion['format']}: {outcome['subject']}: {outcome['symptom']} at "
                        f"{outcome['stage']}: {outcome['detail']}"
                    )
        yield from (
            f"{conversion['format']}: {note}"
            for note in (conversion["artifact"] or {"notes": ()})["notes"]
        )
    validation = report["validation"]
    if validation and validation["reference_outcome"]["symptom"] != "ok":
        outcome = validation["reference_outcome"]
        yield (
            f"reference {outcome['subject']}: {outcome['symptom']} at {outcome['stage']}: "
            f"{outcome['detail']}"
        )
    for name, how in (validation["inputs"].get("how", {}) if validation else {}).items():
        yield f"input {name}: {how}"
    for name, target in _targets(report).items():
        if target["reason"]:
            first = target["layers"]["introduced"] or target["layers"]["first_failure"]
            at = f"; the first failing layer is {_layer_name(report, first)}" if first else ""
            yield f"{name}: {target['reason']}{at}"
        script = (target.get("blame") or {}).get("script")
        if script:
            yield f"{name}: reproduction: {script}"
        outcome = target["layers"]["outcome"]
        if outcome and outcome["symptom"] != "ok":
            yield f"{name}: its layers were not compared: {outcome['detail']}"


def drift(report: Mapping[str, Any], rows: int = _ROWS) -> Table:
    """Return the first rows of the per-layer drift table; failing layers are shown first."""
    targets = [name for name, each in _targets(report).items() if each["layers"]["mapped"]]
    layers = report["layers"]
    failing = [each for each in layers if _fails(each)]
    shown = (failing + [each for each in layers if not _fails(each)])[:rows]
    order = {each["id"]: index for index, each in enumerate(layers)}
    shown.sort(key=lambda each: order[each["id"]])
    table = Table(
        title=f"Drift per layer: SQNR in dB (accumulated), {len(shown)} of {len(layers)} layers",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for name in ("layer", "operator", "module", "source"):
        table.add_column(name, overflow="fold")
    for name in targets:
        table.add_column(name, justify="right")
    for layer in shown:
        cells = [_layer_cell(layer["targets"].get(name)) for name in targets]
        table.add_row(
            escape(layer["id"]),
            layer["op"],
            escape(layer["module"]),
            escape(layer["source"]),
            *cells,
        )
    return table


def _target_rows(
    report: Mapping[str, Any], conversion: Mapping[str, Any]
) -> Iterator[tuple[str, ...]]:
    for name, target in _targets(report).items():
        if target["format"] == conversion["format"] and conversion["ok"]:
            first = name == conversion["format"]
            yield (
                name if first else "",
                _route_cell(conversion) if first else "",
                target["runtime"],
                size_text(conversion["artifact"]["size"]) if first else "",
                _seconds_cell(conversion) if first else "",
                *_figures(target),
            )


def _unvalidated(conversion: Mapping[str, Any]) -> tuple[str, ...]:
    if not conversion["ok"]:
        route = conversion["routes"][0]["name"] if conversion["routes"] else "no route"
        return (conversion["format"], route, "", "", "", "", "", "", "[bold red]FAILED[/]")
    size = size_text(conversion["artifact"]["size"])
    cells = (_route_cell(conversion), "", size, _seconds_cell(conversion), "", "", "")
    return (conversion["format"], *cells, "[dim]not run[/]")


def _route_cell(conversion: Mapping[str, Any]) -> str:
    if not conversion["routes"]:
        return "given"
    return str(conversion["routes"][-1]["name"]).replace("/", " → ")


def _seconds_cell(conversion: Mapping[str, Any]) -> str:
    """Seconds of the hops of the route, and whether an earlier run's file was taken."""
    if not conversion["routes"]:
        return ""
    outcomes = conversion["routes"][-1]["outcomes"]
    text = f"{conversion['seconds']:.1f}"
    return f"{text} (reused)" if outcomes and all(each["reused"] for each in outcomes) else text


def _figures(target: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """SQNR and max abs of the worst output, top-1 agreement, verdict."""
    outputs = target["outputs"].values()
    sqnr = min((_number(each["sqnr_db"]) for each in outputs), default=None)
    largest = max((_number(each["max_abs"]) for each in outputs), default=None)
    top1 = target["top1_agreement"]
    verdict = target["verdict"]
    shown = verdict if verdict != "not run" else target["outcome"]["symptom"]
    return (
        "" if sqnr is None else f"{sqnr:.1f}",
        "" if largest is None else f"{largest:.2g}",
        "" if top1 is None else f"{top1:.2%}",
        f"[{_STYLE[verdict]}]{shown.upper()}[/]",
    )


def _layer_cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "[dim]not run[/]"
    if not row["mapped"]:
        style = _STYLE[row["verdict"]]
        return f"[{style}]{escape(row['reason'])}[/]"
    metrics = row["metrics"]
    text = f"{_number(metrics['sqnr_db']):.1f}" if metrics["same_nonfinite"] else "NaN/Inf"
    style = _STYLE[row["verdict"]]
    mark = "" if row["verdict"] == "pass" else f" {row['verdict'].upper()}"
    alone = row["isolated"]
    if alone is not None and alone["verdict"] in ("warn", "fail"):
        mark += f" (introduced: {_number(alone['ratio']):.3g} × rounding)"
    return f"[{style}]{text}{mark}[/]"


def _fails(layer: Mapping[str, Any]) -> bool:
    return any(row["verdict"] == "fail" for row in layer["targets"].values())


def _layer_name(report: Mapping[str, Any], layer: str) -> str:
    for each in report["layers"]:
        if each["id"] == layer:
            return f"{layer} ({each['op']}, module {each['module'] or 'root'}, {each['source']})"
    return layer


def _targets(report: Mapping[str, Any]) -> Mapping[str, Any]:
    validation = report["validation"]
    return validation["targets"] if validation else {}


def _number(value: float | str) -> float:
    return float(value)


def _title(report: Mapping[str, Any]) -> str:
    return f"{report['source']['text']}"


def _caption(report: Mapping[str, Any]) -> str | None:
    validation = report["validation"]
    if not validation:
        return None
    truth = validation["reference_accuracy"]
    labels = f"; accuracy of the source {truth:.2%}" if truth is not None else ""
    return f"against {validation['reference']} on {validation['inputs']['origin']}{labels}"
