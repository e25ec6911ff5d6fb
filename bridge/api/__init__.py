"""The functions that a program calls: ``convert`` and ``validate``."""

from .converting import Conversion, ConvertOptions, Result, convert
from .opening import SourceOptions
from .validating import Comparison, validate

__all__ = [
    "Comparison",
    "Conversion",
    "ConvertOptions",
    "Result",
    "SourceOptions",
    "convert",
    "validate",
]
