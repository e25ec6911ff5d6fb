"""Merges padding into the windows that read it."""

from __future__ import annotations

import numpy as np

from ..ir import Graph, Op, Value, constant
from .ranges import not_negative

_CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})


def fuse_padding(graph: Graph) -> None:
    """Merge paddings, and make them part of the windows that can express them.

    It needs NHWC. Afterwards a PAD before a convolution is one that SAME cannot express, and a
    max-pool is padded with the lowest number only where its operand may be negative (XNNPACK
    refuses that padding).
    """
    source = graph.producers()
    users = graph.users()
    added: list[tuple[Op, Op]] = []
    for op in graph.ops:
        if op.kind == "PAD":
            _merge_pads(op, source, users)
    for op in graph.ops:
        if not op.inputs or op.inputs[0] is None:
            continue
        pad = source.get(op.inputs[0])
        if pad is None:
            continue
        if op.kind in _CONVOLUTIONS and pad.kind == "PAD" and _is_same(pad, op, _kernel(op)):
            _take(op, pad)
        elif op.kind == "MAX_POOL_2D" and pad.kind == "PADV2" and _is_lowest(pad):
            window = (op.options["filter_height"], op.options["filter_width"])
            if _is_same(pad, op, window):
                _take(op, pad)
            elif not_negative(pad.inputs[0], source):
                plain = _plain(pad)
                op.inputs[0] = plain.output
                added.append((op, plain))
    for op, plain in added:
        graph.ops.insert(graph.ops.index(op), plain)


def _merge_pads(op: Op, source: dict[Value, Op], users: dict[Value, list[Op]]) -> None:
    assert op.inputs[0] is not None
    before = source.get(op.inputs[0])
    if before is None or before.kind != "PAD" or len(users[before.output]) != 1:
        return
    own, inner = _pads(op), _pads(before)
    if own is None or inner is None:
        return
    op.inputs = [before.inputs[0], constant((own + inner).astype(np.int32))]
    op.layers = before.layers + op.layers


def _take(op: Op, pad: Op) -> None:
    op.options["padding"] = "SAME"
    op.inputs[0] = pad.inputs[0]
    op.layers = pad.layers + op.layers


def _plain(pad: Op) -> Op:
    made = Value(shape=pad.output.shape, dtype=pad.output.dtype, origins=pad.output.origins)
    return Op("PAD", pad.inputs[:2], [made], {}, pad.layers)


def _kernel(op: Op) -> tuple[int, int]:
    weights = op.inputs[1]
    assert weights is not None
    return int(weights.shape[1]), int(weights.shape[2])  # type: ignore[arg-type]


def _is_same(pad: Op, op: Op, kernel: tuple[int, int]) -> bool:
    """Whether a VALID window over a padded operand is a SAME one over the operand itself."""
    pads = _pads(pad)
    if op.options["padding"] != "VALID" or pads is None or pads[[0, 3]].any():
        return False
    assert pad.inputs[0] is not None
    for axis, name in ((1, "h"), (2, "w")):
        size = pad.inputs[0].shape[axis]
        stride = op.options.get(f"stride_{name}", 1)
        reach = (kernel[axis - 1] - 1) * op.options.get(f"dilation_{name}_factor", 1) + 1
        before, after = (int(each) for each in pads[axis])
        if stride == 1:
            total = reach - 1
        elif isinstance(size, int):
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
            # VALID must also stop where SAME stops
            if (size + before + after - reach) // stride + 1 != -(-size // stride):
                return False
        else:
            return False
        if (before, after) != (total // 2, total - total // 2):
            return False
    return True


def _is_lowest(pad: Op) -> bool:
    fill = pad.inputs[2]
    return fill is not None and fill.data is not None and bool(fill.data <= np.finfo(np.float32).min)


def _pads(op: Op) -> np.ndarray | None:
    widths = op.inputs[1]
    return widths.data if widths is not None else None


