"""Reader of ``torch.export`` programs (.pt2): their JSON only, so that no pickle is ever opened.

The JSON is what ``torch._export.serde.schema.ExportedProgram`` describes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..artifact import TensorSpec
from .dtypes import EXPORTED_TYPES, bytes_of, name_of
from .facts import DamagedError, Facts, operator_counts, signature_of
from .pytorch_archive import read_archive

# The kinds of input specs that stand for a stored tensor.
_STORED_KINDS = ("parameter", "buffer", "tensor_constant")

# Name of the program up to PyTorch 2.7.
_OLD_PROGRAM = "serialized_exported_program.json"

_UNBOUNDED = 2**62


@dataclass(frozen=True, kw_only=True)
class _Archive:
    """The JSON of an archive.

    Attributes:
        models: Names of the programs in it.
        program: The one called ``model``, or else the first.
        places: Where each stored tensor of it lies, by its name; empty in old archives.
    """

    models: tuple[str, ...]
    program: Mapping[str, Any]
    places: Mapping[str, str]


def inspect_exported(path: Path) -> Facts:
    """Read an exported program.

    Raises:
        DamagedError: The archive or its JSON is not what ``torch.export.save`` writes.
    """
    try:
        archive = _parse(read_archive(path))
    except ValueError as error:
        raise DamagedError(str(error)) from error
    try:
        return _facts(archive)
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedError(
            f"its schema version is {_schema_version(archive.program)}, and its program has not "
            f"the form that versions known here have: {type(error).__name__} {error}"
        ) from error


def _parse(files: Mapping[str, bytes]) -> _Archive:
    models = {
        match.group(1): name
        for name in sorted(files)
        if (match := re.fullmatch(r"models/(.+)\.json", name))
    } or {"model": _OLD_PROGRAM}
    chosen = "model" if "model" in models else next(iter(models))
    places: dict[str, str] = {}
    for kind in ("weights", "constants"):
        config = files.get(f"data/{kind}/{chosen}_{kind}_config.json")
        if config:
            entries = json.loads(config)["config"].items()
            places |= {name: f"{kind}/{entry['path_name']}" for name, entry in entries}
    return _Archive(models=tuple(models), program=json.loads(files[models[chosen]]), places=places)


def _facts(archive: _Archive) -> Facts:
    program = archive.program
    module = program["graph_module"]
    graph = module["graph"]
    stored = _stored(module, archive.places)
    details = {
        "schema_version": _schema_version(program),
        "opset_versions": ", ".join(f"{key} {n}" for key, n in program["opset_version"].items()),
        "dialect": ", ".join(program.get("verifiers", ())),
        "programs": ", ".join(archive.models) if len(archive.models) > 1 else "",
        "constant_inputs": ", ".join(_constant_inputs(module)),
        "symbolic_dimensions": _symbols(program["range_constraints"]),
    }
    users = [spec["user_input"]["arg"] for spec in _specs(module, "input", "user_input")]
    results = [spec["user_output"]["arg"] for spec in _specs(module, "output", "user_output")]
    return Facts(
        signature=signature_of(
            [_spec(each, graph) for each in users if "as_none" not in each],
            [_spec(each, graph) for each in results if "as_none" not in each],
            details,
        ),
        operators=operator_counts(_uses(graph)),
        parameters=sum(elements for elements, _ in stored),
        parameter_bytes=sum(bytes_of(*each) for each in stored),
        producer="torch.export",
        producer_version=program.get("torch_version", ""),
        details={key: text for key, text in details.items() if text},
    )


def _specs(module: Mapping[str, Any], side: str, kind: str) -> list[Any]:
    return [spec for spec in module["signature"][f"{side}_specs"] if kind in spec]


def _stored(module: Mapping[str, Any], places: Mapping[str, str]) -> list[tuple[int, str]]:
    """Elements and type of every parameter, buffer and constant; a shared one counts once."""
    tensors = module["graph"]["tensor_values"]
    found = {}
    for kind in _STORED_KINDS:
        for spec in (each[kind] for each in _specs(module, "input", kind)):
            meta = tensors[spec["arg"]["name"]]
            sizes = tuple(size["as_int"] for size in meta["sizes"])
            name = spec[f"{kind}_name"]
            place = (places.get(name, name), meta["storage_offset"]["as_int"], sizes)
            found[place] = (math.prod(sizes), name_of(meta["dtype"], EXPORTED_TYPES))
    return list(found.values())


def _uses(graph: Mapping[str, Any]) -> Iterator[tuple[str, None]]:
    """Target of every call, also in the graphs of branches and loops."""
    for node in graph["nodes"]:
        yield node["target"].removeprefix("torch.ops."), None
        for argument in node["inputs"]:
            if "as_graph" in argument["arg"]:
                yield from _uses(argument["arg"]["as_graph"]["graph"])


def _spec(argument: Mapping[str, Any], graph: Mapping[str, Any]) -> TensorSpec | str:
    """Spec of an input or output; text if it is not a tensor."""
    if "as_tensor" not in argument:
        kind, value = next(iter(argument.items()))
        name = value.get("as_name", value.get("name", "")) if isinstance(value, dict) else value
        return f"{name}: {kind.removeprefix('as_')}"
    name = argument["as_tensor"]["name"]
    meta = graph["tensor_values"][name]
    return TensorSpec(
        name=name,
        shape=tuple(size.get("as_int") for size in meta["sizes"]),
        dtype=name_of(meta["dtype"], EXPORTED_TYPES),
    )


def _constant_inputs(module: Mapping[str, Any]) -> Iterator[str]:
    """Arguments that were fixed by exporting: they are inputs of the call, and not of the graph."""
    for spec in _specs(module, "input", "constant_input"):
        constant = spec["constant_input"]
        ((kind, value),) = constant["value"].items()
        yield f"{constant['name']} = {None if kind == 'as_none' else value!r}"


def _symbols(ranges: Mapping[str, Mapping[str, int | None]]) -> str:
    """Range of each symbolic dimension."""
    found = []
    for symbol, limits in ranges.items():
        low, high = limits["min_val"], limits["max_val"]
        above = "" if high is None or high > _UNBOUNDED else f" to {high}"
        found.append(f"{symbol}: {0 if low is None else low}{above or ' or more'}")
    return ", ".join(found)


def _schema_version(program: Mapping[str, Any]) -> str:
    version = program.get("schema_version")
    return f"{version['major']}.{version['minor']}" if isinstance(version, dict) else "unknown"
