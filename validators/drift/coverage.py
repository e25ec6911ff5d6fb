"""How much of a model was compared: its layers that compute something, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping

from ...layers import Absence, Spine
from ..results import Coverage, LayerResult

# Operators that only move, name or copy numbers.
_MOVEMENTS = frozenset(
    {
        "view", "reshape", "_unsafe_view", "permute", "transpose", "t", "slice", "select", "expand",
        "expand_as", "unsqueeze", "squeeze", "flatten", "unflatten", "contiguous", "clone", "alias",
        "detach", "detach_", "lift_fresh_copy", "dropout", "dropout_", "feature_dropout", "to",
        "_to_copy", "type_as", "cat", "concat", "stack", "split", "split_with_sizes", "chunk",
        "unbind", "getitem", "narrow", "movedim", "swapaxes", "copy", "copy_", "identity", "flip",
        "roll", "repeat", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "unfold", "pad",
        "constant_pad_nd", "arange", "full", "zeros", "ones", "zeros_like", "ones_like",
        "full_like", "new_zeros", "new_ones", "new_full", "sym_size", "numpy_T",
        "_assert_tensor_metadata",
    }
)  # fmt: skip


def coverage(spine: Spine, rows: Mapping[str, LayerResult]) -> Coverage:
    """Count the rows of the layers that compute something."""
    computing = [rows[each.id] for each in spine.layers if each.id in rows and computes(each.op)]
    unexplained = sum(
        not row.mapped and row.reason.startswith(Absence.UNEXPLAINED) for row in computing
    )
    mapped = sum(row.mapped for row in computing)
    return Coverage(
        mapped=mapped, explained=len(computing) - mapped - unexplained, total=len(computing)
    )


def computes(operator: str) -> bool:
    """Whether an operator makes new numbers, and does not only move them."""
    return operator.rpartition(".")[2].lower() not in _MOVEMENTS
