"""Orders of axes: which are the same in memory, and how a reshape carries them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..ir import Permutation
from ..sizes import Shape, Size, example, product


def same_memory(shape: Shape, first: Permutation, second: Permutation) -> bool:
    """Whether two orders of axes lay the elements out alike: axes of size 1 move freely."""
    if first == second:
        return True
    return [a for a in first if shape[a] != 1] == [a for a in second if shape[a] != 1]


@dataclass(frozen=True)
class Groups:
    """How a reshape regroups axes: consecutive axes of the operand become those of the result.

    Attributes:
        before: For each group, the operand's axes.
        after: For each group, the result's axes; as many groups.
    """

    before: tuple[tuple[int, ...], ...]
    after: tuple[tuple[int, ...], ...]

    @property
    def identity(self) -> Permutation:
        """The order of the groups in which both sides are in their own order."""
        return tuple(range(len(self.before)))

    def operand(self, order: Permutation) -> Permutation:
        """Order of the operand's axes for an order of the groups."""
        return tuple(axis for group in order for axis in self.before[group])

    def result(self, order: Permutation) -> Permutation:
        """Order of the result's axes for an order of the groups."""
        return tuple(axis for group in order for axis in self.after[group])

    def from_operand(self, shape: Shape, axes: Permutation) -> Permutation | None:
        """Order of the groups that keeps an order of the operand's axes, if there is one."""
        return _order(self.before, shape, axes)

    def from_result(self, shape: Shape, axes: Permutation) -> Permutation | None:
        """Order of the groups that gives an order of the result's axes, if there is one."""
        return _order(self.after, shape, axes)


def _order(
    groups: Sequence[tuple[int, ...]], shape: Shape, axes: Permutation
) -> Permutation | None:
    """Order of groups under which their axes follow one another as in ``axes``."""
    home = {axis: group for group, members in enumerate(groups) for axis in members}
    order: list[int] = []
    for axis in axes:
        if shape[axis] != 1 and (not order or order[-1] != home[axis]):
            order.append(home[axis])
    if len(set(order)) != len(order):
        return None
    # groups without an axis that matters keep their place relative to the group before them
    for group in range(len(groups)):
        if group not in order:
            order.insert(order.index(group - 1) + 1 if group else 0, group)
    expanded = tuple(axis for group in order for axis in groups[group])
    return tuple(order) if same_memory(shape, expanded, axes) else None


def regrouped(before: Shape, after: Shape) -> Groups:
    """Split a reshape into the smallest groups of consecutive axes with equal products."""
    left: list[tuple[int, ...]] = []
    right: list[tuple[int, ...]] = []
    i = j = 0
    while i < len(before) or j < len(after):
        a, b = [i] if i < len(before) else [], [j] if j < len(after) else []
        i, j = i + len(a), j + len(b)
        while product(before[axis] for axis in a) != product(after[axis] for axis in b):
            grown = _grow(a, b, i, j, before, after)
            if grown is None:
                a.extend(range(i, len(before)))
                b.extend(range(j, len(after)))
                i, j = len(before), len(after)
                break
            i, j = grown
        left.append(tuple(a))
        right.append(tuple(b))
    return _merge_units(left, right, before, after)


def _grow(
    a: list[int], b: list[int], i: int, j: int, before: Shape, after: Shape
) -> tuple[int, int] | None:
    """Add the next axis to the side with the smaller product."""
    left, right = product(before[axis] for axis in a), product(after[axis] for axis in b)
    smaller_left = _less(left, right)
    if smaller_left and i < len(before):
        a.append(i)
        return i + 1, j
    if not smaller_left and j < len(after):
        b.append(j)
        return i, j + 1
    return None


def _less(left: Size, right: Size) -> bool:
    if isinstance(left, int) != isinstance(right, int):
        return isinstance(left, int)  # a changing size is made of more than any fixed one
    return example(left) < example(right)


def _merge_units(
    left: list[tuple[int, ...]], right: list[tuple[int, ...]], before: Shape, after: Shape
) -> Groups:
    """Join groups of one side only (their axes have size 1) to the group before them."""
    merged_left: list[tuple[int, ...]] = []
    merged_right: list[tuple[int, ...]] = []
    for a, b in zip(left, right, strict=True):
        if merged_left and (not a or not b):
            merged_left[-1] += a
            merged_right[-1] += b
        else:
            merged_left.append(a)
            merged_right.append(b)
    return Groups(tuple(merged_left), tuple(merged_right))
