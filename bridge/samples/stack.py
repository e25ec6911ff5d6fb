"""Samples: the inputs that models are compared on, stacked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from .ranges import Domain

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Inputs to compare on.

    Attributes:
        arrays: Input name → samples ``[K, *shape]``, each of the model's own shape.
        origin: Where they come from, for the report.
        labels: ``[K, batch]`` true classes (or values), if they are known.
        how: Input name → where its values come from, for the report.
        domain: What they were drawn from, so that more can be; ``None`` for real ones.
    """

    arrays: Mapping[str, NDArray[Any]]
    origin: str
    labels: NDArray[Any] | None = field(default=None)
    how: Mapping[str, str] = field(default_factory=dict)
    domain: Domain | None = None

    @property
    def count(self) -> int:
        """How many samples there are."""
        return len(next(iter(self.arrays.values())))

    def first(self) -> Arrays:
        """Return the first sample."""
        return {name: stacked[0] for name, stacked in self.arrays.items()}

    def head(self, count: int) -> Samples:
        """Return the first ``count`` samples, or all if there are fewer."""
        return Samples(
            arrays={name: stacked[:count] for name, stacked in self.arrays.items()},
            origin=self.origin,
            labels=None if self.labels is None else self.labels[:count],
            how=self.how,
            domain=self.domain,
        )
