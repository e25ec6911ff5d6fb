"""Rows of non-maximum suppression."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import torch

from . import Row, f32, i32

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_libraries: list[torch.library.Library] = []  # an operator lives as long as its library


def suppressed(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """torchvision's loop: a box is dropped if one that is kept overlaps it by more."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    for index in scores.argsort(descending=True, stable=True).tolist():
        corner = torch.maximum(boxes[index, :2], boxes[kept, :2])
        opposite = torch.minimum(boxes[index, 2:], boxes[kept, 2:])
        shared = (opposite - corner).clamp_min(0).prod(dim=1)
        overlap = shared / (areas[index] + areas[kept] - shared)
        if not (overlap.double() > iou_threshold).any():
            kept.append(index)
    return torch.tensor(kept, dtype=torch.int64)


def declare_nms() -> None:
    """Make ``torchvision::nms`` known, with a kernel, where torchvision's own is missing."""
    installed = importlib.util.find_spec("torchvision") is not None
    if installed:
        try:
            importlib.import_module("torchvision")
        except RuntimeError:  # operator torchvision::nms does not exist
            pass
        else:
            return
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms" + _SCHEMA)
    library.define("qnms" + _SCHEMA)
    library.impl("nms", suppressed, "CPU")
    _libraries.append(library)
    if installed:
        importlib.import_module("torchvision")
    else:
        torch.library.register_fake("torchvision::nms", _any_number, lib=library)


def _any_number(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    return boxes.new_empty([torch.library.get_ctx().new_dynamic_size()], dtype=torch.int64)


declare_nms()


def corners(count: int, seed: int = 0) -> torch.Tensor:
    """Boxes of which many overlap."""
    corner = f32(count, 2, low=0.0, high=10.0, seed=seed)
    return torch.cat([corner, corner + f32(count, 2, low=1.0, high=6.0, seed=seed + 1)], dim=1)


def chosen(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> Any:
    """A detector's head: what is left of the boxes, and their scores."""
    kept = torch.ops.torchvision.nms(boxes, scores, threshold)
    return boxes[kept] * 2, scores[kept]


def best_of_classes(boxes: torch.Tensor, scores: torch.Tensor, labels: torch.Tensor) -> Any:
    """Candidates by score, and suppression apart for each class, by an offset."""
    scores, order = scores.topk(20)
    boxes, labels = boxes[order], labels[order]
    apart = boxes + (labels * 100).unsqueeze(1)
    kept = torch.ops.torchvision.nms(apart, scores, 0.5)
    return boxes[kept], scores[kept], labels[kept]


def first(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> Any:
    """At most ten of the boxes that are left."""
    return boxes[torch.ops.torchvision.nms(boxes, scores, threshold)[:10]]


# a third and a half overlap exactly, equal scores, boxes without area and with corners exchanged
EXACT = torch.tensor([
    [0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.0], [1.0, 0.0, 3.0, 2.0], [0.0, 0.0, 2.0, 2.0],
    [7.0, 7.0, 7.0, 7.0], [7.0, 7.0, 7.0, 9.0], [7.0, 7.0, 7.0, 7.0], [9.0, 9.0, 8.0, 8.0],
    [8.0, 8.0, 9.0, 9.0], [9.0, 8.0, 8.0, 9.0],
])  # fmt: skip
SCORES = torch.tensor([0.5, 0.5, 0.5, 0.25, -1.0, 0.9, 0.5, -float("inf"), -3.0, 0.0])
BOXES, LOTS = corners(12), corners(60)

ROWS = [
    Row("torchvision.nms", BOXES, f32(12), 0.3, also=[[corners(12, 5), f32(12, seed=5)]]),
    Row("torchvision.nms", LOTS, f32(60), 0.0),
    Row("torchvision.nms", LOTS, f32(60), 0.9),
    Row("torchvision.nms", EXACT, SCORES, 0.5, label="at a half"),
    Row("torchvision.nms", EXACT, SCORES, 0.4999999, label="below a half"),
    Row("torchvision.nms", EXACT, SCORES, 1 / 3, label="at a third"),
    Row("torchvision.nms", EXACT[:1], SCORES[:1], 0.5, label="one box"),
    Row("torchvision.nms", LOTS, f32(60), 0.4, call=chosen, label="gathered"),
    Row("torchvision.nms", LOTS, f32(60), 0.4, call=first, label="at most ten"),
    Row(
        "torchvision.nms",
        *(LOTS, f32(60), i32(60, low=0, high=3)),
        call=best_of_classes,
        label="by class",
    ),
    Row("torchvision.nms", BOXES, f32(12), 1.0, unsupported="iou_threshold"),
    Row("torchvision.nms", BOXES, f32(12), -0.5, unsupported="iou_threshold"),
    Row("torchvision.nms", BOXES, f32(12), 0.5, dynamic={0: [0], 1: [0]}, unsupported="dets"),
]
