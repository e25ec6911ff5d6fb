"""Graphs made by hand for the tests of the passes, and what LiteRT computes for them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.converters.tflite import CompileOptions, Context
from bridge.converters.tflite.ir import Graph, Op, Value
from bridge.converters.tflite.serialize import write

Array = NDArray[Any]


def context(*shapes: Sequence[int]) -> tuple[Context, list[Value]]:
    """Return a context with float32 inputs of these shapes."""
    inputs = [
        Value(shape=tuple(shape), dtype="float32", name=f"input_{index}")
        for index, shape in enumerate(shapes)
    ]

    def call(name: str, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a hand-made graph lowers nothing")

    ctx = Context(graph=Graph(inputs=list(inputs)), call=call, options=CompileOptions())
    return ctx, inputs


def finish(ctx: Context, *outputs: Value) -> Graph:
    """Set the outputs and return the graph."""
    ctx.graph.outputs = list(outputs)
    ctx.graph.output_names = [f"output_{index}" for index in range(len(outputs))]
    return ctx.graph


def draw(*shape: int, seed: int = 3) -> Array:
    """Uniform float32 numbers between -1 and 1."""
    return np.random.default_rng(seed + sum(shape)).uniform(-1, 1, shape).astype(np.float32)


def evaluate(graph: Graph, folder: Path) -> list[Array]:
    """Write a graph and run it on drawn inputs, with the plain kernels of LiteRT."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    graph = copy.deepcopy(graph)
    named = {value: value.name for value in graph.inputs}
    for number, op in enumerate(graph.ops):
        for value in op.outputs:
            named.setdefault(value, f"value_{number}")
    for value, name in named.items():
        value.name = name
    names = ([value.name for value in graph.inputs], graph.output_names)
    path = folder / "graph.tflite"
    write(graph, path, names)
    interpreter = Interpreter(
        str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), graph.inputs, strict=True):
        interpreter.set_tensor(detail["index"], _input(value))
    interpreter.invoke()
    return [interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()]


def _input(value: Value) -> Array:
    shape = [int(size) for size in value.shape]  # type: ignore[arg-type]
    return draw(*shape)


def check_pass(graph: Graph, run: Callable[[Graph], None], folder: Path) -> Graph:
    """Run a pass; the graph must still compute the same."""
    before = evaluate(graph, folder)
    run(graph)
    _check_order(graph)
    for want, got in zip(before, evaluate(graph, folder), strict=True):
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)
    return graph


def kinds(graph: Graph) -> list[str]:
    """Operators of a graph in order."""
    return [op.kind for op in graph.ops]


def only(graph: Graph, kind: str) -> Op:
    """The one operator of a kind."""
    (found,) = [op for op in graph.ops if op.kind == kind]
    return found


def _check_order(graph: Graph) -> None:
    known = set(graph.inputs)
    for op in graph.ops:
        for value in op.inputs:
            assert value is None or value.is_constant or value in known, (
                f"{value} is read too early"
            )
        known.update(op.outputs)
    assert all(value.is_constant or value in known for value in graph.outputs)
