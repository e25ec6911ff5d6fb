"""Real inputs from arrays in files."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ..artifact import TensorSpec
from ..errors import InputError
from .stack import Arrays, Samples

LABELS = "labels"
EXPECTED = "expected"


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
    samples = stack_samples(str(path), stored, inputs, origin=f"{{}} real samples of {path.name}")
    return replace(samples, how={spec.name: f"real ones of {path.name}" for spec in inputs})


def stack_samples(
    where: str, stored: Arrays, inputs: Sequence[TensorSpec], *, origin: str
) -> Samples:
    """Cut arrays with samples on their first axis into samples of the model's own shapes.

    Args:
        where: Where they come from, for messages.
        stored: The arrays by input name, possibly with ``labels`` and ``expected``.
        inputs: The model's inputs.
        origin: The same for the report, with ``{}`` for the number of samples.

    Raises:
        InputError: A name, a shape or a type does not fit.
    """
    names = [spec.name for spec in inputs]
    labels = None if LABELS in names else stored.pop(LABELS, None)
    if EXPECTED not in names:
        stored.pop(EXPECTED, None)
    unknown, missing = sorted(set(stored) - set(names)), sorted(set(names) - set(stored))
    if unknown or missing:
        raise InputError(
            f"{where} does not fit the model's inputs ({', '.join(map(str, inputs))})"
            + (f"; missing: {', '.join(missing)}" if missing else "")
            + (f"; unknown: {', '.join(unknown)}" if unknown else "")
        )
    arrays = {spec.name: _split(where, stored[spec.name], spec) for spec in inputs}
    counts = {name: len(stacked) for name, stacked in arrays.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise InputError(f"{where} holds different numbers of samples ({listed})")
    count = next(iter(counts.values()), 0)
    if not count:
        raise InputError(f"{where} holds no whole sample")
    return Samples(
        arrays=arrays,
        origin=origin.format(count),
        labels=None if labels is None else _split_labels(where, labels, stored, arrays),
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


def _split(where: str, array: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    """Cut ``[N, ...]`` into samples ``[K, *shape]``; a dynamic batch is taken as 1."""
    batch = (spec.shape[0] or 1) if spec.shape else 1
    rest = spec.shape[1:] if spec.shape else ()
    fits = array.ndim == max(1, len(spec.shape)) and all(
        wanted in (None, actual) for wanted, actual in zip(rest, array.shape[1:], strict=True)
    )
    if not fits:
        raise InputError(f"{where}: {spec.name!r} is {list(array.shape)}; the model takes {spec}")
    if array.dtype.name != spec.dtype:
        raise InputError(f"{where}: {spec.name!r} is {array.dtype}; the model takes {spec}")
    count = len(array) // batch
    shape = (count, batch, *array.shape[1:]) if spec.shape else (count,)
    return array[: count * batch].reshape(shape)


def _split_labels(
    where: str,
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
        raise InputError(f"{where} holds {found}, and other numbers of inputs ({listed})")
    stacked = arrays[partner]
    count, batch = len(stacked), stacked.shape[1] if stacked.ndim > 1 else 1
    split: NDArray[Any] = labels[: count * batch].reshape((count, batch, *labels.shape[1:]))
    return split
