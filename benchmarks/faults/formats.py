"""What carries faults: the files of each format, and the conversions to some of them."""

from __future__ import annotations

from collections.abc import Callable

from .conversion_faults import CapturedProgram
from .edits import INT8, ONNX, TFLITE, TORCHSCRIPT
from .models import Subject
from .onnx_faults import OnnxFile
from .quantized_faults import QuantizedFile
from .sites import FaultyFile
from .tflite_faults import TfliteFile
from .torchscript_faults import TorchScriptFile

TO_ONNX, TO_TFLITE = f"→ {ONNX}", f"→ {TFLITE}"
_TARGETS = {TO_ONNX: ONNX, TO_TFLITE: TFLITE}
_FILES: dict[str, Callable[..., FaultyFile]] = {
    ONNX: OnnxFile,
    TFLITE: TfliteFile,
    TORCHSCRIPT: TorchScriptFile,
    INT8: QuantizedFile,
}
CARRIERS = (*_FILES, *_TARGETS)


def target_of(carrier: str) -> str:
    """Return the format of the file that a carrier gives: ``onnx`` of ``→ onnx``."""
    return _TARGETS.get(carrier, carrier)


def opened(subject: Subject, carrier: str) -> FaultyFile:
    """Read what carries the faults of a model.

    Args:
        subject: The model.
        carrier: One of ``CARRIERS``.
    """
    artifact = subject.artifacts[target_of(carrier)]
    if carrier in _TARGETS:
        return CapturedProgram(subject.source.path, _TARGETS[carrier], artifact.layer_map)
    return _FILES[carrier](artifact.path)
