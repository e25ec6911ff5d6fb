"""Look-ups in tables: gather, take, embeddings, one-hot vectors."""

from __future__ import annotations

from ..context import Context
from ..dtypes import INTEGER
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers
from ..sizes import Size, broadcast, product
from .indexing import taken, wrapped
from .shape import permuted


def before_expanding(ctx: Context, value: Value) -> Value:
    """Return what a value is copies of along axes of size 1, or the value itself."""
    for op in reversed(ctx.graph.ops):
        if value in op.outputs:
            source = op.inputs[0]
            if op.kind == "TILE" and source is not None and source.rank == value.rank:
                pairs = zip(source.shape, value.shape, strict=True)
                return source if all(old in (1, new) for old, new in pairs) else value
            break
    return value


def cropped(ctx: Context, x: Value, like: Value, axis: int) -> Value:
    """Cut the other axes of a tensor to the sizes that they have in another one."""
    for place, size in enumerate(like.shape):
        if place != axis:
            x = ctx.slice(x, place, 0, size)
    return x


@lowers("aten.gather")
def gather(ctx: Context, x: Value, dim: int, index: Value, sparse_grad: bool = False) -> Value:
    """gather(Tensor self, int dim, Tensor index, *, bool sparse_grad) -> GATHER(batch_dims)."""
    rank = max(x.rank, 1)
    x, index = (ctx.reshape(each, each.shape or (1,)) for each in (x, index))
    index = ctx.cast(index, INTEGER)
    axis = dim % rank
    x = cropped(ctx, x, index, axis)
    source = before_expanding(ctx, index)
    rows = (*index.shape[: axis + 1],)
    if source.shape == (*rows, *(1 for _ in range(axis + 1, rank))):
        # one index for a whole row: torch.gather(x, 1, index[..., None].expand(-1, -1, depth))
        places = ctx.reshape(source, rows)
        found = _batch_gather(ctx, x, places, axis)
        return ctx.reshape(found, ctx.shape)
    order = [*(place for place in range(rank) if place != axis), axis]
    found = _batch_gather(ctx, permuted(ctx, x, order), permuted(ctx, index, order), rank - 1)
    back = [*range(axis), rank - 1, *range(axis, rank - 1)]
    return ctx.reshape(permuted(ctx, found, back), ctx.shape)


def _batch_gather(ctx: Context, x: Value, rows: Value, axis: int) -> Value:
    """GATHER along an axis, apart for each cell of the axes before it."""
    if axis == 0:
        return taken(ctx, x, 0, rows)
    shape = (*rows.shape, *x.shape[axis + 1 :])
    return ctx.emit("GATHER", x, rows, shape=shape, axis=axis, batch_dims=axis)


@lowers("aten.take_along_dim")
def take_along_dim(ctx: Context, x: Value, indices: Value, dim: int | None = None) -> Value:
    """take_along_dim(Tensor self, Tensor indices, int? dim=None) -> GATHER(batch_dims)."""
    if dim is None:
        return take(ctx, x, ctx.reshape(indices, ctx.shape))
    axis = dim % x.rank
    both = [(*each.shape[:axis], 1, *each.shape[axis + 1 :]) for each in (x, indices)]
    common = broadcast(*both)
    x, indices = (
        ctx.expand(each, (*common[:axis], each.shape[axis], *common[axis + 1 :]))
        for each in (x, indices)
    )
    return gather(ctx, x, axis, wrapped(ctx, indices, x.shape[axis]))


@lowers("aten.take")
def take(ctx: Context, x: Value, index: Value) -> Value:
    """take(Tensor self, Tensor index) -> RESHAPE, GATHER."""
    total = product(x.shape)
    return taken(ctx, ctx.reshape(x, (total,)), 0, wrapped(ctx, index, total))


@lowers("aten.embedding")
def embedding(
    ctx: Context,
    weight: Value,
    indices: Value,
    padding_idx: Size = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Value:
    """embedding(weight, indices, padding_idx, scale_grad_by_freq, sparse) -> GATHER.

    The last three arguments concern gradients only. EMBEDDING_LOOKUP takes vectors alone, and with
    the RESHAPEs for them is half as fast.
    """
    return ctx.reshape(taken(ctx, weight, 0, ctx.cast(indices, INTEGER)), ctx.shape)


@lowers("aten.embedding_bag", "aten._embedding_bag", "aten._embedding_bag_forward_only")
def embedding_bag(
    ctx: Context,
    weight: Value,
    indices: Value,
    offsets: Value,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Value | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> list[Value | None]:
    """embedding_bag(weight, indices, offsets, …, mode, …) -> GATHER; SUM, MEAN or REDUCE_MAX."""
    if padding_idx is not None and padding_idx >= 0:
        raise unsupported("padding_idx", padding_idx, "bags would be of different sizes")
    length = _bag_length(ctx, indices, offsets, include_last_offset)
    bags = ctx.shape[0]
    rows = ctx.reshape(ctx.cast(indices, INTEGER), (bags * length,))
    table = ctx.reshape(taken(ctx, weight, 0, rows), (bags, length, weight.shape[1]))
    if per_sample_weights is not None:
        factors = ctx.reshape(per_sample_weights, (bags, length, 1))
        table = ctx.pointwise("MUL", table, factors)
    pooled = ctx.reduce(("SUM", "MEAN", "REDUCE_MAX")[mode], table, [1])
    return [pooled, None, None, None]  # the others are for the backward pass


def _bag_length(ctx: Context, indices: Value, offsets: Value, with_end: bool) -> int:
    """Size of the bags, which must be the same for all."""
    if offsets.data is None:
        raise unsupported("offsets", "a tensor that is computed", "give indices with two axes")
    total = ctx.static(indices.shape[0], "indices")
    starts = offsets.data.tolist()
    ends = starts[1:] + ([] if with_end else [total])
    lengths = {end - start for start, end in zip(starts, ends, strict=with_end is False)}
    if len(lengths) != 1 or lengths == {0}:
        raise unsupported("offsets", starts, "TFLite sums bags of one size")
    return int(lengths.pop())


@lowers("aten.one_hot")
def one_hot(ctx: Context, x: Value, num_classes: int = -1) -> Value:
    """one_hot(Tensor self, int num_classes=-1) -> ONE_HOT."""
    if num_classes < 0:
        raise unsupported("num_classes", num_classes, "state the number of classes")
    numbers = [ctx.scalar(number, INTEGER) for number in (num_classes, 1, 0)]
    return ctx.emit("ONE_HOT", ctx.cast(x, INTEGER), *numbers, shape=ctx.shape, axis=-1)
