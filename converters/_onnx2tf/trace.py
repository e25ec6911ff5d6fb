"""The TensorFlow function of a conversion, with the layout of every tensor in it, and checked."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ...errors import ConversionError
from ...outcome import Stage
from .axes import (
    Axes,
    Graph,
    inverse,
    new_axes,
    normal,
    permutation_between,
    permuted,
    track,
)
from .check import compare, does_not_run
from .graphs import onnx_graph, tensorflow_graph
from .session import KerasResult, keras
from .source import Source


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What onnx2tf made of a model, as one TensorFlow function.

    Attributes:
        source: The model.
        function: The function.
        module: Owner of the function's variables.
        graph: The function's graph.
        tensors: ONNX value → tensor of ``graph`` that stands for it.
        axes: ONNX value → its axes.
        layouts: ONNX value → permutation of its tensor; what cannot be known is missing.
        merged: ONNX value without a tensor → the value that it went into.
        constants: ONNX values that became constants.
        arguments: ONNX input → name in the signature.
        input_layouts: ONNX input → permutation; ``None`` for the identity.
        output_layouts: ONNX output → permutation; ``None`` for the identity.
    """

    source: Source
    function: Any
    module: Any
    graph: Graph
    tensors: Mapping[str, str]
    axes: Mapping[str, Axes]
    layouts: Mapping[str, tuple[int, ...]]
    merged: Mapping[str, str]
    constants: frozenset[str]
    arguments: Mapping[str, str]
    input_layouts: Mapping[str, tuple[int, ...] | None]
    output_layouts: Mapping[str, tuple[int, ...] | None]


def trace(
    source: Source, made: KerasResult, io_layout: str, enter: Callable[[Stage], None]
) -> Conversion:
    """Make the function, find the layouts, and compare with ONNX Runtime.

    Args:
        source: The model.
        made: What onnx2tf made of it.
        io_layout: ``source`` to give outputs the axes that they have in the ONNX model, ``nhwc``
            to leave them as onnx2tf made them.
        enter: Called before a stage begins.

    Raises:
        ConversionError: The layout of an output cannot be known.
        MismatchError: An output is not what ONNX Runtime computes.
    """
    axes = track(
        onnx_graph(source.model, source.shapes),
        {name: new_axes(name, source.shapes[name]) for name in source.inputs},
    )
    arguments = _arguments(source.inputs)
    everything = _Tracer(made, arguments, made.tensors)
    function, tensors = everything.trace(dict.fromkeys(source.outputs))
    graph = tensorflow_graph(function.graph)
    layouts = layouts_in(
        graph,
        {value: tensor for value, tensor in tensors.items() if value not in made.placeholders},
        _seeds(source, made, axes, arguments),
        axes,
        source,
    )
    enter(Stage.COMPARE)
    try:
        computed = everything.values(source, made)
    except Exception as error:
        raise does_not_run(error, source, graph, tensors) from error
    compare(source, computed, layouts)
    enter(Stage.LOWER)
    unknown = [name for name in source.outputs if name not in layouts]
    if unknown:
        raise ConversionError(
            f"the layout of output {unknown[0]!r} cannot be known: its sizes "
            f"{list(source.shapes.get(unknown[0], ()))} fit more than one"
        )
    live = {name: made.tensors[name] for name in _live(function, tensors)}
    outputs = {name: normal(layouts[name]) for name in source.outputs}
    plain: dict[str, tuple[int, ...] | None] = dict.fromkeys(outputs)
    kept = io_layout == "source"
    function, tensors = _Tracer(made, arguments, live).trace(outputs if kept else plain)
    return Conversion(
        source=source,
        function=function,
        module=_owner(function),
        graph=tensorflow_graph(function.graph),
        tensors={name: each for name, each in tensors.items() if name not in made.placeholders},
        axes=axes,
        layouts=layouts,
        merged={**source.fused, **made.placeholders},
        constants=made.constants,
        arguments=arguments,
        input_layouts=made.input_layouts,
        output_layouts=plain if kept else outputs,
    )


