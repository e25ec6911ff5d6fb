"""Every lowering against PyTorch itself, on XNNPACK and on the plain kernels of LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compile_torch import compile_module, run, sqnr, tensors_in
from lowering_rows import Row, RowModel, all_rows

from bridge.converters.tflite import LOWERINGS
from bridge.errors import UnsupportedError

ROWS = all_rows()
LEAST_SQNR = 110.0  # float32: one rounding is about 150 dB, and few operators make a hundred


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_lowering_gives_what_torch_gives(row: Row, tmp_path: Path) -> None:
    model = RowModel(row)
    if row.unsupported:
        with pytest.raises(UnsupportedError) as refused:
            compile_module(model, tuple(model.inputs), tmp_path / "m.tflite", dynamic=row.dynamic)
        assert row.unsupported in str(refused.value)
        return
    compiled = compile_module(
        model, tuple(model.inputs), tmp_path / "m.tflite", dynamic=row.dynamic
    )
    for inputs in (model.inputs, *row.also):
        expected = [each.numpy() for each in tensors_in(model(*(x.clone() for x in inputs)))]
        for plain in (True, False):
            actual = run(compiled.path, inputs, plain=plain)
            assert len(actual) == len(expected)
            for want, got in zip(expected, actual, strict=True):
                compare(want, got, row.sqnr or LEAST_SQNR)


def compare(want: np.ndarray, got: np.ndarray, least: float) -> None:
    assert got.shape == want.shape
    if want.dtype.kind == "f":
        assert got.dtype.kind == "f"
        assert sqnr(want, got) >= least
    else:
        assert got.dtype.kind == ("b" if want.dtype.kind == "b" else got.dtype.kind)
        np.testing.assert_array_equal(got, want)


def test_every_lowering_has_a_row() -> None:
    tested = {row.operator for row in ROWS}
    packets = {".".join(name.split(".")[:2]) for name in tested}
    missing = [
        name
        for name in _names()
        if name.startswith("aten.") and name not in tested and name not in packets
    ]
    assert not missing


def test_every_row_has_a_lowering_of_its_own_or_says_that_there_is_none() -> None:
    known = _names()
    stray = {
        row.operator
        for row in ROWS
        if row.operator not in known
        and ".".join(row.operator.split(".")[:2]) not in known
        and not row.unsupported
    }
    assert not stray


def _names() -> set[str]:
    """Operators that have a lowering, on real numbers or on complex ones."""
    return {name.removeprefix("complex.") for name in LOWERINGS.names()}
