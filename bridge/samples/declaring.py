"""Inputs as the user declares them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .drawing import draw
from .ranges import Edge, Kind, declared_range, range_of

_NUMBER = r"-?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?"
_DECLARATION = re.compile(
    r"(?:(?P<name>[^=]+)=)?(?P<shape>scalar|\??\d*(?:x\??\d*)*)"
    rf"(?::(?P<dtype>\w+))?(?::(?P<low>{_NUMBER})\.\.(?P<high>{_NUMBER}))?"
)
_DYNAMIC_EXAMPLE = 2  # torch.export would take a 1 for a constant
_DTYPES = {"float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"}


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """An input as the user declares it: ``name=?x3x224x224:float32:0..1``.

    Attributes:
        name: Parameter of ``forward``; empty for "the next one".
        shape: Sizes of an example.
        dynamic: Axes whose size may change.
        dtype: NumPy name of the element type.
        low: Least value to draw; ``None`` if it was not declared.
        high: Greatest value to draw.
    """

    name: str
    shape: tuple[int, ...]
    dynamic: tuple[int, ...] = ()
    dtype: str = "float32"
    low: float | None = None
    high: float | None = None

    @classmethod
    def parse(cls, text: str) -> InputSpec:
        """Read a declaration.

        ``?`` is a dynamic dimension, of size 2 in the examples; ``?16`` is one of size 16 in the
        examples; ``scalar`` is a tensor without dimensions.

        Raises:
            InputError: The text is not of that form.
        """
        match = _DECLARATION.fullmatch(text.strip())
        sizes = match["shape"].split("x") if match and match["shape"] != "scalar" else []
        if not match or any(size == "" for size in sizes):
            raise InputError(
                f"{text!r} does not declare an input",
                hint="the form is NAME=1x3x224x224:float32, with ? for a dynamic dimension "
                "and, if wanted, :0..1 for the range of values",
            )
        dtype = match["dtype"] or "float32"
        if dtype not in _DTYPES:
            raise InputError(
                f"{text!r}: there is no element type {dtype!r}",
                hint=f"types: {', '.join(sorted(_DTYPES))}",
            )
        low, high = (float(match[end]) if match[end] else None for end in ("low", "high"))
        if low is not None and high is not None:
            _check_range(text, np.dtype(dtype), low, high)
        return cls(
            name=match["name"] or "",
            shape=tuple(int(size.lstrip("?") or _DYNAMIC_EXAMPLE) for size in sizes),
            dynamic=tuple(axis for axis, size in enumerate(sizes) if size.startswith("?")),
            dtype=dtype,
            low=low,
            high=high,
        )

    def draw(self, rng: np.random.Generator) -> NDArray[Any]:
        """Draw an example.

        Without a declared range, and if neither name nor shape tell of images, masks or sound:
        normal floats, 0 and 1 for the rest. A mask keeps everything.
        """
        blank = np.zeros(self.shape, self.dtype)
        if self.range is not None:
            meaning = declared_range(self.name, blank, *self.range)
        else:
            meaning = range_of(self.name, blank, made_up=True)
        if meaning.kind is Kind.MASK:
            return draw(meaning, blank, rng, Edge.GREATEST)
        if self.range is not None or meaning.kind in (Kind.IMAGE, Kind.AUDIO):
            return draw(meaning, blank, rng)
        if blank.dtype.kind == "f":
            return rng.standard_normal(self.shape).astype(self.dtype)
        return rng.integers(0, 2, self.shape).astype(self.dtype)

    @property
    def range(self) -> tuple[float, float] | None:
        """The declared range, if there is one."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def _check_range(text: str, dtype: np.dtype[Any], low: float, high: float) -> None:
    if dtype.kind == "f":
        least, greatest = float(np.finfo(dtype).min), float(np.finfo(dtype).max)
    elif dtype.kind == "b":
        least, greatest = 0, 1
    else:
        least, greatest = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    whole = dtype.kind == "f" or (low.is_integer() and high.is_integer())
    if not whole or not least <= low <= high <= greatest:
        raise InputError(
            f"{text!r}: {low:g}..{high:g} is no range of {dtype} values",
            hint=f"the range goes from the least to the greatest, within {least:g}..{greatest:g}",
        )
