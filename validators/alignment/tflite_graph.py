"""The operators of a TFLite file's first subgraph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...formats import TFLITE
from ..quantization.recipe import file_recipe
from .graph import FLOATS, INTEGERS, Graph, Operation
from .operators import kind_of

_ACTIVATIONS = {1: "relu", 2: "relu6", 3: "relu6", 4: "tanh"}
# types of tensors that hold no numbers
_UNSHOWN = ("STRING", "RESOURCE", "VARIANT")


def read_tflite(path: Path) -> Graph:
    """Read a file; its weights stay where they are."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    operators = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    operations = tuple(
        _operation(schema, model, graph.Operators(index), index, operators)
        for index in range(graph.OperatorsLength())
    )
    inputs = [str(graph.Inputs(place)) for place in range(graph.InputsLength())]
    outputs = [str(graph.Outputs(place)) for place in range(graph.OutputsLength())]
    made = [*inputs, *(key for each in operations for key in each.outputs)]
    signature = _signature(model)
    return Graph(
        operations=operations,
        inputs={_name(graph, key): key for key in inputs} | signature[0],
        outputs={_name(graph, key): key for key in outputs} | signature[1],
        names=_shown(schema, graph, made),
        shapes={
            key: tuple(int(size) for size in graph.Tensors(int(key)).ShapeAsNumpy())
            for key in made
            if graph.Tensors(int(key)).ShapeLength()
        },
        scales=dict(filter(None, (_scale(graph, key) for key in made))),
        tolerance=INTEGERS if file_recipe(path, TFLITE).precision.startswith("int8") else FLOATS,
    )


def _operation(
    schema: Any, model: Any, operator: Any, index: int, operators: dict[int, str]
) -> Operation:
    code = model.OperatorCodes(operator.OpcodeIndex())
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = operators.get(number, str(number))
    if name == "CUSTOM":
        name = (code.CustomCode() or b"CUSTOM").decode(errors="replace")
    options = schema.OperatorT.InitFromObj(operator).builtinOptions
    return Operation(
        index=index,
        kind=_kind(name),
        name=name,
        inputs=tuple(str(each) for each in _tensors(operator.InputsAsNumpy())),
        outputs=tuple(str(each) for each in _tensors(operator.OutputsAsNumpy())),
        activation=_ACTIVATIONS.get(getattr(options, "fusedActivationFunction", 0)),
    )


def _tensors(indices: Any) -> list[int]:
    # of a vector that is not there the reader makes the number 0
    return [int(index) for index in indices if index >= 0] if hasattr(indices, "__len__") else []


def _kind(name: str) -> str:
    return "movement" if name in ("SELECT", "SELECT_V2") else kind_of(name)


def _name(graph: Any, key: str) -> str:
    return (graph.Tensors(int(key)).Name() or b"").decode(errors="replace")


def _shown(schema: Any, graph: Any, made: list[str]) -> dict[str, str]:
    """Names of tensors that a runtime can show: those that no other computed tensor has."""
    unshown = {getattr(schema.TensorType, name) for name in _UNSHOWN}
    keys: dict[str, list[str]] = {}
    for key in dict.fromkeys(made):
        keys.setdefault(_name(graph, key), []).append(key)
    return {
        own[0]: name
        for name, own in keys.items()
        if name and len(own) == 1 and graph.Tensors(int(own[0])).Type() not in unshown
    }


def _signature(model: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Names of inputs and outputs in the signatures of the first subgraph."""
    inputs: dict[str, str] = {}
    outputs: dict[str, str] = {}
    for place in range(model.SignatureDefsLength()):
        each = model.SignatureDefs(place)
        if each.SubgraphIndex() == 0:
            for index in range(each.InputsLength()):
                inputs[each.Inputs(index).Name().decode()] = str(each.Inputs(index).TensorIndex())
            for index in range(each.OutputsLength()):
                output = each.Outputs(index)
                outputs[output.Name().decode()] = str(output.TensorIndex())
    return inputs, outputs


def _scale(graph: Any, key: str) -> tuple[str, tuple[float, int]] | None:
    found = graph.Tensors(int(key)).Quantization()
    if found is None or found.ScaleLength() != 1:
        return None
    zero_point = int(found.ZeroPoint(0)) if found.ZeroPointLength() else 0
    return key, (float(found.Scale(0)), zero_point)
