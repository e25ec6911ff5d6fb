"""Reader of TorchScript files; PyTorch loads the module, and does not run it."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..artifact import TensorSpec
from ..errors import SourceError
from .facts import Facts, operator_counts, signature_of
from .pytorch_archive import read_archive

if TYPE_CHECKING:
    import torch

_CONTROL_FLOW = ("prim::If", "prim::Loop")
_PACKED = "__torch__.torch.classes."

# What a pickled tensor names for its element type; torch itself warns when these are looked up.
_STORAGE_TYPES = {
    "BFloat16Storage": "bfloat16",
    "BoolStorage": "bool",
    "ByteStorage": "uint8",
    "CharStorage": "int8",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "IntStorage": "int32",
    "LongStorage": "int64",
    "ShortStorage": "int16",
}


def inspect_torchscript(path: Path) -> Facts:
    """Read a TorchScript module.

    The types of TorchScript say neither rank nor element type of a tensor. A traced module stores
    what it was traced with, and was only ever checked with that: those are its inputs' shapes.

    Raises:
        SourceError: PyTorch cannot load it.
    """
    import torch

    files = read_archive(path)
    try:
        module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, IndexError, EOFError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SourceError(
            f"{path} is a TorchScript file that PyTorch {torch.__version__} cannot load: {reason}"
        ) from error
    names = module._c._method_names()
    methods = {name: module._c._get_method(name) for name in names}
    # a method that forward calls is part of forward's graph already
    entries = [methods["forward"]] if "forward" in methods else list(methods.values())
    nodes = [node for method in entries for node in _nodes(method.inlined_graph)]
    stored = {_place(tensor): tensor for tensor in _tensors(module, nodes)}
    details = {
        "methods": ", ".join(names),
        "packed_weights": "their elements are not counted" if any(map(_is_packed, nodes)) else "",
        **_archive_details(path, files),
    }
    inputs: list[TensorSpec | str] = []
    outputs: list[TensorSpec | str] = []
    if "forward" in methods:
        schema = methods["forward"].schema
        examples = _traced_inputs(files, details)
        inputs = list(_inputs(schema.arguments[1:], examples))
        outputs = [str(each.type) for each in schema.returns]
        if examples:
            details["shapes"] = "those that it was traced with; others were not checked"
    return Facts(
        signature=signature_of(inputs, outputs, details),
        operators=operator_counts((node.kind(), None) for node in nodes if _computes(node)),
        parameters=sum(tensor.numel() for tensor in stored.values()),
        parameter_bytes=sum(each.numel() * each.element_size() for each in stored.values()),
        producer="PyTorch",
        details={key: text for key, text in details.items() if text},
    )


def _nodes(graph: Any) -> Iterator[Any]:
    """All nodes of a graph or block, also those within branches, loops and forked tasks."""
    for node in graph.nodes():
        yield node
        for block in node.blocks():
            yield from _nodes(block)
        if node.hasAttribute("Subgraph"):
            yield from _nodes(node.g("Subgraph"))


def _computes(node: Any) -> bool:
    """Whether a node is an operator, or control flow; the other prim ones only pass values on."""
    kind = node.kind()
    return kind in _CONTROL_FLOW or not kind.startswith("prim::")


def _is_packed(node: Any) -> bool:
    """Whether a node takes weights in a form that only the kernels of one machine can read."""
    return node.kind() == "prim::GetAttr" and any(
        str(output.type()).startswith(_PACKED) for output in node.outputs()
    )


def _tensors(module: torch.jit.ScriptModule, nodes: Iterable[Any]) -> Iterator[torch.Tensor]:
    """The state, and what freezing turned into constants.

    A scalar constant is a number of the source code, which tracing turned into a tensor.
    """
    import torch

    yield from (each for each in module.state_dict().values() if isinstance(each, torch.Tensor))
    for node in nodes:
        if node.kind() == "prim::Constant" and node.hasAttribute("value"):
            value = node.t("value") if node.kindOf("value") == "t" else None
            if value is not None and value.dim():
                yield value


def _place(tensor: torch.Tensor) -> tuple[int, ...]:
    """What is the same for two names of one stored tensor."""
    return (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), *tensor.shape)


def _archive_details(path: Path, files: Mapping[str, bytes]) -> dict[str, str]:
    bytecode = ""
    if "bytecode.pkl" in files:
        from torch.jit.mobile import _get_model_bytecode_version

        bytecode = str(_get_model_bytecode_version(str(path)))
    extra = [name.removeprefix("extra/") for name in files if name.startswith("extra/")]
    return {
        "archive_version": files.get("version", b"").decode().strip(),
        "bytecode_version": bytecode,
        "extra_files": ", ".join(extra),
    }


def _inputs(arguments: Iterable[Any], examples: list[Any]) -> Iterator[TensorSpec | str]:
    """Spec of each argument that was traced with a tensor, name and type of the others."""
    for index, argument in enumerate(arguments):
        example = examples[index] if index < len(examples) else None
        if isinstance(example, _Example):
            yield TensorSpec(name=argument.name, shape=example.shape, dtype=example.dtype)
        else:
            yield f"{argument.name}: {argument.type}"


class _Example:
    """Shape and element type of a tensor that a module was traced with."""

    def __init__(self, storage: str, _offset: int, shape: tuple[int, ...], *_rest: Any) -> None:
        self.shape = tuple(shape)
        self.dtype = _STORAGE_TYPES.get(storage, storage)


class _Opaque:
    """Stands for anything that is not a tensor."""

    def __init__(self, *_arguments: Any) -> None:
        pass


class _ExampleReader(pickle.Unpickler):
    """Reads the shapes of pickled tensors; nothing that the file names is imported or called."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name.endswith("Storage"):
            return name
        return {
            ("torch._utils", "_rebuild_tensor_v2"): _Example,
            ("torch.jit._pickle", "restore_type_tag"): _without_tag,
            ("collections", "OrderedDict"): OrderedDict,
        }.get((module, name), _Opaque)

    def persistent_load(self, reference: Any) -> Any:
        """Return the storage type of ``("storage", type, key, device, elements)``."""
        return reference[1]


def _without_tag(value: Any, _type: str) -> Any:
    return value


def _traced_inputs(files: Mapping[str, bytes], details: dict[str, str]) -> list[Any]:
    """What ``forward`` was traced with, in the order of its arguments; empty if it was scripted."""
    stored = files.get("traced_inputs.pkl")
    if stored is None:
        return []
    try:
        return list(_ExampleReader(io.BytesIO(stored)).load().get("forward", []))
    except (pickle.UnpicklingError, AttributeError, TypeError, IndexError) as error:
        details["traced_inputs"] = f"stored in a way that is not understood ({error})"
        return []
