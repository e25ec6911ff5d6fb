"""Channels and cells in exchange: pixel and channel shuffles."""

from __future__ import annotations

from ..context import Context
from ..ir import Value
from ..lowering import lowers
from ..sizes import product


@lowers("aten.pixel_shuffle")
def pixel_shuffle(ctx: Context, x: Value, upscale_factor: int) -> Value:
    """pixel_shuffle(self, upscale_factor) -> channel shuffle, DEPTH_TO_SPACE."""
    if x.dtype == "bool":  # which DEPTH_TO_SPACE does not take
        return ctx.cast(pixel_shuffle(ctx, ctx.cast(x, "uint8"), upscale_factor), "bool")
    channels = ctx.static(x.shape[-3], "self")
    block = upscale_factor * upscale_factor
    flat = ctx.reshape(x, (product(x.shape[:-3]), *x.shape[-3:]))
    # TFLite has the places of a block outside, torch inside of the channel that they belong to
    ordered = _regroup(ctx, flat, channels // block)
    made = ctx.emit("DEPTH_TO_SPACE", ctx.channels_last(ordered), block_size=upscale_factor)
    return ctx.reshape(ctx.channels_first(made), ctx.shape)


@lowers("aten.pixel_unshuffle")
def pixel_unshuffle(ctx: Context, x: Value, downscale_factor: int) -> Value:
    """pixel_unshuffle(self, downscale_factor) -> SPACE_TO_DEPTH, channel shuffle."""
    if x.dtype == "bool":  # which SPACE_TO_DEPTH does not take
        return ctx.cast(pixel_unshuffle(ctx, ctx.cast(x, "uint8"), downscale_factor), "bool")
    flat = ctx.reshape(x, (product(x.shape[:-3]), *x.shape[-3:]))
    made = ctx.emit("SPACE_TO_DEPTH", ctx.channels_last(flat), block_size=downscale_factor)
    block = downscale_factor * downscale_factor
    return ctx.reshape(_regroup(ctx, ctx.channels_first(made), block), ctx.shape)


@lowers("aten.channel_shuffle", "aten.native_channel_shuffle")
def channel_shuffle(ctx: Context, x: Value, groups: int) -> Value:
    """channel_shuffle(self, groups) -> RESHAPE, TRANSPOSE, RESHAPE."""
    return _regroup(ctx, x, groups)


def _regroup(ctx: Context, x: Value, groups: int) -> Value:
    """Order the channels by their place in their group, then by their group."""
    batch, _, *sizes = x.shape
    each = ctx.static(x.shape[1], "self") // groups
    if 1 in (groups, each):
        return x
    split = ctx.reshape(x, (batch, groups, each, *sizes))
    swapped = ctx.transpose(split, (0, 2, 1, *range(3, split.rank)))
    return ctx.reshape(swapped, x.shape)
