"""Captured programs: the spine of a ``torch.export`` graph and the origin of its nodes."""

from __future__ import annotations

import functools
import operator
import re
import site
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .formats import EXPORTED
from .layers import Layer, Spine
from .live import dtype_name

if TYPE_CHECKING:
    import torch

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
_INNER = re.compile(r"/(torch|sympy)/|^<(string|frozen |lambdify|eval_with_key)")


def spine_of(program: torch.export.ExportedProgram) -> Spine:
    """Return the layers of a captured program: every node whose result is a tensor.

    A node with several results (a GRU, a split) is represented by one layer per result that is
    read, under the operator of the node and the name of its ``getitem``.
    """
    import torch

    graph_signature = program.graph_signature
    inputs = tuple(name for name in graph_signature.user_inputs if isinstance(name, str))
    layers = []
    for node in program.graph.nodes:
        value = node.meta.get("val")
        if node.op != "call_function" or not isinstance(value, torch.Tensor):
            continue
        origin = node.args[0] if node.target is operator.getitem else node
        read = origin.all_input_nodes if node.target is operator.getitem else node.all_input_nodes
        layers.append(
            Layer(
                id=node.name,
                op=operator_name(origin.target),
                module=_module_path(origin),
                source=user_frame(origin.meta.get("stack_trace") or ""),
                inputs=tuple(_tensor_sources(read, set(inputs))),
                shape=example_shape(node),
                dtype=dtype_name(value.dtype),
            )
        )
    known = {*inputs, *(layer.id for layer in layers)}
    return Spine(
        origin=EXPORTED.name,
        layers=tuple(layers),
        inputs=inputs,
        outputs=tuple(name if name in known else "" for name in output_nodes(program)),
    )


def output_nodes(program: torch.export.ExportedProgram) -> list[str]:
    """Return the nodes that are the program's tensor outputs, mutations not among them."""
    from torch.export.graph_signature import TensorArgument

    return [
        spec.arg.name
        for spec in program.graph_signature.output_specs
        if spec.kind.name == "USER_OUTPUT" and isinstance(spec.arg, TensorArgument)
    ]


def run_program(
    program: torch.export.ExportedProgram, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> list[torch.Tensor]:
    """Run a program's graph as it is, on the module's own weights; return its tensor outputs.

    ``program.module()`` gives the same, and first writes another graph with the weights in it,
    which takes as long as a third of the capture.

    Args:
        program: The program.
        args: Positional inputs, nested as those that it was captured with.
        kwargs: Keyword inputs, in the same order.
    """
    import torch
    from torch.utils import _pytree as pytree

    given = iter(pytree.tree_leaves((args, dict(kwargs))))
    weights = {**program.state_dict, **program.constants}
    flat = [
        next(given) if spec.kind.name == "USER_INPUT" else weights[str(spec.target)]
        for spec in program.graph_signature.input_specs
    ]
    made = program.graph_module(*flat)
    kinds = (spec.kind.name for spec in program.graph_signature.output_specs)
    return [
        each
        for kind, each in zip(kinds, made, strict=True)
        if kind == "USER_OUTPUT" and isinstance(each, torch.Tensor)
    ]


def example_shape(node: torch.fx.Node) -> tuple[int, ...] | None:
    """Return the shape of a node's result with the example inputs, of symbolic sizes too.

    It is ``None`` where a size depends on values (the boxes that non-maximum suppression keeps).
    """
    sizes = node.meta["val"].shape
    if any(not isinstance(size, int) and size.node.hint is None for size in sizes):
        return None
    return tuple(size if isinstance(size, int) else int(size.node.hint) for size in sizes)


def operator_name(target: Any) -> str:
    """Return the operator without its overload: ``aten.conv2d`` for ``aten.conv2d.default``."""
    name = str(target)
    return name.rpartition(".")[0] if name.count(".") > 1 else name


def user_frame(stack_trace: str) -> str:
    """Return ``file:line`` of the innermost frame that is not PyTorch's, or an empty text.

    A frame in the user's own files is preferred to one in an installed library. Code that PyTorch
    or SymPy, in which it computes sizes, makes of a text is nobody's file.
    """
    frames = [(match["file"], match["line"]) for match in _FRAME.finditer(stack_trace)]
    outside = [frame for frame in frames if not _INNER.search(frame[0].replace("\\", "/"))]
    own = [frame for frame in outside if not frame[0].startswith(_libraries())]
    chosen = own or outside
    if not chosen:
        return ""
    file, line = chosen[-1]
    path = Path(file)
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return f"{path}:{line}"


@functools.cache
def _libraries() -> tuple[str, ...]:
    """Folders of what is installed, not written by the user."""
    return (*site.getsitepackages(), sysconfig.get_paths()["stdlib"])


def _tensor_sources(nodes: Iterable[Any], inputs: set[str]) -> Iterator[str]:
    """Names of the layers and model inputs behind ``nodes``; parameters are neither.

    What is not a tensor itself (a tuple, a symbolic size) stands for whatever it was made of.
    """
    import torch

    for node in nodes:
        if node.op == "placeholder":
            if node.name in inputs:
                yield node.name
        elif isinstance(node.meta.get("val"), torch.Tensor):
            yield node.name
        else:
            yield from _tensor_sources(node.all_input_nodes, inputs)


def _module_path(node: torch.fx.Node) -> str:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]).removeprefix("L['self'].") if stack else ""
