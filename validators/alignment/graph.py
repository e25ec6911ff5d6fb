"""An artifact as a graph of operators in the common vocabulary."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from .operators import BIJECTIVE, FOLDABLE

_LONGEST_REGION = 5000  # operators; a recurrent layer that is unrolled has hundreds


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """Relative RMS errors of a layer on the artifact's own inputs, and what they say.

    Attributes:
        agrees: Up to it, a tensor holds a layer's result.
        rounding: Up to it, what the source goes on with is what the artifact goes on with.
        moments: How far means and root mean squares of equal values may differ.
        contradicts: Above it, values that agreed on one input do not on another.
        alike: Tensors whose errors differ by less than this factor agree equally well.
        closer: A role must agree that much better than the value that should be there.
        defects: Most layers without an agreeing tensor that are looked into.
    """

    agrees: float
    rounding: float
    moments: float
    contradicts: float
    alike: float
    closer: float
    defects: int


# float16 weights and approximate kernels stay below what agrees; rounding is that of float32
FLOATS = Tolerance(
    agrees=2e-3, rounding=1e-5, moments=0.01, contradicts=2e-2, alike=30.0, closer=30.0, defects=12
)
# steps of 1/255 of a range that a few values need all of; what is fused may seem a defect
INTEGERS = Tolerance(
    agrees=0.08, rounding=0.02, moments=0.05, contradicts=0.25, alike=3.0, closer=2.0, defects=60
)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operator of an artifact.

    Attributes:
        index: Its place in execution order.
        kind: Its kind (operators.py).
        name: Its own name, such as ``CONV_2D``.
        inputs: Keys of the tensors that it reads, constants among them.
        outputs: Keys of the tensors that it makes.
        activation: Kind of the activation that is fused into it.
    """

    index: int
    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    activation: str | None = None


@dataclass(frozen=True, kw_only=True)
class Graph:
    """An artifact's operators in execution order, and its tensors by key.

    Attributes:
        operations: The operators.
        inputs: Name in the artifact's signature → key.
        outputs: The same of its outputs.
        names: Key → name by which a runtime shows the tensor, for those that it can show alone.
        shapes: Key → sizes, where the file says them.
        scales: Key → ``(scale, zero point)`` of a tensor that is quantized as a whole.
        tolerance: How near values must be to agree.
    """

    operations: tuple[Operation, ...]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    names: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    scales: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    tolerance: Tolerance = FLOATS

    @cached_property
    def producer(self) -> dict[str, Operation]:
        """Tensor → the operator that makes it."""
        return {key: each for each in self.operations for key in each.outputs}

    @cached_property
    def readers(self) -> dict[str, list[Operation]]:
        """Tensor → the operators that read it."""
        found: dict[str, list[Operation]] = {}
        for each in self.operations:
            for key in dict.fromkeys(each.inputs):
                found.setdefault(key, []).append(each)
        return found

    @cached_property
    def live(self) -> frozenset[str]:
        """Tensors that depend on the values of the inputs."""
        live = set(self.inputs.values())
        for each in self.operations:
            if each.kind != "shape" and live.intersection(each.inputs):
                live.update(each.outputs)
        return frozenset(live)

    def position(self, key: str) -> int:
        """Return the place of the operator that makes a tensor; -1 for the model's inputs."""
        made = self.producer.get(key)
        return -1 if made is None else made.index

    def copies(self, key: str) -> set[str]:
        """Return a tensor with all that hold the same elements: transposed, reshaped, cast."""
        found, waiting = {key}, [key]
        while waiting:
            current = waiting.pop()
            near = [out for op in self.readers.get(current, ()) for out in self._copied(op)]
            made = self.producer.get(current)
            if made is not None and self._copied(made):
                near += [each for each in made.inputs if each in self.live][:1]
            fresh = [each for each in near if each not in found]
            found.update(fresh)
            waiting += fresh
        return found

    def going_on_by_constants(self, key: str) -> list[Operation]:
        """Return the operators that compute something simple of a tensor and constants.

        A bias that is added is of that kind, and so is a norm.
        """
        return [
            each
            for copy in self.copies(key)
            for each in self.readers.get(copy, ())
            if each.kind in FOLDABLE - {"identity"}
            and len(self.live.intersection(each.inputs)) == 1
        ]

    def _copied(self, operation: Operation) -> tuple[str, ...]:
        plain = operation.kind in BIJECTIVE and operation.activation is None
        return operation.outputs if plain and len(operation.outputs) == 1 else ()

    def region(self, key: str, given: Collection[str]) -> set[int] | None:
        """Return the operators that make a tensor out of others, or nothing if they cannot.

        Args:
            key: The tensor.
            given: The tensors that it is to be made of; constants are always there.

        Returns:
            Places of the operators; ``None`` if an input of the model that is not given is needed.
        """
        operations: set[int] = set()
        waiting = [key] if key not in given else []
        while waiting:
            made = self.producer.get(waiting.pop())
            if made is None or len(operations) > _LONGEST_REGION:
                return None
            if made.index not in operations:
                operations.add(made.index)
                waiting += self._needed(made.inputs, given)
        return operations

    def _needed(self, keys: Iterable[str], given: Collection[str]) -> list[str]:
        return [each for each in keys if each in self.live and each not in given]
