"""What a lowering builds the graph with.

Everything here works in PyTorch's own axes and broadcasting: operands of one operator are brought
to one rank and type, transposes are written out, and constants are reshaped when the graph is made
rather than when it runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .dtypes import FLOAT, INTEGER, common_dtype, narrowed, numpy_scalar
from .errors import Unsupported
from .inference import Result
from .ir import Graph, Op, Permutation, Value, constant, identity, integers
from .operators import OPERATORS
from .sizes import Dim, Shape, Size, example, is_static

Number = bool | int | float

_XNNPACK_RANK = 6  # of the tensors that the delegate takes

# Their results have cells of their operands, as they are.
_PASSING = frozenset(
    {"RESHAPE", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "SELECT_V2", "CONCATENATION", "TILE"}
)
_OF_BYTES = frozenset({"MAXIMUM", "MINIMUM", "RIGHT_SHIFT", "BITWISE_XOR"})
# Type that few kernels take without quantization → those on two operands that do.
_NARROW_KINDS = {
    "uint8": _OF_BYTES,
    "int8": _OF_BYTES,
    "bool": frozenset({"EQUAL", "NOT_EQUAL", "LOGICAL_AND", "LOGICAL_OR"}),
}


@dataclass
class Context:
    """The graph that is being built, and the node that is being lowered.

    Attributes:
        graph: The graph that operators are added to.
        layer: Id of the spine layer that is being lowered.
        results: Shape and type of each result that the node must have.
        call: Lower another operator: ``ctx.call("aten.softmax", x, -1, None)``.
        options: What the user asked of the compiler.
        symbols: Symbol of a changing size → the graph input and the axis that have it.
        complexes: Values of complex numbers; their last axis has the real and the imaginary part.
        distinct: Places in the planes of a tensor, of which no two in a plane are equal.
        contiguous: Whether the node's operands fill their memory in PyTorch, row by row from its
            start, which is what ``as_strided`` reads.
    """

    graph: Graph
    call: Callable[..., Any]
    options: CompileOptions
    layer: str = ""
    results: list[Result] = field(default_factory=list)
    symbols: dict[Any, tuple[Value, int]] = field(default_factory=dict)
    complexes: set[Value] = field(default_factory=set)
    distinct: set[Value] = field(default_factory=set)
    contiguous: bool = False

    @property
    def shape(self) -> Shape:
        """Shape of the node's first result."""
        return self.results[0][0]

    @property
    def dtype(self) -> str:
        """Type of the node's first result."""
        return self.results[0][1]

    # -- operators ---------------------------------------------------------------------------

    def emit(
        self,
        kind: str,
        *inputs: Value | None,
        shape: Sequence[Size] | None = None,
        dtype: str | None = None,
        **options: Any,
    ) -> Value:
        """Add an operator with one result.

        Args:
            kind: TFLite's builtin name.
            inputs: Its operands; ``None`` for an optional one that is left out.
            shape: Shape of the result, for an operator that does not imply it.
            dtype: Type of the result, where it is not the rule's or the first operand's.
            options: Fields of its options table, in snake case.
        """
        operator = OPERATORS[kind]
        options = {**operator.defaults, **options}
        if shape is None:
            assert operator.infer is not None, f"{kind} does not imply a shape"
            inferred, inferred_dtype = operator.infer(inputs, options)
        else:
            inferred = tuple(shape)
            assert inputs[0] is not None
            inferred_dtype = inputs[0].dtype
        return self.emit_many(kind, inputs, [(inferred, dtype or inferred_dtype)], **options)[0]

    def emit_many(
        self,
        kind: str,
        inputs: Sequence[Value | None],
        results: Sequence[Result],
        **options: Any,
    ) -> list[Value]:
        """Add an operator whose results are stated."""
        outputs = [Value(shape=tuple(shape), dtype=dtype) for shape, dtype in results]
        layers = (self.layer,) if self.layer else ()
        self.graph.ops.append(
            Op(kind=kind, inputs=list(inputs), outputs=outputs, options=options, layers=layers)
        )
        return outputs

    @contextlib.contextmanager
    def subgraph(self, name: str, inputs: Sequence[Result]) -> Iterator[Graph]:
        """Add what follows to a new graph with inputs of these shapes and types (a loop's body)."""
        outer = self.graph
        self.graph = Graph(
            name=name, inputs=[Value(shape=tuple(shape), dtype=dtype) for shape, dtype in inputs]
        )
        try:
            yield self.graph
        finally:
            self.graph = outer

    # -- constants ---------------------------------------------------------------------------

    def constant(self, data: Any, dtype: str | None = None) -> Value:
        """Return a constant; numbers and lists become arrays of ``dtype`` (float32 by default)."""
        if isinstance(data, np.ndarray):
            return constant(narrowed(data, dtype) if dtype else data)
        return constant(np.asarray(data, dtype=dtype or FLOAT))

    def integers(self, values: Sequence[int]) -> Value:
        """Return an int32 vector."""
        return integers(values)

    def scalar(self, number: Number, dtype: str) -> Value:
        """Return a 0-d constant."""
        return constant(numpy_scalar(number, dtype))

    def filled(self, shape: Sequence[Size], number: Number, dtype: str) -> Value:
        """Return a tensor of one number; of a changing shape it is computed."""
        if is_static(shape):
            return constant(np.full([example(size) for size in shape], number, dtype=dtype))
        return self.emit(
            "FILL", self.shape_vector(shape), self.scalar(number, dtype), shape=shape, dtype=dtype
        )

    # -- sizes -------------------------------------------------------------------------------

    def static(self, size: Size, argument: str) -> int:
        """Return a size that must not change.

        Raises:
            Unsupported: It does.
        """
        if isinstance(size, Dim):
            raise Unsupported(
                f"{argument} depends on a size that changes ({size})",
                hint="give that dimension a fixed size",
            )
        return int(size)

    def size_scalar(self, size: Size) -> Value:
        """Return a size as a 0-d int32 tensor, computed from the inputs' shapes if it changes."""
        from .symbolic import size_value

        return size_value(self, size)

    def shape_vector(self, shape: Sequence[Size]) -> Value:
        """Return sizes as an int32 vector, computed from the inputs' shapes if any changes."""
        if is_static(shape):
            return integers([example(size) for size in shape])
        scalars = [self.size_scalar(size) for size in shape]
        return self.emit(
            "PACK", *scalars, shape=(len(shape),), dtype=INTEGER, values_count=len(shape), axis=0
        )

    # -- shapes ------------------------------------------------------------------------------

    def reshape(self, x: Value, shape: Sequence[Size]) -> Value:
        """Give a tensor another shape; nothing is emitted if it has that shape already."""
        shape = tuple(shape)
        if shape == x.shape:
            return x
        if x.data is not None:
            return constant(x.data.reshape([example(size) for size in shape]))
        changing = [axis for axis, size in enumerate(shape) if isinstance(size, Dim)]
        if len(changing) <= 1:
            sizes = [-1 if isinstance(size, Dim) else size for size in shape]
            return self.emit("RESHAPE", x, integers(sizes), shape=shape, new_shape=sizes)
        return self.emit("RESHAPE", x, self.shape_vector(shape), shape=shape)

    def transpose(self, x: Value, permutation: Sequence[int]) -> Value:
        """Reorder the axes: ``result.shape[i] == x.shape[permutation[i]]``."""
        order: Permutation = tuple(axis % x.rank for axis in permutation)
        if order == identity(x.rank):
            return x
        if x.data is not None:
            return constant(x.data.transpose(order))
        return self.emit("TRANSPOSE", x, integers(order))

    def channels_last(self, x: Value) -> Value:
        """Move axis 1 to the end: NCHW to NHWC."""
        return self.transpose(x, (0, *range(2, x.rank), 1))

    def channels_first(self, x: Value) -> Value:
        """Move the last axis to 1: NHWC to NCHW."""
        return self.transpose(x, (0, x.rank - 1, *range(1, x.rank - 1)))

    def expand(self, x: Value, shape: Sequence[Size]) -> Value:
        """Broadcast to a shape."""
        shape = tuple(shape)
        x = self.reshape(x, (1,) * (len(shape) - x.rank) + x.shape)
        if x.shape == shape:
            return x
        if x.data is not None and is_static(shape):
            return constant(np.broadcast_to(x.data, [example(size) for size in shape]))
        times = [1 if size == have else size for size, have in zip(shape, x.shape, strict=True)]
        delegated = x.dtype == FLOAT and is_static(times) and x.rank <= _XNNPACK_RANK
        if delegated and not self._may_be_infinite(x):  # LiteRT's own MUL makes that finite
            # XNNPACK takes this, and BROADCAST_TO is up to 70 times slower than it or TILE
            ones = np.ones([example(size) for size in times], np.float32)
            return self.emit("MUL", x, constant(ones), shape=shape)
        return self.emit("TILE", x, self.shape_vector(times), shape=shape)

    def _may_be_infinite(self, x: Value) -> bool:
        """Whether a tensor has cells of a constant that is infinite, as masks of attention do."""
        made_by = self.graph.producers()
        waiting = [x]
        while waiting:
            value = waiting.pop()
            if value.data is not None and value.dtype == FLOAT and np.isinf(value.data).any():
                return True
            op = made_by.get(value)
            if op is not None and op.kind in _PASSING:
                waiting += [each for each in op.inputs if each is not None]
        return False

    def with_rank(self, x: Value, rank: int) -> Value:
        """Put axes of size 1 in front until a tensor has a rank."""
        return self.reshape(x, (1,) * (rank - x.rank) + x.shape)

    def slice(self, x: Value, axis: int, start: Size, size: Size) -> Value:
        """Take ``size`` cells from ``start`` along an axis; neither may count from the end."""
        axis %= x.rank
        if start == 0 and size == x.shape[axis]:
            return x
        shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
        if isinstance(start, int) and isinstance(size, int) and x.data is not None:
            return constant(np.take(x.data, range(start, start + size), axis=axis))
        begin = self.shape_vector(_at(x.rank, axis, start, 0))
        if is_static((start, *shape)):
            return self.emit("SLICE", x, begin, self.shape_vector(shape), shape=shape)
        bounds = _constant_bounds(x.shape[axis], start, size)
        if bounds is None:
            sizes = self.shape_vector(_at(x.rank, axis, size, -1))
            return self.emit("SLICE", x, begin, sizes, shape=shape)
        # unlike SLICE with a size of -1, XNNPACK takes this one
        first, last = (self.shape_vector(_at(x.rank, axis, bound, 0)) for bound in bounds)
        whole = (1 << x.rank) - 1 - (1 << axis)
        return self.emit(
            "STRIDED_SLICE",
            x,
            first,
            last,
            integers([1] * x.rank),
            shape=shape,
            begin_mask=whole,
            end_mask=whole | (1 << axis) * (bounds[1] == 0),
        )

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """Join tensors along an axis."""
        kept = [value for value in values if value.shape[axis] != 0]
        if len(kept) == 1:
            return kept[0]
        if all(value.data is not None for value in kept):
            return constant(np.concatenate([value.data for value in kept], axis=axis))
        return self.emit("CONCATENATION", *kept, axis=axis % kept[0].rank)

    def pad(self, x: Value, pads: Sequence[tuple[int, int]], fill: Number = 0) -> Value:
        """Add cells before and after, for each axis; no pad may be negative."""
        if not any(before or after for before, after in pads):
            return x
        widths = self.constant(np.array(pads, dtype=np.int32))
        if fill == 0:
            return self.emit("PAD", x, widths)
        return self.emit("PADV2", x, widths, self.scalar(fill, x.dtype))

    # -- types and arithmetic ----------------------------------------------------------------

    def cast(self, x: Value, dtype: str) -> Value:
        """Convert the elements; to bool it asks whether they are not zero, as PyTorch does."""
        if x.dtype == dtype:
            return x
        if x.data is not None:
            return constant(x.data.astype(dtype))
        # comparisons of 8-bit integers that are not quantized abort the interpreter
        if dtype == "bool" and x.dtype not in ("int8", "uint8"):
            return self.emit("NOT_EQUAL", x, self.scalar(0, x.dtype))
        if x.dtype == FLOAT and dtype in ("int8", "uint8"):
            x = self.cast(x, INTEGER)  # the kernel saturates; PyTorch keeps the low bits
        return self.emit("CAST", x, shape=x.shape, dtype=dtype)

    def promoted(self, *operands: Value | Number, dtype: str | None = None) -> list[Value]:
        """Bring operands to one type (their common one unless stated) and one rank.

        A number takes the type of the tensors beside it if it can be one of theirs.
        """
        target = dtype or common_dtype(*(_dtype_beside(each, operands) for each in operands))
        values = [
            self.cast(each, target) if isinstance(each, Value) else self.scalar(each, target)
            for each in operands
        ]
        rank = max(value.rank for value in values)
        return [self.with_rank(value, rank) for value in values]

    def pointwise(
        self, kind: str, *operands: Value | Number, dtype: str | None = None, **options: Any
    ) -> Value:
        """Add an operator on elements, with broadcasting and promotion.

        Args:
            kind: TFLite's builtin name.
            operands: Tensors and numbers.
            dtype: Type to compute in, if it is not the operands' common one. What a kernel lacks
                (most abort on 8 bits without quantization) is computed in int32.
            options: Fields of its options table.
        """
        values = self.promoted(*operands, dtype=dtype)
        given = values[0].dtype
        if given in _NARROW_KINDS and kind not in _NARROW_KINDS[given]:
            values = [self.cast(value, INTEGER) for value in values]
        result = self.emit(kind, *values, **options)
        return result if result.dtype in (given, "bool") else self.cast(result, given)

    def reduce(self, kind: str, x: Value, axes: Sequence[int], keepdim: bool = False) -> Value:
        """Reduce over axes; an empty list means all of them, as in PyTorch's ``dim=[]``."""
        order = sorted({axis % x.rank for axis in axes}) if axes else list(range(x.rank))
        if not order:
            return x
        return self.emit(kind, x, integers(order), keep_dims=keepdim)


