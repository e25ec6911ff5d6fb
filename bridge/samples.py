"""The inputs that a model is captured with and compared on: declared, drawn or real."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from .artifact import TensorSpec
from .errors import InputError

Arrays = dict[str, NDArray[Any]]

LABELS = "labels"
EXPECTED = "expected"

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
        """Draw an array; without a declared range: normal floats, 0 and 1 for the rest."""
        dtype = np.dtype(self.dtype)
        if self.low is None or self.high is None:
            if dtype.kind == "f":
                return rng.standard_normal(self.shape).astype(dtype)
            return rng.integers(0, 2, self.shape).astype(dtype)
        if dtype.kind == "f":
            return rng.uniform(self.low, self.high, self.shape).astype(dtype)
        return rng.integers(int(self.low), int(self.high) + 1, self.shape).astype(dtype)


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Inputs to compare on.

    Attributes:
        arrays: Input name → samples ``[K, *shape]``, each of the model's own shape.
        origin: Where they come from, for the report.
        labels: ``[K, batch]`` true classes (or values), if they are known.
    """

    arrays: Mapping[str, NDArray[Any]]
    origin: str
    labels: NDArray[Any] | None = field(default=None)

    @property
    def count(self) -> int:
        """How many samples there are."""
        return len(next(iter(self.arrays.values())))

    def first(self) -> Arrays:
        """Return the first sample."""
        return {name: stacked[0] for name, stacked in self.arrays.items()}

    def head(self, count: int) -> Samples:
        """Return the first ``count`` samples, or all if there are fewer."""
        return Samples(
            arrays={name: stacked[:count] for name, stacked in self.arrays.items()},
            origin=self.origin,
            labels=None if self.labels is None else self.labels[:count],
        )


def draw_like(examples: Mapping[str, NDArray[Any]], seed: int) -> Arrays:
    """Draw inputs of the examples' shapes and types, and from their ranges.

    Floats are normal with the example's mean and deviation, and stay within its range if that
    looks bounded (all in [0, 1], say, or all in [-1, 1]); integers are drawn between the least and
    the greatest value of the example; booleans with the example's share of ones.
    """
    drawn: Arrays = {}
    for name, example in examples.items():
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        drawn[name] = _draw(rng, example)
    return drawn


def vary(examples: Mapping[str, NDArray[Any]]) -> dict[str, Arrays]:
    """Return inputs that lie apart from the examples, where another path of a model may begin.

    Drawn inputs resemble the examples, so that a condition such as ``x.sum() > 0`` may hold for all
    of them. These do not: the example mirrored (negated, or within its range where that is bounded
    or of integers), its least value everywhere, and its greatest.

    Returns:
        A description of each → inputs by name.
    """
    return {
        "the example inputs mirrored": {name: _mirror(each) for name, each in examples.items()},
        "the example inputs' least value everywhere": {
            name: np.full_like(each, each.min()) if each.size else each
            for name, each in examples.items()
        },
        "the example inputs' greatest value everywhere": {
            name: np.full_like(each, each.max()) if each.size else each
            for name, each in examples.items()
        },
    }


def _mirror(example: NDArray[Any]) -> NDArray[Any]:
    if not example.size:
        return example
    if example.dtype.kind == "b":
        return np.asarray(~example)
    bounded = example.dtype.kind in "iu" or (example.min() >= 0 and example.max() <= 1)
    return np.asarray(example.min() + example.max() - example if bounded else -example)


def draw_samples(examples: Mapping[str, NDArray[Any]], count: int) -> Samples:
    """Return the examples and ``count - 1`` drawn after them."""
    rows: Sequence[Mapping[str, NDArray[Any]]] = [
        examples,
        *(draw_like(examples, seed) for seed in range(1, count)),
    ]
    return Samples(
        arrays={name: np.stack([row[name] for row in rows]) for name in examples},
        origin=f"the example inputs and {count - 1} drawn from their ranges",
    )


