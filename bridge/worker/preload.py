"""Imports ahead of time, while the caller's process is busy with something else."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def preload(
    arguments: Mapping[str, Any], enter: Callable[..., None], say: Callable[..., None]
) -> None:
    """Import ``modules``, in a worker; the job that needs one meets what its import raised."""
    for module in arguments["modules"]:
        importlib.import_module(module)
