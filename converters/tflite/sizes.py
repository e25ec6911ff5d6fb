"""Sizes of dimensions: plain integers, and symbolic ones where an input's size may change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import sympy
    import torch


@dataclass(frozen=True)
class Dim:
    """A size that changes from call to call.

    Two are equal if their expressions are; nothing here ever specialises one to its example.

    Attributes:
        expr: The size as an expression of the program's symbols (``s0``, ``4*s0 + 1``).
        hint: The size with the example inputs.
    """

    expr: sympy.Expr
    hint: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and bool(self.expr == other.expr)

    def __hash__(self) -> int:
        return hash(self.expr)

    def __str__(self) -> str:
        return str(self.expr)

    def __add__(self, other: Size) -> Size:
        return _size(self.expr + _expr(other), self.hint + example(other))

    def __radd__(self, other: int) -> Size:
        return self + other

    def __sub__(self, other: Size) -> Size:
        return _size(self.expr - _expr(other), self.hint - example(other))

    def __rsub__(self, other: int) -> Size:
        return _size(other - self.expr, other - self.hint)

    def __mul__(self, other: Size) -> Size:
        return _size(self.expr * _expr(other), self.hint * example(other))

    def __rmul__(self, other: int) -> Size:
        return self * other

    def __floordiv__(self, other: Size) -> Size:
        from torch.utils._sympy.functions import FloorDiv

        return _size(FloorDiv(self.expr, _expr(other)), self.hint // example(other))


# Example of a size that depends on data (the number of detections), which PyTorch does not know.
_UNKNOWN = 2

Size: TypeAlias = int | Dim
Shape: TypeAlias = tuple[Size, ...]


def size_of(size: int | torch.SymInt) -> Size:
    """Return a size of a captured program's as an integer or a ``Dim``."""
    if isinstance(size, int):
        return size
    hint = size.node.hint
    return _size(_whole(size.node.expr), _UNKNOWN if hint is None else int(hint))


def shape_of(sizes: Iterable[int | torch.SymInt]) -> Shape:
    """Return the sizes of a captured tensor."""
    return tuple(size_of(size) for size in sizes)


def example(size: Size) -> int:
    """Return a size with the example inputs."""
    return size.hint if isinstance(size, Dim) else size


def is_static(shape: Iterable[Size]) -> bool:
    """Whether no size changes."""
    return all(isinstance(size, int) for size in shape)


def product(sizes: Iterable[Size]) -> Size:
    """Return the product of sizes; 1 for none."""
    total: Size = 1
    for size in sizes:
        total = total * size
    return total


def elements(shape: Iterable[Size]) -> int:
    """Return the number of elements with the example inputs."""
    return example(product(shape))


def ceil_div(size: Size, divisor: int) -> Size:
    """Return a quotient rounded up."""
    return (size + (divisor - 1)) // divisor


def broadcast(*shapes: Sequence[Size]) -> Shape:
    """Return the shape that operands broadcast to, aligned at the last axis.

    A size that changes is taken to be the other one beside it, as PyTorch did when it captured the
    program; the first of them is the result's.

    Raises:
        ValueError: They do not broadcast.
    """
    rank = max(len(shape) for shape in shapes)
    result: list[Size] = []
    for axis in range(-rank, 0):
        sizes = [shape[axis] for shape in shapes if len(shape) >= -axis and shape[axis] != 1]
        if len({size for size in sizes if isinstance(size, int)}) > 1:
            raise ValueError(f"shapes {', '.join(map(str, shapes))} do not broadcast")
        result.append(sizes[0] if sizes else 1)
    return tuple(result)


def _whole(expr: Any) -> Any:
    """Simplify the length of ``arange(0.0, n, 0.5)``: a ceiling of what is whole anyway."""
    from torch.utils._sympy.functions import CeilToInt, FloatTrueDiv, ToFloat

    if not expr.has(CeilToInt):
        return expr

    def length(quotient: Any) -> Any:
        if isinstance(quotient, FloatTrueDiv) and isinstance(quotient.args[0], ToFloat):
            times = 1 / float(quotient.args[1])
            if times.is_integer():
                return quotient.args[0].args[0] * int(times)
        return CeilToInt(quotient)

    return expr.replace(CeilToInt, length)


def _expr(size: Size) -> Any:
    return size.expr if isinstance(size, Dim) else size


def _size(expr: Any, hint: int) -> Size:
    return int(expr) if isinstance(expr, int) or expr.is_Integer else Dim(expr, hint)
