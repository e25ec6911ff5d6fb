"""What a reader of one format finds in a file, in the terms that all formats share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..artifact import Signature, TensorSpec


class DamagedError(ValueError):
    """The content is not what its format says: cut off, overwritten, or made by something else."""


@dataclass(frozen=True, kw_only=True)
class OperatorCount:
    """One operator of a model.

    Attributes:
        name: Its name as the format spells it: ``Conv``, ``CONV_2D``, ``aten::conv2d``.
        version: Its version, in formats that version each operator.
        count: How many times the model's graphs contain it. The body of a function, a loop or a
            branch counts once, however often it is called.
    """

    name: str
    version: int | None
    count: int


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a file says about its model.

    Attributes:
        signature: Inputs and outputs. A side that the format does not describe in full (a tensor
            of unknown rank or type, or something other than a tensor) is empty here, and what is
            known of it is ``details["inputs"]`` or ``details["outputs"]``.
        operators: The most frequent first, then by name.
        parameters: Number of elements of all stored tensors: weights, running statistics and
            constants. A tensor that is stored once and used twice counts once. A number of the
            source code counts where the format stores it as a tensor, as TFLite does.
        parameter_bytes: Bytes of the same.
        producer: What made the file, if it says so; may be empty.
        producer_version: Version of that; may be empty.
        details: What only this format knows, for people.
    """

    signature: Signature
    operators: tuple[OperatorCount, ...]
    parameters: int
    parameter_bytes: int
    producer: str = ""
    producer_version: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


def operator_counts(uses: Iterable[tuple[str, int | None]]) -> tuple[OperatorCount, ...]:
    """Count operators, given once per use as name and version."""
    counts = Counter(uses)
    return tuple(
        OperatorCount(name=name, version=version, count=count)
        for (name, version), count in sorted(
            counts.items(), key=lambda item: (-item[1], item[0][0], item[0][1] or 0)
        )
    )


def signature_of(
    inputs: Sequence[TensorSpec | str], outputs: Sequence[TensorSpec | str], details: dict[str, str]
) -> Signature:
    """Return the signature as far as the file describes it.

    Args:
        inputs: For each input its spec, or text on what is known of it.
        outputs: The same of the outputs.
        details: A side that holds text is added here instead, as one line.
    """
    sides = {}
    for side, each in (("inputs", inputs), ("outputs", outputs)):
        specs = tuple(spec for spec in each if isinstance(spec, TensorSpec))
        if len(specs) < len(each):
            details[side] = ", ".join(str(spec) for spec in each)
            specs = ()
        sides[side] = specs
    return Signature(**sides)


def facts_to_json(facts: Facts) -> dict[str, Any]:
    """Return facts as plain JSON data."""
    return {
        "signature": facts.signature.to_json(),
        "operators": [
            {"name": each.name, "version": each.version, "count": each.count}
            for each in facts.operators
        ],
        "parameters": facts.parameters,
        "parameter_bytes": facts.parameter_bytes,
        "producer": facts.producer,
        "producer_version": facts.producer_version,
        "details": dict(facts.details),
    }
