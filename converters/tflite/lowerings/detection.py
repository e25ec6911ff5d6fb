"""Operators of detectors: non-maximum suppression."""

from __future__ import annotations

import numpy as np

from ..context import Context
from ..dtypes import FLOAT, INTEGER
from ..errors import unsupported
from ..ir import Array, Value
from ..lowering import lowers
from ..sizes import Dim
from .indexing import taken
from .sorting import argsort

_FAR = 2.0**100  # beyond any image; multiples of it up to 2**24 are exact


def _least_above(threshold: float) -> Array:
    """The smallest float32 above a threshold: the kernel suppresses at >= it, torchvision at >."""
    nearest = np.array(threshold, dtype=np.float32)
    above = np.nextafter(nearest, np.float32(np.inf))
    return nearest if float(nearest) > threshold else np.asarray(above)


def _with_area(ctx: Context, boxes: Value, count: int) -> Value:
    """Replace boxes without area by such as overlap nothing.

    In torchvision they neither suppress nor are suppressed. The kernel, which relies on a box to
    suppress itself, would give one again and again.
    """
    x1, y1, x2, y2 = (ctx.slice(boxes, 1, place, 1) for place in range(4))
    width = ctx.emit("SUB", x2, x1)
    area = ctx.emit("MUL", width, ctx.emit("SUB", y2, y1))
    proper = ctx.pointwise("GREATER", ctx.emit("MINIMUM", area, width), 0.0)
    left = np.arange(2, 2 * count + 2, 2) * _FAR
    apart = np.stack([left, 0 * left, left + _FAR, 0 * left + 1], axis=1)
    return ctx.emit("SELECT_V2", proper, boxes, ctx.constant(apart.astype(np.float32)))


@lowers("torchvision.nms")
def nms(ctx: Context, boxes: Value, scores: Value, iou_threshold: float) -> Value:
    """nms(Tensor dets, Tensor scores, float iou_threshold) -> TOPK_V2, NON_MAX_SUPPRESSION_V4.

    The kernel is given the boxes in the order of their scores and ranks for scores: its own order
    of equal scores is not torchvision's, and it drops scores of -inf.
    """
    if not 0 <= iou_threshold < 1:
        hint = "below 0 only the best box is left, from 1 on all are"
        raise unsupported("iou_threshold", iou_threshold, hint)
    count = ctx.static(boxes.shape[0], "dets")
    order = argsort(ctx, scores, 0, descending=True)
    kept, found = ctx.emit_many(
        "NON_MAX_SUPPRESSION_V4",
        [
            _with_area(ctx, taken(ctx, boxes, 0, order), count),
            ctx.constant(np.arange(count, 0, -1, dtype=np.float32)),
            ctx.scalar(count, INTEGER),
            ctx.constant(_least_above(iou_threshold)),
            ctx.scalar(0, FLOAT),
        ],
        [((count,), INTEGER), ((), INTEGER)],
    )
    # the rest of the kernel's result is padding
    places = ctx.emit("SLICE", kept, ctx.integers([0]), ctx.reshape(found, (1,)), shape=ctx.shape)
    result = taken(ctx, order, 0, places)
    (size,) = ctx.shape
    if isinstance(size, Dim):
        ctx.symbols.setdefault(size.expr, (result, 0))
    return result
