"""The functions that a program calls: ``convert`` and ``validate``."""

from .convert import Conversion, ConvertOptions, Result, convert
from .opening import SourceOptions
from .validate import Comparison, validate

__all__ = [
    "Comparison",
    "Conversion",
    "ConvertOptions",
    "Result",
    "SourceOptions",
    "convert",
    "validate",
]