def read_samples(path: Path, inputs: Sequence[TensorSpec]) -> Samples:
    """Read real inputs.

    Args:
        path: An npz file with one array per input, or a folder with one ``NAME.npy`` per input.
            Each array holds samples on its first axis: ``[N, ...]`` for a model whose batch is
            ``B`` gives ``N // B`` samples. ``labels`` may hold the truth, ``expected`` is left
            alone.
        inputs: The model's inputs.

    Raises:
        InputError: A file is missing or damaged, or a name, shape or type does not fit.
    """
    stored = read_arrays(path)
    names = [spec.name for spec in inputs]
    labels = None if LABELS in names else stored.pop(LABELS, None)
    if EXPECTED not in names:
        stored.pop(EXPECTED, None)
    unknown, missing = sorted(set(stored) - set(names)), sorted(set(names) - set(stored))
    if unknown or missing:
        raise InputError(
            f"{path} does not fit the model's inputs ({', '.join(map(str, inputs))})"
            + (f"; missing: {', '.join(missing)}" if missing else "")
            + (f"; unknown: {', '.join(unknown)}" if unknown else "")
        )
    arrays = {spec.name: _split(path, stored[spec.name], spec) for spec in inputs}
    counts = {name: len(stacked) for name, stacked in arrays.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise InputError(f"{path} holds different numbers of samples ({listed})")
    count = next(iter(counts.values()), 0)
    if not count:
        raise InputError(f"{path} holds no whole sample")
    return Samples(
        arrays=arrays,
        origin=f"{count} real samples of {path.name}",
        labels=None if labels is None else _split_labels(path, labels, stored, arrays),
    )


def read_arrays(path: Path) -> Arrays:
    """Return the arrays of an npz file or of a folder of npy files; else ``InputError``."""
    if not path.exists():
        raise InputError(f"there is no file {path}")
    try:
        if path.is_dir():
            return {file.stem: np.load(file) for file in sorted(path.glob("*.npy"))}
        stored = np.load(path)
        if isinstance(stored, np.ndarray):
            raise InputError(
                f"{path} is one array without a name",
                hint="give a folder with one NAME.npy per input, or an npz file",
            )
        with stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise InputError(f"{path} is not an npz file of plain arrays: {error}") from error
    foreign = [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]
    if foreign:
        raise InputError(f"{path} is not an npz file of plain arrays: {foreign[0]!r} is none")
    return arrays


def _split(path: Path, array: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    """Cut ``[N, ...]`` into samples ``[K, *shape]``; a dynamic batch is taken as 1."""
    batch = (spec.shape[0] or 1) if spec.shape else 1
    rest = spec.shape[1:] if spec.shape else ()
    fits = array.ndim == max(1, len(spec.shape)) and all(
        wanted in (None, actual) for wanted, actual in zip(rest, array.shape[1:], strict=True)
    )
    if not fits:
        raise InputError(f"{path}: {spec.name!r} is {list(array.shape)}; the model takes {spec}")
    if array.dtype.name != spec.dtype:
        raise InputError(f"{path}: {spec.name!r} is {array.dtype}; the model takes {spec}")
    count = len(array) // batch
    shape = (count, batch, *array.shape[1:]) if spec.shape else (count,)
    return array[: count * batch].reshape(shape)


def _split_labels(
    path: Path,
    labels: NDArray[Any],
    stored: Mapping[str, NDArray[Any]],
    arrays: Mapping[str, NDArray[Any]],
) -> NDArray[Any]:
    """Cut labels into the batches of the input that has as many rows."""
    rows = {name: len(array) for name, array in stored.items()}
    partner = next((name for name in arrays if labels.ndim and rows[name] == len(labels)), None)
    if partner is None:
        found = f"{len(labels)} {LABELS}" if labels.ndim else f"{LABELS} of no dimension"
        listed = ", ".join(f"{name}: {count}" for name, count in rows.items())
        raise InputError(f"{path} holds {found}, and other numbers of inputs ({listed})")
    stacked = arrays[partner]
    count, batch = len(stacked), stacked.shape[1] if stacked.ndim > 1 else 1
    split: NDArray[Any] = labels[: count * batch].reshape((count, batch, *labels.shape[1:]))
    return split


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


def _draw(rng: np.random.Generator, example: NDArray[Any]) -> NDArray[Any]:
    if not example.size:
        return example.copy()
    if example.dtype.kind == "b":
        return np.asarray(rng.random(example.shape) < example.mean())
    low, high = example.min(), example.max()
    if example.dtype.kind in "iu":
        return rng.integers(low, high, example.shape, dtype=example.dtype, endpoint=True)
    drawn = rng.normal(example.mean(), example.std() or 1.0, example.shape)
    if low >= -1 and high <= 1:
        drawn = np.clip(drawn, 0.0 if low >= 0 else -1.0, 1.0)
    return drawn.astype(example.dtype)
