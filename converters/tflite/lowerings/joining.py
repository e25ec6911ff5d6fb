"""Joining tensors, and taking them apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..context import Context
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers
from ..sizes import Shape, Size, example

_SPLIT_MOST = 4  # results of a SPLIT that XNNPACK takes

# -- joining ---------------------------------------------------------------------------------


def joined(ctx: Context, values: Sequence[Value], axis: int) -> Value:
    """One CONCATENATION into the node's result; operands without elements count for nothing."""
    kept = [ctx.cast(each, ctx.dtype) for each in values if 0 not in each.shape]
    if len(kept) == 1:
        return kept[0]
    return ctx.emit("CONCATENATION", *kept, shape=ctx.shape, axis=axis % len(ctx.shape))


@lowers("aten.cat", "aten.concat", "aten.concatenate")
def cat(ctx: Context, tensors: Sequence[Value], dim: int = 0) -> Value:
    """cat(Tensor[] tensors, int dim=0) -> CONCATENATION."""
    return joined(ctx, tensors, dim)


@lowers("aten.stack")
def stack(ctx: Context, tensors: Sequence[Value], dim: int = 0) -> Value:
    """stack(Tensor[] tensors, int dim=0) -> RESHAPE each, CONCATENATION."""
    axis = dim % len(ctx.shape)
    shape = (*ctx.shape[:axis], 1, *ctx.shape[axis + 1 :])
    return joined(ctx, [ctx.reshape(each, shape) for each in tensors], axis)


@lowers("aten.hstack")
def hstack(ctx: Context, tensors: Sequence[Value]) -> Value:
    """hstack(Tensor[] tensors) -> CONCATENATION along axis 1, of vectors along axis 0."""
    lines = [ctx.reshape(each, each.shape or (1,)) for each in tensors]
    return joined(ctx, lines, min(len(ctx.shape) - 1, 1))


@lowers("aten.vstack", "aten.row_stack")
def vstack(ctx: Context, tensors: Sequence[Value]) -> Value:
    """vstack(Tensor[] tensors) -> RESHAPE to two axes, CONCATENATION along axis 0."""
    return joined(ctx, [ctx.with_rank(each, max(each.rank, 2)) for each in tensors], 0)


@lowers("aten.dstack")
def dstack(ctx: Context, tensors: Sequence[Value]) -> Value:
    """dstack(Tensor[] tensors) -> RESHAPE to three axes, CONCATENATION along axis 2."""
    deep = []
    for each in tensors:
        shape = each.shape if each.rank >= 2 else (1, *(each.shape or (1,)))
        deep.append(ctx.reshape(each, shape if len(shape) >= 3 else (*shape, 1)))
    return joined(ctx, deep, 2)


@lowers("aten.column_stack")
def column_stack(ctx: Context, tensors: Sequence[Value]) -> Value:
    """column_stack(Tensor[] tensors) -> RESHAPE of vectors to columns, CONCATENATION."""
    columns = [
        each if each.rank >= 2 else ctx.reshape(each, (*(each.shape or (1,)), 1))
        for each in tensors
    ]
    return joined(ctx, columns, 1)


@lowers("aten.block_diag")
def block_diag(ctx: Context, tensors: Sequence[Value]) -> Value:
    """block_diag(Tensor[] tensors) -> PAD each, CONCATENATION."""
    width = ctx.static(ctx.shape[1], "tensors")
    left, bands = 0, []
    for each in tensors:
        block = ctx.cast(ctx.with_rank(each, 2), ctx.dtype)
        columns = ctx.static(block.shape[1], "tensors")
        bands.append(ctx.pad(block, [(0, 0), (left, width - left - columns)]))
        left += columns
    return joined(ctx, bands, 0)


# -- taking apart ----------------------------------------------------------------------------


