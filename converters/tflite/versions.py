"""Versions of operators, and the first runtime release that has each."""

from __future__ import annotations

from collections.abc import Iterable

from .ir import Op


def operator_version(op: Op) -> int:
    """Return the version of an operator with these types and options."""
    return 1


def minimum_runtime(codes: Iterable[tuple[str, int]]) -> str:
    """Return the first release of the runtime that has every operator in these versions."""
    return "1.5.0"
