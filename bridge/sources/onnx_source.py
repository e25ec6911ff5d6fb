"""A user's ONNX file: its nodes are the spine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..artifact import Artifact, Signature, TensorSpec, digest, size_of
from ..errors import SourceError
from ..formats import ONNX
from ..layers import Layer, Spine, identity_map


def read(path: Path) -> Artifact:
    """Open an ONNX file; ``SourceError`` if it is not a valid model."""
    import onnx

    try:
        model = onnx.load(path)
        onnx.checker.check_model(str(path))
        inferred = onnx.shape_inference.infer_shapes(model)
    except Exception as error:
        raise SourceError(
            f"{path} is not a valid ONNX model: {str(error).splitlines()[0]}"
        ) from error
    spine = spine_of(inferred.graph)
    return Artifact(
        format=ONNX,
        path=path,
        sha256=digest(path),
        size=size_of(path),
        signature=signature_of(model.graph),
        producer_version=f"{model.producer_name} {model.producer_version}".strip(),
        layer_map=identity_map(spine.ids()),
        spine=spine,
    )


def spine_of(graph: Any) -> Spine:
    """Return the nodes of an ONNX graph as layers, each under the name of its value."""
    import onnx

    initializers = {each.name for each in graph.initializer}
    types = {each.name: each.type.tensor_type for each in (*graph.value_info, *graph.output)}
    layers = []
    for node in graph.node:
        metadata = {each.key: each.value for each in node.metadata_props}
        for name in filter(None, node.output):
            known = types.get(name)
            layers.append(
                Layer(
                    id=name,
                    op=f"{node.domain or 'onnx'}.{node.op_type}",
                    module=metadata.get("driftbridge.module", ""),
                    source=metadata.get("driftbridge.source", ""),
                    inputs=tuple(each for each in node.input if each and each not in initializers),
                    shape=_static_shape(known),
                    dtype=onnx.helper.tensor_dtype_to_np_dtype(known.elem_type).name
                    if known
                    else None,
                )
            )
    return Spine(
        origin=ONNX.name,
        layers=tuple(layers),
        inputs=tuple(each.name for each in graph.input if each.name not in initializers),
        outputs=tuple(each.name for each in graph.output),
    )


def signature_of(graph: Any) -> Signature:
    """Return the inputs and outputs of an ONNX graph."""
    initializers = {each.name for each in graph.initializer}
    return Signature(
        inputs=tuple(_spec(each) for each in graph.input if each.name not in initializers),
        outputs=tuple(_spec(each) for each in graph.output),
    )


def _spec(value: Any) -> TensorSpec:
    import onnx

    tensor = value.type.tensor_type
    return TensorSpec(
        name=value.name,
        shape=tuple(
            size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim
        ),
        dtype=onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name,
    )


def _static_shape(tensor: Any) -> tuple[int, ...] | None:
    if tensor is None or not tensor.HasField("shape"):
        return None
    sizes = [size.dim_value for size in tensor.shape.dim if size.HasField("dim_value")]
    return tuple(sizes) if len(sizes) == len(tensor.shape.dim) else None
