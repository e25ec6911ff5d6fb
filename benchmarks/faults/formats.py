"""The formats that faults are injected into."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .kinds import ONNX, TFLITE, TORCHSCRIPT
from .onnx_faults import OnnxFile
from .sites import FaultyFile
from .tflite_faults import TfliteFile
from .torchscript_faults import TorchScriptFile

OPEN: dict[str, Callable[[Path], FaultyFile]] = {
    ONNX: OnnxFile,
    TFLITE: TfliteFile,
    TORCHSCRIPT: TorchScriptFile,
}
