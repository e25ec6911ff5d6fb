"""Compile a module with the direct compiler alone, and run the file: what its tests stand on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bridge.converters._capture import capture
from bridge.converters.tflite import CompileOptions
from bridge.converters.tflite.ir import Graph
from bridge.converters.tflite.pipeline import compile_program
from bridge.converters.tflite.provenance import layer_map
from bridge.converters.tflite.serialize import write
from bridge.layers import LayerMap, Spine
from bridge.program import output_nodes, spine_of


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A compiled module."""

    graph: Graph
    path: Path
    spine: Spine
    layer_map: LayerMap

    def kinds(self) -> list[str]:
        """Operators of the main graph, in order."""
        return [op.kind for op in self.graph.ops]


def compile_module(
    module: torch.nn.Module,
    args: tuple[Any, ...],
    path: Path,
    *,
    kwargs: Mapping[str, Any] | None = None,
    dynamic: Mapping[int, Sequence[int]] | None = None,
    options: CompileOptions | None = None,
) -> Compiled:
    """Capture a module and compile it.

    Args:
        module: The module; it is put into evaluation mode.
        args: Example inputs.
        path: The file to write.
        kwargs: Keyword inputs.
        dynamic: Index of a tensor input → axes whose size changes.
        options: Options of the compiler.
    """
    module.eval()
    options = options or CompileOptions()
    tensors = tensors_in((args, kwargs or {}))
    shapes = None
    if dynamic:
        index = iter(range(len(tensors)))
        shapes = torch.utils._pytree.tree_map(
            lambda leaf: (
                dict.fromkeys(dynamic.get(next(index), ()), torch.export.Dim.DYNAMIC)
                if isinstance(leaf, torch.Tensor)
                else None
            ),
            args,
        )
        shapes = (shapes,) if _takes_any_number(module) else shapes
    with torch.no_grad():
        program = capture(module, args, kwargs or {}, shapes)
        inputs = [f"input_{index}" for index in range(len(tensors))]
        outputs = [f"output_{index}" for index in range(len(output_nodes(program)))]
    spine = spine_of(program)
    graph = compile_program(program, spine, options, inputs, outputs)
    write(graph, path, (inputs, outputs))
    return Compiled(graph=graph, path=path, spine=spine, layer_map=layer_map(graph, spine))


def run(path: Path, inputs: Sequence[torch.Tensor], *, plain: bool) -> list[NDArray[Any]]:
    """Run a file in LiteRT, with XNNPACK or with the plain kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else OpResolverType.AUTO
    interpreter = Interpreter(str(path), experimental_op_resolver_type=resolver, num_threads=1)
    details = interpreter.get_input_details()
    for detail, tensor in zip(details, inputs, strict=True):
        if list(detail["shape"]) != list(tensor.shape):
            interpreter.resize_tensor_input(detail["index"], list(tensor.shape))
    interpreter.allocate_tensors()
    for detail, tensor in zip(details, inputs, strict=True):
        interpreter.set_tensor(detail["index"], tensor.numpy().astype(detail["dtype"]))
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


def partitions(path: Path) -> list[str]:
    """Operators of a file, followed by one DELEGATE for each partition that XNNPACK takes."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    return [detail["op_name"] for detail in interpreter._get_ops_details()]


def sqnr(expected: NDArray[Any], actual: NDArray[Any]) -> float:
    """Signal-to-noise ratio in dB; infinite for equal values, and for a value that is not finite
    against one that is, minus infinity."""
    want, got = expected.astype(np.float64), actual.astype(np.float64)
    finite = np.isfinite(want)
    same = (want == got) | (np.isnan(want) & np.isnan(got))
    if not same[~finite].all() or not np.isfinite(got[finite]).all():
        return float("-inf")
    noise = np.square(want[finite] - got[finite]).sum()
    if noise == 0:
        return float("inf")
    signal = np.square(want[finite]).sum()
    return float(10 * np.log10(signal / noise)) if signal else float("-inf")


def tensors_in(tree: Any) -> list[torch.Tensor]:
    """Tensors of a nested value, in order."""
    return [
        leaf for leaf in torch.utils._pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor)
    ]


def _takes_any_number(module: torch.nn.Module) -> bool:
    import inspect

    kinds = [each.kind for each in inspect.signature(module.forward).parameters.values()]
    return kinds == [inspect.Parameter.VAR_POSITIONAL]
