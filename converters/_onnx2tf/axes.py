"""Which axis of a tensor is which: axes followed by name through a graph, never by value.

onnx2tf moves channels last wherever it likes, and TensorFlow's own passes push transpositions
about. Where sizes differ, the shape tells what happened; where they are equal it does not, and
trying every permutation for the best fit would hide real axis bugs. So every axis of every ONNX
value gets a name, the same names are followed through the TensorFlow or TFLite graph operator by
operator, and the permutation of a tensor is read off its names.

An axis is a sequence of atoms, outermost first. An atom ``(origin, total, stride, size)`` is the
digit of weight ``stride`` of an axis of ``total`` elements that came into being at ``origin``;
reshapes concatenate atoms and cut them anew. An axis of size 1 has no atoms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Atom = tuple[Any, int, int, int]
Axis = tuple[Atom, ...]
Axes = tuple[Axis, ...]
Shape = tuple[int, ...]


class Kind(StrEnum):
    """What an operator does with axes, which is all that matters here."""

    JOIN = "every axis is that of the operands, broadcast"
    ALONG = "every axis is that of the first operand, perhaps resized"
    CHANNEL = "as ALONG, but one axis is new"
    CONCAT = "as JOIN, but one axis is new"
    TRANSPOSE = "axes reordered"
    RESHAPE = "the same elements in the same order"
    REDUCE = "some axes gone"
    GATHER = "one axis replaced by those of the indices"
    MATMUL = "the last two axes multiplied"
    DENSE = "the last axis replaced by a new one, the others perhaps reshaped"
    OTHER = "nothing is known"


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operator, in one vocabulary for ONNX, TensorFlow and TFLite.

    Attributes:
        kind: What it does with axes.
        inputs: Its tensor operands, the one that ``kind`` speaks of first.
        outputs: Its results.
        axes: The permutation, or the axes that are new, reduced, gathered or concatenated.
        keep: Whether a reduction keeps its axes with size 1.
        swapped: Whether each operand of a matrix product has its last two axes swapped.
    """

    kind: Kind
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    axes: tuple[int, ...] = ()
    keep: bool = True
    swapped: tuple[bool, bool] = (False, False)


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Operators in execution order, and the shape of every tensor (0 where a size is unknown)."""

    nodes: tuple[Node, ...]
    shapes: Mapping[str, Shape]


def new_axes(origin: str, shape: Shape) -> Axes:
    """Return axes that nobody has seen before, named after the tensor ``origin``."""
    return tuple(_new(origin, index, size) for index, size in enumerate(shape))


def permuted(axes: Axes, permutation: Sequence[int] | None) -> Axes:
    """Return the axes in another order; ``None`` is the identity."""
    return axes if permutation is None else tuple(axes[each] for each in permutation)


def track(
    graph: Graph,
    seeds: Mapping[str, Axes],
    anchor: Callable[[str, Axes], Axes] = lambda tensor, axes: axes,
) -> dict[str, Axes]:
    """Follow axes through a graph.

    Args:
        graph: The graph.
        seeds: Axes of its inputs. What does not depend on them counts as constant.
        anchor: Called with every tensor and its axes in order; returns the axes to go on with.

    Returns:
        Axes of every tensor that depends on ``seeds``.
    """
    known = dict(seeds)
    for node in graph.nodes:
        if not any(each in known for each in node.inputs):
            continue
        for tensor in node.outputs:
            shape = graph.shapes[tensor]
            found = _RULES[node.kind](node, known, graph.shapes, shape)
            if len(found) != len(shape):
                found = [None] * len(shape)
            axes = tuple(
                () if size == 1 else axis or _new(tensor, index, size)
                for index, (axis, size) in enumerate(zip(found, shape, strict=True))
            )
            known[tensor] = anchor(tensor, axes)
    return known


def permutation_between(
    source: Axes, source_shape: Shape, target: Axes, target_shape: Shape
) -> tuple[int, ...] | None:
    """Return the permutation with ``target_axes = transpose(source_axes, permutation)``.

    The names of the axes decide. Where they are not enough, the shape does, if exactly one of
    "as it is" and "channels last" fits it.

    Returns:
        The permutation, or ``None`` if it cannot be known.
    """
    if sorted(source_shape) != sorted(target_shape) or 0 in target_shape:
        return None
    return _by_name(source, source_shape, target, target_shape) or _by_shape(
        source_shape, target_shape
    )


def inverse(permutation: Sequence[int]) -> tuple[int, ...]:
    """Return the permutation that undoes ``permutation``."""
    return tuple(permutation.index(each) for each in range(len(permutation)))


def compose(
    first: tuple[int, ...] | None, second: tuple[int, ...] | None
) -> tuple[int, ...] | None:
    """Return the permutation of doing ``first`` and then ``second``; ``None`` is the identity."""
    if first is None or second is None:
        return first if second is None else second
    return normal(tuple(first[axis] for axis in second))


def normal(permutation: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return a permutation with ``None`` for the identity."""
    return None if permutation == tuple(range(len(permutation))) else permutation


