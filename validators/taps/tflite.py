"""TFLite files with tensors exposed, by editing the flatbuffer.

The edit appends one vector to the file and turns one offset to it. Nothing is unpacked or moved: it
costs one copy of the file whatever its size, and all else stays byte for byte what was shipped,
buffers that lie behind the flatbuffer and are found by absolute offset (``Buffer.offset``)
included. A delegate sees ordinary outputs, so the tensors are shown by XNNPACK itself too;
``experimental_preserve_all_tensors`` would show only what is left when XNNPACK is out of the way.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import SourceError
from .names import require_names

LARGEST_FLATBUFFER = 2**31 - 1  # flatbuffers::Verifier accepts nothing above
_OUTPUTS_SLOT = 8  # of SubGraph.outputs in the vtable: 4 + 2 * the field's place in the schema


@dataclass(frozen=True, kw_only=True)
class Instrumented:
    """A file with tensors exposed.

    Attributes:
        content: The edited file.
        tensors: Name → index of each tensor that was asked for.
    """

    content: bytes
    tensors: dict[str, int]


def expose(path: Path, taps: Iterable[str]) -> Instrumented:
    """Make tensors of a file's first subgraph outputs of it, after the outputs that it has.

    Args:
        path: A valid TFLite file; it is not changed.
        taps: Names of tensors that an operator writes or that are inputs. A tensor that is an
            output already is not added again.

    Raises:
        SourceError: There is no such tensor, a name belongs to two, or the file is too large or
            has no outputs.
    """
    from ai_edge_litert import schema_py_generated as schema

    content = path.read_bytes()
    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    tensors = choose(path, computed(graph), list(taps))
    if graph.OutputsIsNone():  # there is no offset to turn
        raise SourceError(f"{path.name} has no outputs")
    outputs = [int(index) for index in graph.OutputsAsNumpy()]
    outputs += [index for index in tensors.values() if index not in outputs]
    return Instrumented(
        content=_with_vector(path, content, _field(graph, _OUTPUTS_SLOT), outputs), tensors=tensors
    )


def computed(graph: Any) -> dict[str, list[int]]:
    """Return the names of the tensors that are inputs or that operators write, with their indices.

    Constants do not count: they often share the name of the activation that they are added to.
    """
    indices = [int(graph.Inputs(place)) for place in range(graph.InputsLength())]
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        indices += [int(operator.Outputs(place)) for place in range(operator.OutputsLength())]
    found: dict[str, list[int]] = {}
    for index in dict.fromkeys(indices):
        if index >= 0:  # -1 stands for an optional result that is left out
            name = (graph.Tensors(index).Name() or b"").decode(errors="replace")
            found.setdefault(name, []).append(index)
    return found


def choose(path: Path, known: dict[str, list[int]], names: list[str]) -> dict[str, int]:
    """Return the one index of each name.

    Raises:
        SourceError: There is no such tensor, or a name belongs to two.
    """
    require_names("tensor", names, known, path)
    twice = [name for name in names if len(known[name]) > 1]
    if twice:
        listed = "; ".join(f"{name!r} is tensors {known[name]}" for name in twice)
        raise SourceError(f"names in {path.name} that stand for several tensors: {listed}")
    return {name: known[name][0] for name in names}


def _field(table: Any, slot: int) -> int:
    """Position in the file of the offset that a table's field is."""
    return int(table._tab.Pos + table._tab.Offset(slot))


def _with_vector(path: Path, content: bytes, field: int, values: list[int]) -> bytes:
    """Append a vector of int32 and make the offset at ``field``, relative to itself, lead to it."""
    padding = -len(content) % 4
    place = len(content) + padding
    vector = struct.pack(f"<I{len(values)}i", len(values), *values)
    if place + len(vector) > LARGEST_FLATBUFFER:
        raise SourceError(f"tensors inside {path.name} cannot be shown: it is larger than 2 GB")
    view = memoryview(content)  # so that the join is the only copy
    offset = struct.pack("<I", place - field)
    return b"".join((view[:field], offset, view[field + 4 :], bytes(padding), vector))
