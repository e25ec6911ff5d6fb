"""Changing sizes as tensors: an expression of the inputs' shapes, computed in the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .dtypes import INTEGER
from .errors import Unsupported
from .ir import Value, integers
from .sizes import Dim, Size

if TYPE_CHECKING:
    from .context import Context


def size_value(ctx: Context, size: Size) -> Value:
    """Return a size as a 0-d int32 tensor.

    Raises:
        Unsupported: The expression has a part that TFLite cannot compute, or that is no input's.
    """
    if not isinstance(size, Dim):
        return ctx.scalar(size, INTEGER)
    return _expression(ctx, size.expr)


def _expression(ctx: Context, expr: Any) -> Value:
    import sympy

    if expr.is_Integer:
        return ctx.scalar(int(expr), INTEGER)
    if isinstance(expr, sympy.Symbol):
        return _symbol(ctx, expr)
    kinds = {
        "Add": "ADD",
        "Mul": "MUL",
        "FloorDiv": "FLOOR_DIV",
        "Mod": "FLOOR_MOD",
        "PythonMod": "FLOOR_MOD",
        "CleanDiv": "FLOOR_DIV",
        "Max": "MAXIMUM",
        "Min": "MINIMUM",
    }
    kind = kinds.get(type(expr).__name__)
    if isinstance(expr, sympy.Pow) and expr.exp.is_Integer and int(expr.exp) > 0:
        base = _expression(ctx, expr.base)
        total = base
        for _ in range(int(expr.exp) - 1):
            total = ctx.emit("MUL", total, base)
        return total
    if kind is None:
        raise Unsupported(
            f"a size that changes ({expr}) cannot be computed in TFLite",
            hint="give that dimension a fixed size",
        )
    first, *rest = (_expression(ctx, each) for each in expr.args)
    total = first
    for each in rest:
        total = ctx.emit(kind, total, each)
    return total


def _symbol(ctx: Context, symbol: Any) -> Value:
    if symbol not in ctx.symbols:
        raise Unsupported(f"the size {symbol} is not the size of any input's axis")
    value, axis = ctx.symbols[symbol]
    sizes = ctx.emit("SHAPE", value, shape=(value.rank,), dtype=INTEGER, out_type=INTEGER)
    one = ctx.emit("SLICE", sizes, integers([axis]), integers([1]), shape=(1,))
    return ctx.reshape(one, ())
