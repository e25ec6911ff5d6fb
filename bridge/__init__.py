"""Convert PyTorch models to every mobile format, and say layer by layer how far they drifted.

``import bridge`` loads no framework; each function imports what it needs when it is called.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["convert", "inspect", "plan", "to_tflite", "validate"]

_HOMES = {
    "convert": "bridge.api",
    "inspect": "bridge.inspection",
    "plan": "bridge.planning",
    "to_tflite": "bridge.api",
    "validate": "bridge.api",
}

if TYPE_CHECKING:
    from .api import convert, to_tflite, validate
    from .inspection import inspect
    from .planning import plan


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bridge' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
