"""Pairs confirmed on an input that they were not found on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .pairs import Pair, array_of, restored
from .probes import Probes, difference

if TYPE_CHECKING:
    import torch


class Confirmation:
    """Measures each pair with the artifact's own inputs of the layer.

    Args:
        probes: The artifact's tensors.
        pairs: Layer → its tensor.
        probe: The input to measure on.

    Attributes:
        errors: Layer → relative RMS error.
    """

    def __init__(self, probes: Probes, pairs: Mapping[str, Pair], probe: int) -> None:
        self._probes = probes
        self._probe = probe
        self._pairs = pairs
        self.errors: dict[str, float] = {}

    def before(self, node: torch.fx.Node, values: dict[torch.fx.Node, Any]) -> None:
        """Nothing is to be done before a node."""

    def after(self, node: torch.fx.Node, values: dict[torch.fx.Node, Any]) -> None:
        """Measure a layer, and let the source go on with what its tensor holds."""
        import torch

        pair = self._pairs.get(node.name)
        if pair is None:
            return
        value = array_of(values[node])
        if value is None:
            return
        actual = restored(self._probes, pair, values[node], self._probe)
        if pair.replaces:
            values[node] = actual
        self.errors[node.name] = difference(value, actual.to(torch.float64).numpy())
