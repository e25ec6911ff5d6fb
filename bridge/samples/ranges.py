"""What values an input can have: declared, or read off its name, its shape and its example."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

VERY_NEGATIVE = -1e3  # added to a score, it leaves nothing of it
_LEAST_IMAGE = 4  # pixels on a side; what is smaller has no structure to draw
_LEAST_WAVEFORM = 256  # values; what is shorter is no sound
_AUDIO = re.compile(r"audio|wave|speech|pcm|input_values")


class Kind(StrEnum):
    """What an input means, as far as it matters for drawing one."""

    UNIFORM = "uniform"
    SIMILAR = "similar"  # like the example's own values
    INDEX = "index"
    FLAGS = "flags"
    MASK = "mask"
    ADDITIVE = "additive mask"
    IMAGE = "image"
    AUDIO = "audio"


class Edge(StrEnum):
    """A sample at the edge of the domain, which random ones hardly ever reach."""

    LEAST = "least"
    GREATEST = "greatest"
    MIXED = "mixed"


@dataclass(frozen=True, kw_only=True)
class InputRange:
    """What values one input can have.

    Attributes:
        kind: What they mean.
        low: Least value; of a mask the value of what is left out, which may be -inf.
        high: Greatest value; of a mask the value of what is kept.
        how: The same in words, with how it is known.
        inverted: Whether ones of a mask leave out, as in ``key_padding_mask``.
        declared: Whether the user said so.
    """

    kind: Kind
    low: float
    high: float
    how: str
    inverted: bool = False
    declared: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the range as plain JSON data; an infinite end is text."""
        return {
            "kind": self.kind.value,
            "low": self.low if np.isfinite(self.low) else str(self.low),
            "high": self.high if np.isfinite(self.high) else str(self.high),
            "how": self.how,
            "inverted": self.inverted,
            "declared": self.declared,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> InputRange:
        """Rebuild a range from what ``to_json`` returned."""
        return cls(
            kind=Kind(data["kind"]),
            low=float(data["low"]),
            high=float(data["high"]),
            how=data["how"],
            inverted=data["inverted"],
            declared=data["declared"],
        )


@dataclass(frozen=True, kw_only=True)
class Domain:
    """What inputs a model takes.

    Attributes:
        inputs: Input name → its range.
        edges: Edges of the domain that samples are taken from. A model may give NaN there, or its
            choice between equal values may be arbitrary: such edges are left out.
    """

    inputs: Mapping[str, InputRange]
    edges: tuple[Edge, ...] = field(default_factory=lambda: tuple(Edge))

    def how(self) -> dict[str, str]:
        """Return each input's range in words."""
        return {name: each.how for name, each in self.inputs.items()}

    def to_json(self) -> dict[str, Any]:
        """Return the domain as plain JSON data."""
        return {
            "inputs": {name: each.to_json() for name, each in self.inputs.items()},
            "edges": [each.value for each in self.edges],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Domain:
        """Rebuild a domain from what ``to_json`` returned."""
        inputs = {name: InputRange.from_json(each) for name, each in data["inputs"].items()}
        return cls(inputs=inputs, edges=tuple(Edge(each) for each in data["edges"]))


def domain_of(
    examples: Mapping[str, NDArray[Any]],
    *,
    declared: Mapping[str, tuple[float, float]] | None = None,
    inferred: Mapping[str, InputRange] | None = None,
    made_up: Collection[str] = (),
    edges: tuple[Edge, ...] = tuple(Edge),
) -> Domain:
    """Return what a model's inputs can be.

    What the user declared counts first, then what was inferred from the captured program, then
    names and shapes, and the example's own values last.

    Args:
        examples: Example inputs by name.
        declared: Declared ranges by name.
        inferred: Ranges found in the captured program by name.
        made_up: Inputs whose example was drawn here from a shape, and so tells nothing.
        edges: Edges that may be taken.
    """
    inputs = {}
    for name, example in examples.items():
        meaning = (inferred or {}).get(name)
        if declared and name in declared:
            inputs[name] = declared_range(name, example, *declared[name], meaning)
        else:
            inputs[name] = meaning or range_of(name, example, made_up=name in made_up)
    return Domain(inputs=inputs, edges=edges)


def declared_range(
    name: str,
    example: NDArray[Any],
    low: float,
    high: float,
    inferred: InputRange | None = None,
) -> InputRange:
    """Return the range that the user declared; what the input means is found as ever."""
    bits = (low, high) == (0, 1)
    is_mask = bits and (
        inferred.kind is Kind.MASK if inferred else _is_mask_name(name) and example.ndim > 0
    )
    text = f"{low:g}..{high:g} (declared)"
    if is_mask:
        kind, how = Kind.MASK, f"a mask of ones and zeros, {text}"
    elif channel_axis(example.shape) is not None and example.dtype.kind in "fu":
        kind, how = Kind.IMAGE, f"images drawn in {text}"
    elif inferred is not None and inferred.kind is Kind.AUDIO:
        kind, how = Kind.AUDIO, f"waveforms drawn in {text}"
    elif example.dtype.kind == "f":
        kind, how = Kind.UNIFORM, f"drawn uniformly from {text}"
    else:
        kind, how = Kind.INDEX, f"whole numbers drawn from {text}"
    inverted = bool(inferred and inferred.inverted)
    return InputRange(kind=kind, low=low, high=high, how=how, inverted=inverted, declared=True)


def range_of(name: str, example: NDArray[Any], *, made_up: bool = False) -> InputRange:
    """Return what an input can be by its name, its shape and its example."""
    finite = example[np.isfinite(example)] if example.dtype.kind == "f" else example
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if example.dtype.kind == "b" or _is_mask_name(name):
        found = _mask_or_flags(name, example, low)
        if found is not None:
            return found
    if channel_axis(example.shape) is not None and example.dtype.kind in "fu":
        return _image(example.dtype, low, high, made_up=made_up)
    loud = max(abs(low), abs(high))
    if _AUDIO.search(name.lower()) and is_waveform(example.shape, example.dtype):
        return audio_range("its name", 1.0 if loud <= 1 or made_up else loud)
    text = f"{low:g}..{high:g}"
    if example.dtype.kind in "iu":
        source = "no range was declared" if made_up else "as in the example"
        how = f"whole numbers {text}, {source}"
        return InputRange(kind=Kind.INDEX, low=low, high=high, how=how)
    if low == high and not made_up:
        near = sorted((low * 0.5, low * 1.5)) if low else [0.0, 1.0]
        how = f"around the example's only value {low:g}: {near[0]:g}..{near[1]:g}"
        return InputRange(kind=Kind.UNIFORM, low=near[0], high=near[1], how=how)
    how = f"like the example's own values ({text})"
    if made_up:
        how = f"normal floats ({text}): neither an example nor a range was given"
    return InputRange(kind=Kind.SIMILAR, low=low, high=high, how=how)


def mask_range(source: str, *, inverted: bool = False, made_of: str = "tokens") -> InputRange:
    """Return the range of a mask of ones and zeros, with the first ones kept."""
    kept = "zeros for" if inverted else "ones for"
    how = f"a mask: {kept} the first {made_of}, of drawn lengths ({source})"
    return InputRange(kind=Kind.MASK, low=0, high=1, how=how, inverted=inverted)


def audio_range(source: str, loud: float) -> InputRange:
    """Return the range of a waveform."""
    how = f"waveforms in {-loud:g}..{loud:g} ({source})"
    return InputRange(kind=Kind.AUDIO, low=-loud, high=loud, how=how)


def is_waveform(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether a tensor may be sound of one channel: floats ``[L]``, ``[N, L]`` or ``[N, 1, L]``."""
    if dtype.kind != "f" or not 1 <= len(shape) <= 3 or shape[-1] < _LEAST_WAVEFORM:
        return False
    return len(shape) < 3 or shape[1] == 1


def channel_axis(shape: tuple[int, ...]) -> int | None:
    """Return the axis of channels of an image ``[N, C, H, W]`` or ``[N, H, W, C]``, or a video.

    It is ``None`` for what is no image: of other than 1 or 3 channels, or of a few pixels.
    """
    if len(shape) not in (4, 5):
        return None
    if shape[1] in (1, 3) and min(shape[-2:]) >= _LEAST_IMAGE:
        return 1
    if shape[-1] in (1, 3) and min(shape[-3:-1]) >= _LEAST_IMAGE:
        return len(shape) - 1
    return None


def holds_only_bits(array: NDArray[Any]) -> bool:
    """Whether an array holds nothing but zeros and ones."""
    return bool(array.dtype.kind == "b" or np.isin(array, (0, 1)).all())


def begins_left_out(mask: NDArray[Any]) -> bool:
    """Whether rows of a mask begin with zeros and end with ones, or are all zeros."""
    rows = mask.reshape(-1, mask.shape[-1]) if mask.ndim else mask.reshape(1, 1)
    return bool(not rows.any() or (~rows[:, 0].astype(bool) & rows[:, -1].astype(bool)).any())


def _is_mask_name(name: str) -> bool:
    return "mask" in name.lower()


def _mask_or_flags(name: str, example: NDArray[Any], low: float) -> InputRange | None:
    if holds_only_bits(example):
        if _is_mask_name(name) and example.ndim and example.size:
            padding = "padding" in name.lower()  # PyTorch's own masks of that name leave out
            inverted = begins_left_out(example) and (padding or bool(example.any()))
            return mask_range("its name", inverted=inverted)
        if example.dtype.kind == "b":
            share = float(example.mean()) if example.size else 0.5
            how = f"flags, {share:.0%} of them true as in the example"
            return InputRange(kind=Kind.FLAGS, low=0, high=1, how=how)
        return None
    if example.dtype.kind == "f" and (low <= VERY_NEGATIVE or np.isneginf(example).any()):
        least = float(example.min())
        how = f"a mask to be added: 0 for the first tokens, of drawn lengths, and {least:g}"
        return InputRange(kind=Kind.ADDITIVE, low=least, high=0, how=how)
    return None


def _image(dtype: np.dtype[Any], low: float, high: float, *, made_up: bool) -> InputRange:
    source = "no range was declared" if made_up else "as the example"
    if dtype.kind != "f":
        low, high = 0, 255
    elif made_up or (low >= 0 and high <= 1):
        low, high = 0, 1
    elif low >= -1 and high <= 1:
        low, high = -1, 1
    elif low >= 0 and 2 < high <= 255:
        low, high = 0, 255
    else:
        source = "the example's own range"
    how = f"images drawn in {low:g}..{high:g} ({source})"
    return InputRange(kind=Kind.IMAGE, low=low, high=high, how=how)
