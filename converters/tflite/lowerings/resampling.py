"""Interpolation to another size."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from ..context import Context
from ..dtypes import is_float
from ..errors import unsupported
from ..ir import Array, Value
from ..lowering import lowers
from ..sizes import Size, is_static
from .contraction import contract
from .windows import every, lowers_axes

_MOST_RUNS = 4  # slices along an axis that are faster than leaving XNNPACK for a GATHER


@lowers_axes("aten.upsample_nearest{}d")
def upsample_nearest(
    ctx: Context, x: Value, output_size: Sequence[Size], *scales: float | None, axes: int
) -> Value:
    """upsample_nearest2d(self, output_size, scales_h, scales_w) -> RESHAPE, MUL, RESHAPE."""
    return _nearest(ctx, x, scales or [None] * axes, "upsample_nearest1d")


@lowers_axes("aten.upsample_nearest{}d.vec")
def upsample_nearest_vec(
    ctx: Context,
    x: Value,
    output_size: Sequence[Size] | None,
    scale_factors: Sequence[float] | None,
    *,
    axes: int,
) -> Value:
    """upsample_nearest2d.vec(input, output_size, scale_factors) -> upsample_nearest2d."""
    return _nearest(ctx, x, scale_factors or [None] * axes, "upsample_nearest1d")


@lowers_axes("aten._upsample_nearest_exact{}d")
def upsample_nearest_exact(
    ctx: Context, x: Value, output_size: Sequence[Size], *scales: float | None, axes: int
) -> Value:
    """_upsample_nearest_exact2d(self, output_size, scales_h, scales_w) -> as upsample_nearest2d."""
    return _nearest(ctx, x, scales or [None] * axes, "_upsample_nearest_exact1d")


@lowers_axes("aten._upsample_nearest_exact{}d.vec")
def upsample_nearest_exact_vec(
    ctx: Context,
    x: Value,
    output_size: Sequence[Size] | None,
    scale_factors: Sequence[float] | None,
    *,
    axes: int,
) -> Value:
    """_upsample_nearest_exact2d.vec(input, output_size, …) -> as upsample_nearest2d."""
    return _nearest(ctx, x, scale_factors or [None] * axes, "_upsample_nearest_exact1d")


@lowers_axes("aten.upsample_linear{}d", axes=[1])
@lowers_axes("aten.upsample_bilinear{}d", axes=[2])
@lowers_axes("aten.upsample_trilinear{}d", axes=[3])
def upsample_linear(
    ctx: Context,
    x: Value,
    output_size: Sequence[Size],
    align_corners: bool,
    *scales: float | None,
    axes: int,
) -> Value:
    """upsample_bilinear2d(self, output_size, …) -> RESIZE_BILINEAR or BATCH_MATMUL."""
    return _linear(ctx, x, align_corners, scales or [None] * axes)


@lowers_axes("aten.upsample_linear{}d.vec", axes=[1])
@lowers_axes("aten.upsample_bilinear{}d.vec", axes=[2])
@lowers_axes("aten.upsample_trilinear{}d.vec", axes=[3])
def upsample_linear_vec(
    ctx: Context,
    x: Value,
    output_size: Sequence[Size] | None,
    align_corners: bool,
    scale_factors: Sequence[float] | None,
    *,
    axes: int,
) -> Value:
    """upsample_bilinear2d.vec(input, output_size, align_corners, …) -> upsample_bilinear2d."""
    return _linear(ctx, x, align_corners, scale_factors or [None] * axes)


@lowers("aten.upsample_bicubic2d")
def upsample_bicubic2d(
    ctx: Context,
    x: Value,
    output_size: Sequence[Size],
    align_corners: bool,
    scales_h: float | None = None,
    scales_w: float | None = None,
) -> Value:
    """upsample_bicubic2d(self, output_size, align_corners, …) -> BATCH_MATMUL for each axis."""
    return _by_matrices(ctx, x, "upsample_bicubic2d", align_corners, [scales_h, scales_w])


@lowers("aten._upsample_bilinear2d_aa")
def upsample_bilinear2d_aa(
    ctx: Context,
    x: Value,
    output_size: Sequence[Size],
    align_corners: bool,
    scales_h: float | None = None,
    scales_w: float | None = None,
) -> Value:
    """_upsample_bilinear2d_aa(self, output_size, align_corners, …) -> BATCH_MATMUL by axes."""
    return _by_matrices(ctx, x, "_upsample_bilinear2d_aa", align_corners, [scales_h, scales_w])


@lowers("aten._upsample_bicubic2d_aa")
def upsample_bicubic2d_aa(
    ctx: Context,
    x: Value,
    output_size: Sequence[Size],
    align_corners: bool,
    scales_h: float | None = None,
    scales_w: float | None = None,
) -> Value:
    """_upsample_bicubic2d_aa(self, output_size, align_corners, …) -> BATCH_MATMUL for each axis."""
    return _by_matrices(ctx, x, "_upsample_bicubic2d_aa", align_corners, [scales_h, scales_w])


@lowers("aten._upsample_lanczos2d_aa")
def upsample_lanczos2d_aa(
    ctx: Context,
    x: Value,
    output_size: Sequence[Size],
    align_corners: bool,
    scales_h: float | None = None,
    scales_w: float | None = None,
) -> Value:
    """_upsample_lanczos2d_aa(self, output_size, align_corners, …) -> BATCH_MATMUL for each axis."""
    return _by_matrices(ctx, x, "_upsample_lanczos2d_aa", align_corners, [scales_h, scales_w])


def _register_vec(packet: str) -> None:
    """Register the overload whose scales come as a list, of an operator that has matrices."""

    @lowers(f"aten.{packet}.vec")
    def vec(
        ctx: Context,
        x: Value,
        output_size: Sequence[Size] | None,
        align_corners: bool,
        scale_factors: Sequence[float] | None,
    ) -> Value:
        """….vec(input, output_size, align_corners, scale_factors) -> BATCH_MATMUL for each axis."""
        return _by_matrices(ctx, x, packet, align_corners, scale_factors or [None, None])


for _packet in (
    "upsample_bicubic2d",
    "_upsample_bilinear2d_aa",
    "_upsample_bicubic2d_aa",
    "_upsample_lanczos2d_aa",
):
    _register_vec(_packet)


def _linear(ctx: Context, x: Value, align_corners: bool, scales: Sequence[float | None]) -> Value:
    """Interpolate linearly, the depth after the planes."""
    _require_float(x)
    sizes, outs = x.shape[2:], ctx.shape[2:]
    if not all(
        align_corners or _is_ratio(size, out, scale)
        for size, out, scale in zip(sizes, outs, scales, strict=True)
    ):
        return _by_matrices(ctx, x, "upsample_bilinear2d", align_corners, scales)
    last = ctx.channels_last(x)
    batch, channels = x.shape[:2]
    if len(sizes) == 1:
        flat = ctx.reshape(last, (batch, 1, sizes[0], channels))
        made = _resize_bilinear(ctx, flat, (1, outs[0]), align_corners)
    elif len(sizes) == 2:
        made = _resize_bilinear(ctx, last, outs, align_corners)
    else:
        depth, height, width = sizes
        flat = ctx.reshape(last, (batch * depth, height, width, channels))
        planes = _resize_bilinear(ctx, flat, outs[1:], align_corners)
        rest = outs[1] * outs[2]
        flat = ctx.reshape(planes, (batch, depth, rest, channels))
        made = _resize_bilinear(ctx, flat, (outs[0], rest), align_corners)
    return ctx.channels_first(ctx.reshape(made, (batch, *outs, channels)))


def _resize_bilinear(ctx: Context, nhwc: Value, outs: Sequence[Size], align_corners: bool) -> Value:
    if nhwc.shape[1:3] == tuple(outs):
        return nhwc
    return ctx.emit(
        "RESIZE_BILINEAR",
        nhwc,
        ctx.shape_vector(outs),
        shape=(nhwc.shape[0], *outs, nhwc.shape[3]),
        align_corners=align_corners,
        half_pixel_centers=not align_corners,
    )


def _by_matrices(
    ctx: Context,
    x: Value,
    packet: str,
    align_corners: bool,
    scales: Sequence[float | None],
) -> Value:
    """Interpolate axis by axis with constant matrices."""
    _require_float(x)
    last = ctx.channels_last(x)
    for axis, scale in enumerate(scales, start=1):
        size = ctx.static(x.shape[axis + 1], "scale_factors" if scale else "input")
        out = ctx.static(ctx.shape[axis + 1], "output_size")
        matrix = interpolation(packet, size, out, align_corners, scale)
        if not np.array_equal(matrix, np.eye(size)):
            last = contract(ctx, last, axis, matrix)
    return ctx.channels_first(last)


@functools.lru_cache(maxsize=64)
def interpolation(
    packet: str, size: int, out: int, align_corners: bool, scale: float | None
) -> Array:
    """Return the matrix ``[out, size]`` by which PyTorch interpolates one axis.

    It is what PyTorch makes of the identity, so that it is exact in every mode. The axis is the
    width: PyTorch 2.13 mixes the rows of images of width 1 up where it filters.
    """
    import torch

    operator = getattr(torch.ops.aten, packet)
    units = torch.eye(size)
    if packet.endswith("1d"):
        rows = operator(units[None], [out], scale)[0]
    else:
        rows = operator(units[None, :, None], [1, out], align_corners, None, scale)[0, :, 0]
    matrix: Array = rows.T.numpy()
    return matrix


def _nearest(ctx: Context, x: Value, scales: Sequence[float | None], packet: str) -> Value:
    """Pick cells axis by axis: repeated ones, every n-th ones, or any."""
    sizes, outs = x.shape[2:], ctx.shape[2:]
    last = ctx.channels_last(x)
    if not is_static((*sizes, *outs)):
        return ctx.channels_first(_nearest_changing(ctx, last, outs, scales, packet))
    factors = [1] * len(sizes)
    for axis, (size, out, scale) in enumerate(zip(sizes, outs, scales, strict=True)):
        assert isinstance(size, int)
        assert isinstance(out, int)
        picked = interpolation(packet, size, out, False, scale).argmax(axis=1)
        step = int(picked[1] - picked[0]) if out > 1 else 1
        repeated = out % size == 0 and np.array_equal(picked, np.arange(out) // (out // size))
        if repeated and (is_float(x.dtype) or out == size):
            factors[axis] = out // size
        elif step > 0 and np.array_equal(picked, picked[0] + np.arange(out) * step):
            last = every(ctx, last, axis + 1, int(picked[0]), out, step)
        else:
            last = _pick(ctx, last, axis, picked)
    return ctx.channels_first(_repeat(ctx, last, factors))


def _pick(ctx: Context, x: Value, axis: int, picked: Array) -> Value:
    """Pick rising cells along a spatial axis of ``[N, *sizes, C]``, joined from runs of cells.

    XNNPACK takes neither GATHER nor RESIZE_NEAREST_NEIGHBOR. Where most cells are picked equally
    often, few runs of as often repeated ones are enough.
    """
    counts = np.bincount(picked)
    times = int(np.bincount(counts[counts > 0]).argmax())
    nth = np.arange(len(picked)) - np.searchsorted(picked, picked)
    cells = picked * times + np.minimum(nth, times - 1)
    runs = np.split(cells, np.flatnonzero(np.diff(cells) != 1) + 1)
    if len(runs) > _MOST_RUNS or not is_float(x.dtype) or (np.diff(picked) < 0).any():
        return _gather(ctx, x, axis + 1, picked)
    factors = [times if each == axis else 1 for each in range(x.rank - 2)]
    repeated = _repeat(ctx, x, factors)
    parts = [ctx.slice(repeated, axis + 1, int(run[0]), len(run)) for run in runs]
    return ctx.concat(parts, axis + 1)


def _nearest_changing(
    ctx: Context,
    last: Value,
    outs: Sequence[Size],
    scales: Sequence[float | None],
    packet: str,
) -> Value:
    """``_nearest`` for sizes that change."""
    sizes = last.shape[1:-1]
    if all(scale and float(scale).is_integer() for scale in scales):
        return _repeat(ctx, last, [int(scale) for scale in scales if scale])
    ratios = all(
        _is_ratio(size, out, scale) for size, out, scale in zip(sizes, outs, scales, strict=True)
    )
    if len(sizes) != 2:
        sizes = tuple(ctx.static(size, "input") for size in sizes)
    if not ratios:
        raise unsupported(
            "scale_factors", list(scales), "give the sizes, or a scale that is a whole number"
        )
    return ctx.emit(
        "RESIZE_NEAREST_NEIGHBOR",
        last,
        ctx.shape_vector(outs),
        shape=(last.shape[0], *outs, last.shape[3]),
        align_corners=False,
        half_pixel_centers="exact" in packet,
    )


def _repeat(ctx: Context, x: Value, factors: Sequence[int]) -> Value:
    """Repeat the cells of ``[N, *sizes, C]``: a product with ones, which XNNPACK runs."""
    batch, *sizes, channels = x.shape
    if len(sizes) == 3:
        depth, height, width = sizes
        flat = ctx.reshape(x, (batch * depth, height, width, channels))
        planes = _repeat(ctx, flat, factors[1:])
        height, width = planes.shape[1:3]
        flat = ctx.reshape(planes, (batch, depth, height * width * channels))
        whole = _repeat(ctx, flat, factors[:1])
        return ctx.reshape(whole, (batch, whole.shape[1], height, width, channels))
    if set(factors) == {1}:
        return x
    split: list[Size] = [batch]
    ones = [1]
    for size, factor in zip(sizes, factors, strict=True):
        split += [size, 1] if factor > 1 else [size]
        ones += [1, factor] if factor > 1 else [1]
    unit = ctx.constant(np.ones((*ones, 1), x.dtype))
    repeated = ctx.pointwise("MUL", ctx.reshape(x, (*split, channels)), unit)
    outs = [size * factor for size, factor in zip(sizes, factors, strict=True)]
    return ctx.reshape(repeated, (batch, *outs, channels))


def _gather(ctx: Context, x: Value, axis: int, picked: Array) -> Value:
    shape = (*x.shape[:axis], len(picked), *x.shape[axis + 1 :])
    indices = ctx.constant(picked.astype(np.int32))
    return ctx.emit("GATHER", x, indices, shape=shape, axis=axis, batch_dims=0)


def _is_ratio(size: Size, out: Size, scale: float | None) -> bool:
    """Whether PyTorch, given a scale, samples at the ratio of the sizes as TFLite does."""
    if scale is None or scale <= 0:
        return True
    if isinstance(size, int) and isinstance(out, int):
        return bool(np.float32(1 / scale) == np.float32(size / out))
    return float(scale).is_integer()


def _require_float(x: Value) -> None:
    if not is_float(x.dtype):
        raise unsupported("input", x.dtype, "convert it with .float() first")
