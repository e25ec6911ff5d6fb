"""Conversions of type, and copies: a graph without mutation needs none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..context import Context
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers

if TYPE_CHECKING:
    import torch


@lowers("aten.to.dtype")
def to_dtype(
    ctx: Context,
    x: Value,
    dtype: torch.dtype,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: torch.memory_format | None = None,
) -> Value:
    """to.dtype(Tensor(a) self, ScalarType dtype, …) -> CAST."""
    return ctx.cast(x, ctx.dtype)


@lowers("aten.to.device")
def to_device(
    ctx: Context,
    x: Value,
    device: torch.device,
    dtype: torch.dtype,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: torch.memory_format | None = None,
) -> Value:
    """to.device(Tensor(a) self, Device device, ScalarType dtype, …) -> CAST."""
    return ctx.cast(x, ctx.dtype)


@lowers("aten.to.other")
def to_other(
    ctx: Context,
    x: Value,
    other: Value,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: torch.memory_format | None = None,
) -> Value:
    """to.other(Tensor(a) self, Tensor other, …) -> CAST."""
    return ctx.cast(x, ctx.dtype)


@lowers("aten.to.dtype_layout")
def to_dtype_layout(
    ctx: Context,
    x: Value,
    dtype: torch.dtype | None = None,
    non_blocking: bool = False,
    copy: bool = False,
) -> Value:
    """to.dtype_layout(Tensor(a) self, *, ScalarType? dtype=None, …) -> CAST."""
    return ctx.cast(x, ctx.dtype)


@lowers("aten._to_copy")
def to_copy(
    ctx: Context, x: Value, dtype: torch.dtype | None = None, non_blocking: bool = False
) -> Value:
    """_to_copy(Tensor self, *, ScalarType? dtype=None, …) -> CAST."""
    return ctx.cast(x, ctx.dtype)


@lowers("aten.type_as")
def type_as(ctx: Context, x: Value, other: Value) -> Value:
    """type_as(Tensor self, Tensor other) -> CAST."""
    return ctx.cast(x, ctx.dtype)


@lowers(
    "aten.clone",
    "aten.contiguous",
    "aten.detach",
    "aten.detach_copy",
    "aten.alias",
    "aten.alias_copy",
    "aten.lift_fresh",
    "aten.lift_fresh_copy",
    "aten.resolve_conj",
    "aten.resolve_neg",
)
def clone(ctx: Context, x: Value) -> Value:
    """clone(Tensor self, *, MemoryFormat? memory_format=None) -> nothing."""
    return x


@lowers("aten.copy")
def copy(ctx: Context, x: Value, src: Value, non_blocking: bool = False) -> Value:
    """copy(Tensor self, Tensor src, bool non_blocking=False) -> CAST, broadcast."""
    return ctx.expand(ctx.cast(src, ctx.dtype), ctx.shape)


@lowers("aten.dropout", "aten.feature_dropout", "aten.alpha_dropout", "aten.feature_alpha_dropout")
def dropout(ctx: Context, x: Value, p: float, train: bool) -> Value:
    """dropout(Tensor input, float p, bool train) -> nothing, in evaluation."""
    if train and p:
        raise unsupported("train", train, "call .eval() on the module")
    return x


@lowers("aten.native_dropout")
def native_dropout(ctx: Context, x: Value, p: float, train: bool | None) -> list[Value]:
    """native_dropout(Tensor input, float p, bool? train) -> nothing, and a mask of all true."""
    mask_shape, mask_dtype = ctx.results[1]
    return [dropout(ctx, x, p, train is not False), ctx.filled(mask_shape, True, mask_dtype)]
