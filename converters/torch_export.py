"""torch → exported: ``torch.export``, with the spine that every later comparison stands on."""

from __future__ import annotations

import operator
import re
import site
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..artifact import Signature
from ..errors import CaptureError, MismatchError
from ..formats import EXPORTED, TORCH
from ..hop import Hop, HopResult, HopTask, register_hop
from ..layers import Layer, Spine, identity_map
from ..live import LiveModel, dtype_name, named_tensors, output_names, signature_of, tensors_of
from ..outcome import Stage
from ..worker import IN_PROCESS

if TYPE_CHECKING:
    import torch

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


def convert(task: HopTask) -> HopResult:
    """Capture a live module; the graph must give the module's own result on the example inputs."""
    import torch

    live: LiveModel = task.live
    task.enter(Stage.CAPTURE)
    with torch.no_grad():
        program = _export(live)
        task.enter(Stage.COMPARE)
        outputs = named_outputs(live)
        _check(live, program, list(outputs.values()))
    spine = spine_of(program)
    task.enter(Stage.SERIALIZE)
    torch.export.save(program, task.out)
    return HopResult(
        signature=_signature(live, program, outputs),
        layer_map=identity_map(spine.ids()),
        producer_version=torch.__version__,
        spine=spine,
        live=program,
    )


def named_outputs(live: LiveModel) -> dict[str, torch.Tensor]:
    """Run the module on its example inputs and return its outputs by name."""
    args, kwargs = _fresh(live)
    result = live.module(*args, **kwargs)
    return dict(zip(output_names(result), tensors_of(result), strict=True))


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
                shape=tuple(_hint(size) for size in value.shape),
                dtype=dtype_name(value.dtype),
            )
        )
    return Spine(
        origin=EXPORTED.name,
        layers=tuple(layers),
        inputs=inputs,
        outputs=tuple(
            spec.arg.name
            if spec.arg.name in {layer.id for layer in layers} | set(inputs)
            else ""
            for spec in graph_signature.output_specs
            if spec.kind.name == "USER_OUTPUT" and hasattr(spec.arg, "name")
        ),
    )


def operator_name(target: Any) -> str:
    """Return the operator without its overload: ``aten.conv2d`` for ``aten.conv2d.default``."""
    name = str(target)
    return name.rpartition(".")[0] if name.count(".") > 1 else name


def user_frame(stack_trace: str) -> str:
    """Return ``file:line`` of the innermost frame that is not PyTorch's, or an empty text.

    A frame in the user's own files is preferred to one in an installed library.
    """
    frames = [(match["file"], match["line"]) for match in _FRAME.finditer(stack_trace)]
    outside = [frame for frame in frames if f"{'/torch/'}" not in frame[0].replace("\\", "/")]
    libraries = (*site.getsitepackages(), sysconfig.get_paths()["stdlib"])
    own = [frame for frame in outside if not frame[0].startswith(libraries)]
    chosen = own or outside
    if not chosen:
        return ""
    file, line = chosen[-1]
    path = Path(file)
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return f"{path}:{line}"


def _tensor_sources(nodes: list[Any], inputs: set[str]) -> Iterator[str]:
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


def _export(live: LiveModel) -> torch.export.ExportedProgram:
    import torch

    try:
        return torch.export.export(
            live.module,
            live.args,
            dict(live.kwargs) or None,
            dynamic_shapes=_dynamic_shapes(live),
            strict=False,
        )
    except Exception as error:
        raise CaptureError(
            f"torch.export cannot capture this model: {_first_lines(error)}",
            where=_where(error),
            hint="control flow that depends on values cannot be captured; "
            "--to torchscript,mobile scripts the model instead",
        ) from error


def _dynamic_shapes(live: LiveModel) -> dict[str, Any] | None:
    """Axes of changing size in the structure that torch.export wants: that of the arguments."""
    if not live.dynamic:
        return None
    import torch
    from torch.utils import _pytree as pytree

    arguments = live.arguments()
    names = iter(named_tensors(arguments))

    def axes(leaf: Any) -> dict[int, Any] | None:
        if not isinstance(leaf, torch.Tensor):
            return None
        return {axis: torch.export.Dim.DYNAMIC for axis in live.dynamic.get(next(names), ())}

    shapes: dict[str, Any] = pytree.tree_map(axes, arguments)
    return shapes


def _check(live: LiveModel, program: torch.export.ExportedProgram, wanted: list[Any]) -> None:
    import torch

    args, kwargs = _fresh(live)
    got = tensors_of(program.module()(*args, **kwargs))
    for index, (expected, actual) in enumerate(zip(wanted, got, strict=True)):
        close = expected.shape == actual.shape and torch.allclose(
            expected, actual, rtol=1e-4, atol=1e-5, equal_nan=True
        )
        if not close:
            raise MismatchError(
                f"the captured graph does not give the module's own output {index}",
                hint="the model keeps state or draws random numbers between calls",
            )


def _fresh(live: LiveModel) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Copies of the example inputs: a model may change them in place."""
    return live.with_inputs({name: each.numpy() for name, each in live.inputs().items()})


def _signature(
    live: LiveModel, program: torch.export.ExportedProgram, outputs: dict[str, torch.Tensor]
) -> Signature:
    nodes = {node.name: node for node in program.graph.nodes}
    shapes: dict[str, tuple[int | None, ...]] = {}
    specs = [
        spec
        for spec in program.graph_signature.output_specs
        if spec.kind.name == "USER_OUTPUT" and hasattr(spec.arg, "name")
    ]
    for name, spec in zip(outputs, specs, strict=True):
        sizes = nodes[spec.arg.name].meta["val"].shape
        shapes[name] = tuple(size if isinstance(size, int) else None for size in sizes)
    return signature_of(live.inputs(), outputs, live.dynamic, lambda name: shapes[name])


def _module_path(node: torch.fx.Node) -> str:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]).removeprefix("L['self'].") if stack else ""


def _hint(size: Any) -> int:
    """The size that the example inputs had, of a symbolic size too."""
    return size if isinstance(size, int) else int(size.node.hint)


def _first_lines(error: Exception) -> str:
    text = str(error).strip().splitlines() or [type(error).__name__]
    return "\n".join(text[:6])


def _where(error: Exception) -> str | None:
    """The user's line that torch.export stumbled on."""
    text = "".join(traceback.format_exception(error))
    return user_frame(text) or None


register_hop(
    Hop(
        name="torch-export",
        title="torch.export",
        source=TORCH,
        target=EXPORTED,
        convert=convert,
        cost=2.0,
        place=IN_PROCESS,
        packages=("torch",),
    )
)
