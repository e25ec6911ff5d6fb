"""Roundings inside one operator of the source, where a file computes it in several steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

NORMS = frozenset({"layer_norm", "instance_norm", "group_norm"})


def symmetric(value: torch.Tensor, bits: int, axis: int | None) -> torch.Tensor:
    """Values rounded to steps around zero, of one width or of one for each index of an axis."""
    largest = value.abs()
    if axis is None:
        largest = largest.max()
    else:
        axes = [each for each in range(value.ndim) if each != axis % value.ndim]
        largest = largest.amax(axes, keepdim=True) if axes else largest
    step = largest / (2 ** (bits - 1) - 1)
    rounded: torch.Tensor = (value / step.clamp(min=1e-30)).round() * step
    return rounded


class StepRanges:
    """Rounds what is computed on the way to a result, by the ranges that samples have on average.

    Files hold no place for these in the source. That the range is an average, as calibration by a
    moving average gives it, makes a difference: what is beyond saturates, and all that follows from
    it is off.

    Args:
        bits: Of the integers.
    """

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._seen: dict[int, list[tuple[float, float]]] = {}
        self._step = 0

    def begin(self, *, learning: bool) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return what is made of each step of one sample, in their order.

        Args:
            learning: Whether the steps are only looked at.
        """
        self._step = 0
        return self._look if learning else self._round

    def _look(self, value: torch.Tensor) -> torch.Tensor:
        low, high = min(0.0, float(value.min())), max(0.0, float(value.max()))
        self._seen.setdefault(self._step, []).append((low, high))
        self._step += 1
        return value

    def _round(self, value: torch.Tensor) -> torch.Tensor:
        seen = self._seen[self._step]
        self._step += 1
        low, high = (sum(each) / len(seen) for each in zip(*seen, strict=True))
        if self._bits > 8:  # those of 16 bits are symmetric
            high = max(-low, high)
            low = -high
        if not 0 < high - low < math.inf:
            return value
        step = (high - low) / (2.0**self._bits - 1)
        rounded: torch.Tensor = (value.clamp(low, high) / step).round() * step
        return rounded


def norm(operator: str, arguments: Sequence[Any], rounded: Callable[[Any], Any]) -> Any:
    """Return what a norm gives whose steps are rounded one by one.

    The steps are those of any norm of elementary kernels: the mean, what is left, its square, the
    mean of that, its root's inverse, their product; the scale and shift are one more kernel, whose
    result is not rounded here.

    Args:
        operator: One of ``NORMS``.
        arguments: Its positional arguments, in ATen's order.
        rounded: What is made of the result of each step.
    """
    import torch

    x = arguments[0]
    given = [*arguments, *[None] * 5]
    if operator == "layer_norm":
        scale, shift, epsilon = given[2], given[3], _epsilon(given[4])
        axes = list(range(x.ndim - len(arguments[1]), x.ndim))
        shape, grouped = list(x.shape), x
    else:
        groups = x.shape[1] if operator == "instance_norm" else int(arguments[1])
        first = 1 if operator == "instance_norm" else 2
        scale, shift = given[first], given[first + 1]
        epsilon = _epsilon(given[7] if operator == "instance_norm" else given[4])
        shape = [1, x.shape[1], *[1] * (x.ndim - 2)]
        grouped = x.reshape(x.shape[0], groups, -1)
        axes = [2]
    centred = rounded(grouped - rounded(grouped.mean(axes, keepdim=True)))
    variance = rounded(rounded(centred.square()).mean(axes, keepdim=True))
    exact = torch.rsqrt(grouped.var(axes, unbiased=False, keepdim=True) + epsilon)
    # a variance of less than half a step is stored as none; the result's range holds what is needed
    inverse = rounded(torch.rsqrt(variance + epsilon).clamp(max=exact.max()))
    made = rounded(centred * inverse).reshape(x.shape)
    if scale is not None:
        made = made * (scale if operator == "layer_norm" else scale.reshape(shape))
    if shift is not None:
        made = made + (shift if operator == "layer_norm" else shift.reshape(shape))
    return made


def norm_of_rounded(operator: str, arguments: Sequence[Any], result: Any, bits: int) -> Any:
    """Return what a norm gives whose scale is multiplied with normalized values in integers.

    Args:
        operator: One of ``NORMS``.
        arguments: Its positional arguments, in ATen's order.
        result: What it gives in floats.
        bits: Of the integers.
    """
    given = [*arguments, *[None] * 4]
    first = {"layer_norm": 2, "instance_norm": 1, "group_norm": 2}[operator]
    scale, shift = given[first], given[first + 1]
    if scale is None:
        return result
    if operator != "layer_norm":
        shape = [1, result.shape[1], *[1] * (result.ndim - 2)]
        scale, shift = scale.reshape(shape), 0.0 if shift is None else shift.reshape(shape)
    shift = 0.0 if shift is None else shift
    safe = scale.where(scale != 0, scale.new_ones(()))
    return symmetric((result - shift) / safe, bits, None) * scale + shift


def _epsilon(value: Any) -> float:
    return 1e-5 if value is None else float(value)


def argument_values(arguments: Sequence[Any], values: Mapping[Any, Any]) -> list[Any]:
    """Return a node's arguments with the values of the nodes among them."""
    from torch.fx import Node
    from torch.fx.node import map_arg

    found: list[Any] = [
        map_arg(each, lambda node: values.get(node)) if not isinstance(each, Node)
        else values.get(each)
        for each in arguments
    ]  # fmt: skip
    return found