def channels_last(rank: int) -> tuple[int, ...]:
    """Return the permutation that moves axis 1 to the end."""
    return (0, *range(2, rank), 1)


def _by_name(
    source: Axes, source_shape: Shape, target: Axes, target_shape: Shape
) -> tuple[int, ...] | None:
    left = [axis for axis, size in enumerate(source_shape) if size != 1]
    if len({source[axis] for axis in left}) != len(left):
        return None
    found: dict[int, int] = {}
    nameless = []
    for axis, size in enumerate(target_shape):
        if size == 1:
            continue
        match = next((each for each in left if source[each] == target[axis]), None)
        if match is None:
            nameless.append(axis)
        else:
            found[axis] = match
            left.remove(match)
    if len(nameless) > 1 or [source_shape[axis] for axis in left] != [
        target_shape[axis] for axis in nameless
    ]:
        return None
    found.update(zip(nameless, left, strict=True))
    units = iter([axis for axis, size in enumerate(source_shape) if size == 1])
    return tuple(found[axis] if axis in found else next(units) for axis in range(len(target_shape)))


def _by_shape(source_shape: Shape, target_shape: Shape) -> tuple[int, ...] | None:
    rank = len(source_shape)
    candidates = [tuple(range(rank)), *([channels_last(rank)] if rank > 2 else [])]
    fitting = [
        each for each in candidates if tuple(source_shape[axis] for axis in each) == target_shape
    ]
    # two permutations that differ only in axes of size 1 put the elements in the same order
    orders = {tuple(axis for axis in each if source_shape[axis] != 1) for each in fitting}
    return fitting[0] if len(orders) == 1 else None


Found = Sequence[Axis | None]
Known = Mapping[str, Axes]
Shapes = Mapping[str, Shape]


def _join(node: Node, known: Known, shapes: Shapes, shape: Shape) -> Found:
    operands = [(known[each], shapes[each]) for each in node.inputs if each in known]
    return [_joined(operands, index - len(shape), size) for index, size in enumerate(shape)]


def _along(node: Node, known: Known, shapes: Shapes, shape: Shape) -> Found:
    axes = known.get(node.inputs[0])
    if axes is None or len(axes) != len(shape):
        return []
    return [_resized(axis, size) for axis, size in zip(axes, shape, strict=True)]


def _channel(node: Node, known: Known, shapes: Shapes, shape: Shape) -> Found:
    return _without(_along(node, known, shapes, shape), node.axes)


def _concat(node: Node, known: Known, shapes: Shapes, shape: Shape) -> Found:
    return _without(_join(node, known, shapes, shape), node.axes)


def _transpose(node: Node, known: Known, shapes: Shapes, shape: Shape) -> Found:
    axes = known.get(node.inputs[0])
    if axes is None or sorted(node.axes) != list(range(len(axes))):
        return []
    return permuted(axes, node.axes)


def _reshape(node: Node, known: Known, shapes: Shapes, shape: Shape) -> Found:
    axes = known.get(node.inputs[0])
    return [] if axes is None else _cut([atom for axis in axes for atom in axis], shape)


def _reduce(node: Node, known: Known, shapes: Shapes, shape: Shape) -> Found:
    axes = known.get(node.inputs[0])
    if axes is None:
        return []
    gone = {axis % len(axes) for axis in node.axes}
    if node.keep:
        return [() if index in gone else axis for index, axis in enumerate(axes)]
    left = [axis for index, axis in enumerate(axes) if index not in gone]
    if len(left) != len(shape):
        return []
    return [_resized(axis, size) for axis, size in zip(left, shape, strict=True)]


def _gather(node: Node, known: Known, shapes: Shapes, shape: Shape) -> Found:
    data, index = node.inputs[:2]
    rank = len(shapes[data])
    axis = node.axes[0] % rank
    whole: list[Axis | None] = list(known.get(data, [None] * rank))
    whole[axis : axis + 1] = known.get(index, [None] * len(shapes[index]))
    return whole


