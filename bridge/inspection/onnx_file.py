"""Reader of ONNX files; the external data beside them is not read."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..artifact import TensorSpec
from .dtypes import bytes_of
from .facts import DamagedError, Facts, operator_counts, signature_of

if TYPE_CHECKING:
    import onnx

# Since this version a model has to name the opsets that it uses.
_IR_WITH_OPSETS = 3


def inspect_onnx(path: Path) -> Facts:
    """Read an ONNX model.

    Raises:
        DamagedError: It is not one.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        # the format is named, because the loader would tell it by the suffix
        model = onnx.load_model(path, format="protobuf", load_external_data=False)
    except DecodeError as error:
        raise DamagedError(str(error)) from error
    try:
        return _facts(path, model)
    except DamagedError:
        raise
    except ValueError as error:  # a number that is kept as text
        raise DamagedError(str(error)) from error


def _facts(path: Path, model: onnx.ModelProto) -> Facts:
    opsets = _opsets(model)
    if not opsets and model.ir_version >= _IR_WITH_OPSETS:
        raise DamagedError("it ends before the opsets, which follow the graph")
    uses = list(_uses(model.graph.node, opsets))
    for function in model.functions:
        uses += _uses(function.node, {**opsets, **_opsets(function)})
    tensors = _tensors(model)
    details = {
        "ir_version": str(model.ir_version),
        "opset_imports": ", ".join(f"{domain or 'ai.onnx'} {opsets[domain]}" for domain in opsets),
        "functions": ", ".join(each.name for each in model.functions),
        "graph": model.graph.name,
        "description": model.doc_string,
        "symbolic_dimensions": _symbols(model.graph),
        "external_data": _external(path, tensors),
        **{f"metadata.{each.key}": each.value for each in model.metadata_props},
    }
    stored = {tensor.name for tensor in model.graph.initializer}
    signature = signature_of(
        # before IR version 4 every initializer was listed as an input too
        [_spec(value) for value in model.graph.input if value.name not in stored],
        [_spec(value) for value in model.graph.output],
        details,
    )
    return Facts(
        signature=signature,
        operators=operator_counts(uses),
        parameters=sum(math.prod(tensor.dims) for tensor in tensors),
        parameter_bytes=sum(_bytes(tensor) for tensor in tensors),
        producer=_text(model.producer_name),
        producer_version=_text(model.producer_version),
        details={_text(key): _text(text) for key, text in details.items() if text},
    )


def _text(value: str | bytes) -> str:
    """Text of a field; protobuf gives bytes where they are not UTF-8."""
    if isinstance(value, bytes):
        raise DamagedError(f"a name is not text: {value!r}")
    return value


def _domain(name: str | bytes) -> str:
    """Name of a domain; that of ONNX itself is empty."""
    return "" if name == "ai.onnx" else _text(name)


def _opsets(model: onnx.ModelProto | onnx.FunctionProto) -> dict[str, int]:
    """Version of each domain."""
    return {_domain(each.domain): each.version for each in model.opset_import}


def _uses(
    nodes: Iterable[onnx.NodeProto], opsets: Mapping[str, int]
) -> Iterator[tuple[str, int | None]]:
    """Name and version of every operator, also in the bodies of loops and branches."""
    for node in nodes:
        domain, operator = _domain(node.domain), _text(node.op_type)
        name = f"{domain}.{operator}" if domain else operator
        yield name, _since(operator, domain, opsets.get(domain))
        for graph in _subgraphs(node):
            yield from _uses(graph.node, opsets)


def _since(operator: str, domain: str, opset: int | None) -> int | None:
    """Version of the operator that an opset contains; ``None`` if ONNX does not define it."""
    import onnx

    if opset is None or not onnx.defs.has(operator, domain):
        return None
    try:
        return int(onnx.defs.get_schema(operator, opset, domain).since_version)
    except onnx.defs.SchemaError:  # it came after this opset
        return None


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    import onnx

    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            yield from attribute.graphs


def _initializers(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Initializers of a graph; of a sparse one the values that it stores."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values


def _stored(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    """Constants among nodes but the scalar ones, and all tensors of their subgraphs."""
    for node in nodes:
        if node.op_type == "Constant":
            yield from (each.t for each in node.attribute if each.name == "value" and each.t.dims)
        for subgraph in _subgraphs(node):
            yield from _initializers(subgraph)
            yield from _stored(subgraph.node)


def _bytes(tensor: onnx.TensorProto) -> int:
    import onnx

    if tensor.data_type == onnx.TensorProto.STRING:
        return sum(len(text) for text in tensor.string_data)
    return bytes_of(math.prod(tensor.dims), _dtype(tensor.data_type))


def _dtype(code: int) -> str:
    """NumPy name of an element type."""
    import onnx

    if code == onnx.TensorProto.STRING:
        return "str"
    try:
        return str(onnx.helper.tensor_dtype_to_np_dtype(code).name)
    except KeyError:
        return f"type {code}"


def _spec(value: onnx.ValueInfoProto) -> TensorSpec | str:
    """Spec of an input or output; text if it is not a tensor, or one of unknown rank or type."""
    name = _text(value.name)
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return f"{name}: {(kind or 'unknown type').removesuffix('_type')}"
    tensor = value.type.tensor_type
    if not tensor.HasField("shape") or not tensor.elem_type:
        known = _dtype(tensor.elem_type) if tensor.elem_type else "unknown type"
        rank = len(tensor.shape.dim) if tensor.HasField("shape") else "unknown"
        return f"{name}: tensor of {known}, rank {rank}"
    return TensorSpec(
        name=name,
        shape=tuple(
            dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim
        ),
        dtype=_dtype(tensor.elem_type),
    )


def _symbols(graph: onnx.GraphProto) -> str:
    """Names that the model gives to dynamic dimensions, and where they are."""
    return ", ".join(
        f"{value.name}[{axis}] = {dim.dim_param}"
        for value in [*graph.input, *graph.output]
        for axis, dim in enumerate(value.type.tensor_type.shape.dim)
        if dim.dim_param
    )


def external_files(path: Path) -> list[str]:
    """Return the files that the weights of an ONNX file lie in, as it names them."""
    import onnx

    model = onnx.load_model(path, format="protobuf", load_external_data=False)
    return sorted(_needed(_tensors(model)))


def _tensors(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """All constants of a model."""
    bodies = itertools.chain(model.graph.node, *(each.node for each in model.functions))
    return [*_initializers(model.graph), *_stored(bodies)]


def _external(path: Path, tensors: Iterable[onnx.TensorProto]) -> str:
    """Files that the weights lie in, with their sizes; a missing or short one is told as such."""
    found = []
    for name, end in sorted(_needed(tensors).items()):
        file = path.parent / name
        size = file.stat().st_size if file.is_file() else None
        if size is None:
            found.append(f"{name} (missing)")
        else:
            short = f", {end} are needed" if size < end else ""
            found.append(f"{name} ({size} bytes{short})")
    return ", ".join(found)


def _needed(tensors: Iterable[onnx.TensorProto]) -> dict[str, int]:
    """File that weights lie in → how many of its bytes are needed."""
    import onnx

    needed: dict[str, int] = {}
    for tensor in tensors:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            entry = {each.key: each.value for each in tensor.external_data}
            end = int(entry.get("offset", 0)) + int(entry.get("length", 0))
            name = entry.get("location", "")
            needed[name] = max(end, needed.get(name, 0))
    return needed
