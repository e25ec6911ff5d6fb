"""The operators of a TensorFlow Lite file one by one, in the order in which they run."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .dtypes import name_of
from .facts import DamagedError
from .flatbuffer import mapped
from .tflite_file import enumeration_names, members, operator_codes, tensor_types, text

_CAPITAL = re.compile(r"(?<!^)([A-Z])")
_ACTIVATION = "fused_activation_function"
# Options that are numbers of an enumeration of the schema, by the names that they have here.
_ENUMERATED = {
    "combiner": "CombinerType",
    "kernel_type": "LSTMKernelType",
    "mode": "MirrorPadMode",
    "padding": "Padding",
    "weights_format": "FullyConnectedOptionsWeightsFormat",
}
_TYPED = (
    "idx_out_type",
    "in_data_type",
    "out_data_type",
    "out_type",
    "output_type",
    "quantized_bias_type",
)
_UNPACKING = ("DEQUANTIZE", "DENSIFY")
_LISTS = ("int32", "int64")
_LONGEST_LIST = 16


@dataclass(frozen=True, kw_only=True)
class GraphTensor:
    """One tensor.

    Attributes:
        name: Its name.
        shape: Sizes; ``None`` for one that may change.
        dtype: NumPy name of the element type, or the schema's in lower case where NumPy has none.
        constant: Whether the file holds its elements.
        quantized: Whether its elements stand for real numbers by a scale.
        values: The elements of a short list of integer constants: axes, sizes, steps.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    constant: bool = False
    quantized: bool = False
    values: tuple[int, ...] | None = None

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def dynamic(self) -> bool:
        """Whether a size may change."""
        return None in self.shape

    def __str__(self) -> str:
        sizes = "x".join("?" if size is None else str(size) for size in self.shape) or "scalar"
        return f"{self.dtype}[{sizes}]"


