"""torchvision where its native library does not load: its operators declared, nms written in torch.

torchvision has no CPU build for every platform. Without its native library it still imports once
``nms`` and ``qnms``, which it wraps at import time, are declared. A model that runs nms or
roi_align in eager mode needs a kernel too; torchvision has one of the latter in Python.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_ROI_ALIGN = (
    "(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor"
)
_libraries: list[torch.library.Library] = []  # an operator lives as long as its library


def prepare_torchvision() -> None:
    """Import torchvision, if it is installed, with the operators that it lacks."""
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError:  # operator torchvision::nms does not exist
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms" + _SCHEMA)
        library.define("qnms" + _SCHEMA)
        library.impl("nms", non_maximum_suppression, "CPU")
        library.define("roi_align" + _ROI_ALIGN)
        library.impl("roi_align", _regions, "CPU")
        library.impl("roi_align", _empty_regions, "Meta")
        _libraries.append(library)
        importlib.import_module("torchvision")
        # else its Python functions refuse to run, or do not call the operators
        for name in ("torchvision.extension", "torchvision.ops.roi_align"):
            sys.modules[name]._has_ops = lambda: True  # type: ignore[attr-defined]


def _regions(x: torch.Tensor, rois: torch.Tensor, *rest: Any) -> torch.Tensor:
    written = sys.modules["torchvision.ops.roi_align"]._roi_align
    made: torch.Tensor = written.__wrapped__(x, rois, *rest)  # as it is, not compiled
    return made


def _empty_regions(
    x: torch.Tensor, rois: torch.Tensor, scale: float, height: int, width: int, *_: Any
) -> torch.Tensor:
    return x.new_empty((rois.shape[0], x.shape[1], height, width))


def non_maximum_suppression(
    boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float
) -> torch.Tensor:
    """Return the indices of the boxes that torchvision's nms keeps, by descending score.

    Args:
        boxes: ``[n, 4]``, corners (x1, y1, x2, y2).
        scores: ``[n]``.
        iou_threshold: A box is dropped if it overlaps a kept one by more than this.
    """
    order = torch.argsort(scores, descending=True, stable=True)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    corner = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    opposite = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = (opposite - corner).clamp_min(0).prod(dim=2)
    overlap = shared / (areas[:, None] + areas[None] - shared)
    kept: list[int] = []
    for index in order.tolist():
        if all(float(overlap[index, other]) <= iou_threshold for other in kept):
            kept.append(index)
    return torch.tensor(kept, dtype=torch.int64)
