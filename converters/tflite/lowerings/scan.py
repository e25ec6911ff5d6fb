"""Steps along the first axis of a tensor, unrolled or in a loop. Registers no lowering.

What was measured on LiteRT 2.3 (one thread, batch 1) decides the form:

- XNNPACK packs the weights of every operator anew, so that an unrolled layer outgrows the cache: at
  512 cells the loop takes half of the time from eight steps on, at 128 from sixteen. Below, the
  loop costs about a microsecond a step. Hence the two limits of ``_UNROLLED``.
- A loop that fills a buffer of all steps copies it twice in each turn. Two loops in one another,
  the inner one with a buffer of some thirty steps, are faster from a hundred steps on, and eight
  times as fast at two thousand.
- What a body hands on unchanged, such as the gates, is not copied, as long as nothing reads it
  after the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from ..context import Context
from ..ir import Value
from ..sizes import Dim, Size

# (ctx, row of one step, states) → new states, of which the first is the step's output
Step: TypeAlias = Callable[[Context, Value, Sequence[Value]], list[Value]]
Body: TypeAlias = Callable[[Value, Sequence[Value]], list[Value]]

_UNROLLED_STEPS = 8
_UNROLLED_WEIGHTS = 1 << 18  # of all steps together: 1 MB, what a core's cache holds
_LOOPED_STEPS = 96
_BLOCK = 32
_BLOCKS = range(24, 65)


def scanned(
    ctx: Context, rows: Value, states: Sequence[Value], step: Step, weights: int
) -> tuple[Value, list[Value]]:
    """Run a step on each row in turn.

    Args:
        ctx: The context.
        rows: ``[steps, ...]``; the outputs have its shape up to the last axis.
        states: Their initial values, ``[1, ...]``.
        step: The step. In a loop it must not ask for sizes that change.
        weights: Number of weights that a step reads.

    Returns:
        The outputs of all steps, and the last states.
    """
    steps = rows.shape[0]
    if isinstance(steps, int):
        if _is_unrolled(ctx, steps, weights):
            return _unrolled(ctx, rows, states, step, steps)
        if steps <= _LOOPED_STEPS:
            return _loop(ctx, rows, states, step, ctx.integers([0]))
    return _blocks(ctx, rows, states, step)


def joined(ctx: Context, values: Sequence[Value], axis: int) -> Value:
    """Join tensors, of which XNNPACK takes five at a time."""
    made = list(values)
    while len(made) > 1:
        made = [ctx.concat(made[first : first + 5], axis) for first in range(0, len(made), 5)]
    return made[0]


def _is_unrolled(ctx: Context, steps: int, weights: int) -> bool:
    if steps == 1:
        return True
    if ctx.options.unroll is not None:
        return steps <= ctx.options.unroll
    return steps <= _UNROLLED_STEPS and steps * weights <= _UNROLLED_WEIGHTS


def _unrolled(
    ctx: Context, rows: Value, states: Sequence[Value], step: Step, steps: int
) -> tuple[Value, list[Value]]:
    made = []
    now = list(states)
    for place in range(steps):
        now = step(ctx, ctx.slice(rows, 0, place, 1), now)
        made.append(now[0])
    return joined(ctx, made, 0), now


def _loop(
    ctx: Context, rows: Value, states: Sequence[Value], step: Step, first: Value
) -> tuple[Value, list[Value]]:
    """One step in each turn, from a row on."""

    def body(place: Value, carried: Sequence[Value]) -> list[Value]:
        *now, every, made = carried
        row = ctx.emit("GATHER", every, place, shape=(1, *every.shape[1:]), axis=0)
        now = step(ctx, row, now)
        return [*now, every, _written(ctx, made, now[0], place)]

    carried = [*states, rows, _buffer(ctx, rows, states[0])]
    *last, _, made = _while(ctx, first, rows.shape[0], 1, carried, body)
    return made, last


def _blocks(
    ctx: Context, rows: Value, states: Sequence[Value], step: Step
) -> tuple[Value, list[Value]]:
    """A block of rows in each turn.

    Unless the blocks come out even, as many rows are put in front as a block has, and the first
    block is one that ends where a block must; it skips the rows that are not there.
    """
    steps = rows.shape[0]
    block, padding, first = _BLOCK, _BLOCK, ctx.integers([0])
    if isinstance(steps, int):
        even = [size for size in _BLOCKS if steps % size == 0]
        block = min(even, key=lambda size: abs(size - _BLOCK), default=_BLOCK)
        padding = 0 if even else block
        first = ctx.integers([(steps - 1) % block + 1 if padding else 0])
    else:
        before = ctx.reshape(ctx.size_scalar(steps - 1), (1,))
        rest = ctx.emit("FLOOR_MOD", before, ctx.integers([block]))
        first = ctx.emit("ADD", rest, ctx.integers([1]))
    padded = ctx.pad(rows, [(padding, 0), *((0, 0) for _ in rows.shape[1:])])

    def body(place: Value, carried: Sequence[Value]) -> list[Value]:
        *now, every, made = carried
        start = _start(ctx, place, every.rank)
        shape = (block, *every.shape[1:])
        sizes = [-1 if isinstance(size, Dim) else size for size in shape]
        part = ctx.emit("SLICE", every, start, ctx.integers(sizes), shape=shape)
        skipped = ctx.integers([0])
        if padding:
            missing = ctx.emit("SUB", ctx.integers([padding]), place)
            skipped = ctx.emit("MAXIMUM", missing, skipped)
        done, now = _loop(ctx, part, now, step, skipped)
        return [*now, every, ctx.emit("DYNAMIC_UPDATE_SLICE", made, done, start)]

    carried = [*states, padded, _buffer(ctx, padded, states[0])]
    *last, _, made = _while(ctx, first, padded.shape[0], block, carried, body)
    return ctx.slice(made, 0, padding, steps), last


def _while(
    ctx: Context, first: Value, limit: Size, stride: int, carried: Sequence[Value], body: Body
) -> list[Value]:
    """Carry values through a body while a counter of shape ``[1]`` is below a limit."""
    values = [first, *carried]
    if isinstance(limit, Dim):
        values.append(ctx.reshape(ctx.size_scalar(limit), (1,)))
    shapes = [(value.shape, value.dtype) for value in values]
    own = len(carried) + 1
    with ctx.subgraph(f"{ctx.layer}_condition", shapes) as condition:
        end = condition.inputs[-1] if isinstance(limit, Dim) else ctx.integers([limit])
        condition.outputs = [ctx.emit("LESS", condition.inputs[0], end)]
    with ctx.subgraph(f"{ctx.layer}_body", shapes) as turn:
        place = turn.inputs[0]
        made = body(place, turn.inputs[1:own])
        turn.outputs = [ctx.emit("ADD", place, ctx.integers([stride])), *made, *turn.inputs[own:]]
    results = ctx.emit_many(
        "WHILE", values, shapes, cond_subgraph_index=condition, body_subgraph_index=turn
    )
    return results[1:own]


def _buffer(ctx: Context, rows: Value, state: Value) -> Value:
    """A tensor for the outputs of all steps; any numbers will do, as each is written."""
    return ctx.slice(rows, -1, 0, state.shape[-1])


def _written(ctx: Context, buffer: Value, row: Value, place: Value) -> Value:
    return ctx.emit("DYNAMIC_UPDATE_SLICE", buffer, row, _start(ctx, place, buffer.rank))


def _start(ctx: Context, place: Value, rank: int) -> Value:
    """Start of a slice at a row."""
    rest = ctx.integers([0] * (rank - 1))
    return ctx.emit("CONCATENATION", place, rest, axis=0)
