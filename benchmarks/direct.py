"""The direct compiler driven without the command line: capture, compile, run, compare."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bridge.converters.tflite import CompileOptions, pipeline
from bridge.converters.tflite.ir import Graph
from bridge.converters.tflite.provenance import layer_map
from bridge.converters.tflite.serialize import write
from bridge.layers import LayerMap, Spine
from bridge.program import output_nodes, spine_of
from bridge.validators.metrics import measure

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A compiled program: the graph, the file and where the layers are in it."""

    graph: Graph
    path: Path
    spine: Spine
    layer_map: LayerMap


def compile_program(program: torch.export.ExportedProgram, path: Path) -> Compiled:
    """Compile a captured program and write the file.

    Raises:
        UnsupportedError: All operators that cannot be expressed.
    """
    inputs = [f"input_{index}" for index in range(len(input_nodes(program)))]
    outputs = [f"output_{index}" for index in range(len(output_nodes(program)))]
    spine = spine_of(program)
    graph = pipeline.compile_program(program, spine, CompileOptions(), inputs, outputs)
    write(graph, path, (inputs, outputs))
    return Compiled(graph=graph, path=path, spine=spine, layer_map=layer_map(graph, spine))


def input_nodes(program: torch.export.ExportedProgram) -> list[str]:
    """Return the placeholders of the program's tensor inputs, in order."""
    given = set(program.graph_signature.user_inputs)
    return [
        node.name
        for node in program.graph.nodes
        if node.op == "placeholder"
        and node.name in given
        and isinstance(node.meta.get("val"), torch.Tensor)
    ]


def in_order(
    program: torch.export.ExportedProgram, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> list[torch.Tensor]:
    """Return the tensors of a call in the order of the program's inputs."""
    _, known = program.example_inputs
    return tensors_in((args, {name: kwargs[name] for name in known}))


def tensors_in(tree: Any) -> list[torch.Tensor]:
    """Return the tensors of a nested value, in order."""
    leaves = torch.utils._pytree.tree_leaves(tree)
    return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]


class LiteRT:
    """One file, loaded into LiteRT.

    Args:
        model: The file, or its content.
        plain: Whether to run the plain kernels instead of XNNPACK.
    """

    def __init__(self, model: Path | bytes, *, plain: bool) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        resolver = (
            OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else OpResolverType.AUTO
        )
        source = (
            {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
        )
        self.interpreter = Interpreter(
            **source, experimental_op_resolver_type=resolver, num_threads=1
        )
        self.interpreter.allocate_tensors()

    def run(self, inputs: Sequence[torch.Tensor], shown: Iterable[int] = ()) -> list[Array]:
        """Run once; return the outputs, then the tensors of the indices that are to be shown."""
        details = self.interpreter.get_input_details()
        for detail, tensor in zip(details, inputs, strict=True):
            self.interpreter.set_tensor(detail["index"], tensor.numpy().astype(detail["dtype"]))
        self.interpreter.invoke()
        outputs = [detail["index"] for detail in self.interpreter.get_output_details()]
        return [self.interpreter.get_tensor(index) for index in (*outputs, *shown)]

    def partitions(self) -> tuple[int, list[str]]:
        """Return how many partitions XNNPACK took, and the operators that it left out.

        The interpreter lists the operators that a partition replaced beside the partition itself.
        What really runs is what the outputs lead back to, partitions first.
        """
        nodes = self.interpreter._get_ops_details()
        writers: dict[int, Any] = {}
        for node in nodes:
            for index in node["outputs"]:
                if index not in writers or node["op_name"] == "DELEGATE":
                    writers[int(index)] = node
        waiting = [detail["index"] for detail in self.interpreter.get_output_details()]
        met: dict[int, Any] = {}
        while waiting:
            node = writers.get(int(waiting.pop()))
            if node is not None and node["index"] not in met:
                met[node["index"]] = node
                waiting += [index for index in node["inputs"] if index >= 0]
        names = [met[index]["op_name"] for index in sorted(met)]
        left_out = [name for name in names if name != "DELEGATE"]
        return len(names) - len(left_out), left_out


def distance(expected: Array, actual: Array) -> float:
    """Return the signal-to-noise ratio in dB.

    Infinite for equal values; minus infinite for another shape, for a value that is not finite
    against one that is, and for integers and truth values that differ.
    """
    if expected.shape != actual.shape or kind_of(expected) != kind_of(actual):
        return -math.inf
    if kind_of(expected) != "f":
        return math.inf if np.array_equal(expected, actual) else -math.inf
    metrics = measure(expected, actual)
    return metrics.sqnr_db if metrics.same_nonfinite else -math.inf


def kind_of(array: Array) -> str:
    """Return the kind of an array's elements: ``f``, ``b``, or ``i`` for every integer type."""
    return {"u": "i"}.get(array.dtype.kind, array.dtype.kind)
