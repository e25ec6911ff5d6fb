"""Merges padding into the windows that read it."""

from __future__ import annotations

import numpy as np

from ..ir import Graph, Op, Value, constant, integers
from ..sizes import example
from .ranges import not_negative

_CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})


def fuse_padding(graph: Graph) -> None:
    """Merge paddings, and make them part of the windows that can express them.

    It needs NHWC. Afterwards a PAD before a convolution is one that SAME cannot express, and no
    max-pool of fixed size is padded with the lowest number by PADV2, which XNNPACK refuses.
    """
    source = graph.producers()
    users = graph.users()
    before: dict[Op, list[Op]] = {}
    after: dict[Op, list[Op]] = {}
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
                before[op] = [_plain(pad)]
                op.inputs[0] = before[op][-1].output
            elif (more := _more_cells(pad, op, window)) is not None:
                before[op], after[op] = _widened(pad, op, more)
            elif pad.inputs[0] is not None and pad.inputs[0].is_static:
                before[op] = _surrounded(pad)
                op.inputs[0] = before[op][-1].output
    graph.ops = [each for op in graph.ops for each in (*before.get(op, ()), op, *after.get(op, ()))]


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


def _more_cells(pad: Op, op: Op, window: tuple[int, int]) -> list[int] | None:
    """How many cells behind each axis let SAME put its windows where a padded pool has them.

    ``None`` if none do. Of a window of 3 with a stride of 2, padded by 1, it is one cell for an
    even size: the windows then begin at -1, and the last of them, which alone reads the new cell,
    is one too many.
    """
    pads = _pads(pad)
    assert pad.inputs[0] is not None
    if pads is None or pads[[0, 3]].any() or op.options["padding"] != "VALID":
        return None
    found: list[int] = []
    for axis, name, kernel in ((1, "h", window[0]), (2, "w", window[1])):
        size, count = pad.inputs[0].shape[axis], op.output.shape[axis]
        stride, first = op.options[f"stride_{name}"], int(pads[axis][0])
        if not isinstance(size, int) or not isinstance(count, int):
            return None
        reach = (count - 1) * stride + kernel - first  # cells of the operand, and padding behind
        fitting = (
            more
            for more in range(stride)
            if _pad_before(size + more, kernel, stride) == first
            and -(-(size + more) // stride) >= count
            and (reach <= size or not more)
        )
        more = next(fitting, None)
        if more is None:
            return None
        found.append(more)
    return found


def _pad_before(size: int, kernel: int, stride: int) -> int:
    """Cells that SAME puts in front."""
    return max((-(-size // stride) - 1) * stride + kernel - size, 0) // 2


def _widened(pad: Op, op: Op, more: list[int]) -> tuple[list[Op], list[Op]]:
    """Let a pool be a SAME one of more cells; return what comes before and behind it."""
    operand, result = pad.inputs[0], op.output
    assert operand is not None
    op.options["padding"] = "SAME"
    op.layers = pad.layers + op.layers
    sizes = [example(operand.shape[axis]) + cells for axis, cells in enumerate(more, start=1)]
    strides = (op.options["stride_h"], op.options["stride_w"])
    counts = [-(-size // stride) for size, stride in zip(sizes, strides, strict=True)]
    wider = Value(shape=(operand.shape[0], *sizes, operand.shape[3]), dtype=operand.dtype)
    whole = Value(shape=(result.shape[0], *counts, result.shape[3]), dtype=result.dtype)
    widths = np.array([(0, 0), *((0, cells) for cells in more), (0, 0)], np.int32)
    op.inputs[0], op.outputs = wider, [whole]
    # the batch, whose size may change, and the channels are taken whole
    ends = integers([0, *(example(size) for size in result.shape[1:3]), 0])
    options = {"begin_mask": 0b1111, "end_mask": 0b1001}
    inputs: list[Value | None] = [whole, integers([0] * 4), ends, integers([1] * 4)]
    return (
        [Op("PAD", [operand, constant(widths)], [wider], {}, pad.layers)],
        [Op("STRIDED_SLICE", inputs, [result], options, op.layers)],
    )


def _surrounded(pad: Op) -> list[Op]:
    """Join blocks of the lowest number to an operand, axis by axis."""
    value, pads, fill = pad.inputs[0], _pads(pad), pad.inputs[2]
    assert value is not None
    assert pads is not None
    assert fill is not None
    assert fill.data is not None
    ops: list[Op] = []
    for axis, widths in enumerate(pads):
        if not widths.any():
            continue
        blocks = []
        for width in widths:
            block = [example(size) for size in value.shape]
            block[axis] = int(width)
            blocks.append(constant(np.broadcast_to(fill.data, block)))
        parts = [each for each in (blocks[0], value, blocks[1]) if each.elements]
        shape = (
            *value.shape[:axis],
            value.shape[axis] + int(widths.sum()),
            *value.shape[axis + 1 :],
        )
        joined = Value(shape=shape, dtype=value.dtype)
        options = {"axis": axis, "fused_activation_function": "NONE"}
        ops.append(Op("CONCATENATION", list(parts), [joined], options, pad.layers))
        value = joined
    value.origins = pad.output.origins
    return ops


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
    return (
        fill is not None and fill.data is not None and bool(fill.data <= np.finfo(np.float32).min)
    )


def _pads(op: Op) -> np.ndarray | None:
    widths = op.inputs[1]
    return widths.data if widths is not None else None
