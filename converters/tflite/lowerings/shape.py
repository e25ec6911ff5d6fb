"""Views, permutations, and repetition along axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..context import Context
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers
from ..sizes import Dim, Size, example, is_static, product

_KERNEL_RANK = 8  # of the tensors that TFLite transposes


# -- views -----------------------------------------------------------------------------------


@lowers("aten.view", "aten.view_copy", "aten.reshape", "aten._unsafe_view")
def view(ctx: Context, x: Value, size: Sequence[Size]) -> Value:
    """view(Tensor self, SymInt[] size) -> RESHAPE."""
    return ctx.reshape(x, ctx.shape)


@lowers("aten.view.dtype")
def view_dtype(ctx: Context, x: Value, dtype: object) -> Value:
    """view.dtype(Tensor self, ScalarType dtype) -> nothing; another type's bits are refused."""
    if x.dtype != ctx.dtype:
        raise unsupported("dtype", dtype, "TFLite cannot read the bits of one type as another")
    return x


@lowers("aten.view_as", "aten.reshape_as")
def view_as(ctx: Context, x: Value, other: Value) -> Value:
    """view_as(Tensor self, Tensor other) -> RESHAPE."""
    return ctx.reshape(x, ctx.shape)


@lowers("aten.flatten")
def flatten(ctx: Context, x: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    """flatten(Tensor self, int start_dim=0, int end_dim=-1) -> RESHAPE."""
    return ctx.reshape(x, ctx.shape)


@lowers("aten.unflatten")
def unflatten(ctx: Context, x: Value, dim: int, sizes: Sequence[Size]) -> Value:
    """unflatten(Tensor self, int dim, SymInt[] sizes) -> RESHAPE."""
    return ctx.reshape(x, ctx.shape)


@lowers("aten.squeeze", "aten.squeeze_copy")
def squeeze(ctx: Context, x: Value, dim: int | Sequence[int] | None = None) -> Value:
    """squeeze(Tensor self, int[] dim) -> RESHAPE."""
    return ctx.reshape(x, ctx.shape)


@lowers("aten.unsqueeze", "aten.unsqueeze_copy")
def unsqueeze(ctx: Context, x: Value, dim: int) -> Value:
    """unsqueeze(Tensor self, int dim) -> RESHAPE."""
    return ctx.reshape(x, ctx.shape)


@lowers("aten.ravel")
def ravel(ctx: Context, x: Value) -> Value:
    """ravel(Tensor self) -> RESHAPE."""
    return ctx.reshape(x, ctx.shape)


@lowers("aten.atleast_1d", "aten.atleast_2d", "aten.atleast_3d")
def atleast(ctx: Context, x: Value | Sequence[Value]) -> Value | list[Value]:
    """atleast_1d(Tensor self), or of each of a list -> RESHAPE."""
    if isinstance(x, Value):
        return ctx.reshape(x, ctx.shape)
    return [ctx.reshape(each, shape) for each, (shape, _) in zip(x, ctx.results, strict=True)]


# -- permutations ----------------------------------------------------------------------------


def permuted(ctx: Context, x: Value, order: Sequence[int]) -> Value:
    """Reorder the axes, or refuse what TFLite's kernel does not take."""
    if x.rank > _KERNEL_RANK:
        raise unsupported("dims", list(order), f"TFLite transposes up to {_KERNEL_RANK} axes")
    return ctx.transpose(x, order)


@lowers("aten.permute", "aten.permute_copy")
def permute(ctx: Context, x: Value, dims: Sequence[int]) -> Value:
    """permute(Tensor self, int[] dims) -> TRANSPOSE."""
    return permuted(ctx, x, dims)


@lowers("aten.transpose", "aten.transpose_copy", "aten.swapaxes", "aten.swapdims")
def transpose(ctx: Context, x: Value, dim0: int, dim1: int) -> Value:
    """transpose(Tensor self, int dim0, int dim1) -> TRANSPOSE."""
    order = list(range(x.rank))
    if order:
        order[dim0], order[dim1] = order[dim1], order[dim0]
    return permuted(ctx, x, order)


@lowers("aten.t", "aten.t_copy", "aten.numpy_T", "aten.matrix_H")
def reverse_axes(ctx: Context, x: Value) -> Value:
    """numpy_T(Tensor self) -> TRANSPOSE."""
    return permuted(ctx, x, range(x.rank)[::-1])


@lowers("aten.mT", "aten.mH", "aten.adjoint")
def swap_last(ctx: Context, x: Value) -> Value:
    """mT(Tensor self) -> TRANSPOSE."""
    return transpose(ctx, x, -2, -1)


@lowers("aten.movedim", "aten.moveaxis")
def movedim(
    ctx: Context, x: Value, source: int | Sequence[int], destination: int | Sequence[int]
) -> Value:
    """movedim(Tensor self, int[] source, int[] destination) -> TRANSPOSE."""
    if x.rank == 0:
        return x
    sources = [axis % x.rank for axis in ([source] if isinstance(source, int) else source)]
    places = [
        axis % x.rank for axis in ([destination] if isinstance(destination, int) else destination)
    ]
    moved = dict(zip(places, sources, strict=True))
    others = (axis for axis in range(x.rank) if axis not in sources)
    return permuted(ctx, x, [moved[at] if at in moved else next(others) for at in range(x.rank)])


# -- repetition ------------------------------------------------------------------------------


@lowers("aten.expand", "aten.expand_copy")
def expand(ctx: Context, x: Value, size: Sequence[Size], implicit: bool = False) -> Value:
    """expand(Tensor self, SymInt[] size, *, bool implicit) -> MUL by ones, or TILE."""
    return ctx.expand(x, ctx.shape)


@lowers("aten.expand_as")
def expand_as(ctx: Context, x: Value, other: Value) -> Value:
    """expand_as(Tensor self, Tensor other) -> MUL by ones, or TILE."""
    return ctx.expand(x, ctx.shape)


@lowers("aten.broadcast_to")
def broadcast_to(ctx: Context, x: Value, size: Sequence[Size]) -> Value:
    """broadcast_to(Tensor self, SymInt[] size) -> MUL by ones, or TILE."""
    return ctx.expand(x, ctx.shape)


@lowers("aten.broadcast_tensors")
def broadcast_tensors(ctx: Context, tensors: Sequence[Value]) -> list[Value]:
    """broadcast_tensors(Tensor[] tensors) -> MUL by ones, or TILE, for each."""
    return [ctx.expand(each, ctx.shape) for each in tensors]


@lowers("aten.repeat", "aten.tile")
def repeat(ctx: Context, x: Value, repeats: Sequence[Size]) -> Value:
    """repeat(Tensor self, SymInt[] repeats) -> RESHAPE, MUL by ones, RESHAPE, or TILE."""
    rank = max(x.rank, len(repeats))
    x = ctx.with_rank(x, rank)
    times: list[Size] = [*(1,) * (rank - len(repeats)), *repeats]
    if x.data is not None and is_static(times):
        return ctx.constant(np.tile(x.data, [example(count) for count in times]))
    split, wide = [], []
    for size, count in zip(x.shape, times, strict=True):
        # an axis of one cell is expanded, any other gets an axis of copies in front of it
        split += [size] if count == 1 or size == 1 else [1, size]
        wide += [size] if count == 1 else [count] if size == 1 else [count, size]
    if x.dtype == "float32" and is_static(times) and len(split) <= 6:
        return ctx.reshape(ctx.expand(ctx.reshape(x, split), wide), ctx.shape)
    return ctx.emit("TILE", x, ctx.shape_vector(times), shape=ctx.shape)


@lowers("aten.repeat_interleave.self_int")
def repeat_interleave(
    ctx: Context, x: Value, repeats: Size, dim: int | None = None, output_size: Size | None = None
) -> Value:
    """repeat_interleave.self_int(self, repeats, dim, *, output_size) -> RESHAPE, MUL, RESHAPE."""
    if dim is None:
        x, dim = ctx.reshape(x, (product(x.shape),)), 0
    after = dim % max(x.rank, 1) + 1
    shape = x.shape if x.rank else (1,)
    copies = ctx.reshape(x, (*shape[:after], 1, *shape[after:]))
    return ctx.reshape(ctx.expand(copies, (*shape[:after], repeats, *shape[after:])), ctx.shape)


@lowers("aten.repeat_interleave.self_Tensor")
def repeat_interleave_tensor(
    ctx: Context,
    x: Value,
    repeats: Value,
    dim: int | None = None,
    output_size: Size | None = None,
) -> Value:
    """repeat_interleave.self_Tensor(self, repeats, dim, *, output_size) -> GATHER."""
    if repeats.data is None:
        raise unsupported("repeats", "a tensor that is computed", "its sum is no fixed size")
    if dim is None:
        x, dim = ctx.reshape(x, (product(x.shape),)), 0
    axis = dim % x.rank
    extent = ctx.static(x.shape[axis], "dim")
    rows = np.repeat(np.arange(extent), np.broadcast_to(repeats.data, extent))
    shape = (*x.shape[:axis], len(rows), *x.shape[axis + 1 :])
    return ctx.emit("GATHER", x, ctx.constant(rows.astype(np.int32)), shape=shape, axis=axis)


@lowers("aten.repeat_interleave.Tensor")
def repeat_interleave_indices(
    ctx: Context, repeats: Value, output_size: Size | None = None
) -> Value:
    """repeat_interleave.Tensor(Tensor repeats, *, SymInt? output_size) -> refused."""
    raise unsupported("repeats", "a tensor that is computed", "its sum is no fixed size")


@lowers("aten.meshgrid")
def meshgrid(ctx: Context, tensors: Sequence[Value], indexing: str = "ij") -> list[Value]:
    """meshgrid(Tensor[] tensors, *, str indexing) -> RESHAPE, MUL by ones or TILE, for each."""
    places = list(range(len(tensors)))
    if indexing == "xy" and len(places) > 1:
        places[:2] = 1, 0
    grids = []
    for place, each, (shape, _) in zip(places, tensors, ctx.results, strict=True):
        length: Size = each.shape[0] if each.rank else 1
        line: list[int | Dim] = [1] * len(tensors)
        line[place] = length
        grids.append(ctx.expand(ctx.reshape(each, line), shape))
    return grids
