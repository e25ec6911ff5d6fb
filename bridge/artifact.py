"""Artifacts: a model in one format on disk, with its signature, origin and layer map."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .formats import Format, format_named
from .layers import LayerMap, Spine


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """Affine quantization of a tensor: ``real = scale * (stored - zero_point)``.

    Attributes:
        scales: One scale, or one for each index of ``axis``.
        zero_points: As many as scales.
        axis: Axis that the scales belong to; ``None`` with a single scale.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None = None


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One input or output of a model.

    Attributes:
        name: Its name for whoever runs the artifact.
        shape: Sizes; a dynamic dimension is ``None``.
        dtype: NumPy name of the element type.
        layout: Meaning of the axes where it is known, such as ``NCHW``.
        permutation: ``artifact_axes = transpose(source_axes, permutation)``; ``None`` if the axes
            are the source's own.
        quantization: Present if the tensor is quantized.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    layout: str | None = None
    permutation: tuple[int, ...] | None = None
    quantization: Quantization | None = None

    def __str__(self) -> str:
        sizes = "x".join("?" if size is None else str(size) for size in self.shape) or "scalar"
        return f"{self.name}: {self.dtype}[{sizes}]"

    def to_json(self) -> dict[str, Any]:
        """Return the spec as plain JSON data."""
        data: dict[str, Any] = {"name": self.name, "shape": list(self.shape), "dtype": self.dtype}
        if self.layout:
            data["layout"] = self.layout
        if self.permutation:
            data["permutation"] = list(self.permutation)
        if self.quantization:
            data["quantization"] = {
                "scales": list(self.quantization.scales),
                "zero_points": list(self.quantization.zero_points),
                "axis": self.quantization.axis,
            }
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TensorSpec:
        """Rebuild a spec from what ``to_json`` returned."""
        quantization = data.get("quantization")
        return cls(
            name=data["name"],
            shape=tuple(data["shape"]),
            dtype=data["dtype"],
            layout=data.get("layout"),
            permutation=tuple(data["permutation"]) if data.get("permutation") else None,
            quantization=Quantization(
                scales=tuple(quantization["scales"]),
                zero_points=tuple(quantization["zero_points"]),
                axis=quantization["axis"],
            )
            if quantization
            else None,
        )


@dataclass(frozen=True, kw_only=True)
class Signature:
    """Inputs and outputs of a model, in order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the signature as plain JSON data."""
        return {
            "inputs": [spec.to_json() for spec in self.inputs],
            "outputs": [spec.to_json() for spec in self.outputs],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Signature:
        """Rebuild a signature from what ``to_json`` returned."""
        return cls(
            inputs=tuple(TensorSpec.from_json(each) for each in data["inputs"]),
            outputs=tuple(TensorSpec.from_json(each) for each in data["outputs"]),
        )


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A model in one format, as a file or a folder.

    Attributes:
        format: Its format.
        path: Where it lies.
        sha256: Digest of its content (``digest`` of the path).
        size: Bytes on disk.
        signature: Inputs and outputs; ``outputs`` are in the order of the source model's.
        producer: Hop that made it; empty for a user's own file.
        producer_version: Version of the library that the hop used.
        parent: sha256 of what it was made from; empty for a user's own file.
        layer_map: Where each layer of the spine is in it.
        spine: The layers themselves, on the artifact that defines them; ``None`` on the others.
        notes: What the hop has to say about it, for the report.
        precision: Precision of its numbers, by which it is judged: ``float32``, ``float16``,
            ``int8`` (activations too) or ``int8-weights``.
    """

    format: Format
    path: Path
    sha256: str
    size: int
    signature: Signature
    producer: str = ""
    producer_version: str = ""
    parent: str = ""
    layer_map: LayerMap = field(default_factory=LayerMap)
    spine: Spine | None = None
    notes: tuple[str, ...] = ()
    precision: str = "float32"

    def to_json(self) -> dict[str, Any]:
        """Return the artifact as plain JSON data; the path is kept as text."""
        return {
            "format": self.format.name,
            "path": str(self.path),
            "sha256": self.sha256,
            "size": self.size,
            "signature": self.signature.to_json(),
            "producer": self.producer,
            "producer_version": self.producer_version,
            "parent": self.parent,
            "layer_map": self.layer_map.to_json(),
            "spine": self.spine.to_json() if self.spine else None,
            "notes": list(self.notes),
            "precision": self.precision,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Artifact:
        """Rebuild an artifact from what ``to_json`` returned."""
        return cls(
            format=format_named(data["format"]),
            path=Path(data["path"]),
            sha256=data["sha256"],
            size=data["size"],
            signature=Signature.from_json(data["signature"]),
            producer=data["producer"],
            producer_version=data["producer_version"],
            parent=data["parent"],
            layer_map=LayerMap.from_json(data["layer_map"]),
            spine=Spine.from_json(data["spine"]) if data["spine"] else None,
            notes=tuple(data["notes"]),
            precision=data.get("precision", "float32"),  # earlier manifests do not say it
        )


def data_file(path: Path) -> Path:
    """Return where a file keeps the weights that are too large for it, if it has such a file.

    ONNX files of more than 2 GB do: a protobuf cannot be larger.
    """
    return path.with_name(f"{path.name}.data")


def digest(path: Path) -> str:
    """Return the sha256 of a file, or of a folder's relative names and contents in order.

    A file with a data file beside it is digested with it.

    Raises:
        FileNotFoundError: There is neither.
    """
    beside = data_file(path)
    if not path.is_dir() and not beside.is_file():
        return _file_digest(path)
    folder, files = (
        (path, sorted(path.rglob("*"))) if path.is_dir() else (path.parent, [path, beside])
    )
    total = hashlib.sha256()
    for each in files:
        if each.is_file():
            total.update(each.relative_to(folder).as_posix().encode() + b"\0")
            total.update(_file_digest(each).encode())
    return total.hexdigest()


def size_of(path: Path) -> int:
    """Return the bytes of a file with its data file, or of all files of a folder.

    Raises:
        FileNotFoundError: There is neither.
    """
    if not path.is_dir():
        beside = data_file(path)
        return path.stat().st_size + (beside.stat().st_size if beside.is_file() else 0)
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