def parts(ctx: Context, x: Value, axis: int, sizes: Sequence[Size]) -> list[Value]:
    """Consecutive parts along an axis: one SPLIT of a few equal ones, or a SLICE for each."""
    axis %= x.rank
    if 2 <= len(sizes) <= _SPLIT_MOST and len(set(sizes)) == 1 and x.dtype != "bool":
        shape = (*x.shape[:axis], sizes[0], *x.shape[axis + 1 :])
        results = [(shape, x.dtype)] * len(sizes)
        place = ctx.scalar(axis, "int32")
        return ctx.emit_many("SPLIT", [place, x], results, num_splits=len(sizes))
    found: list[Value] = []
    start: Size = 0
    for size in sizes:
        found.append(_part(ctx, x, axis, start, size))
        start = start + size
    return found


def _part(ctx: Context, x: Value, axis: int, start: Size, size: Size) -> Value:
    if size == 0:
        shape = [0 if place == axis else example(each) for place, each in enumerate(x.shape)]
        return ctx.constant(np.empty(shape, x.dtype))
    return ctx.slice(x, axis, start, size)


def _by_results(ctx: Context, x: Value, dim: int) -> list[Value]:
    """The parts that the node's results tell."""
    return parts(ctx, x, dim, [shape[dim] for shape, _ in ctx.results])


@lowers("aten.split.Tensor", "aten.unsafe_split", "aten.chunk", "aten.unsafe_chunk")
def split(ctx: Context, x: Value, split_size: Size, dim: int = 0) -> list[Value]:
    """split.Tensor(Tensor self, SymInt split_size, int dim=0) -> SPLIT, or SLICE for each."""
    return _by_results(ctx, x, dim)


@lowers("aten.split", "aten.split_with_sizes", "aten.unsafe_split_with_sizes")
def split_with_sizes(
    ctx: Context, x: Value, split_sizes: Sequence[Size], dim: int = 0
) -> list[Value]:
    """split_with_sizes(self, SymInt[] split_sizes, int dim=0) -> SPLIT, or SLICE for each."""
    return _by_results(ctx, x, dim)


@lowers("aten.tensor_split")
def tensor_split(
    ctx: Context, x: Value, indices_or_sections: Size | Sequence[Size] | Value, dim: int = 0
) -> list[Value]:
    """tensor_split.indices(self, SymInt[] indices, int dim=0) -> SPLIT, or SLICE for each."""
    if isinstance(indices_or_sections, Value) and indices_or_sections.data is None:
        raise unsupported("tensor_indices_or_sections", "a tensor that is computed")
    return _by_results(ctx, x, dim)


@lowers("aten.hsplit")
def hsplit(ctx: Context, x: Value, sections: int | Sequence[int]) -> list[Value]:
    """hsplit.int(Tensor self, int sections) -> SPLIT, or SLICE for each."""
    return _by_results(ctx, x, min(x.rank - 1, 1))


@lowers("aten.vsplit")
def vsplit(ctx: Context, x: Value, sections: int | Sequence[int]) -> list[Value]:
    """vsplit.int(Tensor self, int sections) -> SPLIT, or SLICE for each."""
    return _by_results(ctx, x, 0)


@lowers("aten.dsplit")
def dsplit(ctx: Context, x: Value, sections: int | Sequence[int]) -> list[Value]:
    """dsplit.int(Tensor self, int sections) -> SPLIT, or SLICE for each."""
    return _by_results(ctx, x, 2)


@lowers("aten.unbind", "aten.unbind_copy")
def unbind(ctx: Context, x: Value, dim: int = 0) -> list[Value]:
    """unbind.int(Tensor self, int dim=0) -> SPLIT or SLICE, RESHAPE each."""
    pieces = parts(ctx, x, dim, [1] * len(ctx.results))
    return [ctx.reshape(each, _without(each.shape, dim)) for each in pieces]


def _without(shape: Shape, axis: int) -> Shape:
    axis %= len(shape)
    return (*shape[:axis], *shape[axis + 1 :])
