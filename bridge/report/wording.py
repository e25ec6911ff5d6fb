"""Figures and verdicts as people read them; the same in every form of the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

# Each verdict has a mark, so that it can be told without colour. From best to worst.
MARKS = {"pass": "✓", "inconclusive": "?", "warn": "!", "not run": "–", "fail": "✗"}
_ORDER = list(MARKS)


def severity(verdict: str) -> int:
    """Return the place of a verdict from best (0) to worst."""
    return _ORDER.index(verdict) if verdict in MARKS else len(_ORDER)


def number(value: Any) -> float | None:
    """Return a figure of the document, where infinities and NaN are texts, as a number."""
    return None if value is None else float(value)


def figure_text(value: Any, digits: int = 3) -> str:
    """Return a figure with some significant digits; empty for none."""
    figure = number(value)
    if figure is None:
        return ""
    if math.isnan(figure):
        return "NaN"
    if math.isinf(figure):
        return "∞" if figure > 0 else "−∞"
    if figure and not 1e-3 <= abs(figure) < 1e5:
        return f"{figure:.{digits - 1}e}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(figure)))) if figure else 0
    return f"{figure:.{places}f}"


def range_text(bounds: Sequence[Any], dtype: str) -> str:
    """Return the least and the greatest value: whole numbers as such, others in three digits."""
    whole = dtype.startswith(("int", "uint"))
    least, most = (
        str(int(each)) if whole and float(each).is_integer() else figure_text(each)
        for each in bounds
    )
    return f"{least} … {most}"


def db_text(value: Any) -> str:
    """Return an SQNR in decibel; an infinite one belongs to equal values."""
    figure = number(value)
    if figure is None:
        return ""
    if math.isnan(figure):
        return "NaN"
    if math.isinf(figure):
        return "exact" if figure > 0 else "−∞ dB"
    return f"{figure:.1f} dB"


def percent_text(value: Any) -> str:
    """Return a share of 1 in percent; only an exact 1 is 100 %."""
    figure = number(value)
    if figure is None:
        return ""
    text = f"{100 * figure:.2f}"
    return f"{'>99.99' if text == '100.00' and figure < 1 else text.removesuffix('.00')} %"


def size_text(count: Any) -> str:
    """Return a number of bytes for people: ``1.4 MB``."""
    if count is None:
        return ""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"


def seconds_text(value: Any) -> str:
    """Return a time for people: ``3.4 s``, ``0.21 ms``."""
    figure = number(value)
    if figure is None:
        return ""
    if figure >= 0.1 or figure == 0:
        return f"{figure:.1f} s"
    return f"{figure_text(1000 * figure)} ms"


def shape_text(shape: Any) -> str:
    """Return a shape as ``1×3×224×224``; ``?`` is a dynamic size."""
    if shape is None:
        return ""
    return "×".join("?" if size is None else str(size) for size in shape) or "scalar"


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun: ``1 layer``, ``2 layers``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
