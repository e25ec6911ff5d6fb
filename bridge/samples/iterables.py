"""Real inputs from a Python iterable: a data loader, a generator, a list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..artifact import TensorSpec
from ..errors import InputError
from .reading import EXPECTED, LABELS, stack_samples
from .stack import Arrays, Samples

MOST_ITEMS = 256  # an iterable may have no end


def take(iterable: Iterable[Any], most: int | None = None) -> list[Any]:
    """Return the first items of an iterable, at most ``MOST_ITEMS`` unless told otherwise.

    Raises:
        InputError: It is no iterable, or it is empty.
    """
    try:
        items = list(islice(iter(iterable), most or MOST_ITEMS))
    except TypeError:
        raise InputError(
            f"{type(iterable).__name__} is no iterable of inputs",
            hint="give what can be looped over: a list, a generator, a data loader",
        ) from None
    if not items:
        raise InputError("the iterable of inputs is empty")
    return items


def read_items(items: Sequence[Any], inputs: Sequence[TensorSpec], name: str) -> Samples:
    """Return the items of an iterable as samples.

    Args:
        items: Each an array or tensor (of a model with one input), a tuple in the order of the
            inputs, or a mapping by their names. It may be of one sample, of several (cut into the
            model's batches), or of one without the axis of the batch. One more member of a tuple,
            or ``labels`` of a mapping, is the truth.
        inputs: The model's inputs.
        name: What the iterable is called, for messages and the report.

    Raises:
        InputError: An item does not fit the inputs.
    """
    rows = [_by_name(item, inputs, f"item {place} of {name}") for place, item in enumerate(items)]
    columns = {spec.name: [row[spec.name] for row in rows] for spec in inputs}
    labels = [row[LABELS] for row in rows if LABELS in row and LABELS not in columns]
    if labels and len(labels) != len(rows):
        raise InputError(f"{name}: {len(labels)} of {len(rows)} items have labels")
    stored = {spec.name: _joined(columns[spec.name], spec, name) for spec in inputs}
    if labels:
        joined = [np.atleast_1d(each) for each in labels]
        stored[LABELS] = np.concatenate(joined)
    count = f"{len(items)} items of {name}"
    samples = stack_samples(name, stored, inputs, origin=f"{{}} real samples: {count}")
    return replace(samples, how={spec.name: count for spec in inputs})


def example_arguments(item: Any, parameters: int) -> tuple[Any, ...] | dict[str, Any]:
    """Return an item as example inputs of a module whose ``forward`` has so many parameters."""
    if isinstance(item, Mapping):
        return {
            name: _tensor(each) for name, each in item.items() if name not in (LABELS, EXPECTED)
        }
    members = tuple(item) if isinstance(item, tuple | list) else (item,)
    return tuple(_tensor(each) for each in members[:parameters])


def _by_name(item: Any, inputs: Sequence[TensorSpec], where: str) -> Arrays:
    """The arrays of an item by input name, with the labels if there are any."""
    names = [spec.name for spec in inputs]
    if isinstance(item, Mapping):
        given = {str(name): value for name, value in item.items()}
        missing = [name for name in names if name not in given]
        unknown = sorted(set(given) - {*names, LABELS, EXPECTED})
        if missing or unknown:
            raise _misfit(where, inputs, sorted(given))
        wanted = {name: given[name] for name in given if name in {*names, LABELS}}
    else:
        members = list(item) if isinstance(item, tuple | list) else [item]
        if len(members) not in (len(names), len(names) + 1):
            raise _misfit(where, inputs, [f"{len(members)} value(s)"])
        wanted = dict(zip([*names, LABELS], members, strict=False))
    return {name: _array(value, f"{where}: {name}") for name, value in wanted.items()}


def _misfit(where: str, inputs: Sequence[TensorSpec], given: Sequence[str]) -> InputError:
    return InputError(
        f"{where} does not fit the model's inputs ({', '.join(map(str, inputs))}); "
        f"given: {', '.join(given)}",
        hint="each item is an array, a tuple in the order of the inputs, or a mapping by name",
    )


def _joined(arrays: Sequence[NDArray[Any]], spec: TensorSpec, name: str) -> NDArray[Any]:
    """All items on the first axis; one that lacks the axis of the batch gets it."""
    rank = len(spec.shape)
    if rank and spec.shape[0] in (1, None):
        arrays = [each[None] if each.ndim == rank - 1 else each for each in arrays]
    elif not rank:
        arrays = [each.reshape(-1) for each in arrays]
    try:
        return np.concatenate(arrays)
    except ValueError:
        shapes = sorted({str(list(each.shape)) for each in arrays})
        raise InputError(
            f"{name}: items of {spec.name!r} are of different shapes ({', '.join(shapes[:4])}); "
            f"the model takes {spec}",
            hint="pad or resize them to one shape",
        ) from None


def _array(value: Any, where: str) -> NDArray[Any]:
    if hasattr(value, "detach"):  # a tensor, whether or not torch is imported here
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{where} is {type(value).__name__}, not an array of numbers")
    return array


def _tensor(value: Any) -> Any:
    import torch

    return value if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value))
