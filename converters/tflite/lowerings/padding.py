"""Padding: with a number, with reflections, with the edge, around."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from ..context import Context, Number
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers
from ..sizes import Shape, Size, elements, is_static, product

Edge: TypeAlias = Callable[[Context, Value, int, int, bool], Value]

_PAD_RANK = 5  # of the tensors that PAD takes
_FEW_SLICES = 4  # a wider reflection is gathered
_MOST_FILL = 1 << 16  # elements of a constant block beside which PADV2 is the smaller file

# -- a number --------------------------------------------------------------------------------


@lowers("aten.constant_pad_nd")
def constant_pad_nd(ctx: Context, x: Value, pad: Sequence[Size], value: Number = 0) -> Value:
    """constant_pad_nd(self, SymInt[] pad, Scalar value=0) -> SLICE; PAD, or CONCATENATION."""
    pads = _per_axis(ctx, x, pad)
    for axis, (before, after) in enumerate(pads):
        cut = max(-before, 0), max(-after, 0)
        x = ctx.slice(x, axis, cut[0], x.shape[axis] - cut[0] - cut[1])
    widths = [(max(before, 0), max(after, 0)) for before, after in pads]
    if x.dtype == "float32" and value != 0 and is_static(x.shape):
        return _filled_around(ctx, x, widths, value)
    return _padded(ctx, x, widths, value)


def _per_axis(ctx: Context, x: Value, pad: Sequence[Size]) -> list[tuple[int, int]]:
    """Cells before and after each axis; PyTorch lists the last axis first."""
    widths = [ctx.static(each, "pad") for each in pad]
    pairs = list(zip(widths[::2], widths[1::2], strict=True))[::-1]
    return [(0, 0)] * (x.rank - len(pairs)) + pairs


def _filled_around(
    ctx: Context, x: Value, widths: Sequence[tuple[int, int]], value: Number
) -> Value:
    """Constant blocks around a tensor: XNNPACK does not take PADV2."""
    for axis, pair in enumerate(widths):
        pieces = [x]
        for place, width in zip((0, len(pieces) + 1), pair, strict=True):
            shape: Shape = (*x.shape[:axis], width, *x.shape[axis + 1 :])
            if elements(shape) > _MOST_FILL:
                rest = [(0, 0)] * axis + list(widths[axis:])
                return _padded(ctx, x, rest, value)
            if width:
                pieces.insert(place, ctx.filled(shape, value, x.dtype))
        x = ctx.concat(pieces, axis)
    return x


def _padded(ctx: Context, x: Value, widths: Sequence[tuple[int, int]], value: Number) -> Value:
    """PAD, an axis at a time among merged ones where there are too many."""
    if x.rank <= _PAD_RANK:
        return ctx.pad(x, widths, value)
    for axis, pair in enumerate(widths):
        if any(pair):
            shape = (*x.shape[:axis], x.shape[axis] + sum(pair), *x.shape[axis + 1 :])
            flat = (product(x.shape[:axis]), x.shape[axis], product(x.shape[axis + 1 :]))
            padded = ctx.pad(ctx.reshape(x, flat), [(0, 0), pair, (0, 0)], value)
            x = ctx.reshape(padded, shape)
    return x


# -- what is there already -------------------------------------------------------------------


def _around(ctx: Context, x: Value, pad: Sequence[Size], edge: Edge) -> Value:
    """Join cells of each axis to both of its ends."""
    for axis, widths in enumerate(_per_axis(ctx, x, pad)):
        if min(widths) < 0:
            raise unsupported("pad", list(pad), "cut the tensor with a slice")
        pieces = [
            edge(ctx, x, axis, width, front)
            for width, front in zip(widths, (True, False), strict=True)
            if width
        ]
        if pieces:
            pieces.insert(1 if widths[0] else 0, x)
            extent = x.shape[axis] + sum(widths)
            shape = (*x.shape[:axis], extent, *x.shape[axis + 1 :])
            x = ctx.emit("CONCATENATION", *pieces, axis=axis, shape=shape)
    return x


def _reflection(ctx: Context, x: Value, axis: int, width: int, front: bool) -> Value:
    """Cells next to the edge, in reverse: MIRROR_PAD is 25 times slower than slices."""
    start = 1 if front else x.shape[axis] - 1 - width
    if width <= _FEW_SLICES:
        cells = [ctx.slice(x, axis, start + place, 1) for place in reversed(range(width))]
        return ctx.concat(cells, axis)
    return ctx.emit("REVERSE_V2", ctx.slice(x, axis, start, width), ctx.integers([axis]))


def _replication(ctx: Context, x: Value, axis: int, width: int, front: bool) -> Value:
    """Copies of the edge."""
    cell = ctx.slice(x, axis, 0 if front else x.shape[axis] - 1, 1)
    return ctx.expand(cell, (*x.shape[:axis], width, *x.shape[axis + 1 :]))


def _opposite(ctx: Context, x: Value, axis: int, width: int, front: bool) -> Value:
    """Cells of the other end."""
    return ctx.slice(x, axis, x.shape[axis] - width if front else 0, width)


@lowers("aten.reflection_pad1d", "aten.reflection_pad2d", "aten.reflection_pad3d")
def reflection_pad(ctx: Context, x: Value, padding: Sequence[Size]) -> Value:
    """reflection_pad2d(Tensor self, SymInt[4] padding) -> SLICE, CONCATENATION."""
    return _around(ctx, x, padding, _reflection)


@lowers("aten.replication_pad1d", "aten.replication_pad2d", "aten.replication_pad3d")
def replication_pad(ctx: Context, x: Value, padding: Sequence[Size]) -> Value:
    """replication_pad2d(Tensor self, SymInt[4] padding) -> SLICE, MUL by ones, CONCATENATION."""
    return _around(ctx, x, padding, _replication)


@lowers("aten._pad_circular")
def pad_circular(ctx: Context, x: Value, pad: Sequence[Size]) -> Value:
    """_pad_circular(Tensor self, SymInt[] pad) -> SLICE, CONCATENATION."""
    return _around(ctx, x, pad, _opposite)


@lowers("aten.pad")
def pad(
    ctx: Context,
    x: Value,
    pad: Sequence[Size],
    mode: str = "constant",
    value: float | None = None,
) -> Value:
    """pad(self, SymInt[] pad, str mode="constant", float? value=None) -> as the mode's operator."""
    if mode == "constant":
        return constant_pad_nd(ctx, x, pad, value or 0)
    edges = {"reflect": _reflection, "replicate": _replication, "circular": _opposite}
    return _around(ctx, x, pad, edges[mode])


@lowers("aten._pad_enum")
def pad_enum(
    ctx: Context, x: Value, pad: Sequence[Size], mode: int, value: float | None = None
) -> Value:
    """_pad_enum(self, SymInt[] pad, int mode, float? value=None) -> as the mode's operator."""
    edges = (_reflection, _replication, _opposite)
    if mode == len(edges):
        return constant_pad_nd(ctx, x, pad, value or 0)
    return _around(ctx, x, pad, edges[mode])
