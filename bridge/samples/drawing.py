"""Drawing inputs: random ones, structured ones, and those at the edges of what an input can be."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ranges import Domain, Edge, InputRange, Kind, domain_of
from .signals import draw_image, draw_waveform
from .stack import Arrays, Samples

_EDGE_AT = {2: Edge.LEAST, 4: Edge.GREATEST, 6: Edge.MIXED}  # places among the drawn samples
_MANY = 4096


def draw_samples(
    examples: Mapping[str, NDArray[Any]], count: int, domain: Domain | None = None
) -> Samples:
    """Return the examples and ``count - 1`` drawn after them.

    A sample depends on its place, on the names of the inputs and on their domain only: more
    samples have the same first ones.

    Args:
        examples: Example inputs by name.
        count: Number of samples.
        domain: What the inputs can be; what the examples themselves tell by default.
    """
    domain = domain or domain_of(examples)
    stacked = {
        name: np.stack([example, *(_sample(domain, name, example, i) for i in range(1, count))])
        for name, example in examples.items()
    }
    origin = f"the example inputs and {count - 1} drawn from their ranges"
    return Samples(arrays=stacked, origin=origin, how=domain.how(), domain=domain)


def more(samples: Samples, count: int) -> Samples:
    """Return ``count`` samples that begin with the given ones; of real ones all that there are."""
    if samples.domain is None or count <= samples.count:
        return samples.head(count)
    return replace(draw_samples(samples.first(), count, samples.domain), labels=samples.labels)


def draw_like(
    examples: Mapping[str, NDArray[Any]], seed: int, domain: Domain | None = None
) -> Arrays:
    """Draw random inputs of the examples' shapes and types, and from their ranges.

    Args:
        examples: Example inputs by name.
        seed: Another seed draws other values.
        domain: What the inputs can be; what the examples themselves tell by default.
    """
    domain = domain or domain_of(examples)
    return {
        name: draw(domain.inputs[name], example, generator(name, seed))
        for name, example in examples.items()
    }


def draw_edge(examples: Mapping[str, NDArray[Any]], domain: Domain, edge: Edge) -> Arrays:
    """Return the sample of an edge of the domain."""
    place = next(place for place, each in _EDGE_AT.items() if each is edge)
    return {
        name: draw(domain.inputs[name], example, generator(name, place), edge)
        for name, example in examples.items()
    }


def generator(name: str, seed: int) -> np.random.Generator:
    """Return the source of an input's random numbers: of its own, whatever other inputs there are.

    Args:
        name: The input's name.
        seed: Place of the sample.
    """
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


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


def draw(
    range_: InputRange, example: NDArray[Any], rng: np.random.Generator, edge: Edge | None = None
) -> NDArray[Any]:
    """Draw one array.

    Args:
        range_: What the input can be.
        example: An array of its shape and type; its values matter to ``SIMILAR`` and ``FLAGS``.
        rng: Source of random numbers.
        edge: Draw at this edge of the range, not within it.
    """
    if not example.size:
        return example.copy()
    if range_.kind in (Kind.MASK, Kind.ADDITIVE):
        return _mask(range_, example, rng, edge)
    if edge is not None:
        drawn = _extreme(range_, example, rng, edge)
    elif range_.kind is Kind.IMAGE:
        drawn = _scaled(draw_image(example.shape, rng), range_)
    elif range_.kind is Kind.AUDIO:
        drawn = draw_waveform(example.shape, rng) * range_.high
    elif range_.kind is Kind.SIMILAR:
        drawn = _similar(example, rng)
    elif range_.kind is Kind.FLAGS:
        drawn = rng.random(example.shape) < example.mean()
    elif range_.kind is Kind.INDEX:
        drawn = _whole(range_, example, rng)
    else:
        drawn = rng.uniform(range_.low, range_.high, example.shape)
    return _as_type(drawn, example.dtype)


def _sample(domain: Domain, name: str, example: NDArray[Any], place: int) -> NDArray[Any]:
    edge = _EDGE_AT.get(place)
    if edge not in domain.edges:
        edge = None
    return draw(domain.inputs[name], example, generator(name, place), edge)


def _extreme(
    range_: InputRange, example: NDArray[Any], rng: np.random.Generator, edge: Edge
) -> NDArray[Any]:
    """All zeros (or the least value), the greatest everywhere, or both mixed."""
    low, high = range_.low, range_.high
    if edge is Edge.LEAST:
        return np.full(example.shape, 0 if low <= 0 <= high else low)
    if edge is Edge.GREATEST:
        return np.full(example.shape, high)
    return np.where(rng.random(example.shape) < 0.5, low, high)


def _mask(
    range_: InputRange, example: NDArray[Any], rng: np.random.Generator, edge: Edge | None
) -> NDArray[Any]:
    """Keep the first places of the last axis, at least one: a row of nothing gives NaN."""
    shape = example.shape or (1,)
    width = shape[-1]
    lengths = rng.integers(1, width, shape[0] if len(shape) > 1 else 1, endpoint=True)
    if edge is Edge.LEAST:
        lengths[:] = 1
    elif edge is Edge.GREATEST:
        lengths[:] = width
    kept = np.arange(width) < lengths.reshape(-1, *[1] * (len(shape) - 1))
    kept = np.broadcast_to(kept.reshape(shape) if len(shape) == 1 else kept, shape)
    if range_.inverted:
        kept = ~kept
    return np.where(kept, range_.high, range_.low).astype(example.dtype).reshape(example.shape)


def _similar(example: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Values of the example's own distribution, by its quantiles: never beyond what it shows."""
    finite = example[np.isfinite(example)]
    if not finite.size:
        return example.copy()
    if finite.size > _MANY:  # so many that a draw among them shows no more gaps than they do
        return np.asarray(finite[rng.integers(0, finite.size, example.shape)])
    known = np.sort(finite)
    drawn: NDArray[Any] = np.interp(rng.random(example.shape), np.linspace(0, 1, known.size), known)
    return drawn


def _whole(range_: InputRange, example: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    dtype = example.dtype if example.dtype.kind in "iu" else np.dtype(np.int64)
    low, high = (  # as a float, the greatest of 64 bits is one too many
        min(max(int(end), np.iinfo(dtype).min), np.iinfo(dtype).max)
        for end in (range_.low, range_.high)
    )
    return rng.integers(low, high, example.shape, dtype=dtype, endpoint=True)


def _scaled(unit: NDArray[Any], range_: InputRange) -> NDArray[Any]:
    return range_.low + (range_.high - range_.low) * unit


def _as_type(drawn: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind in "iu" and drawn.dtype.kind == "f":
        drawn = np.rint(drawn)
    return np.asarray(drawn).astype(dtype)


def _mirror(example: NDArray[Any]) -> NDArray[Any]:
    if not example.size:
        return example
    if example.dtype.kind == "b":
        return np.asarray(~example)
    bounded = example.dtype.kind in "iu" or (example.min() >= 0 and example.max() <= 1)
    return np.asarray(example.min() + example.max() - example if bounded else -example)
