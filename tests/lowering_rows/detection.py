"""Rows of non-maximum suppression and of regions of interest."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
from typing import Any

import torch

from . import Row, const, f32, i32, truths

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_ROI_ALIGN = (
    "(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor"
)
_DEFORM_CONV = (
    "(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, SymInt stride_h, "
    "SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w, "
    "SymInt groups, SymInt offset_groups, bool use_mask) -> Tensor"
)
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


def aligned_regions(
    x: torch.Tensor,
    rois: torch.Tensor,
    scale: float,
    height: int,
    width: int,
    sampling_ratio: int,
    aligned: bool,
) -> torch.Tensor:
    """torchvision's loops over regions, bins and samples, of float32 numbers."""
    made = torch.zeros(len(rois), x.shape[1], height, width)
    bins = torch.tensor([height, width])
    for region, (image, *box) in enumerate(rois.tolist()):
        left, top, right, bottom = torch.tensor(box) * scale - (0.5 if aligned else 0)
        start, end = torch.stack([top, left]), torch.stack([bottom, right])
        extent = end - start if aligned else (end - start).clamp_min(1)
        step = extent / bins
        grid = torch.full((2,), sampling_ratio) if sampling_ratio > 0 else step.ceil().long()
        for place in itertools.product(range(height), range(width)):
            samples = itertools.product(*map(range, grid.tolist()))
            for sample in samples:
                part = (torch.tensor(sample) + 0.5) * step / grid
                at = start + torch.tensor(place) * step + part
                made[region, :, *place] += _interpolated(x[int(image)], *at)
        made[region] /= max(int(grid.prod()), 1)
    return made


