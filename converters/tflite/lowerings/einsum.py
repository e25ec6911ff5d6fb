"""Products of tensors over named axes: einsum, and what is one in other words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..context import Context
from ..dtypes import is_float
from ..ir import Value
from ..lowering import lowers
from ..sizes import Size, elements, product
from .indexing import taken_every
from .linear import batch_matmul, fully_connected

_BATCH_AXES = 3  # BATCH_MATMUL takes five axes, two of which are the matrices'


@dataclass(frozen=True)
class Term:
    """A tensor with a label for each of its axes."""

    value: Value
    labels: tuple[str, ...]

    def sizes(self, labels: Collection[str]) -> tuple[Size, ...]:
        """Size of each of some labels."""
        return tuple(self.value.shape[self.labels.index(label)] for label in labels)

    def ordered(self, ctx: Context, labels: Sequence[str]) -> Value:
        """The tensor with its axes in this order."""
        return ctx.transpose(self.value, [self.labels.index(label) for label in labels])

    def aligned(self, ctx: Context, labels: Sequence[str]) -> Value:
        """The tensor with an axis for each label, of size 1 where it has none."""
        own = self.ordered(ctx, [label for label in labels if label in self.labels])
        shape = [self.sizes([each])[0] if each in self.labels else 1 for each in labels]
        return ctx.reshape(own, shape)

    def without(self, ctx: Context, labels: Collection[str]) -> Term:
        """Sum over labels."""
        axes = [place for place, label in enumerate(self.labels) if label in labels]
        if not axes:
            return self
        kept = tuple(label for label in self.labels if label not in labels)
        return Term(ctx.reduce("SUM", self.value, axes), kept)


# -- operators -------------------------------------------------------------------------------


@lowers("aten.einsum")
def einsum(
    ctx: Context, equation: str, tensors: Sequence[Value], path: Sequence[int] | None = None
) -> Value:
    """einsum(str equation, Tensor[] tensors, *, int[]? path=None) -> products of pairs."""
    inputs, output = _parsed(equation, [tensor.rank for tensor in tensors])
    terms = [
        _without_repeats(ctx, value, labels) for value, labels in zip(tensors, inputs, strict=True)
    ]
    return contracted(ctx, terms, output, path)


@lowers("aten.tensordot")
def tensordot(
    ctx: Context, x: Value, y: Value, dims_self: Sequence[int], dims_other: Sequence[int]
) -> Value:
    """tensordot(Tensor self, Tensor other, int[] dims_self, int[] dims_other) -> product."""
    left = [f"x{axis}" for axis in range(x.rank)]
    right = [f"y{axis}" for axis in range(y.rank)]
    for mine, other in zip(dims_self, dims_other, strict=True):
        right[other] = left[mine]
    output = [each for each in left if each not in right]
    output += [each for each in right if each not in left]
    return contracted(ctx, [Term(x, tuple(left)), Term(y, tuple(right))], output)


@lowers("aten.inner")
def inner(ctx: Context, x: Value, other: Value) -> Value:
    """inner(Tensor self, Tensor other) -> product over the last axes."""
    if x.rank == 0 or other.rank == 0:
        return ctx.pointwise("MUL", x, other)
    return tensordot(ctx, x, other, [x.rank - 1], [other.rank - 1])


@lowers("aten.bilinear")
def bilinear(
    ctx: Context, input1: Value, input2: Value, weight: Value, bias: Value | None = None
) -> Value:
    """bilinear(input1, input2, weight, bias) -> FULLY_CONNECTED, BATCH_MATMUL, ADD."""
    result = einsum(ctx, "...i,oij,...j->...o", [input1, weight, input2])
    return result if bias is None else ctx.pointwise("ADD", result, bias)


@lowers("aten._trilinear")
def trilinear(
    ctx: Context,
    i1: Value,
    i2: Value,
    i3: Value,
    expand1: Sequence[int],
    expand2: Sequence[int],
    expand3: Sequence[int],
    sumdim: Sequence[int],
    unroll_dim: int = 1,
) -> Value:
    """_trilinear(i1, i2, i3, expand1, expand2, expand3, sumdim, …) -> products of pairs."""
    del unroll_dim  # only how PyTorch schedules it
    names = [f"d{axis}" for axis in range(i1.rank + len(expand1))]
    terms = [
        Term(value, tuple(name for axis, name in enumerate(names) if axis not in expanded))
        for value, expanded in ((i1, expand1), (i2, expand2), (i3, expand3))
    ]
    output = [name for axis, name in enumerate(names) if axis not in sumdim]
    return contracted(ctx, terms, output)


# -- contraction -----------------------------------------------------------------------------


def contracted(
    ctx: Context, terms: list[Term], output: Sequence[str], path: Sequence[int] | None = None
) -> Value:
    """Multiply tensors and sum over the labels that the output does not have.

    Args:
        ctx: The context.
        terms: The tensors; no label occurs twice in one.
        output: Labels of the result, in order.
        path: Places of the pairs to multiply, one pair after another, among the tensors that are
            left; each product goes to the end. If not stated, from left to right, but a constant
            between two tensors after them where that is cheap.
    """
    terms = [_without_ones(ctx, term, terms) for term in terms]
    pairs = list(zip(path[::2], path[1::2], strict=True)) if path else []
    while len(terms) > 1:
        first, second = pairs.pop(0) if pairs else _first_pair(terms, output)
        rest = [term for place, term in enumerate(terms) if place not in (first, second)]
        needed = {*output, *(label for term in rest for label in term.labels)}
        made = _multiplied(ctx, terms[first], terms[second], needed, () if rest else output)
        terms = [*rest, made] if path else [made, *rest]
    (term,) = terms
    term = term.without(ctx, set(term.labels) - set(output))
    return ctx.reshape(term.aligned(ctx, output), ctx.shape)


def _first_pair(terms: Sequence[Term], output: Sequence[str]) -> tuple[int, int]:
    """Places of the two tensors to multiply first: from left to right, with one exception.

    A bilinear form multiplies both tensors, and the products by the constant, in one
    FULLY_CONNECTED, unless they are more than twice as many as the first tensor times the constant
    has: a small matrix for each row, which BATCH_MATMUL packs before it multiplies, costs as much
    (measured on XNNPACK).
    """
    if len(terms) != 3 or [term.value.is_constant for term in terms].count(True) != 1:
        return 0, 1
    first, last = (place for place, term in enumerate(terms) if not term.value.is_constant)
    (weight,) = (term for term in terms if term.value.is_constant)
    both = {*terms[first].labels, *terms[last].labels}
    if (first, last) == (0, 1) or both.intersection(weight.labels, output):
        return 0, 1
    products = _elements(terms[first], terms[last], {*output, *weight.labels})
    mapped = _elements(terms[0], terms[1], {*output, *terms[2].labels})
    return (first, last) if products <= 2 * mapped else (0, 1)


def _elements(x: Term, y: Term, needed: Collection[str]) -> int:
    """Number of elements of a product, with the example inputs."""
    sizes = {
        label: term.sizes([label])[0] for term in (x, y) for label in term.labels if label in needed
    }
    return elements(tuple(sizes.values()))


def _multiplied(
    ctx: Context, x: Term, y: Term, needed: Collection[str], output: Sequence[str]
) -> Term:
    """Multiply two tensors and sum over what nothing needs any more."""
    x = x.without(ctx, {each for each in x.labels if each not in y.labels} - set(needed))
    y = y.without(ctx, {each for each in y.labels if each not in x.labels} - set(needed))
    batch = [label for label in x.labels if label in y.labels and label in needed]
    summed = [label for label in x.labels if label in y.labels and label not in needed]
    left = [label for label in x.labels if label not in y.labels]
    right = [label for label in y.labels if label not in x.labels]
    if not summed or not (left or right) or not is_float(x.value.dtype):
        labels = (*x.labels, *right)
        made = ctx.pointwise("MUL", x.aligned(ctx, labels), y.aligned(ctx, labels))
        return Term(made, labels).without(ctx, summed)
    if not batch and x.value.is_constant:
        x, y, left, right = y, x, right, left
    if not batch and y.value.is_constant:
        return _by_weight(ctx, x, y, (left, right, summed))
    if [label for label in output if label not in batch] == [*right, *left]:
        x, y, left, right = y, x, right, left
    return _by_batch(ctx, x, y, (batch, left, right, summed))


def _by_weight(ctx: Context, x: Term, y: Term, groups: tuple[list[str], ...]) -> Term:
    """Multiply by a constant that shares no axis with the result: FULLY_CONNECTED."""
    left, right, summed = groups
    depth = product(x.sizes(summed))
    rows = ctx.reshape(x.ordered(ctx, [*left, *summed]), (*x.sizes(left), depth))
    weight = ctx.reshape(y.ordered(ctx, [*right, *summed]), (product(y.sizes(right)), depth))
    made = fully_connected(ctx, rows, weight)
    return Term(ctx.reshape(made, (*x.sizes(left), *y.sizes(right))), (*left, *right))


def _by_batch(ctx: Context, x: Term, y: Term, groups: tuple[list[str], ...]) -> Term:
    """Multiply two tensors that are both computed, or share axes with the result."""
    batch, left, right, summed = groups
    depth = product(x.sizes(summed))
    leading = x.sizes(batch) if len(batch) <= _BATCH_AXES else (product(x.sizes(batch)),)
    # a matrix that lies the other way round is read that way instead of being transposed
    adj_x = bool(left) and x.labels == (*batch, *summed, *left)
    adj_y = y.labels != (*batch, *summed, *right)
    rows, columns = product(x.sizes(left)), product(y.sizes(right))
    first = x.ordered(ctx, [*batch, *summed, *left] if adj_x else [*batch, *left, *summed])
    second = y.ordered(ctx, [*batch, *right, *summed] if adj_y else [*batch, *summed, *right])
    made = batch_matmul(
        ctx,
        ctx.reshape(first, (*leading, *((depth, rows) if adj_x else (rows, depth)))),
        ctx.reshape(second, (*leading, *((columns, depth) if adj_y else (depth, columns)))),
        adj_x=adj_x,
        adj_y=adj_y,
    )
    shape = (*x.sizes(batch), *x.sizes(left), *y.sizes(right))
    return Term(ctx.reshape(made, shape), (*batch, *left, *right))


# -- labels ----------------------------------------------------------------------------------


def _parsed(equation: str, ranks: Sequence[int]) -> tuple[list[list[str]], list[str]]:
    """Labels of each operand and of the result; an ellipsis is numbered from its last axis."""
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    parts = inputs.split(",")
    spans = [rank - len(part.replace("...", "")) for part, rank in zip(parts, ranks, strict=True)]

    def labels(part: str, span: int) -> list[str]:
        before, dots, after = part.partition("...")
        middle = [f"...{place}" for place in range(span, 0, -1)] if dots else []
        return [*before, *middle, *after]

    named = [labels(part, span) for part, span in zip(parts, spans, strict=True)]
    if arrow:
        return named, labels(output, max(spans))
    letters = inputs.replace("...", "").replace(",", "")
    once = sorted(letter for letter in set(letters) if letters.count(letter) == 1)
    return named, [*labels("...", max(spans)), *once]


def _without_repeats(ctx: Context, value: Value, labels: list[str]) -> Term:
    """Take the diagonal of axes that have one label."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            rest = [axis for axis in range(value.rank) if axis not in (first, second)]
            value = main_diagonal(ctx, ctx.transpose(value, [*rest, first, second]))
            labels = [*(labels[axis] for axis in rest), label]
    return Term(value, tuple(labels))


def _without_ones(ctx: Context, term: Term, terms: Sequence[Term]) -> Term:
    """Drop axes of size 1 that broadcast against a larger one of the same label."""
    dropped = {
        label
        for label in term.labels
        if term.sizes([label]) == (1,)
        and any(label in other.labels and other.sizes([label]) != (1,) for other in terms)
    }
    kept = tuple(label for label in term.labels if label not in dropped)
    return Term(ctx.reshape(term.value, term.sizes(kept)), kept)


def main_diagonal(ctx: Context, x: Value) -> Value:
    """Take the diagonal of the last two axes: cells that lie ``columns + 1`` apart."""
    rows, columns = (ctx.static(size, "self") for size in x.shape[-2:])
    flat = ctx.reshape(x, (*x.shape[:-2], rows * columns))
    return taken_every(ctx, flat, flat.rank - 1, 0, min(rows, columns), columns + 1)
