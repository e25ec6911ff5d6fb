"""Other distributions that bring lowerings, and with them operators of PyTorch."""

from __future__ import annotations

import importlib.metadata

_GROUP = "driftbridge.lowerings"


def import_operators() -> None:
    """Import the distributions that bring lowerings.

    A captured program with operators of theirs cannot be loaded before these are registered with
    PyTorch, which happens on the way.

    Raises:
        RegistryError: One of them cannot be imported, or has a lowering that there is already.
    """
    if importlib.metadata.entry_points(group=_GROUP):
        from ..converters.tflite import LOWERINGS

        LOWERINGS.names()
