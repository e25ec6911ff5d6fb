"""How much of a model was compared: its layers that compute something, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping

from ...layers import Absence, Spine
from ..alignment.operators import MOVEMENT, kind_of
from ..results import Coverage, LayerResult


def coverage(spine: Spine, rows: Mapping[str, LayerResult]) -> Coverage:
    """Count the rows of the layers that compute something."""
    computing = [
        rows[each.id]
        for each in spine.layers
        if each.id in rows and kind_of(each.op) not in MOVEMENT
    ]
    unexplained = sum(
        not row.mapped and row.reason.startswith(Absence.UNEXPLAINED) for row in computing
    )
    mapped = sum(row.mapped for row in computing)
    return Coverage(
        mapped=mapped, explained=len(computing) - mapped - unexplained, total=len(computing)
    )
