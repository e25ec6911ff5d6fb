"""The small TFLite graph between lowering and serialization: values, operators, graphs.

A value is written once, by one operator, or is an input or a constant. Operators have TFLite's
builtin names, and options with the names of the schema's fields in snake case (``stride_w``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .sizes import Dim, Shape, Size, elements, example, is_static

Array = NDArray[Any]
Permutation = tuple[int, ...]


@dataclass(frozen=True)
class Origin:
    """That a value holds the result of a spine layer.

    Attributes:
        layer: Id of the layer.
        permutation: ``value = transpose(layer, permutation)``; ``None`` for the layer's own axes.
        reshaped: Whether the value, once its axes are the layer's, has another shape.
    """

    layer: str
    permutation: Permutation | None = None
    reshaped: bool = False


@dataclass(eq=False)
class Value:
    """A tensor.

    Attributes:
        shape: Sizes.
        dtype: NumPy name of the element type.
        data: The elements of a constant, of any strides; ``None`` for what is computed.
        name: Its name, once it has one: inputs and outputs from the start.
        origins: The spine layers whose results it holds.
    """

    shape: Shape
    dtype: str
    data: Array | None = None
    name: str = ""
    origins: list[Origin] = field(default_factory=list)

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def is_constant(self) -> bool:
        """Whether its elements are known."""
        return self.data is not None

    @property
    def is_static(self) -> bool:
        """Whether all of its sizes are fixed."""
        return is_static(self.shape)

    @property
    def elements(self) -> int:
        """Number of elements, with the example inputs."""
        return elements(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of its elements, with the example inputs."""
        return self.elements * np.dtype(self.dtype).itemsize

    def size(self, axis: int) -> Size:
        """Size of an axis, which may count from the end."""
        return self.shape[axis]

    def __repr__(self) -> str:
        sizes = ",".join(str(size) for size in self.shape)
        return f"<{'const ' if self.is_constant else ''}{self.name} {self.dtype}[{sizes}]>"


class ScaledConstant(Value):
    """A constant times factors, which are multiplied when somebody first reads its elements.

    Whoever only writes them down multiplies block by block, so that weights of hundreds of MB need
    no second place in memory.

    Args:
        source: Elements of the constant.
        factors: What they are multiplied by, in the same type; they broadcast to ``source``.
        name: Its name.
    """

    def __init__(self, source: Array, factors: Array, *, name: str = "") -> None:
        self.source, self.factors = source, np.broadcast_to(factors, source.shape)
        self._product: Array | None = None
        super().__init__(shape=tuple(source.shape), dtype=source.dtype.name, name=name)

    @property
    def data(self) -> Array | None:
        """The products."""
        if self._product is None:
            self._product = self.source * self.factors
        return self._product

    @data.setter
    def data(self, data: Array | None) -> None:
        self._product = data

    @property
    def is_constant(self) -> bool:
        """Whether its elements are known: they are."""
        return True

    @property
    def is_open(self) -> bool:
        """Whether nobody has asked for the products yet."""
        return self._product is None


@dataclass(eq=False)
class Op:
    """One operator.

    Attributes:
        kind: TFLite's builtin name, such as ``CONV_2D``.
        inputs: What it reads; ``None`` for an optional input that is left out.
        outputs: What it writes.
        options: Fields of its options table; a ``Graph`` stands for the index of a subgraph.
        layers: Ids of the spine layers that it computes, or helps to.
    """

    kind: str
    inputs: list[Value | None]
    outputs: list[Value]
    options: dict[str, Any] = field(default_factory=dict)
    layers: tuple[str, ...] = ()

    @property
    def output(self) -> Value:
        """Its first result."""
        return self.outputs[0]

    def live_inputs(self) -> Iterator[tuple[int, Value]]:
        """Index and value of each input that is computed."""
        for index, value in enumerate(self.inputs):
            if value is not None and not value.is_constant:
                yield index, value

    def __repr__(self) -> str:
        return f"{self.outputs} = {self.kind}({self.inputs}, {self.options})"


@dataclass(eq=False, kw_only=True)
class Graph:
    """Operators in an order in which each value is written before it is read.

    Attributes:
        name: Name of the subgraph.
        inputs: Its inputs, in order.
        outputs: Its outputs, in order; a value may occur twice, and may be an input or a constant.
        ops: The operators.
        output_names: Names of the outputs, in order.
    """

    name: str = "main"
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    output_names: list[str] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)

    def users(self) -> dict[Value, list[Op]]:
        """Value → operators that read it, once for each time that they do."""
        found: dict[Value, list[Op]] = {}
        for op in self.ops:
            for value in op.inputs:
                if value is not None:
                    found.setdefault(value, []).append(op)
        return found

    def producers(self) -> dict[Value, Op]:
        """Value → operator that writes it."""
        return {value: op for op in self.ops for value in op.outputs}

    def replace(self, changed: dict[Value, Value]) -> None:
        """Let readers and outputs read other values; chains of replacements are followed."""

        def end(value: Value) -> Value:
            while value in changed:
                value = changed[value]
            return value

        for op in self.ops:
            op.inputs = [None if value is None else end(value) for value in op.inputs]
        self.outputs = [end(value) for value in self.outputs]

    def subgraphs(self) -> Iterator[Graph]:
        """The graphs that operators of this one run, directly and inside one another."""
        for op in self.ops:
            for option in op.options.values():
                if isinstance(option, Graph):
                    yield option
                    yield from option.subgraphs()


def inverse(permutation: Permutation) -> Permutation:
    """Return the permutation that undoes one."""
    result = [0] * len(permutation)
    for place, axis in enumerate(permutation):
        result[axis] = place
    return tuple(result)


def compose(first: Permutation, second: Permutation) -> Permutation:
    """Return the permutation of transposing by ``first`` and then by ``second``."""
    return tuple(first[axis] for axis in second)


def identity(rank: int) -> Permutation:
    """Return the permutation that changes nothing."""
    return tuple(range(rank))


def constant(data: Array, *, name: str = "") -> Value:
    """Return a constant value; the array is not copied."""
    return Value(shape=tuple(data.shape), dtype=data.dtype.name, data=data, name=name)


def integers(values: Iterable[int]) -> Value:
    """Return an int32 vector, as the axes, shapes and pads of operators are."""
    return constant(np.array(list(values), dtype=np.int32))


def reshape_op(value: Value, result: Value, layers: tuple[str, ...]) -> Op:
    """Return the RESHAPE from one value to another; at most one size of the result changes."""
    sizes = [-1 if isinstance(size, Dim) else size for size in result.shape]
    return Op("RESHAPE", [value, integers(sizes)], [result], {"new_shape": sizes}, layers)


def channels_op(value: Value, start: int, count: int, layers: tuple[str, ...]) -> Op:
    """Return the operator that takes some of the last axis, of other axes whatever they have.

    XNNPACK takes no SLICE with a size of -1, and does take a STRIDED_SLICE that masks it.
    """
    result = Value(shape=(*value.shape[:-1], count), dtype=value.dtype)
    begin = integers([0] * (value.rank - 1) + [start])
    if value.is_static:
        sizes = integers(map(example, result.shape))
        return Op("SLICE", [value, begin, sizes], [result], {}, layers)
    end = integers([0] * (value.rank - 1) + [start + count])
    others = (1 << value.rank - 1) - 1
    masks = {"begin_mask": others, "end_mask": others}
    strides = integers([1] * value.rank)
    return Op("STRIDED_SLICE", [value, begin, end, strides], [result], masks, layers)
