"""A user's .pt2 file: the nodes of its graph are the spine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..artifact import Artifact, Signature, TensorSpec, digest, size_of
from ..axes import with_layouts
from ..formats import EXPORTED
from ..layers import identity_map
from ..live import dtype_name, output_names
from ..program import output_nodes, spine_of
from ..program_file import load_program_file

if TYPE_CHECKING:
    import torch


def read(path: Path) -> Artifact:
    """Open an exported program.

    Raises:
        SourceError: It is damaged, or an operator in it is not registered.
    """
    import torch

    program = load_program_file(path)
    nodes = {node.name: node for node in program.graph.nodes}

    def spec(name: str, node: str) -> TensorSpec:
        value = nodes[node].meta["val"]
        return TensorSpec(
            name=name,
            shape=tuple(size if isinstance(size, int) else None for size in value.shape),
            dtype=dtype_name(value.dtype),
        )

    spine = spine_of(program)
    outputs = output_nodes(program)
    names = _output_names(program)
    signature = Signature(
        inputs=tuple(spec(name, name) for name in spine.inputs),
        outputs=tuple(spec(name, each) for name, each in zip(names, outputs, strict=True)),
    )
    return Artifact(
        format=EXPORTED,
        path=path,
        sha256=digest(path),
        size=size_of(path),
        signature=with_layouts(signature, spine),
        producer_version=f"torch {torch.__version__}",
        layer_map=identity_map(spine.ids()),
        spine=spine,
    )


def _output_names(program: torch.export.ExportedProgram) -> list[str]:
    """Names of the tensor outputs, from the structure of the result that the program remembers."""
    import torch
    from torch.export.graph_signature import TensorArgument
    from torch.utils import _pytree as pytree

    leaves = [
        torch.empty(()) if isinstance(spec.arg, TensorArgument) else None
        for spec in program.graph_signature.output_specs
        if spec.kind.name == "USER_OUTPUT"
    ]
    return output_names(pytree.tree_unflatten(leaves, program.call_spec.out_spec))
