"""Shapes and types of the results of TFLite's operators.

Each rule takes the inputs and the options of one operator and returns the shape and the type of
each result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from .ir import Value
from .sizes import Shape, Size, broadcast, ceil_div

Result: TypeAlias = tuple[Shape, str]
Inference: TypeAlias = Callable[[Sequence[Any], Mapping[str, Any]], Result]


def same(inputs: Sequence[Value], options: Mapping[str, Any]) -> Result:
    """The first input's own shape and type."""
    return inputs[0].shape, inputs[0].dtype


def broadcasting(inputs: Sequence[Value], options: Mapping[str, Any]) -> Result:
    """The shape that the inputs broadcast to; their common type."""
    return broadcast(*(value.shape for value in inputs)), inputs[0].dtype


def comparing(inputs: Sequence[Value], options: Mapping[str, Any]) -> Result:
    """The shape that the inputs broadcast to, of truth values."""
    return broadcast(*(value.shape for value in inputs)), "bool"


def selecting(inputs: Sequence[Value], options: Mapping[str, Any]) -> Result:
    """Condition and both choices broadcast; the choices' type."""
    return broadcast(*(value.shape for value in inputs)), inputs[1].dtype


def conv_2d(inputs: Sequence[Value], options: Mapping[str, Any]) -> Result:
    """NHWC by OHWI."""
    batch, height, width, _ = inputs[0].shape
    channels, kernel_h, kernel_w, _ = inputs[1].shape
    return (
        batch,
        _window(height, kernel_h, options, "h"),
        _window(width, kernel_w, options, "w"),
        channels,
    ), inputs[0].dtype


def depthwise_conv_2d(inputs: Sequence[Value], options: Mapping[str, Any]) -> Result:
    """NHWC by 1HW(C·M)."""
    batch, height, width, _ = inputs[0].shape
    _, kernel_h, kernel_w, channels = inputs[1].shape
    return (
        batch,
        _window(height, kernel_h, options, "h"),
        _window(width, kernel_w, options, "w"),
        channels,
    ), inputs[0].dtype


def pool_2d(inputs: Sequence[Value], options: Mapping[str, Any]) -> Result:
    """NHWC; ``filter_height``, ``filter_width``, strides and padding."""
    batch, height, width, channels = inputs[0].shape
    return (
        batch,
        _window(height, options["filter_height"], options, "h"),
        _window(width, options["filter_width"], options, "w"),
        channels,
    ), inputs[0].dtype


def _window(size: Size, kernel: Size, options: Mapping[str, Any], axis: str) -> Size:
    """Positions of a window along an axis, by TFLite's two padding rules."""
    stride = options.get(f"stride_{axis}", 1)
    if options["padding"] == "SAME":
        return ceil_div(size, stride)
    dilation = options.get(f"dilation_{axis}_factor", 1)
    return ceil_div(size - (kernel - 1) * dilation, stride)


def fully_connected(inputs: Sequence[Value], options: Mapping[str, Any]) -> Result:
    """``[..., in]`` by ``[out, in]``, with ``keep_num_dims``."""
    return (*inputs[0].shape[:-1], inputs[1].shape[0]), inputs[0].dtype


def batch_matmul(inputs: Sequence[Value], options: Mapping[str, Any]) -> Result:
    """Leading axes broadcast; ``adj_x`` and ``adj_y`` swap the last two."""
    left, right = inputs[0].shape, inputs[1].shape
    rows = left[-1] if options.get("adj_x") else left[-2]
    columns = right[-2] if options.get("adj_y") else right[-1]
    return (*broadcast(left[:-2], right[:-2]), rows, columns), inputs[0].dtype


def reducing(inputs: Sequence[Value], options: Mapping[str, Any]) -> Result:
    """Reduce over the axes of the second input."""
    value = inputs[0]
    axes = {int(axis) % value.rank for axis in constant_vector(inputs[1])}
    if options.get("keep_dims"):
        shape = tuple(1 if axis in axes else size for axis, size in enumerate(value.shape))
    else:
        shape = tuple(size for axis, size in enumerate(value.shape) if axis not in axes)
    return shape, value.dtype


def transpose(inputs: Sequence[Value], options: Mapping[str, Any]) -> Result:
    """Axes in the order of the second input."""
    return tuple(inputs[0].shape[axis] for axis in constant_vector(inputs[1])), inputs[0].dtype


def concatenation(inputs: Sequence[Value], options: Mapping[str, Any]) -> Result:
    """Sizes of ``axis`` add up."""
    first = inputs[0]
    axis = options["axis"] % first.rank
    total: Size = 0
    for value in inputs:
        total = value.shape[axis] + total
    return (*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype


def pack(inputs: Sequence[Value], options: Mapping[str, Any]) -> Result:
    """A new axis of as many as there are inputs."""
    shape = inputs[0].shape
    axis = options["axis"] % (len(shape) + 1)
    return (*shape[:axis], len(inputs), *shape[axis:]), inputs[0].dtype


def pad(inputs: Sequence[Value], options: Mapping[str, Any]) -> Result:
    """The second input holds the cells before and after, for each axis."""
    assert inputs[1].data is not None
    pads = inputs[1].data.tolist()
    shape = tuple(
        size + before + after for size, (before, after) in zip(inputs[0].shape, pads, strict=True)
    )
    return shape, inputs[0].dtype


def depth_to_space(inputs: Sequence[Value], options: Mapping[str, Any]) -> Result:
    """NHWC; a cell's channels become a block of cells."""
    batch, height, width, channels = inputs[0].shape
    block = options["block_size"]
    return (batch, height * block, width * block, channels // (block * block)), inputs[0].dtype


def space_to_depth(inputs: Sequence[Value], options: Mapping[str, Any]) -> Result:
    """NHWC; a block of cells becomes one cell's channels."""
    batch, height, width, channels = inputs[0].shape
    block = options["block_size"]
    return (batch, height // block, width // block, channels * block * block), inputs[0].dtype


def constant_vector(value: Value) -> list[int]:
    """The integers of a constant."""
    assert value.data is not None
    return [int(each) for each in value.data.reshape(-1)]
