"""An ONNX model made ready for onnx2tf: checked, with shapes, and with GELU as one operator."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConversionError
from .onnx2tf_axes import Kind, Shape
from .onnx2tf_graphs import onnx_kind

if TYPE_CHECKING:
    import onnx

_SEED = 20240229
_LARGEST = 2**31 - 1
_CHANNELS_SECOND = frozenset(
    "AveragePool BatchNormalization Conv ConvTranspose DepthToSpace GlobalAveragePool "
    "GlobalLpPool GlobalMaxPool GridSample GroupNormalization InstanceNormalization LRN LpPool "
    "MaxPool Resize SpaceToDepth Upsample".split()
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """An ONNX model that onnx2tf can take.

    Attributes:
        model: The model, with shapes and with unique node names.
        inputs: Names of its inputs.
        outputs: Names of its outputs.
        producers: Value → the node that makes it, in execution order.
        fused: Value that is no longer in ``model`` → the value that it went into.
        spatial: Inputs whose second axis is a channel axis, by the operators that read them.
        feed: Reproducible inputs to compare with.
        reference: Value → what ONNX Runtime computes for it from ``feed``.
        shapes: Shape of every value whose shape is known.
        unchecked: Why there is no reference; empty if there is one.
    """

    model: onnx.ModelProto
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    producers: Mapping[str, onnx.NodeProto]
    fused: Mapping[str, str]
    spatial: frozenset[str]
    feed: Mapping[str, NDArray[Any]]
    reference: Mapping[str, NDArray[Any]]
    shapes: Mapping[str, Shape]
    unchecked: str = ""


def prepare(path: Path) -> Source:
    """Read an ONNX file and make it ready.

    Raises:
        ConversionError: An input has a dynamic dimension, or the weights exceed 2 GiB.
    """
    import onnx

    model = onnx.load(str(path))
    _check_shapes(model)
    if sum(each.ByteSize() for each in model.graph.initializer) > _LARGEST:
        raise ConversionError("onnx2tf splits models with more than 2 GiB of weights into several")
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{index}"  # its peepholes speak of nodes by name
    fused = fuse_gelu(model)
    feed = _feed(model)
    reference, unchecked = _reference(model, feed)
    shapes = _shapes(model)
    shapes.update((name, array.shape) for name, array in reference.items())
    return Source(
        model=model,
        inputs=tuple(each.name for each in _true_inputs(model)),
        outputs=tuple(each.name for each in model.graph.output),
        producers={name: node for node in model.graph.node for name in node.output if name},
        fused=fused,
        spatial=frozenset(
            each.name for each in _true_inputs(model) if _is_spatial(model, each.name)
        ),
        feed=feed,
        reference=reference,
        shapes=shapes,
        unchecked=unchecked,
    )


def fuse_gelu(model: onnx.ModelProto) -> dict[str, str]:
    """Replace every GELU that is spelled out with Erf by one Gelu node, in place.

    TensorFlow's converter turns a bare Erf into FlexErf, which LiteRT cannot run, while a GELU
    becomes the builtin operator, and computes the same.

    Returns:
        Each value that went away → the Gelu's output.
    """
    from onnx import helper

    graph = model.graph
    fused: dict[str, str] = {}
    native = any(
        each.domain in ("", "ai.onnx") and each.version >= 20 for each in model.opset_import
    )
    for erf in [node for node in graph.node if node.op_type == "Erf"]:
        found = _Gelu(graph).match(erf)
        if found is None:
            continue
        operand, nodes = found
        last = nodes[-1]
        position = list(graph.node).index(last)
        gelu = helper.make_node(
            "Gelu",
            [operand],
            list(last.output),
            name=f"{last.name}_Gelu",
            domain="" if native else "com.microsoft",
        )
        graph.node.insert(position, gelu)
        for node in nodes:
            graph.node.remove(node)
        fused.update((node.output[0], last.output[0]) for node in nodes[:-1])
    domains = {each.domain for each in model.opset_import}
    if fused and not native and "com.microsoft" not in domains:
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return fused


class _Gelu:
    """Finds ``0.5 * x * (1 + erf(x / sqrt(2)))`` around an Erf, however its factors are ordered."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._producers = {name: node for node in graph.node for name in node.output}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        for output in graph.output:  # an output must stay
            self._readers.setdefault(output.name, []).extend([onnx_output()] * 2)
        self._scalars = dict(_scalars(graph))

    def match(self, erf: onnx.NodeProto) -> tuple[str, list[onnx.NodeProto]] | None:
        """Return the operand and the nodes to replace, the last one last."""
        scaled = self._producers.get(erf.input[0])
        operand = scaled and self._scaled(scaled, math.sqrt(0.5))
        one = self._only_reader(erf)
        if not scaled or not operand or not one or one.op_type != "Add":
            return None
        if self._other(one, erf.output[0])[1] != 1.0:
            return None
        nodes = [erf, one]
        if self._only_reader(scaled) is not None:
            nodes.insert(0, scaled)
        missing = {"half", "operand"}
        last = one
        while missing:
            product = self._only_reader(last)
            if product is None or product.op_type != "Mul":
                return None
            name, value = self._other(product, last.output[0])
            factor = self._producers.get(name)
            halved = factor is not None and self._scaled(factor, 0.5) == operand
            seen = {"half"} if value == 0.5 else {"operand"} if name == operand else set()
            seen = {"half", "operand"} if halved else seen
            if not seen or not seen <= missing:
                return None
            if halved and factor is not None and self._only_reader(factor) is not None:
                nodes.append(factor)
            missing -= seen
            nodes.append(product)
            last = product
        return operand, nodes

    def _only_reader(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        readers = self._readers.get(node.output[0], [])
        return readers[0] if len(readers) == 1 else None

    def _other(self, node: onnx.NodeProto, name: str) -> tuple[str, float | None]:
        others = [each for each in node.input if each != name]
        other = others[0] if len(others) == 1 else ""
        return other, self._scalars.get(other)

    def _scaled(self, node: onnx.NodeProto, factor: float) -> str | None:
        """Return ``x`` if ``node`` is ``x * factor``."""
        for index, name in enumerate(node.input):
            value = self._scalars.get(name)
            if value and node.op_type == "Div" and index == 1:
                value = 1 / value
            elif node.op_type != "Mul":
                continue
            if value is not None and math.isclose(value, factor, rel_tol=1e-6):
                return str(node.input[1 - index])
        return None


def onnx_output() -> onnx.NodeProto:
    """Return a stand-in for whoever reads a graph's output."""
    import onnx

    return onnx.NodeProto(op_type="Output")


def _scalars(graph: onnx.GraphProto) -> Iterator[tuple[str, float]]:
    from onnx import numpy_helper

    for each in graph.initializer:
        if math.prod(each.dims) == 1:
            yield each.name, float(numpy_helper.to_array(each).reshape(()))


def _true_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    stored = {each.name for each in model.graph.initializer}
    return [each for each in model.graph.input if each.name not in stored]


def _check_shapes(model: onnx.ModelProto) -> None:
    for each in _true_inputs(model):
        sizes = [
            size.dim_value or size.dim_param or "?" for size in each.type.tensor_type.shape.dim
        ]
        if not all(isinstance(size, int) for size in sizes):
            shape = "x".join(str(size) for size in sizes)
            raise ConversionError(
                f"input {each.name!r} has a dynamic dimension ({shape}): onnx2tf decides on "
                "layouts by sizes, and its result would hold for none in particular",
                hint="export with fixed shapes, one artifact for each shape that you need",
            )


def _is_spatial(model: onnx.ModelProto, name: str) -> bool:
    """Whether the first operators behind elementwise ones take axis 1 for channels."""
    if not 3 <= len(_shapes(model).get(name, ())) <= 5:
        return False
    reached = {name}
    for node in model.graph.node:
        if not reached.intersection(node.input):
            continue
        if node.op_type in _CHANNELS_SECOND:
            return True
        if node.op_type == "Pad" or onnx_kind(node.op_type) in (Kind.JOIN, Kind.CONCAT):
            reached.update(node.output)
    return False


def _shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    graph = model.graph
    shapes = {each.name: tuple(each.dims) for each in graph.initializer}
    for each in (*graph.input, *graph.value_info, *graph.output):
        kind = each.type.tensor_type
        if kind.HasField("shape") and all(size.HasField("dim_value") for size in kind.shape.dim):
            shapes[each.name] = tuple(size.dim_value for size in kind.shape.dim)
    return shapes


def _feed(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    """Return one sample: between 0 and 1, and 0 or 1 for integers, which may be indices."""
    from onnx import helper

    random = np.random.default_rng(_SEED)
    feed = {}
    for each in _true_inputs(model):
        dtype = helper.tensor_dtype_to_np_dtype(each.type.tensor_type.elem_type)
        shape = [size.dim_value for size in each.type.tensor_type.shape.dim]
        values = random.random(shape)
        feed[each.name] = (values if dtype.kind == "f" else values.round()).astype(dtype)
    return feed


def _reference(
    model: onnx.ModelProto, feed: Mapping[str, NDArray[Any]]
) -> tuple[dict[str, NDArray[Any]], str]:
    """Return every value as ONNX Runtime computes it, and why not if it cannot."""
    import onnx
    import onnxruntime

    tapped = onnx.ModelProto()
    tapped.CopyFrom(model)
    named = {each.name for each in model.graph.output}
    names = [name for node in model.graph.node for name in node.output if name]
    for name in names:
        if name not in named:
            tapped.graph.output.append(onnx.ValueInfoProto(name=name))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(tapped.SerializeToString(), options)
        found = session.run(names, dict(feed))
    except Exception as error:  # noqa: BLE001 - it has no base class for its own errors
        return {}, f"ONNX Runtime cannot run the model ({str(error).splitlines()[0]})"
    return {name: np.asarray(array) for name, array in zip(names, found, strict=True)}, ""
