"""The operators of a TensorFlow Lite file one by one, in the order in which they run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .facts import DamagedError
from .flatbuffer import mapped
from .tflite_file import members, operator_codes, text


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
    """

    graph: int
    graph_name: str
    index: int
    name: str
    tensor: str


def graph_operators(path: Path) -> tuple[GraphOperator, ...]:
    """Return the operators of all subgraphs of a file.

    Raises:
        DamagedError: It refers to something that is not in the file.
    """
    from ai_edge_litert import schema_py_generated as schema

    found = []
    with mapped(path) as data:
        model = schema.Model.GetRootAs(data)
        codes = operator_codes(model)
        for graph, subgraph in enumerate(members(model, "Subgraphs")):
            graph_name, tensors = text(subgraph.Name()), subgraph.TensorsLength()
            for index, operator in enumerate(members(subgraph, "Operators")):
                results = members(operator, "Outputs")
                if any(result >= tensors for result in results):
                    raise DamagedError(f"operator {index} writes a tensor that is not there")
                name, _ = codes[operator.OpcodeIndex()]
                # -1 stands for an optional result that is left out
                named = [text(subgraph.Tensors(each).Name()) for each in results if each >= 0]
                found.append(
                    GraphOperator(
                        graph=graph,
                        graph_name=graph_name,
                        index=index,
                        name=name,
                        tensor=named[0] if named else "",
                    )
                )
    return tuple(found)
