"""The layers as columns of plain data, small enough to lie in a page and to be drawn at once.

A text that many layers share (operators, modules, reasons) is stored once and named by its index;
figures keep four significant digits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from .reading import accumulated, isolated, limits_of, reproduction_of, targets_of
from .view import row_verdict

LIMIT = 4_500_000  # bytes, of the 6 MB that a page may take
VERDICTS = ("pass", "inconclusive", "warn", "not run", "fail")

_METRICS = (
    "sqnr_db",
    "max_abs",
    "mean_abs",
    "rmse",
    "relative_rms",
    "cosine",
    "max_ulp",
    "elements",
    "nonfinite_reference",
    "nonfinite_actual",
    "reference_rms",
    "actual_rms",
)
_ISOLATED_METRICS = ("sqnr_db", "max_abs")
# What a reader can do without where a layer passes, if the page would be too large.
_FIGURES = ("acc", "iso", "sqnr_db")

Row = Mapping[str, Any]


def layer_columns(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the layers as columns.

    Of a model with very many layers, passing rows keep only their drift and SQNR, and ``reduced``
    says so.
    """
    for reduced in (False, True):
        columns = _columns(document, reduced)
        if len(json.dumps(columns, separators=(",", ":"))) <= LIMIT:
            break
    return columns


def _columns(document: Mapping[str, Any], reduced: bool) -> dict[str, Any]:
    layers = document["layers"]
    index = {layer["id"]: place for place, layer in enumerate(layers)}
    texts: dict[str, int] = {}

    def text(value: Any) -> int:
        return texts.setdefault(str(value or ""), len(texts))

    columns: dict[str, Any] = {
        "reduced": reduced,
        "verdicts": VERDICTS,
        "ids": [layer["id"] for layer in layers],
        "ops": [text(layer["op"]) for layer in layers],
        "modules": [text(layer["module"]) for layer in layers],
        "sources": [text(layer["source"]) for layer in layers],
        "shapes": [text(_shape(layer["shape"])) for layer in layers],
        "inputs": [
            [index[each] for each in layer.get("inputs") or () if each in index] for layer in layers
        ],
        "linked": any("inputs" in layer for layer in layers),
        "targets": [
            _target(document, name, [layer["targets"].get(name) for layer in layers], text, reduced)
            for name in targets_of(document)
        ],
    }
    columns["texts"] = list(texts)
    return columns


def _target(
    document: Mapping[str, Any],
    name: str,
    rows: Sequence[Row | None],
    text: Callable[[Any], int],
    reduced: bool,
) -> dict[str, Any]:
    target = targets_of(document)[name]
    warn, fail = limits_of(document, name)
    ids = {layer["id"]: place for place, layer in enumerate(document["layers"])}

    def column(of: Callable[[Row], Any]) -> list[Any]:
        return [of(row) if row else None for row in rows]

    def optional(key: str) -> Callable[[Row], Any]:
        return lambda row: text(row[key]) if row.get(key) else None

    cells: dict[str, list[Any]] = {
        "verdict": column(lambda row: VERDICTS.index(row_verdict(row))),
        "mapped": column(lambda row: int(row["mapped"])),
        "reason": column(optional("reason")),
        "tensor": column(optional("tensor")),
        "confidence": column(lambda row: _rounded(row.get("confidence"))),
        "cluster": column(
            lambda row: [ids[each] for each in row.get("cluster") or () if each in ids] or None
        ),
        "clean": column(_clean),
        "histogram": column(_histogram),
        **_drift("acc", column(accumulated)),
        **_drift("iso", column(isolated)),
        **{key: column(partial(_metric, key)) for key in _METRICS},
        **{f"iso_{key}": column(partial(_isolated_metric, key)) for key in _ISOLATED_METRICS},
    }
    if reduced:
        _thin(cells)
    first = target["layers"].get("introduced") or target["layers"]["first_failure"]
    return {
        "name": name,
        "runtime": target["runtime"],
        "verdict": target["verdict"],
        "warn": warn,
        "fail": fail,
        "first": ids.get(first),
        "introduced": ids.get(target["layers"].get("introduced")),
        "isolation": target["layers"].get("isolation") or "",
        "reproduction": reproduction_of(target),
        "blame": _blame(target, ids),
        "cells": {key: cell for key, cell in cells.items() if _tells(cell)},
    }


def _blame(target: Row, ids: Mapping[str, int]) -> dict[str, Any] | None:
    """What both sides compute the blamed layer with."""
    blame = target.get("blame")
    if not blame or blame["layer"] not in ids:
        return None
    if "error" in blame:
        return {"layer": ids[blame["layer"]], "error": blame["error"]}
    return {
        "layer": ids[blame["layer"]],
        "call": blame["call"],
        "operators": blame["operators"],
        "confirmed": blame["confirmed"],
    }


def _drift(key: str, drifts: Sequence[Row | None]) -> dict[str, list[Any]]:
    names = {"": "ratio", "_low": "low", "_high": "high", "_gain": "gain"}
    found = {
        f"{key}{suffix}": [_rounded(each.get(name)) if each else None for each in drifts]
        for suffix, name in names.items()
    }
    found[f"{key}_verdict"] = [VERDICTS.index(each["verdict"]) if each else None for each in drifts]
    return found


def _thin(cells: dict[str, list[Any]]) -> None:
    """Drop what a passing layer's row can do without."""
    passing = [verdict == VERDICTS.index("pass") for verdict in cells["verdict"]]
    for key in cells:
        if key not in ("verdict", "mapped", "reason", *_FIGURES):
            cells[key] = [
                None if passed else value for value, passed in zip(cells[key], passing, strict=True)
            ]


def _metric(key: str, measured: Row) -> Any:
    return _rounded((measured.get("metrics") or {}).get(key))


def _isolated_metric(key: str, row: Row) -> Any:
    return _metric(key, isolated(row) or {})


def _histogram(row: Row) -> list[Any] | None:
    """Least error, greatest error, then the counts between them."""
    found = row.get("histogram")
    return [_rounded(found["low"]), _rounded(found["high"]), *found["counts"]] if found else None


def _clean(row: Row) -> int | None:
    """Return 0 where NaN and infinities do not stand where they do in the reference."""
    return 0 if row["metrics"] and not row["metrics"]["same_nonfinite"] else None


def _rounded(value: Any) -> Any:
    if not isinstance(value, float) or not value or not math.isfinite(value):
        return value
    short = float(f"{value:.4g}")
    if abs(value) > 0.999 and abs(value) < 1:  # a cosine: its distance from 1 is what tells
        short = float(f"{value:.12g}")
    return int(short) if short.is_integer() and abs(short) < 1e6 else short


def _shape(shape: Iterable[int] | None) -> str:
    return "" if shape is None else "×".join(map(str, shape)) or "scalar"


def _tells(cell: Sequence[Any]) -> bool:
    return any(value is not None for value in cell)
