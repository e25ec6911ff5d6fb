"""Steps along the first axis of a tensor, unrolled or in a loop. Registers no lowering.

What was measured on LiteRT 2.3 (one thread, batch 1) decides the form:

- XNNPACK packs the weights of every operator anew, so that an unrolled layer outgrows the cache: at
  512 cells the loop takes half of the time from eight steps on, at 128 from thirty-two. Below, a
  turn of the loop costs as much as a step of 32 cells, about a microsecond. Hence the limits of
  what is unrolled, and some steps in one turn: as many as keep the loop at a tenth of the operators
  of all steps. An LSTM of 32 cells and 32 steps takes 1.4 to 1.65 times as long as unrolled, with
  two directions as well; on a busy machine, whose cache is shared, less.
- A row is read by GATHER: the result of a SLICE from a computed place is allocated anew each turn.
- UNIDIRECTIONAL_SEQUENCE_LSTM keeps its states from one call of the file to the next, and PyTorch
  does not.
- A loop that fills a buffer of all steps copies it twice in each turn. Two loops in one another,
  the inner one with a buffer of some thirty steps, are faster from a hundred steps on, and eight
  times as fast at two thousand.
- What a body hands on unchanged, such as the gates, is not copied, as long as nothing reads it
  after the loop.
- A buffer that nothing reads after the loop is dropped by a pass (``unread_states.py``), and small
  stacked layers are one loop (``wavefront.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from ..context import Context
from ..ir import Value
from ..sizes import Dim, Size, example
from .joining import parts

# (ctx, row of one step, states) → the step's output, new states
Step: TypeAlias = Callable[[Context, Value, Sequence[Value]], tuple[Value, list[Value]]]
# (place of the first row, some rows, states) → their outputs, new states
Turn: TypeAlias = Callable[[Value, Value, Sequence[Value]], tuple[Value, list[Value]]]
Body: TypeAlias = Callable[[Value, Sequence[Value]], list[Value]]

_UNROLLED_STEPS = 8
_UNROLLED_WEIGHTS = 1 << 18  # of all steps together: 1 MB, what a core's cache holds
_TURN_STEPS = (4, 3, 2)
_TURN_WEIGHTS = 1 << 16
_STEPS_OF_A_TENTH = {1: 15, 2: 18}  # directions → steps of which one in the body is a tenth
_LOOPED_STEPS = 96
_BLOCK = 32
_RANK = 3  # of rows of one direction: steps, batch, cells
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
    if is_unrolled(ctx, rows.shape[0], weights):
        return _unrolled(ctx, rows, states, step)
    return looped(ctx, rows, states, step, weights)


def looped(
    ctx: Context, rows: Value, states: Sequence[Value], step: Step, weights: int
) -> tuple[Value, list[Value]]:
    """Run a step on each row in turn, in a loop; see ``scanned``."""
    steps = rows.shape[0]
    if isinstance(steps, int) and steps <= _LOOPED_STEPS:
        return _loop(ctx, rows, states, step, _turn(steps, steps, weights, _directions(rows)))
    return _blocks(ctx, rows, states, step, weights)


def is_unrolled(ctx: Context, steps: Size, weights: int) -> bool:
    """Whether a layer is unrolled, by the user's wish or the rule.

    Args:
        ctx: The context.
        steps: Steps of the layer.
        weights: Number of weights that a step reads.
    """
    if not isinstance(steps, int) or steps == 1:
        return steps == 1
    if ctx.options.unroll is not None:
        return steps <= ctx.options.unroll
    return steps <= _UNROLLED_STEPS and steps * weights <= _UNROLLED_WEIGHTS


def joined(ctx: Context, values: Sequence[Value], axis: int) -> Value:
    """Join tensors, of which XNNPACK takes five at a time."""
    made = list(values)
    while len(made) > 1:
        made = [ctx.concat(made[first : first + 5], axis) for first in range(0, len(made), 5)]
    return made[0]


def _directions(rows: Value) -> int:
    """How many run together: two have an axis of their own."""
    return 2 if rows.rank > _RANK else 1


def _turn(block: int, steps: Size, weights: int, directions: int) -> int:
    """Steps of a turn: several where the loop itself costs as much as a step.

    Args:
        block: Steps of the loop.
        steps: Steps of the layer.
        weights: Number of weights that a step reads.
        directions: Directions that run together.
    """
    most = min(_TURN_WEIGHTS // weights, example(steps) // _STEPS_OF_A_TENTH[directions])
    fitting = (size for size in _TURN_STEPS if block % size == 0 and size <= most)
    return next(fitting, 1)


def _unrolled(
    ctx: Context, rows: Value, states: Sequence[Value], step: Step, group: int = 0
) -> tuple[Value, list[Value]]:
    """One step after the other; of a group, ``[1, group * cells, ...]``, along the next axis."""
    axis = 1 if group else 0
    sizes = [rows.shape[1] // group] * group if group else [1] * ctx.static(rows.shape[0], "input")
    made = []
    now = list(states)
    for row in parts(ctx, rows, axis, sizes):
        output, now = step(ctx, row, now)
        made.append(output)
    return joined(ctx, made, axis), now


def _loop(
    ctx: Context,
    rows: Value,
    states: Sequence[Value],
    step: Step,
    turn: int,
    first: Value | None = None,
) -> tuple[Value, list[Value]]:
    """A few steps in each turn, from a row on; more than one only from the first row on."""
    steps, *rest = rows.shape
    if turn != 1:
        rows = ctx.reshape(rows, (steps // turn, rest[0] * turn, *rest[1:]))
    made, last = _turns(
        ctx, rows, states, first or ctx.integers([0]), 1,
        lambda place, part, now: _unrolled(ctx, part, now, step, turn if turn != 1 else 0),
    )  # fmt: skip
    return ctx.reshape(made, (steps, *rest[:-1], made.shape[-1])), last


def _blocks(
    ctx: Context, rows: Value, states: Sequence[Value], step: Step, weights: int
) -> tuple[Value, list[Value]]:
    """A loop over a block of rows in each turn.

    Unless the blocks come out even, as many rows are put in front as a block has, and the first
    block is one that ends where a block must; it skips the rows that are not there.
    """
    steps = rows.shape[0]
    even = [size for size in _BLOCKS if isinstance(steps, int) and steps % size == 0]
    if even:
        block = min(even, key=lambda size: abs(size - _BLOCK))
        turn = _turn(block, steps, weights, _directions(rows))
        return _turns(
            ctx, rows, states, ctx.integers([0]), block,
            lambda place, part, now: _loop(ctx, part, now, step, turn),
        )  # fmt: skip
    if isinstance(steps, int):
        first = ctx.integers([(steps - 1) % _BLOCK + 1])
    else:
        before = ctx.reshape(ctx.size_scalar(steps - 1), (1,))
        rest = ctx.emit("FLOOR_MOD", before, ctx.integers([_BLOCK]))
        first = ctx.emit("ADD", rest, ctx.integers([1]))
    padded = ctx.pad(rows, [(_BLOCK, 0), *((0, 0) for _ in rows.shape[1:])])

    def turn_of(place: Value, part: Value, now: Sequence[Value]) -> tuple[Value, list[Value]]:
        missing = ctx.emit("SUB", ctx.integers([_BLOCK]), place)
        skipped = ctx.emit("MAXIMUM", missing, ctx.integers([0]))
        return _loop(ctx, part, now, step, 1, skipped)

    made, last = _turns(ctx, padded, states, first, _BLOCK, turn_of)
    return ctx.slice(made, 0, _BLOCK, steps), last


def _turns(
    ctx: Context, rows: Value, states: Sequence[Value], first: Value, size: int, run: Turn
) -> tuple[Value, list[Value]]:
    """A loop that takes so many rows in each turn, and writes their outputs into a buffer."""
    rest = ctx.integers([0] * (rows.rank - 1))

    def body(place: Value, carried: Sequence[Value]) -> list[Value]:
        *now, every, made = carried
        start = ctx.emit("CONCATENATION", place, rest, axis=0)
        shape = (size, *every.shape[1:])
        if size == 1:  # unlike of a SLICE, the size of the result is known beforehand
            part = ctx.emit("GATHER", every, place, shape=shape, axis=0, batch_dims=0)
        else:
            sizes = [-1 if isinstance(each, Dim) else each for each in shape]
            part = ctx.emit("SLICE", every, start, ctx.integers(sizes), shape=shape)
        done, now = run(place, part, now)
        return [*now, every, ctx.emit("DYNAMIC_UPDATE_SLICE", made, done, start)]

    # any numbers will do as a buffer, as each is written
    buffer = ctx.slice(rows, -1, 0, states[0].shape[-1])
    *last, _, made = while_below(ctx, first, rows.shape[0], size, [*states, rows, buffer], body)
    return made, last


def while_below(
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
