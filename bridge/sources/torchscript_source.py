"""A user's TorchScript file: the operators of its inlined graph are the spine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..artifact import Artifact, Signature, TensorSpec, digest, size_of
from ..errors import InputError, SourceError
from ..formats import TORCHSCRIPT
from ..layers import Layer, Spine, identity_map
from ..live import dtype_name, output_names, tensors_of

_CALL = re.compile(r"^(?P<file>[^\n(]+\.py)\((?P<line>\d+)\): ", re.MULTILINE)


def read(path: Path, examples: Mapping[str, NDArray[Any]] | None = None) -> Artifact:
    """Open a TorchScript file.

    The file stores no shapes, so the signature is that of a run on example inputs.

    Args:
        path: The file.
        examples: Inputs by name, or in order under names of any kind.

    Raises:
        SourceError: torch cannot load it.
        InputError: There are no examples, or the module does not take them.
    """
    import torch

    try:
        module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise SourceError(f"torch.jit cannot load {path}: {str(error).splitlines()[0]}") from error
    graph = module.inlined_graph
    names = [each.debugName().partition(".")[0] for each in list(graph.inputs())[1:]]
    if not examples or len(examples) != len(names):
        raise InputError(
            f"{path} takes {len(names)} input(s) ({', '.join(names)}), and TorchScript files "
            f"store no shapes; given: {len(examples or {})}",
            hint="declare each: " + " ".join(f"--input {name}=1x3x224x224" for name in names),
        )
    arrays = {
        name: examples.get(name, in_order)
        for name, in_order in zip(names, examples.values(), strict=True)
    }
    try:
        with torch.no_grad():
            result = module(*(torch.from_numpy(np.array(arrays[name])) for name in names))
    except RuntimeError as error:
        last = str(error).strip().splitlines()[-1]
        raise InputError(f"{path} does not run on the inputs given: {last}") from error
    spine = _spine(graph, names)
    outputs = zip(output_names(result), tensors_of(result), strict=True)
    return Artifact(
        format=TORCHSCRIPT,
        path=path,
        sha256=digest(path),
        size=size_of(path),
        signature=Signature(
            inputs=tuple(
                TensorSpec(name=name, shape=arrays[name].shape, dtype=arrays[name].dtype.name)
                for name in names
            ),
            outputs=tuple(
                TensorSpec(name=name, shape=tuple(each.shape), dtype=dtype_name(each.dtype))
                for name, each in outputs
            ),
        ),
        producer_version=f"torch {torch.__version__}",
        layer_map=identity_map(spine.ids()),
        spine=spine,
    )


def _spine(graph: Any, names: list[str]) -> Spine:
    inputs = {
        value.debugName(): name for value, name in zip(list(graph.inputs())[1:], names, strict=True)
    }
    layers: list[Layer] = []
    for node in graph.nodes():
        tensors = [each for each in node.outputs() if each.type().kind() == "TensorType"]
        if not node.kind().startswith("aten::"):
            continue
        known = {layer.id for layer in layers} | set(inputs)
        read = [each.debugName() for each in node.inputs() if each.debugName() in known]
        layers += [
            Layer(
                id=value.debugName(),
                op=node.kind().replace("::", "."),
                module=node.scopeName().rpartition("/")[2].removeprefix("__module").lstrip("."),
                source=_source(node),
                inputs=tuple(inputs.get(each, each) for each in read),
            )
            for value in tensors
        ]
    ids = {layer.id for layer in layers}
    return Spine(
        origin=TORCHSCRIPT.name,
        layers=tuple(layers),
        inputs=tuple(names),
        outputs=tuple(each.debugName() for each in graph.outputs() if each.debugName() in ids),
    )


def _source(node: Any) -> str:
    """``file:line`` of the innermost recorded call that is not PyTorch's own."""
    for match in _CALL.finditer(str(node.sourceRange())):
        if "/torch/" not in match["file"].replace("\\", "/"):
            return f"{match['file']}:{match['line']}"
    return ""