def _interpolated(plane: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    height, width = plane.shape[1:]
    if y < -1 or y > height or x < -1 or x > width:
        return torch.zeros(len(plane))
    y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = plane[:, top, left] * (1 - (x - left)) + plane[:, top, right] * (x - left)
    lower = plane[:, bottom, left] * (1 - (x - left)) + plane[:, bottom, right] * (x - left)
    return upper * (1 - (y - top)) + lower * (y - top)


def deformed(
    x: torch.Tensor,
    weight: torch.Tensor,
    offset: torch.Tensor,
    mask: torch.Tensor,
    bias: torch.Tensor,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    groups: int,
    offset_groups: int,
    use_mask: bool,
) -> torch.Tensor:
    """torchvision's loops over cells, taps and groups of channels that share an offset."""
    batch, channels = x.shape[:2]
    out, _, tall, wide = weight.shape
    rows, columns = offset.shape[2:]
    made = torch.empty(batch, channels, tall, wide, rows, columns)
    share = channels // offset_groups
    for image, group, i, j, row, column in itertools.product(
        *map(range, (batch, offset_groups, tall, wide, rows, columns))
    ):
        tap = (group * tall + i) * wide + j
        y = row * stride_h - pad_h + i * dilation_h + offset[image, 2 * tap, row, column]
        x_ = column * stride_w - pad_w + j * dilation_w + offset[image, 2 * tap + 1, row, column]
        own = slice(group * share, (group + 1) * share)
        value = _with_zeros_around(x[image, own], y, x_)
        factor = mask[image, tap, row, column] if use_mask else 1
        made[image, own, i, j, row, column] = value * factor
    parts = made.reshape(batch, groups, -1, rows * columns)
    product = weight.reshape(1, groups, out // groups, -1) @ parts
    return product.reshape(batch, out, rows, columns) + bias.reshape(1, -1, 1, 1)


def _with_zeros_around(plane: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    height, width = plane.shape[1:]
    total = torch.zeros(len(plane))
    for row, column in itertools.product(range(2), range(2)):
        at_y, at_x = int(y.floor()) + row, int(x.floor()) + column
        if 0 <= at_y < height and 0 <= at_x < width:
            total += plane[:, at_y, at_x] * (1 - (y - at_y).abs()) * (1 - (x - at_x).abs())
    return total


def _empty_deformed(
    x: torch.Tensor, weight: torch.Tensor, offset: torch.Tensor, *_: object
) -> torch.Tensor:
    return x.new_empty((x.shape[0], weight.shape[0], *offset.shape[2:]))


def declare_operators() -> None:
    """Make torchvision's operators known, with kernels, where its own are missing."""
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
    library.define("roi_align" + _ROI_ALIGN)
    library.impl("roi_align", aligned_regions, "CPU")
    library.impl("roi_align", _of_regions, "Meta")
    library.define("deform_conv2d" + _DEFORM_CONV)
    library.impl("deform_conv2d", deformed, "CPU")
    library.impl("deform_conv2d", _empty_deformed, "Meta")
    _libraries.append(library)
    if installed:
        importlib.import_module("torchvision")
    else:
        torch.library.register_fake("torchvision::nms", _any_number, lib=library)


def _any_number(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    return boxes.new_empty([torch.library.get_ctx().new_dynamic_size()], dtype=torch.int64)


def _of_regions(
    x: torch.Tensor, rois: torch.Tensor, scale: float, height: int, width: int, *_: object
) -> torch.Tensor:
    return x.new_empty((rois.shape[0], x.shape[1], height, width))


declare_operators()


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


def offsets(*shape: int) -> torch.Tensor:
    """Offsets of up to four cells, some of whole cells."""
    moved = f32(*shape, low=-4.0, high=4.0)
    return torch.where(truths(*shape), moved, moved.round())


def regions(count: int, images: int = 1) -> torch.Tensor:
    """Regions of images, some partly outside of a map of 10 x 12."""
    numbers = i32(count, 1, low=0, high=images).float()
    return torch.cat([numbers, corners(count) - 3], dim=1)


def of_the_best(x: torch.Tensor, boxes: torch.Tensor, scores: torch.Tensor) -> Any:
    """The features of as many boxes as suppression leaves."""
    kept = boxes[torch.ops.torchvision.nms(boxes, scores, 0.4)]
    kept = torch.cat([kept[:, :1] * 0, kept], dim=1)
    return torch.ops.torchvision.roi_align(x, kept, 0.5, 3, 3, 2, True)


# a third and a half overlap exactly, equal scores, boxes without area and with corners exchanged
EXACT = torch.tensor([
    [0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.0], [1.0, 0.0, 3.0, 2.0], [0.0, 0.0, 2.0, 2.0],
    [7.0, 7.0, 7.0, 7.0], [7.0, 7.0, 7.0, 9.0], [7.0, 7.0, 7.0, 7.0], [9.0, 9.0, 8.0, 8.0],
    [8.0, 8.0, 9.0, 9.0], [9.0, 8.0, 8.0, 9.0],
])  # fmt: skip
SCORES = torch.tensor([0.5, 0.5, 0.5, 0.25, -1.0, 0.9, 0.5, -float("inf"), -3.0, 0.0])
# beside the map, on its edge, without area, with corners exchanged, far larger than it
STRANGE = torch.tensor([
    [0, -9.0, -9.0, -3.0, -3.0], [0, -1.5, -2.0, 4.5, 3.0], [0, 3.0, 3.0, 3.0, 3.0],
    [0, 6.0, 7.0, 2.0, 1.0], [0, -30.0, -20.0, 50.0, 40.0], [0, 2.0, 2.0, 13.0, 11.0],
    [0, 8.0, 6.0, 16.0, 14.0], [0, 0.0, 0.0, 12.0, 10.0], [0, 5.25, 4.5, 5.5, 4.75],
])  # fmt: skip
MAP, MAPS = f32(1, 3, 10, 12), f32(2, 3, 10, 12)
NO_MASK = const(torch.zeros(2, 1))
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
    *(
        Row(
            "torchvision.roi_align",
            x,
            boxes,
            scale,
            *bins,
            samples,
            aligned,
            label=f"{label}-{scale}-{samples}-{aligned}",
        )
        for x, boxes, label in ((MAPS, regions(9, 2), "images"), (MAP, STRANGE, "strange"))
        for scale, bins in ((1.0, (3, 4)), (0.5, (2, 2)))
        for samples in (2, 3, -1)
        for aligned in (False, True)
    ),
    Row("torchvision.roi_align", MAP, regions(1), 0.25, 7, 7, 0, False, label="one region"),
    Row(
        "torchvision.roi_align",
        *(MAPS, regions(4, 2), 1.0, 2, 3, 2, True),
        dynamic={1: [0]},
        also=[[MAPS, regions(9, 2)]],
    ),
    Row(
        "torchvision.roi_align",
        *(MAPS, regions(4, 2), 1.0, 2, 3, -1, True),
        dynamic={1: [0]},
        also=[[MAPS, regions(9, 2)]],
    ),
    Row(
        "torchvision.deform_conv2d",
        *(f32(2, 4, 7, 6), const(f32(5, 4, 3, 3)), offsets(2, 18, 7, 6), NO_MASK, const(f32(5))),
        *(1, 1, 1, 1, 1, 1, 1, 1, False),
    ),
    Row(
        "torchvision.deform_conv2d",
        *(f32(1, 4, 9, 7), const(f32(6, 2, 3, 2)), offsets(1, 24, 5, 4), f32(1, 12, 5, 4)),
        *(const(f32(6)), 2, 1, 2, 0, 2, 3, 2, 2, True),
        label="groups and mask",
    ),
    Row(
        "torchvision.deform_conv2d",
        *(f32(2, 3, 5, 5), const(f32(2, 3, 1, 1)), offsets(2, 2, 5, 5), f32(2, 1, 5, 5)),
        *(const(f32(2)), 1, 1, 0, 0, 1, 1, 1, 1, True),
        dynamic={0: [0], 1: [0], 2: [0]},
        also=[[f32(3, 3, 5, 5), offsets(3, 2, 5, 5), f32(3, 1, 5, 5)]],
    ),
    Row(
        "torchvision.deform_conv2d",
        *(f32(2, 3, 5, 5), f32(2, 3, 1, 1), offsets(2, 2, 5, 5), NO_MASK, const(f32(2))),
        *(1, 1, 0, 0, 1, 1, 1, 1, False),
        unsupported="weight",
    ),
    Row("torchvision.roi_align", MAP, BOXES, f32(12), call=of_the_best, label="after suppression"),
]
