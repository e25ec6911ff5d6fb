"""Reader of TensorFlow SavedModel folders; it needs no TensorFlow, and loads no weights.

The messages are those of ``tensorflow/core/protobuf/{saved_model,meta_graph}.proto`` and
``tensorflow/core/framework/{graph,function,node_def,attr_value,tensor,tensor_shape}.proto``; a
field is named here by its number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..artifact import TensorSpec
from ..formats import map_file
from .dtypes import TENSORFLOW_TYPES, bytes_of, name_of
from .facts import DamagedError, Facts, operator_counts, signature_of
from .protobuf_message import Message

# SavedModel, MetaGraphDef, MetaInfoDef
_META_GRAPHS = 2
_META_INFO, _GRAPH, _SIGNATURES = 1, 2, 5
_TAGS, _TENSORFLOW_VERSION = 4, 5
# GraphDef, FunctionDefLibrary, FunctionDef, OpDef
_NODES, _LIBRARY = 1, 2
_FUNCTIONS = 1
_FUNCTION_SIGNATURE, _FUNCTION_NODES = 1, 3
_FUNCTION_NAME = 1
# NodeDef, AttrValue, AttrValue.ListValue, NameAttrList
_NODE_NAME, _NODE_OP, _NODE_INPUTS, _NODE_ATTRIBUTES = 1, 2, 3, 5
_LIST, _TYPE, _TEXT, _SHAPE, _TENSOR, _FUNCTION = 1, 6, 2, 7, 8, 10
_LIST_FUNCTIONS = 9
_CALLED_NAME = 1
# SignatureDef, TensorInfo, TensorProto, TensorShapeProto
_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS = 1, 2
_INFO_NAME, _INFO_TYPE, _INFO_SHAPE = 1, 2, 3
_TENSOR_TYPE, _TENSOR_SHAPE = 1, 2
_DIMENSIONS, _UNKNOWN_RANK = 2, 3
_SIZE = 1
# an entry of any map
_KEY, _VALUE = 1, 2

_VARIABLES = {"VarHandleOp", "VariableV2"}
# what holds, passes or groups values, and computes none
_STRUCTURE = _VARIABLES | {
    "Const",
    "Identity",
    "NoOp",
    "PartitionedCall",
    "Placeholder",
    "ReadVariableOp",
    "StatefulPartitionedCall",
}


def inspect_saved_model(path: Path) -> Facts:
    """Read a SavedModel; operators and weights are those that its default signature uses.

    Raises:
        DamagedError: ``saved_model.pb`` is not a SavedModel, or its variables are not there.
    """
    file = path / "saved_model.pb"
    if not file.stat().st_size:
        raise DamagedError("saved_model.pb is empty")
    try:
        return _facts(path, _serving_graph(Message(map_file(file))))
    except ValueError as error:
        raise DamagedError(f"saved_model.pb: {error}") from error


def _serving_graph(model: Message) -> Message:
    """The graph for serving, or else the first."""
    graphs = model.children(_META_GRAPHS)
    if not graphs:
        raise DamagedError("it has no graph")
    serving = (each for each in graphs if "serve" in each.child(_META_INFO).texts(_TAGS))
    return next(serving, graphs[0])


def _facts(path: Path, graph: Message) -> Facts:
    signatures = _entries(graph, _SIGNATURES)
    names = sorted(name for name in signatures if not name.startswith("__saved_model_"))
    if not names:
        raise DamagedError("it has no signature to run it by")
    chosen = "serving_default" if "serving_default" in names else names[0]
    signature = signatures[chosen]
    program = _program(graph.child(_GRAPH), signature)
    variables = _variables(program.nodes)
    _check_variables(path, variables)
    stored = [*variables, *_constants(program.nodes)]
    info = graph.child(_META_INFO)
    details = {
        "signatures": ", ".join(names),
        "signature": chosen,
        "tags": ", ".join(info.texts(_TAGS)),
        "variables": str(len(variables)),
    }
    operators = [node.text(_NODE_OP) for node in program.nodes]
    return Facts(
        signature=signature_of(
            _specs(signature, _SIGNATURE_INPUTS), _specs(signature, _SIGNATURE_OUTPUTS), details
        ),
        operators=operator_counts(
            (name, None) for name in operators if name not in _STRUCTURE | program.functions
        ),
        parameters=sum(elements for elements, _ in stored),
        parameter_bytes=sum(bytes_of(*each) for each in stored),
        producer="TensorFlow",
        producer_version=info.text(_TENSORFLOW_VERSION),
        details=details,
    )


def _entries(message: Message, field: int) -> dict[str, Message]:
    """A map of messages; its order in the file means nothing, and names are sorted here."""
    found = {entry.text(_KEY): entry.child(_VALUE) for entry in message.children(field)}
    return dict(sorted(found.items()))


@dataclass(frozen=True, kw_only=True)
class _Program:
    """The nodes that a signature depends on, and the names of all functions."""

    nodes: list[Message]
    functions: set[str]


def _program(graph: Message, signature: Message) -> _Program:
    """Collect the nodes that a signature's outputs depend on, also in the functions they call.

    The rest of a SavedModel is other signatures, saving and restoring. A function counts once.
    """
    nodes = {node.text(_NODE_NAME): node for node in graph.children(_NODES)}
    functions = {
        function.child(_FUNCTION_SIGNATURE).text(_FUNCTION_NAME): function
        for function in graph.child(_LIBRARY).children(_FUNCTIONS)
    }
    reached: dict[str, Message] = {}
    outputs = _entries(signature, _SIGNATURE_OUTPUTS).values()
    pending = [info.text(_INFO_NAME) for info in outputs]
    while pending:
        # "name:output", or "^name" for an order between nodes
        name = pending.pop().removeprefix("^").partition(":")[0]
        if name not in nodes:
            raise DamagedError(f"its graph has no node {name!r}")
        if name not in reached:
            reached[name] = nodes[name]
            pending += nodes[name].texts(_NODE_INPUTS)
    collected = list(reached.values())
    entered: set[str] = set()
    for node in collected:  # which grows as functions are met
        for name in _called(node):
            if name in functions and name not in entered:
                entered.add(name)
                collected += functions[name].children(_FUNCTION_NODES)
    return _Program(nodes=collected, functions=set(functions))


def _called(node: Message) -> Iterator[str]:
    """Names that may be functions: a node calls them as its operator, or by its attributes."""
    yield node.text(_NODE_OP)
    for value in _entries(node, _NODE_ATTRIBUTES).values():
        for each in (*value.children(_FUNCTION), *value.child(_LIST).children(_LIST_FUNCTIONS)):
            yield each.text(_CALLED_NAME)


def _attribute(node: Message, name: str) -> Message:
    """Value of an attribute; an empty message if the node does not have it."""
    return _entries(node, _NODE_ATTRIBUTES).get(name, Message(memoryview(b"")))


def _variables(nodes: Sequence[Message]) -> list[tuple[int, str]]:
    """Elements and type of each variable; two handles of one name share it."""
    found = {}
    for node in nodes:
        if node.text(_NODE_OP) in _VARIABLES:
            shared = _attribute(node, "shared_name").text(_TEXT)
            found[shared or node.text(_NODE_NAME)] = _elements(
                _attribute(node, "shape").child(_SHAPE), _attribute(node, "dtype").number(_TYPE)
            )
    return list(found.values())


def _constants(nodes: Sequence[Message]) -> Iterator[tuple[int, str]]:
    """Elements and type of each constant but the scalar ones, which are numbers of the code."""
    for node in nodes:
        if node.text(_NODE_OP) == "Const":
            tensor = _attribute(node, "value").child(_TENSOR)
            shape = tensor.child(_TENSOR_SHAPE)
            if shape.children(_DIMENSIONS):
                yield _elements(shape, tensor.number(_TENSOR_TYPE))


def _elements(shape: Message, dtype: int) -> tuple[int, str]:
    sizes = [dimension.number(_SIZE) for dimension in shape.children(_DIMENSIONS)]
    return math.prod(sizes), name_of(dtype, TENSORFLOW_TYPES)


def _check_variables(path: Path, variables: Sequence[tuple[int, str]]) -> None:
    """Raise if the files of the variables hold less than the graph reads from them."""
    needed = sum(bytes_of(*each) for each in variables)
    held = sum(file.stat().st_size for file in path.glob("variables/variables.data-*"))
    if held < needed:
        raise DamagedError(f"its variables take {needed} bytes, and variables/ holds {held}")


def _specs(signature: Message, side: int) -> list[TensorSpec | str]:
    """Specs of one side of a signature; text for a tensor of unknown rank."""
    specs: list[TensorSpec | str] = []
    for name, info in _entries(signature, side).items():
        dtype = name_of(info.number(_INFO_TYPE), TENSORFLOW_TYPES)
        shape = info.child(_INFO_SHAPE)
        if shape.number(_UNKNOWN_RANK):
            specs.append(f"{name}: {dtype} tensor of unknown rank")
            continue
        sizes = [dimension.number(_SIZE) for dimension in shape.children(_DIMENSIONS)]
        specs.append(
            TensorSpec(
                name=name, shape=tuple(None if size < 0 else size for size in sizes), dtype=dtype
            )
        )
    return specs
