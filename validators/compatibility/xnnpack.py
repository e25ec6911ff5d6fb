"""What XNNPACK takes of a TFLite file here, and what it leaves to LiteRT's own kernels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...availability import version_of
from ...inspection.tflite_graph import GraphOperator, with_stored_weights
from ...worker import WORKER, Job, WorkFailure, WorkPool
from .origins import PlacedOperator

_PACKAGE = "ai-edge-litert"

# Operators that the delegate has a kernel for, in at least one form (ai-edge-litert 2.3).
_NAMES = """
    ABS ADD ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL CEIL CONCATENATION CONV_2D COS
    DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV ELU EXP FLOOR FULLY_CONNECTED GELU HARD_SWISH
    LEAKY_RELU LOG LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL NEG PAD PRELU QUANTIZE
    READ_VARIABLE REDUCE_MAX REDUCE_MIN RELU RELU6 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR ROUND RSQRT
    SIN SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SQRT SQUARE SQUARED_DIFFERENCE STABLEHLO_COMPOSITE
    STRIDED_SLICE SUB SUM TANH TRANSPOSE TRANSPOSE_CONV VAR_HANDLE
"""
_KINDS = frozenset(_NAMES.split())
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_SCALED = ("int8", "uint8")
_COMPUTED = ("float32", "resource", *_SCALED)
_MOST_AXES = 6
_MOST_JOINED = 5
_MOST_PARTS = 4
_MASKS = ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
_ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")


@dataclass(frozen=True, kw_only=True)
class Delegation:
    """What XNNPACK takes of a file here.

    Attributes:
        version: Version of the runtime.
        partitions: The operators of each partition.
        left: Operators that run in LiteRT's own kernels.
        unread: Operators whose results nothing reads: of them it cannot be told.
        reason: Why nothing of it is known; empty if it is.
    """

    version: str
    partitions: tuple[tuple[PlacedOperator, ...], ...] = ()
    left: tuple[PlacedOperator, ...] = ()
    unread: tuple[PlacedOperator, ...] = ()
    reason: str = ""

    @property
    def taken(self) -> int:
        """Number of operators in partitions."""
        return sum(map(len, self.partitions))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return {
            "version": self.version,
            "reason": self.reason,
            "partitions": [
                {
                    "operators": [each.index for each in partition],
                    "counts": dict(Counter(each.name for each in partition).most_common()),
                }
                for partition in self.partitions
            ],
            "left": [each.to_json() for each in self.left],
            "unread": [each.to_json() for each in self.unread],
        }

    def rows(self, operators: Sequence[GraphOperator]) -> dict[str, Any]:
        """Return it as the report has it, with the reason why each operator is left.

        Args:
            operators: Those of the subgraph that runs.
        """
        operators = with_stored_weights(operators)
        return {
            **self.to_json(),
            "left": [{**each.row(), "why": why_left(operators[each.index])} for each in self.left],
            "unread": [each.row() for each in self.unread],
        }


def delegation(path: Path, operators: Sequence[PlacedOperator], pool: WorkPool) -> Delegation:
    """Load a file with XNNPACK, as an app does, and tell what becomes of its operators.

    Args:
        path: The file.
        operators: Those of its first subgraph.
        pool: Where it is loaded; that it cannot be is a reason, and no error.
    """
    job = Job(
        place=WORKER,
        function="bridge.validators.delegation:delegate",
        arguments={"path": str(path)},
    )
    version = version_of(_PACKAGE) or ""
    try:
        found = pool.call(job)
    except WorkFailure as failure:
        return Delegation(version=version, reason=f"{failure.symptom}: {failure.message}")

    def chosen(indices: Sequence[int]) -> tuple[PlacedOperator, ...]:
        return tuple(operators[index] for index in indices)

    return Delegation(
        version=version,
        partitions=tuple(chosen(each) for each in found["partitions"]),
        left=chosen(found["left"]),
        unread=chosen(found["unread"]),
    )


def why_left(operator: GraphOperator) -> str:
    """Say why XNNPACK left an operator, as far as its published rules tell; it does not itself."""
    if operator.name not in _KINDS:
        return "XNNPACK has no kernel for it"
    tensors = [*operator.read, *operator.outputs]
    foreign = sorted({each.dtype for each in tensors} - set(_COMPUTED))
    if foreign:
        return f"XNNPACK does not compute in {', '.join(foreign)}"
    if any(each.dtype in _SCALED and not each.quantized for each in tensors):
        return "its integers have no scale"
    rank = max((each.rank for each in tensors), default=0)
    if rank > _MOST_AXES:
        return f"a tensor has {rank} axes; XNNPACK knows {_MOST_AXES}"
    reason = _why_this_form(operator)
    if reason:
        return reason
    changing = any(each.dynamic for each in tensors)
    hint = "; a size of its tensors may change" if changing else ""
    return f"XNNPACK did not take it, and does not say why{hint}"


def _values(operator: GraphOperator, place: int) -> tuple[int, ...]:
    """A short list of constants; empty if it is none."""
    each = operator.inputs[place] if place < len(operator.inputs) else None
    return (each.values or ()) if each is not None else ()


def _why_this_form(operator: GraphOperator) -> str:
    """What a kernel that there is does not know."""
    name, options = operator.name, operator.options
    activation = options.get("fused_activation_function", "NONE")
    if activation not in _ACTIVATIONS:
        return f"XNNPACK does not fuse the activation {activation}"
    if name in _WEIGHTED and len(operator.read) > 1:
        return "its weights or its bias are not constants"
    if name == "CONCATENATION" and not 1 < len(operator.inputs) <= _MOST_JOINED:
        return f"it joins {len(operator.inputs)} tensors; XNNPACK joins 2 to {_MOST_JOINED}"
    if name == "SPLIT" and len(operator.outputs) > _MOST_PARTS:
        return f"it has {len(operator.outputs)} parts; XNNPACK makes up to {_MOST_PARTS}"
    if name == "STRIDED_SLICE" and any(map(options.get, _MASKS)):
        return "XNNPACK adds or removes no axis when it slices"
    if name == "STRIDED_SLICE" and set(_values(operator, 3)) - {1}:
        return "XNNPACK slices with steps of 1 only"
    if name == "SLICE" and -1 in _values(operator, 2):
        return "its size is -1, for all the rest; XNNPACK takes sizes that are stated"
    if name in ("RESHAPE", "SLICE", "PAD", "TRANSPOSE") and len(operator.read) > 1:
        return "what it does depends on a tensor that is computed when it runs"
    return ""
