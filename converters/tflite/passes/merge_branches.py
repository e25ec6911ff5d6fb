"""Makes one convolution of those that read the same value and are added.

RepVGG and its kin (Ding et al. 2021, arXiv 2101.03697) train a block as the sum of a 3×3
convolution, one of 1×1 and a scaled shortcut, and merge them afterwards. The sum is linear in what
it reads, so that any graph with such a sum has the merged form.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..ir import Array, Graph, Op, Value, constant
from .fold_affine import affine_of, fold_affine, has_weights

_CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})


def merge_branches(graph: Graph) -> None:
    """Merge summands that are convolutions, multiples or copies of the same value.

    It needs NHWC, and folds batch norms itself, before and between. Afterwards no sum has two
    summands that one convolution computes: with the same input, strides and groups, where the
    largest kernel covers the others.
    """
    fold_affine(graph)
    while _merge(graph):
        fold_affine(graph)


@dataclass(frozen=True)
class _Branch:
    """A summand as a convolution over a root.

    Attributes:
        value: The summand.
        root: What it is a convolution of, before any padding.
        op: The convolution; ``None`` for a multiple of the root.
        kernel: Rows and columns.
        before: Cells of padding in front of rows and columns.
        strides: Steps along both.
        factor: Of a multiple, one number for each channel.
        term: What is added to a multiple.
    """

    value: Value
    root: Value
    op: Op | None = None
    kernel: tuple[int, int] = (1, 1)
    before: tuple[int, int] = (0, 0)
    strides: tuple[int, int] = (1, 1)
    factor: Array = field(default_factory=lambda: np.ones(1))
    term: Array = field(default_factory=lambda: np.zeros(1))

    def covers(self, other: _Branch) -> bool:
        """Whether this branch's convolution can compute the other one too."""
        if self.op is None or self.root is not other.root or self.strides != other.strides:
            return False
        if other.value.shape != self.value.shape:
            return False
        offsets = _offsets(self, other)
        inside = all(
            0 <= offset <= own - theirs
            for offset, own, theirs in zip(offsets, self.kernel, other.kernel, strict=True)
        )
        if other.op is None:
            return inside and other.root.shape == other.value.shape
        alike = self.op.kind == other.op.kind and self._group() == other._group()
        return inside and alike and _dilation(self.op) == _dilation(other.op)

    def _group(self) -> int:
        """Channels that each group of a convolution reads."""
        assert self.op is not None
        weights = self.op.inputs[1]
        assert weights is not None
        return int(weights.shape[3])  # type: ignore[arg-type]


def _merge(graph: Graph) -> bool:
    """Merge branches of one sum; tell whether there were any."""
    source = graph.producers()
    users = graph.users()
    alone = {each for each, readers in users.items() if len(readers) == 1} - set(graph.outputs)
    for op in graph.ops:
        if not _is_sum(op):
            continue
        if op.output in alone and _is_sum(users[op.output][0]):
            continue  # it is a part of a larger sum
        summands, sums = _summands(op, source, alone)
        branches = [_branch(value, source, alone) for value in summands]
        for main in sorted(branches, key=lambda branch: -branch.kernel[0] * branch.kernel[1]):
            merged = [each for each in branches if each is not main and main.covers(each)]
            if merged:
                _apply(graph, op, sums, main, merged, summands)
                return True
    return False


def _is_sum(op: Op) -> bool:
    return (
        op.kind == "ADD"
        and op.output.dtype == "float32"
        and op.options.get("fused_activation_function", "NONE") == "NONE"
        and all(
            each is not None and not each.is_constant and each.shape == op.output.shape
            for each in op.inputs
        )
    )


def _summands(op: Op, source: dict[Value, Op], alone: set[Value]) -> tuple[list[Value], list[Op]]:
    """What a sum is made of, and the additions in it, the last one first."""
    values: list[Value] = []
    sums = [op]
    for _, value in op.live_inputs():
        before = source.get(value)
        if value in alone and before is not None and _is_sum(before):
            inner, further = _summands(before, source, alone)
            values += inner
            sums += further
        else:
            values.append(value)
    return values, sums


def _branch(value: Value, source: dict[Value, Op], alone: set[Value]) -> _Branch:
    op = source.get(value)
    if op is None or value not in alone:
        return _Branch(value, value)
    if op.kind in _CONVOLUTIONS:
        return _convolution(op, source) or _Branch(value, value)
    factor, term = np.ones(1), np.zeros(1)
    root = value
    # a multiple of a value: MUL and ADD by constants that nothing else reads
    while (op := source.get(root)) is not None and (root is value or root in alone):
        affine = affine_of(op)
        if affine is None or affine[0].shape != value.shape or value.rank != 4:
            break
        if not all(_per_channel(number, value) for number in affine[1:]):
            break
        root, inner, added = affine
        term = term + factor * added.reshape(-1)
        factor = factor * inner.reshape(-1)
    return _Branch(value, root, factor=factor, term=term)