def _matmul(node: Node, known: Known, shapes: Shapes, shape: Shape) -> Found:
    sides: list[list[Axis | None]] = []
    for tensor, swapped in zip(node.inputs[:2], node.swapped, strict=True):
        rank = len(shapes[tensor])
        if rank < 2:
            return []
        axes: list[Axis | None] = list(known.get(tensor, [None] * rank))
        if swapped:
            axes[-2], axes[-1] = axes[-1], axes[-2]
        sides.append(axes)
    operands = [(known[each], shapes[each]) for each in node.inputs[:2] if each in known]
    batch = [_joined(operands, index - len(shape), size) for index, size in enumerate(shape[:-2])]
    rows, columns = sides[0][-2], sides[1][-1]
    if columns and columns in (*batch, rows):
        # tokens by tokens: the two must stay apart
        columns = _atom(("columns", columns), shape[-1])
    return [*batch, rows, columns]


def _dense(node: Node, known: Known, shapes: Shapes, shape: Shape) -> Found:
    axes = known.get(node.inputs[0])
    rows = math.prod(shape[:-1])
    if axes is None or not rows:
        return []
    inner = math.prod(shapes[node.inputs[0]]) // rows
    return [*_cut([atom for axis in axes for atom in axis], (*shape[:-1], inner))[:-1], None]


def _other(node: Node, known: Known, shapes: Shapes, shape: Shape) -> Found:
    return []


_RULES: dict[Kind, Callable[[Node, Known, Shapes, Shape], Found]] = {
    Kind.JOIN: _join,
    Kind.ALONG: _along,
    Kind.CHANNEL: _channel,
    Kind.CONCAT: _concat,
    Kind.TRANSPOSE: _transpose,
    Kind.RESHAPE: _reshape,
    Kind.REDUCE: _reduce,
    Kind.GATHER: _gather,
    Kind.MATMUL: _matmul,
    Kind.DENSE: _dense,
    Kind.OTHER: _other,
}


def _atom(origin: Any, size: int) -> Axis:
    return ((origin, size, 1, size),)


def _new(tensor: str, index: int, size: int) -> Axis:
    return () if size == 1 else _atom(("new", tensor, index), size)


def _without(axes: Found, new: Sequence[int]) -> Found:
    gone = {axis % len(axes) for axis in new} if axes else set()
    return [None if index in gone else axis for index, axis in enumerate(axes)]


def _resized(axis: Axis, size: int) -> Axis | None:
    """Return an axis that goes along ``axis`` with another size: pooled, padded or sliced."""
    if not axis or math.prod(atom[3] for atom in axis) == size:
        return axis or None
    whole = len(axis) == 1 and axis[0][1] == axis[0][3]
    return _atom(axis[0][0] if whole else ("resized", axis), size)


def _joined(operands: Sequence[tuple[Axes, Shape]], index: int, size: int) -> Axis | None:
    """Return the axis ``index`` (counted from the end) of an elementwise result."""
    parts: set[Axis] = set()
    for axes, shape in operands:
        if -index <= len(shape) and shape[index] == size and axes[index]:
            axis = axes[index]
            origin = axis[0][0]
            joint = len(axis) == 1 and axis[0][1] == size and origin[0] == "joined"
            parts |= origin[1] if joint else {axis}
    if len(parts) < 2:
        return next(iter(parts), None)
    return _atom(("joined", frozenset(parts)), size)


def _cut(atoms: Sequence[Atom], shape: Shape) -> list[Axis | None]:
    """Cut a row of atoms into axes of the sizes ``shape``; ``None`` from where it does not fit."""
    left = list(atoms)
    axes: list[Axis | None] = []
    for size in shape:
        axis: list[Atom] = []
        need = size
        while need > 1 and left:
            origin, total, stride, count = left.pop(0)
            if need % count == 0:
                axis.append((origin, total, stride, count))
                need //= count
            elif count % need == 0:
                rest = count // need
                axis.append((origin, total, stride * rest, need))
                left.insert(0, (origin, total, stride, rest))
                need = 1
            else:
                left = []
        axes.append(_coalesced(axis) if need == 1 else None)
    return axes


def _coalesced(atoms: Sequence[Atom]) -> Axis:
    merged: list[Atom] = []
    for atom in atoms:
        if merged and merged[-1][:2] == atom[:2] and merged[-1][2] == atom[2] * atom[3]:
            last = merged.pop()
            atom = (*atom[:3], last[3] * atom[3])
        merged.append(atom)
    return tuple(merged)
