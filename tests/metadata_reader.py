"""An independent reader of TFLite Metadata: the schema's generated classes, from mediapipe."""

from __future__ import annotations

import importlib.util
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as schema


def read_metadata(model: Path) -> Any:
    """Return the ``ModelMetadataT`` of a model."""
    generated = _generated()
    content = model.read_bytes()
    root = schema.Model.GetRootAs(content)
    (buffer,) = [
        entry.Buffer()
        for entry in map(root.Metadata, range(root.MetadataLength()))
        if entry.Name() == b"TFLITE_METADATA"
    ]
    packed = root.Buffers(buffer).DataAsNumpy().tobytes()
    assert generated.ModelMetadata.ModelMetadataBufferHasIdentifier(packed, 0)
    return generated.ModelMetadataT.InitFromObj(generated.ModelMetadata.GetRootAs(packed))


def packed_files(model: Path) -> dict[str, bytes]:
    """Return the associated files of a model."""
    with zipfile.ZipFile(model) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _generated() -> Any:
    """The one module that is needed; the package itself wants much that is not installed."""
    package = importlib.util.find_spec("mediapipe")
    if package is None or package.origin is None:
        reason = "the classes of the metadata schema are in the package mediapipe"
        if "CI" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    file = Path(package.origin).parent / "tasks" / "metadata" / "metadata_schema_py_generated.py"
    spec = importlib.util.spec_from_file_location("metadata_schema", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
