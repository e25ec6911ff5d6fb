"""The functions that a program calls: ``convert`` and ``validate``."""

from .convert import Conversion, Result, convert
from .validate import validate

__all__ = ["Conversion", "Result", "convert", "validate"]
