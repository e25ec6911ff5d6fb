"""The functions that a program calls: ``convert``, ``validate``, and ``look`` at a file."""

from .comparing import DriftOptions
from .compiling import to_tflite
from .converting import Conversion, ConvertOptions, Result, convert
from .handoff import AndroidBundle, AndroidOptions, android_bundle
from .inspecting import Look, look
from .opening import SourceOptions
from .validating import Comparison, validate

__all__ = [
    "AndroidBundle",
    "AndroidOptions",
    "Comparison",
    "Conversion",
    "ConvertOptions",
    "DriftOptions",
    "Look",
    "Result",
    "SourceOptions",
    "android_bundle",
    "convert",
    "look",
    "to_tflite",
    "validate",
]
