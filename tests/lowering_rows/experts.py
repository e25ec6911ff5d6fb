"""Rows of mixtures of experts."""

from __future__ import annotations

import importlib.util

import torch

from . import Row, const, f32

_SCHEMA = "(Tensor input, Tensor weight, Tensor offs) -> Tensor"
_libraries: list[torch.library.Library] = []  # an operator lives as long as its library


def multiplied(rows: torch.Tensor, weight: torch.Tensor, offs: torch.Tensor) -> torch.Tensor:
    """Multiply the rows up to each offset by the matrix of their expert."""
    made = rows.new_zeros(rows.shape[0], weight.shape[2])
    start = 0
    for matrix, end in zip(weight, offs.tolist(), strict=True):
        made[start:end] = rows[start:end] @ matrix
        start = end
    return made


def _shape(rows: torch.Tensor, weight: torch.Tensor, offs: torch.Tensor) -> torch.Tensor:
    return rows.new_empty(rows.shape[0], weight.shape[2])


def declare_grouped_mm() -> None:
    """Make transformers' operator known where the package is not installed."""
    if importlib.util.find_spec("transformers") is not None:
        importlib.import_module("transformers.integrations.moe")
        return
    library = torch.library.Library("transformers", "DEF")
    library.define("grouped_mm_fallback" + _SCHEMA)
    library.impl("grouped_mm_fallback", multiplied, "CPU")
    torch.library.register_fake("transformers::grouped_mm_fallback", _shape, lib=library)
    _libraries.append(library)


declare_grouped_mm()


def ends(*rows: int) -> torch.Tensor:
    """Where the rows of each expert end."""
    return torch.tensor(rows, dtype=torch.int32)


WEIGHT = f32(4, 8, 16)
STORED = f32(4, 16, 8).transpose(1, 2)  # as a Linear has it

ROWS = [
    Row(
        "transformers.grouped_mm_fallback",
        *(f32(6, 8), const(STORED), ends(2, 2, 5, 6)),
        also=[[f32(6, 8), ends(0, 0, 0, 6)], [f32(6, 8), ends(6, 6, 6, 6)]],
        label="more rows than experts",
    ),
    Row(
        "transformers.grouped_mm_fallback",
        *(f32(3, 8), const(WEIGHT), ends(2, 2, 3, 3)),
        also=[[f32(3, 8), ends(0, 0, 0, 3)], [f32(3, 8), ends(3, 3, 3, 3)]],
        label="fewer",
    ),
    Row(
        "transformers.grouped_mm_fallback",
        *(f32(3, 8), const(WEIGHT), ends(0, 1, 2, 2)),
        label="fewer, not all",
    ),
    Row(
        "transformers.grouped_mm_fallback",
        *(f32(7, 8), const(WEIGHT), ends(0, 1, 2, 5)),
        label="not all",
    ),
    Row("transformers.grouped_mm_fallback", f32(6, 8), WEIGHT, ends(1, 2, 3, 6), label="computed"),
    Row(
        "transformers.grouped_mm_fallback",
        *(f32(6, 8), const(WEIGHT), ends(2, 2, 5, 6).long()),
        dynamic={0: [0]},
        also=[[f32(9, 8), ends(1, 2, 3, 9).long()]],
    ),
]