def layouts_in(
    graph: Graph,
    tensors: Mapping[str, str],
    seeds: Mapping[str, Axes],
    axes: Mapping[str, Axes],
    source: Source,
) -> dict[str, tuple[int, ...]]:
    """Return the permutation of every ONNX value's tensor, where it can be known.

    Args:
        graph: A graph that onnx2tf or TensorFlow made.
        tensors: ONNX value → tensor of the graph that stands for it.
        seeds: Axes of the graph's inputs.
        axes: ONNX value → its axes.
        source: The ONNX model.
    """
    values: dict[str, list[str]] = {}
    for value, tensor in tensors.items():
        if value in axes:
            values.setdefault(tensor, []).append(value)
    layouts: dict[str, tuple[int, ...]] = {}

    def anchor(tensor: str, found: Axes) -> Axes:
        anchored = found
        for value in values.get(tensor, ()):
            permutation = permutation_between(
                axes[value], source.shapes[value], found, graph.shapes[tensor]
            )
            if permutation is not None:
                layouts[value] = permutation
                anchored = permuted(axes[value], permutation)
        return anchored

    track(graph, seeds, anchor)
    return layouts


def _seeds(
    source: Source, made: KerasResult, axes: Mapping[str, Axes], arguments: Mapping[str, str]
) -> dict[str, Axes]:
    return {
        f"{arguments[name]}:0": permuted(axes[name], made.input_layouts[name])
        for name in source.inputs
    }


def _arguments(inputs: Sequence[str]) -> dict[str, str]:
    """Return names for the signature: Python arguments, the inputs' own names where they can be."""
    names: dict[str, str] = {}
    for name in inputs:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        if not plain[:1].isalpha() or keyword.iskeyword(plain):
            plain = f"input_{plain}"
        while plain in names.values():
            plain += "_"
        names[name] = plain
    return names


class _Tracer:
    """Makes functions that compute chosen Keras tensors under names that we know."""

    def __init__(
        self, made: KerasResult, arguments: Mapping[str, str], tensors: Mapping[str, Any]
    ) -> None:
        self._arguments = arguments
        self._names = list(tensors)
        self._model = keras().Model(list(made.inputs), list(tensors.values()), name="model")

    def trace(self, layouts: Mapping[str, tuple[int, ...] | None]) -> tuple[Any, dict[str, str]]:
        """Return a function with the outputs ``layouts`` undone, and its tensor for each value."""
        import tensorflow as tf

        names: dict[str, str] = {}

        def compute(*inputs: Any) -> dict[str, Any]:
            found = self._call(list(inputs))
            names.update((value, tensor.name) for value, tensor in found.items())
            return {
                value: found[value]
                if layout is None
                else tf.transpose(found[value], inverse(layout))
                for value, layout in layouts.items()
            }

        signature = [
            tf.TensorSpec(each.shape, each.dtype, name)
            for each, name in zip(self._model.inputs, self._arguments.values(), strict=True)
        ]
        function = tf.function(compute, input_signature=signature, autograph=False)
        return function.get_concrete_function(), names

    def values(self, source: Source, made: KerasResult) -> dict[str, NDArray[Any]]:
        """Return every value as TensorFlow computes it from the source's sample."""
        feed = []
        for tensor, name in zip(self._model.inputs, source.inputs, strict=True):
            layout = made.input_layouts[name]
            array = source.feed[name].astype(tensor.dtype.as_numpy_dtype)
            feed.append(array if layout is None else array.transpose(layout))
        return {name: tensor.numpy() for name, tensor in self._call(feed).items()}

    def _call(self, inputs: list[Any]) -> dict[str, Any]:
        found = self._model(inputs if len(inputs) > 1 else inputs[0])
        single = not isinstance(found, (list, tuple))
        return dict(zip(self._names, [found] if single else found, strict=True))


def _owner(function: Any) -> Any:
    """Return an owner of the function's variables; the Keras model itself would be saved whole."""
    import tensorflow as tf

    owner = tf.Module()
    owner.kept = list(function.graph.variables)
    return owner


def _live(function: Any, tensors: Mapping[str, str]) -> list[str]:
    """Return the values that the function's results depend on."""
    reached: set[str] = set()
    waiting = [tensor.op for tensor in function.outputs]
    while waiting:
        operation = waiting.pop()
        if operation.name not in reached:
            reached.add(operation.name)
            waiting.extend(tensor.op for tensor in operation.inputs)
    return [value for value, tensor in tensors.items() if tensor.partition(":")[0] in reached]