@dataclass(frozen=True, kw_only=True)
class CompileOptions:
    """What the user asks of the compiler.

    Attributes:
        channels_last: Names of the inputs and outputs of rank 4 that the file has in NHWC.
        keep_int64: Whether 64-bit inputs and outputs stay so at the boundary.
        float16_weights: Whether float32 constants are stored in half precision.
        unroll: Steps of a recurrent layer up to which it is unrolled; ``None`` for the rule.
    """

    channels_last: frozenset[str] = frozenset()
    keep_int64: bool = False
    float16_weights: bool = False
    unroll: int | None = None


def _at(rank: int, axis: int, value: Size, rest: int) -> list[Size]:
    """Return a list of ``rest`` for each axis but one."""
    return [value if place == axis else rest for place in range(rank)]


def _constant_bounds(extent: Size, start: Size, size: Size) -> tuple[int, int] | None:
    """Where a slice begins and ends, from the end where negative; an end of 0 is the end itself.

    ``None`` if that depends on a size that changes in another way than the extent does.
    """
    begin = start if isinstance(start, int) else start - extent
    stop = start + size
    end = stop if isinstance(stop, int) else stop - extent
    if isinstance(begin, Dim) or isinstance(end, Dim):
        return None
    from_end = (isinstance(start, Dim), isinstance(stop, Dim))
    # a negative one counts from the end, so that the others must not be
    if (begin >= 0) == from_end[0] or (end > 0) == from_end[1]:
        return None
    return begin, end


def _dtype_beside(operand: Value | Number, operands: Sequence[Value | Number]) -> str:
    """Type that an operand stands for in promotion: a number is of the weakest fitting type."""
    if isinstance(operand, Value):
        # a 0-d tensor does not promote tensors with axes within one category
        return operand.dtype
    if isinstance(operand, bool):
        return "bool"
    if isinstance(operand, float):
        return FLOAT
    beside = [each.dtype for each in operands if isinstance(each, Value)]
    fitting = [dtype for dtype in beside if dtype != "bool"]
    return fitting[0] if fitting else INTEGER
