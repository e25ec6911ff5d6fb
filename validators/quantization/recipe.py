"""How a TFLite file is quantized: which of its tensors, and the weights that make them."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...artifact import Artifact, Quantization
from ...formats import ONNX, TFLITE, Format
from ...inspection.flatbuffer import mapped
from ...inspection.tflite_file import enumeration_names, quantization_of, tensor_types, text

_BITS = {"int4": 4, "int8": 8, "uint8": 8, "int16": 16}
# results of these kernels have one scale always (the specification of 8-bit quantization)
_FIXED = frozenset({"LOGISTIC", "SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION", "TANH"})
_MOVING = frozenset({"TRANSPOSE", "RESHAPE", "PAD", "PADV2", "SQUEEZE", "EXPAND_DIMS"})
_SUMMING = frozenset(
    {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "CONV_3D"}
)
# these compute in floats whatever the type of their weights: what they read is not rounded
_LOOKING_UP = frozenset({"EMBEDDING_LOOKUP", "GATHER", "DEQUANTIZE"})


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A tensor of integers that stand for real numbers.

    Attributes:
        quantization: Scales and zero points.
        dtype: Type of the integers.
        settled: Whether the kernel that makes it leaves no choice of the scale: it is fixed, or
            that of one of its inputs.
    """

    quantization: Quantization
    dtype: str
    settled: bool = False


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How weights are stored.

    Attributes:
        bits: Of one weight.
        per_channel: Whether each output channel has a scale of its own.
        dynamic: Whether what they are multiplied with is quantized when it runs.
        summed: Whether the products are summed up, as in a convolution.
    """

    bits: int
    per_channel: bool
    dynamic: bool
    summed: bool = True

    def order(self) -> tuple[bool, int, bool]:
        """Return what the coarsest ones come first by; those that are summed matter most."""
        return not self.summed, self.bits, self.per_channel


@dataclass(frozen=True, kw_only=True)
class Made:
    """An operator: its name, and what it reads and makes, by tensor index."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A file's quantization.

    Attributes:
        tensors: Name → how it is stored, for the quantized tensors that are computed.
        inputs: Name of an input → how it is rounded where the file first quantizes it.
        float16: Whether weights are of float16.
    """

    tensors: Mapping[str, Stored] = field(default_factory=dict)
    inputs: Mapping[str, Stored] = field(default_factory=dict)
    float16: bool = False
    _names: Mapping[int, str] = field(default_factory=dict)
    _makers: Mapping[int, Made] = field(default_factory=dict)
    _weights: Mapping[int, Weights] = field(default_factory=dict)

    @property
    def precision(self) -> str:
        """The precision that the file is judged by."""
        if self.tensors:
            return "int8"
        if self._weights:
            return "int8-weights"
        return "float16" if self.float16 else "float32"

    @property
    def bits(self) -> int:
        """Bits of the integers that activations are; 8 if none is."""
        return max((_BITS[each.dtype] for each in self.tensors.values()), default=8)

    def piece(self, tensor: str, ends: Collection[str]) -> tuple[Weights | None, int]:
        """Return what makes a tensor out of others.

        Args:
            tensor: Name of the tensor.
            ends: Names of the tensors that it is made of.

        Returns:
            The coarsest quantized weights that take part, and how many tensors are rounded to
            integers on the way, the last one included.
        """
        indices = {name: index for index, name in self._names.items()}
        waiting, seen, roundings = [indices[tensor]], set(), 0
        found: list[Weights] = []
        while waiting:
            index = waiting.pop()
            made = self._makers.get(index)
            if index in seen or made is None:
                continue
            seen.add(index)
            name = self._names.get(index, "")
            if name != tensor and name in ends:
                continue
            stored = self.tensors.get(name)
            roundings += stored is not None and not (stored.settled and name != tensor)
            found += [self._weights[each] for each in made.outputs if each in self._weights]
            waiting += made.inputs
        coarsest = min(found, key=Weights.order, default=None)
        return coarsest, roundings


def recipe_of(artifact: Artifact) -> Recipe:
    """Return how an artifact is quantized; its precision says whether it is at all."""
    return (
        Recipe() if artifact.precision == "float32" else file_recipe(artifact.path, artifact.format)
    )


def file_recipe(path: Path, format_: Format) -> Recipe:
    """Return how a file is quantized; of other formats than TFLite and ONNX nothing is known.

    Args:
        path: The file.
        format_: Its format.

    Raises:
        DamagedError: It refers to something that is not in the file.
    """
    if format_ not in (TFLITE, ONNX):
        return Recipe()
    status = path.stat()
    return _read(path, format_, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=4)
def _read(path: Path, format_: Format, modified: int, size: int) -> Recipe:
    if format_ == ONNX:
        from .onnx_recipe import onnx_recipe

        return onnx_recipe(path)
    from ai_edge_litert import schema_py_generated as schema

    with mapped(path) as data:
        model = schema.Model.GetRootAs(data)
        return _Reader(model, model.Subgraphs(0)).recipe()


class _Reader:
    """Reads the first subgraph of a model."""

    def __init__(self, model: Any, graph: Any) -> None:
        self._model, self._graph = model, graph
        self._operators = list(self._read_operators())
        self._makers = {index: each for each in self._operators for index in each.outputs}
        self._inputs = [int(graph.Inputs(place)) for place in range(graph.InputsLength())]

    def recipe(self) -> Recipe:
        computed = [*self._inputs, *self._makers]
        names = {index: self._name(index) for index in computed}
        live = self._live()
        stored = {names[index]: self._stored(index) for index in computed if index in live}
        weights = {
            index: found
            for each in self._operators
            if (found := self._weights_of(each, live)) is not None
            for index in each.outputs
        }
        return Recipe(
            tensors={name: each for name, each in stored.items() if each is not None},
            inputs={names[index]: each for index in self._inputs if (each := self._entered(index))},
            float16=any(self._type(each) == "float16" for each in self._constants()),
            _names=names,
            _makers=self._makers,
            _weights=weights,
        )

    def _read_operators(self) -> Iterator[Made]:
        names = enumeration_names("BuiltinOperator")
        for number in range(self._graph.OperatorsLength()):
            operator = self._graph.Operators(number)
            code = self._model.OperatorCodes(operator.OpcodeIndex())
            builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            inputs = (int(operator.Inputs(place)) for place in range(operator.InputsLength()))
            outputs = (int(operator.Outputs(place)) for place in range(operator.OutputsLength()))
            yield Made(
                name=names.get(builtin, ""),
                inputs=tuple(each for each in inputs if each >= 0),
                outputs=tuple(each for each in outputs if each >= 0),
            )

    def _live(self) -> set[int]:
        live = set(self._inputs)
        for each in self._operators:
            if live.intersection(each.inputs):
                live.update(each.outputs)
        return live

    def _constants(self) -> set[int]:
        read = {index for each in self._operators for index in each.inputs}
        return read - set(self._makers) - set(self._inputs)

    def _name(self, index: int) -> str:
        return text(self._graph.Tensors(index).Name())

    def _type(self, index: int) -> str:
        return tensor_types().get(self._graph.Tensors(index).Type(), "")

    def _quantization(self, index: int) -> Quantization | None:
        return quantization_of(self._graph.Tensors(index).Quantization())

    def _stored(self, index: int) -> Stored | None:
        found, dtype = self._quantization(index), self._type(index)
        if found is None or dtype not in _BITS:
            return None
        made = self._makers.get(index)
        settled = made is not None and (
            made.name in _FIXED
            or any(self._quantization(each) == found for each in made.inputs if each != index)
        )
        return Stored(quantization=found, dtype=dtype, settled=settled)

    def _entered(self, index: int) -> Stored | None:
        """How an input is rounded: its own form, or that of the QUANTIZE that first reads it."""
        waiting = [index]
        while waiting:
            current = waiting.pop()
            stored = self._stored(current)
            if stored is not None:
                return stored
            for each in self._operators:
                if current in each.inputs and each.name in _MOVING | {"QUANTIZE"}:
                    waiting += each.outputs
        return None

    def _weights_of(self, operator: Made, live: set[int]) -> Weights | None:
        """The quantized weights of an operator that reads what is computed too."""
        if not live.intersection(operator.inputs):
            return None
        for index in operator.inputs:
            if index in live:
                continue
            made = self._makers.get(index)
            unpacked = made is not None and made.name == "DEQUANTIZE"
            source = made.inputs[0] if made is not None and unpacked else index
            found, bits = self._quantization(source), _BITS.get(self._type(source))
            if found is None or bits is None:
                continue
            in_floats = unpacked or operator.name in _LOOKING_UP
            floats = any(self._type(each) == "float32" for each in operator.outputs)
            return Weights(
                bits=bits,
                per_channel=len(found.scales) > 1,
                dynamic=floats and not in_floats,
                summed=operator.name in _SUMMING,
            )
        return None