def _convolution(op: Op, source: dict[Value, Op]) -> _Branch | None:
    operand, weights = op.inputs[0], op.inputs[1]
    if operand is None or weights is None or not has_weights(op):
        return None
    kernel = (int(weights.shape[1]), int(weights.shape[2]))  # type: ignore[arg-type]
    strides = (op.options["stride_h"], op.options["stride_w"])
    if op.options["padding"] == "SAME":
        pads = []
        for axis in (0, 1):
            size, count = operand.shape[axis + 1], op.output.shape[axis + 1]
            reach = (kernel[axis] - 1) * _dilation(op)[axis] + 1
            if strides[axis] == 1:
                pads.append((reach - 1) // 2)
            elif isinstance(size, int) and isinstance(count, int):
                pads.append(max((count - 1) * strides[axis] + reach - size, 0) // 2)
            else:
                return None
        return _Branch(op.output, operand, op, kernel, (pads[0], pads[1]), strides)
    padding = source.get(operand)
    if padding is not None and padding.kind == "PAD" and padding.inputs[0] is not None:
        widths = padding.inputs[1]
        if widths is None or widths.data is None or widths.data[[0, 3]].any():
            return None
        first = (int(widths.data[1][0]), int(widths.data[2][0]))
        return _Branch(op.output, padding.inputs[0], op, kernel, first, strides)
    return _Branch(op.output, operand, op, kernel, (0, 0), strides)


def _per_channel(number: Array, value: Value) -> bool:
    if not np.isfinite(number).all():
        return False
    return number.size == 1 or number.size == number.shape[-1] == value.shape[-1]


def _dilation(op: Op) -> tuple[int, int]:
    return op.options.get("dilation_h_factor", 1), op.options.get("dilation_w_factor", 1)


def _offsets(main: _Branch, other: _Branch) -> tuple[int, int]:
    """Cell of the main kernel at which another one begins; negative if there is none."""
    assert main.op is not None
    found = []
    for axis, step in enumerate(_dilation(main.op)):
        cells, rest = divmod(main.before[axis] - other.before[axis], step)
        found.append(-1 if rest else cells)
    return found[0], found[1]


def _apply(
    graph: Graph,
    last: Op,
    sums: list[Op],
    main: _Branch,
    merged: list[_Branch],
    summands: list[Value],
) -> None:
    """Let the main branch's convolution compute the merged ones too."""
    assert main.op is not None
    kernel, bias = main.op.inputs[1], main.op.inputs[2]
    assert kernel is not None
    assert kernel.data is not None
    assert bias is not None
    assert bias.data is not None
    weights, terms = kernel.data.astype(np.float64), bias.data.astype(np.float64)
    for each in merged:
        row, column = _offsets(main, each)
        rows, columns = each.kernel
        place = weights[:, row : row + rows, column : column + columns]
        if each.op is None:
            _add_multiple(place, main.op, each.factor)
            terms += each.term
        else:
            theirs, added = each.op.inputs[1], each.op.inputs[2]
            assert theirs is not None
            assert theirs.data is not None
            place += theirs.data
            if added is not None and added.data is not None:
                terms += added.data
        main.op.layers += each.op.layers if each.op is not None else ()
    main.op.inputs[1] = constant(weights.astype(np.float32), name=kernel.name)
    main.op.inputs[2] = constant(terms.astype(np.float32), name=bias.name)
    main.value.origins = []
    gone = {each.value for each in merged}
    _sum_up(graph, last, sums, [value for value in summands if value not in gone])


def _add_multiple(place: Array, op: Op, factor: Array) -> None:
    """Add ``factor * x`` to a kernel of one cell, a view of a convolution's weights."""
    if op.kind == "DEPTHWISE_CONV_2D":
        place[0, 0, 0] += factor
        return
    channels, group = place.shape[0], place.shape[3]
    every = np.arange(channels)
    place[every, 0, 0, every % group] += factor


def _sum_up(graph: Graph, last: Op, sums: list[Op], values: list[Value]) -> None:
    """Write a sum anew, in the place of its last addition."""
    layers = sum((each.layers for each in reversed(sums)), ())
    total, ops = values[0], []
    for value in values[1:]:
        made = Value(shape=last.output.shape, dtype=last.output.dtype)
        ops.append(Op("ADD", [total, value], [made], dict(last.options), layers))
        total = made
    if ops:
        ops[-1].outputs = last.outputs
    else:
        source = graph.producers()[total]
        source.outputs, source.layers = last.outputs, source.layers + layers
    removed = set(sums)
    graph.ops = [
        each for op in graph.ops for each in (ops if op is last else () if op in removed else (op,))
    ]
