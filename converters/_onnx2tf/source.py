"""An ONNX model made ready for onnx2tf: checked, with shapes, and with GELU as one operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConversionError
from .axes import Kind, Shape
from .gelu import fuse_gelu
from .graphs import onnx_kind

if TYPE_CHECKING:
    import onnx

_SEED = 20240229
_LARGEST = 2**31 - 1
_CHANNELS_SECOND = (
    "AveragePool BatchNormalization Conv ConvTranspose DepthToSpace GlobalAveragePool "
    "GlobalLpPool GlobalMaxPool GridSample GroupNormalization InstanceNormalization LRN LpPool "
    "MaxPool Resize SpaceToDepth Upsample"
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
        feed: Inputs to compare with, by name.
        reference: Value → what ONNX Runtime computes for it from ``feed``, in the file as it was.
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


def prepare(path: Path, examples: Path | None) -> Source:
    """Read an ONNX file and make it ready.

    Args:
        path: The file.
        examples: An npz file with one array per input, in order; ``None`` for random ones.

    Raises:
        ConversionError: An input has a dynamic dimension, or the weights exceed 2 GiB.
    """
    import onnx

    model = onnx.load(str(path))
    _check_shapes(model)
    if sum(each.ByteSize() for each in model.graph.initializer) > _LARGEST:
        raise ConversionError("onnx2tf splits models with more than 2 GiB of weights into several")
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    _store_constants(model)
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{index}"  # its peepholes speak of nodes by name
    feed = _feed(model, examples)
    reference, unchecked = _reference(model, feed)
    _store_initial_states(model)
    fused = fuse_gelu(model)
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


def _store_constants(model: onnx.ModelProto) -> None:
    """Turn Constant nodes into initializers, which is where constants are looked for."""
    for node in [each for each in model.graph.node if each.op_type == "Constant"]:
        tensors = [each.t for each in node.attribute if each.name == "value"]
        if tensors:
            tensors[0].name = node.output[0]
            model.graph.initializer.append(tensors[0])
            model.graph.node.remove(node)


def _store_initial_states(model: onnx.ModelProto) -> None:
    """Give LSTMs the zeros that they start from by default: onnx2tf fails without any."""
    from onnx import helper, numpy_helper

    shapes = _shapes(model)
    for node in [each for each in model.graph.node if each.op_type == "LSTM"]:
        given = [*node.input, *[""] * 8][:8]
        if given[5] or given[6] or not {given[0], given[2]} <= shapes.keys():
            continue
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        directions, _, hidden = shapes[given[2]]
        batch = shapes[given[0]][0 if attributes.get("layout") else 1]
        first = (batch, directions) if attributes.get("layout") else (directions, batch)
        for index in (5, 6):
            given[index] = f"{node.name}_state_{index}"
            zeros = np.zeros((*first, hidden), np.float32)
            model.graph.initializer.append(numpy_helper.from_array(zeros, given[index]))
        del node.input[:]
        node.input.extend(given if given[7] else given[:7])


def _true_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    stored = {each.name for each in model.graph.initializer}
    return [each for each in model.graph.input if each.name not in stored]


def _check_shapes(model: onnx.ModelProto) -> None:
    for each in _true_inputs(model):
        kind = each.type.tensor_type
        sizes = [size.dim_value or size.dim_param or "?" for size in kind.shape.dim]
        if not kind.HasField("shape"):
            sizes = ["of unknown rank"]
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
        if node.op_type in _CHANNELS_SECOND.split():
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


def _feed(model: onnx.ModelProto, examples: Path | None) -> dict[str, NDArray[Any]]:
    """Return one sample: the example, or numbers from 0 to 1 (0 or 1 where they may be indices)."""
    from onnx import helper

    if examples is not None:
        with np.load(examples) as stored:
            names = [each.name for each in _true_inputs(model)]
            return dict(zip(names, (stored[name] for name in stored.files), strict=True))
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
