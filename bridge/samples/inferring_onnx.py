"""What an ONNX graph tells about its inputs: the tables that they index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from .ranges import InputRange, Kind

# The result holds the first operand's values.
_SAME_VALUES = frozenset(
    ("Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand",
     "Slice", "Concat", "Tile", "Split")
)  # fmt: skip
_TABLES = {"Gather": 1, "GatherElements": 1}  # operator → place of the index


def infer_onnx(path: Path, examples: Mapping[str, NDArray[Any]]) -> dict[str, InputRange]:
    """Return the ranges of the whole-number inputs that index a table of the file.

    Args:
        path: The file.
        examples: Example inputs by name.
    """
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    tables = {each.name: tuple(each.dims) for each in graph.initializer}
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for value in node.input:
            readers.setdefault(value, []).append(node)
    found = {}
    for name, example in examples.items():
        if example.dtype.kind not in "iu":
            continue
        bounds = list(_bounds(name, readers, tables))
        if bounds:
            size, table = min(bounds)
            how = f"indices 0..{size - 1} (rows of {table})"
            found[name] = InputRange(kind=Kind.INDEX, low=0, high=size - 1, how=how)
    return found


def _bounds(
    name: str, readers: Mapping[str, list[Any]], tables: Mapping[str, tuple[int, ...]]
) -> Iterator[tuple[int, str]]:
    """Size and name of every table that a value indexes, under whatever names it goes."""
    pending, seen = [name], set()
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        for node in readers.get(value, ()):
            place = _TABLES.get(node.op_type)
            if place is not None and node.input[place] == value:
                table = node.input[0]
                axis = next((each.i for each in node.attribute if each.name == "axis"), 0)
                if table in tables:
                    yield tables[table][axis], table
            elif node.op_type in _SAME_VALUES:
                pending += node.output