@dataclass(frozen=True, kw_only=True)
class GraphOperator:
    """One operator.

    Attributes:
        graph: Index of its subgraph; 0 is the one that runs, the others are bodies of loops and
            branches.
        graph_name: Name of that.
        index: Its place in that.
        name: Its name as the schema spells it: ``CONV_2D``, ``custom:Mystery``.
        tensor: Name of its first result; empty if it has none.
        version: The version that the file states.
        inputs: What it reads; ``None`` for an optional input that is left out.
        outputs: What it writes.
        options: Fields of its options table in snake case; the fused activation by name.
    """

    graph: int
    graph_name: str
    index: int
    name: str
    tensor: str
    version: int = 1
    inputs: tuple[GraphTensor | None, ...] = ()
    outputs: tuple[GraphTensor, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Its name, as the rules of versions call it."""
        return self.name

    @property
    def output(self) -> GraphTensor:
        """Its first result."""
        return self.outputs[0]

    @property
    def read(self) -> list[GraphTensor]:
        """The inputs that are not constants."""
        return [each for each in self.inputs if each is not None and not each.constant]

    @property
    def unpacks_weights(self) -> bool:
        """Whether it turns stored weights into floats."""
        return self.name in _UNPACKING and not self.read


def with_stored_weights(operators: Iterable[GraphOperator]) -> list[GraphOperator]:
    """Return operators whose inputs count as constants where they are made of nothing else.

    Those are weights that are stored in fewer bits and turned into floats when the model is loaded.
    """
    weights: set[int] = set()  # of the tensors, which are one object wherever they are used
    found = []
    for operator in operators:
        if operator.unpacks_weights:
            weights.update(map(id, operator.outputs))
        inputs = tuple(
            replace(each, constant=True) if each is not None and id(each) in weights else each
            for each in operator.inputs
        )
        found.append(replace(operator, inputs=inputs))
    return found


@dataclass(frozen=True, kw_only=True)
class TFLiteGraph:
    """What is in a file.

    Attributes:
        operators: The operators of all subgraphs.
        tensors: The tensors of each subgraph; the first one is the one that runs.
        inputs: Indices of the inputs of the first one, among its tensors.
        outputs: The same of its outputs.
        outside: Whether constants lie behind the flatbuffer, as in files of more than 2 GB.
    """

    operators: tuple[GraphOperator, ...]
    tensors: tuple[tuple[GraphTensor, ...], ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    outside: bool = False

    @property
    def main(self) -> list[GraphOperator]:
        """The operators of the subgraph that runs."""
        return [each for each in self.operators if each.graph == 0]


def graph_operators(path: Path) -> tuple[GraphOperator, ...]:
    """Return the operators of all subgraphs of a file.

    Raises:
        DamagedError: It refers to something that is not in the file.
    """
    return read_graph(path).operators


def read_graph(path: Path) -> TFLiteGraph:
    """Read the graph of a file; the weights are not read.

    Raises:
        DamagedError: It refers to something that is not in the file.
    """
    from ai_edge_litert import schema_py_generated as schema

    found: list[GraphOperator] = []
    every = []
    with mapped(path) as data:
        model = schema.Model.GetRootAs(data)
        codes = operator_codes(model)
        buffers = members(model, "Buffers")
        filled = [_is_filled(each) for each in buffers]

        def content(index: int) -> bytes:
            buffer = buffers[index]
            if buffer.Offset() > 1:
                return bytes(data[buffer.Offset() : buffer.Offset() + buffer.Size()])
            return bytes(buffer.DataAsNumpy())

        subgraphs = members(model, "Subgraphs")
        if not subgraphs:
            raise DamagedError("it has no subgraph")
        for graph, subgraph in enumerate(subgraphs):
            tensors = tuple(_tensor(each, filled, content) for each in members(subgraph, "Tensors"))
            every.append(tensors)
            for index, operator in enumerate(members(subgraph, "Operators")):
                name, version = codes[operator.OpcodeIndex()]
                # -1 stands for an optional tensor that is left out
                inputs = _chosen(tensors, members(operator, "Inputs"), index, "reads")
                outputs = _chosen(tensors, members(operator, "Outputs"), index, "writes")
                written = tuple(each for each in outputs if each is not None)
                found.append(
                    GraphOperator(
                        graph=graph,
                        graph_name=text(subgraph.Name()),
                        index=index,
                        name=name,
                        tensor=written[0].name if written else "",
                        version=version,
                        inputs=inputs,
                        outputs=written,
                        options=_options(operator),
                    )
                )
        return TFLiteGraph(
            operators=tuple(found),
            tensors=tuple(every),
            inputs=tuple(members(subgraphs[0], "Inputs")),
            outputs=tuple(members(subgraphs[0], "Outputs")),
            outside=any(each.Offset() > 1 for each in buffers),
        )


def _is_filled(buffer: Any) -> bool:
    """Whether a buffer has bytes, in the flatbuffer or behind it."""
    return bool(buffer.Size() if buffer.Offset() > 1 else buffer.DataLength())


def _tensor(tensor: Any, filled: Sequence[bool], content: Callable[[int], bytes]) -> GraphTensor:
    sizes = members(tensor, "ShapeSignature") or members(tensor, "Shape")
    quantization = tensor.Quantization()
    dtype = name_of(tensor.Type(), tensor_types())
    constant = filled[tensor.Buffer()]
    values = None
    if constant and dtype in _LISTS and math.prod(map(int, sizes)) <= _LONGEST_LIST:
        values = tuple(np.frombuffer(content(tensor.Buffer()), dtype).tolist())
    return GraphTensor(
        name=text(tensor.Name()),
        shape=tuple(None if size < 0 else int(size) for size in sizes),
        dtype=dtype,
        constant=constant,
        values=values,
        quantized=bool(quantization is not None and quantization.ScaleLength()),
    )


def _chosen(
    tensors: Sequence[GraphTensor], indices: Sequence[int], operator: int, does: str
) -> tuple[GraphTensor | None, ...]:
    if any(each >= len(tensors) for each in indices):
        raise DamagedError(f"operator {operator} {does} a tensor that is not there")
    return tuple(tensors[each] if each >= 0 else None for each in indices)


def _options(operator: Any) -> dict[str, Any]:
    from ai_edge_litert import schema_py_generated as schema

    kind, table = operator.BuiltinOptionsType(), operator.BuiltinOptions()
    if not kind or table is None:
        return {}
    made = schema.BuiltinOptionsCreator(kind, table)
    options = {} if made is None else {_snake(name): value for name, value in vars(made).items()}
    if _ACTIVATION in options:
        names = enumeration_names("ActivationFunctionType")
        options[_ACTIVATION] = name_of(options[_ACTIVATION], names)
    return options


def named_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return an operator's options for people: the schema's names in place of its numbers."""

    def named(name: str, value: Any) -> Any:
        if not isinstance(value, int) or name not in (*_ENUMERATED, *_TYPED):
            return value
        return name_of(value, enumeration_names(_ENUMERATED.get(name, "TensorType")))

    return {
        name: named(name, value)
        for name, value in options.items()
        if (name, value) != ("quantized_bias_type", 0)  # 0 stands for: not set
    }


def _snake(name: str) -> str:
    """``dilationWFactor`` → ``dilation_w_factor``."""
    return _CAPITAL.sub(r"_\1", name).lower()
