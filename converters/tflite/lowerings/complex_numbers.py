"""Complex numbers: arithmetic, and what only changes the shape of a tensor of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..context import Context, Number
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers
from ..sizes import Size

Operand = Value | Number | complex


def _parts(ctx: Context, z: Value) -> tuple[Value, Value]:
    """Real and imaginary part, each with the axis of parts."""
    return ctx.slice(z, -1, 0, 1), ctx.slice(z, -1, 1, 1)


def _paired(ctx: Context, x: Operand) -> Value:
    """An operand with an axis of parts: of two if it is complex, else of one."""
    if isinstance(x, complex):
        return ctx.constant(np.array([x.real, x.imag], dtype=np.float32))
    if not isinstance(x, Value):
        return ctx.constant(np.array([x], dtype=np.float32))
    return x if x in ctx.complexes else ctx.reshape(ctx.cast(x, "float32"), (*x.shape, 1))


def _is_pair(x: Value) -> bool:
    return x.shape[-1] == 2


def _joined(ctx: Context, real: Value, imaginary: Value) -> Value:
    return ctx.concat([real, imaginary], real.rank - 1)


# -- parts -----------------------------------------------------------------------------------


@lowers("complex.aten.view_as_real", "complex.aten.view_as_complex")
def view_as_parts(ctx: Context, x: Value) -> Value:
    """view_as_real(Tensor self), view_as_complex(Tensor self) -> nothing: it is so already."""
    return x


@lowers("complex.aten.real")
def real(ctx: Context, x: Value) -> Value:
    """real(Tensor self) -> SLICE, RESHAPE."""
    return ctx.reshape(_parts(ctx, x)[0], ctx.shape)


@lowers("complex.aten.imag")
def imag(ctx: Context, x: Value) -> Value:
    """imag(Tensor self) -> SLICE, RESHAPE."""
    return ctx.reshape(_parts(ctx, x)[1], ctx.shape)


@lowers("complex.aten.complex")
def complex_(ctx: Context, x: Value, imaginary: Value) -> Value:
    """complex(Tensor real, Tensor imag) -> CONCATENATION."""
    parts = (ctx.expand(each, ctx.shape[:-1]) for each in (x, imaginary))
    return _joined(ctx, *(ctx.reshape(each, (*ctx.shape[:-1], 1)) for each in parts))


@lowers("complex.aten.polar")
def polar(ctx: Context, x: Value, angle_: Value) -> Value:
    """polar(Tensor abs, Tensor angle) -> COS, SIN, MUL, CONCATENATION."""
    turned = (ctx.pointwise("MUL", x, ctx.emit(kind, angle_)) for kind in ("COS", "SIN"))
    return _joined(ctx, *(ctx.reshape(each, (*ctx.shape[:-1], 1)) for each in turned))


@lowers("complex.aten.abs")
def abs_(ctx: Context, x: Value) -> Value:
    """abs(Tensor self) -> SQUARE, SUM, SQRT."""
    return ctx.emit("SQRT", ctx.reduce("SUM", ctx.emit("SQUARE", x), [-1]))


@lowers("complex.aten.angle")
def angle(ctx: Context, x: Value) -> Value:
    """angle(Tensor self) -> ATAN2."""
    first, second = (ctx.reshape(each, ctx.shape) for each in _parts(ctx, x))
    result: Value = ctx.call("aten.atan2", second, first)
    return result


@lowers("complex.aten.conj", "complex.aten._conj", "complex.aten._conj_physical")
def conj(ctx: Context, x: Value) -> Value:
    """conj(Tensor self) -> MUL by (1, -1)."""
    return ctx.pointwise("MUL", x, ctx.constant(np.array([1, -1], dtype=np.float32)))


@lowers("complex.aten._to_copy", "complex.aten.to")
def to_copy(
    ctx: Context,
    x: Value,
    dtype: object = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: object = None,
) -> Value:
    """_to_copy(Tensor self, *, ScalarType? dtype, …) -> PAD with imaginary parts of 0."""
    return x if x in ctx.complexes else _with_imaginary(ctx, _paired(ctx, x))


def _with_imaginary(ctx: Context, x: Value) -> Value:
    return ctx.pad(x, [(0, 0)] * (x.rank - 1) + [(0, 1)])


# -- arithmetic ------------------------------------------------------------------------------


@lowers("complex.aten.neg")
def neg(ctx: Context, x: Value) -> Value:
    """neg(Tensor self) -> NEG."""
    return ctx.emit("NEG", x)


@lowers("complex.aten.add")
def add(ctx: Context, x: Operand, other: Operand, alpha: Number = 1) -> Value:
    """add(Tensor self, Tensor other, *, Scalar alpha=1) -> ADD."""
    left, right = _paired(ctx, x), _paired(ctx, other)
    if alpha != 1:
        right = ctx.pointwise("MUL", right, alpha)
    padded = (each if _is_pair(each) else _with_imaginary(ctx, each) for each in (left, right))
    return ctx.pointwise("ADD", *padded)


@lowers("complex.aten.sub")
def sub(ctx: Context, x: Operand, other: Operand, alpha: Number = 1) -> Value:
    """sub(Tensor self, Tensor other, *, Scalar alpha=1) -> ADD."""
    return add(ctx, x, other, -alpha)


@lowers("complex.aten.mul")
def mul(ctx: Context, x: Operand, other: Operand) -> Value:
    """mul(Tensor self, Tensor other) -> MUL, ADD: (a + bi)(c + di) = (a + bi)c + (-b + ai)d."""
    left, right = _paired(ctx, x), _paired(ctx, other)
    if left.is_constant:
        left, right = right, left
    if not (_is_pair(left) and _is_pair(right)):
        return ctx.pointwise("MUL", left, right)
    first, second = _parts(ctx, left)
    turned = _joined(ctx, ctx.emit("NEG", second), first)
    by_real, by_imaginary = _parts(ctx, right)
    return ctx.pointwise(
        "ADD", ctx.pointwise("MUL", left, by_real), ctx.pointwise("MUL", turned, by_imaginary)
    )


@lowers("complex.aten.div")
def div(ctx: Context, x: Operand, other: Operand, rounding_mode: str | None = None) -> Value:
    """div(Tensor self, Tensor other) -> DIV; by a complex number: times its conjugate, DIV."""
    if rounding_mode is not None:
        raise unsupported("rounding_mode", rounding_mode)
    right = _paired(ctx, other)
    if not _is_pair(right):
        return ctx.pointwise("DIV", _paired(ctx, x), right)
    turned = conj(ctx, right)
    ctx.complexes.add(turned)
    size = ctx.reduce("SUM", ctx.emit("SQUARE", right), [-1], keepdim=True)
    return ctx.pointwise("DIV", mul(ctx, x, turned), size)


# -- shapes ----------------------------------------------------------------------------------


@lowers(
    "complex.aten.view", "complex.aten.reshape", "complex.aten._unsafe_view",
    "complex.aten.flatten", "complex.aten.unflatten", "complex.aten.unsqueeze",
    "complex.aten.squeeze",
)  # fmt: skip
def reshape(ctx: Context, x: Value, *sizes: object) -> Value:
    """view(Tensor self, SymInt[] size) and all other regroupings of axes -> RESHAPE."""
    return ctx.reshape(x, ctx.shape)


@lowers(
    "complex.aten.alias", "complex.aten.clone", "complex.aten.contiguous", "complex.aten.detach",
    "complex.aten.resolve_conj", "complex.aten.resolve_neg", "complex.aten.lift_fresh_copy",
)  # fmt: skip
def alias(ctx: Context, x: Value) -> Value:
    """alias(Tensor self), clone(Tensor self) -> nothing."""
    return x


@lowers("complex.aten.expand")
def expand(ctx: Context, x: Value, size: Sequence[Size], implicit: bool = False) -> Value:
    """expand(Tensor self, SymInt[] size) -> MUL by ones."""
    return ctx.expand(x, ctx.shape)


@lowers("complex.aten.permute")
def permute(ctx: Context, x: Value, dims: Sequence[int]) -> Value:
    """permute(Tensor self, int[] dims) -> TRANSPOSE."""
    rank = x.rank - 1
    return ctx.transpose(x, [*(axis % rank for axis in dims), rank])


@lowers("complex.aten.transpose")
def transpose(ctx: Context, x: Value, dim0: int, dim1: int) -> Value:
    """transpose(Tensor self, int dim0, int dim1) -> TRANSPOSE."""
    order = list(range(x.rank))
    first, second = dim0 % (x.rank - 1), dim1 % (x.rank - 1)
    order[first], order[second] = second, first
    return ctx.transpose(x, order)


@lowers("complex.aten.select")
def select(ctx: Context, x: Value, dim: int, index: Size) -> Value:
    """select(Tensor self, int dim, SymInt index) -> as of real numbers."""
    result: Value = ctx.call("aten.select", x, dim % (x.rank - 1), index)
    return result


@lowers("complex.aten.slice")
def slice_(
    ctx: Context,
    x: Value,
    dim: int = 0,
    start: Size | None = None,
    end: Size | None = None,
    step: Size = 1,
) -> Value:
    """slice(Tensor self, int dim, SymInt? start, SymInt? end, SymInt step) -> as of real ones."""
    result: Value = ctx.call("aten.slice", x, dim % (x.rank - 1), start, end, step)
    return result


@lowers("complex.aten.cat")
def cat(ctx: Context, tensors: Sequence[Value], dim: int = 0) -> Value:
    """cat(Tensor[] tensors, int dim=0) -> CONCATENATION."""
    if not all(each in ctx.complexes for each in tensors):
        raise unsupported("tensors", "real and complex ones", "make all of them complex")
    return ctx.concat(tensors, dim % (tensors[0].rank - 1))
