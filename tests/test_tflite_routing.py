"""Passes that move slices, activations and channels elsewhere: what is left of a graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tflite_graphs import check_pass, context, draw, finish, kinds

from bridge.converters.tflite import Context, Value
from bridge.converters.tflite.passes.dead_code import remove_dead_code
from bridge.converters.tflite.passes.drop_units import drop_units
from bridge.converters.tflite.passes.hoist_slices import hoist_slices
from bridge.converters.tflite.passes.merge_reshapes import merge_reshapes
from bridge.converters.tflite.passes.recognize_activations import recognize_activations
from bridge.converters.tflite.passes.route_channels import route_channels


def conv(ctx: Context, x: Value, channels: int) -> Value:
    weights = ctx.constant(draw(channels, 1, 1, int(x.shape[-1])))
    bias = ctx.constant(draw(channels))
    return ctx.emit("CONV_2D", x, weights, bias, padding="VALID", stride_h=1, stride_w=1)


def depthwise(ctx: Context, x: Value) -> Value:
    channels = int(x.shape[-1])
    return ctx.emit(
        "DEPTHWISE_CONV_2D",
        x,
        ctx.constant(draw(1, 3, 3, channels)),
        ctx.constant(draw(channels)),
        padding="SAME",
        stride_h=1,
        stride_w=1,
        depth_multiplier=1,
    )


def shuffle(ctx: Context, x: Value, groups: int = 2) -> Value:
    *cells, channels = x.shape
    parts = ctx.reshape(x, (*cells, groups, int(channels) // groups))
    rank = parts.rank
    turned = ctx.transpose(parts, (*range(rank - 2), rank - 1, rank - 2))
    return ctx.reshape(turned, x.shape)


def halves(ctx: Context, x: Value) -> tuple[Value, Value]:
    width = int(x.shape[-1]) // 2
    return ctx.slice(x, -1, 0, width), ctx.slice(x, -1, width, width)


def unit(ctx: Context, x: Value) -> Value:
    """A ShuffleNet unit: half of the channels pass, the others are convolved, all are shuffled."""
    kept, changed = halves(ctx, x)
    changed = conv(ctx, depthwise(ctx, conv(ctx, changed, int(changed.shape[-1]))), 6)
    return shuffle(ctx, ctx.concat([kept, changed], -1))


def test_shuffles_between_convolutions_leave_slices_only(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 4, 4, 5))
    y = ctx.concat([conv(ctx, x, 6), conv(ctx, ctx.emit("TANH", x), 6)], -1)
    for _ in range(4):
        y = unit(ctx, y)
    graph = check_pass(finish(ctx, conv(ctx, y, 3)), route_channels, tmp_path)
    assert not {"TRANSPOSE", "RESHAPE"} & set(kinds(graph))


def test_a_shuffle_is_followed_through_pools_and_depthwise_convolutions(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 4, 4, 5))
    y = shuffle(ctx, conv(ctx, x, 6), 3)
    y = ctx.emit("RELU", depthwise(ctx, ctx.pad(y, [(0, 0), (1, 1), (1, 1), (0, 0)])))
    graph = check_pass(finish(ctx, conv(ctx, y, 3)), route_channels, tmp_path)
    assert kinds(graph) == ["CONV_2D", "PAD", "DEPTHWISE_CONV_2D", "RELU", "CONV_2D"]


def test_a_shuffle_whose_order_others_see_stays(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 4, 4, 5))
    y = shuffle(ctx, conv(ctx, x, 6))
    graph = check_pass(finish(ctx, conv(ctx, y, 3), y), route_channels, tmp_path)
    assert "TRANSPOSE" in kinds(graph)


def test_a_shuffle_of_what_no_convolution_writes_is_cut_from_it(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 4, 4, 6))
    graph = check_pass(finish(ctx, conv(ctx, shuffle(ctx, x), 3)), route_channels, tmp_path)
    assert kinds(graph) == ["CONV_2D"]  # the input keeps its order; the weights follow


Written = Callable[[Context, Value], Value]


def gelu_tanh(ctx: Context, x: Value) -> Value:
    cube = ctx.pointwise("MUL", ctx.pointwise("POW", x, 3.0), 0.044715)
    inner = ctx.pointwise("MUL", ctx.pointwise("ADD", x, cube), math.sqrt(2 / math.pi))
    gate = ctx.pointwise("ADD", ctx.emit("TANH", inner), 1.0)
    return ctx.pointwise("MUL", ctx.pointwise("MUL", x, 0.5), gate)


def gelu_logistic_of_tanh(ctx: Context, x: Value) -> Value:
    square = ctx.pointwise("MUL", ctx.emit("SQUARE", x), 0.044715)
    inner = ctx.pointwise("MUL", x, ctx.pointwise("ADD", square, 1.0))
    gate = ctx.emit("LOGISTIC", ctx.pointwise("MUL", inner, 2 * math.sqrt(2 / math.pi)))
    return ctx.pointwise("MUL", x, gate)


def hard_swish(ctx: Context, x: Value) -> Value:
    gate = ctx.emit("RELU6", ctx.pointwise("ADD", x, 3.0))
    return ctx.pointwise("DIV", ctx.pointwise("MUL", x, gate), 6.0)


def quick_gelu(ctx: Context, x: Value) -> Value:
    gate = ctx.emit("LOGISTIC", ctx.pointwise("MUL", x, 1.702))
    return ctx.pointwise("MUL", x, ctx.pointwise("MUL", gate, 1.0))


@pytest.mark.parametrize(
    ("written", "left"),
    [
        (gelu_tanh, ["GELU"]),
        (gelu_logistic_of_tanh, ["GELU"]),
        (hard_swish, ["HARD_SWISH"]),
        (quick_gelu, ["MUL", "LOGISTIC", "MUL", "MUL"]),  # near GELU, and not it
    ],
)
def test_an_activation_is_recognized_by_what_it_computes(
    written: Written, left: list[str], tmp_path: Path
) -> None:
    ctx, (x,) = context((2, 30))
    scaled = ctx.pointwise("MUL", ctx.emit("TANH", x), 5.0)
    graph = check_pass(finish(ctx, written(ctx, scaled)), recognize_activations, tmp_path)
    remove_dead_code(graph)
    assert kinds(graph) == ["TANH", "MUL", *left]


def test_a_slice_moves_in_front_of_transposes_and_reshapes(tmp_path: Path) -> None:
    ctx, (x,) = context((2, 5, 24))
    heads = ctx.transpose(ctx.reshape(x, (2, 5, 1, 3, 8)), (3, 2, 0, 1, 4))
    whole = ctx.reshape(heads, (3, 2, 5, 8))
    graph = check_pass(
        finish(ctx, ctx.emit("TANH", ctx.slice(whole, 0, 1, 1))), hoist_slices, tmp_path
    )
    remove_dead_code(graph)
    assert kinds(graph)[:2] == ["RESHAPE", "SLICE"]


def test_a_slice_of_a_merged_axis_stays(tmp_path: Path) -> None:
    ctx, (x,) = context((2, 3, 4))
    graph = finish(ctx, ctx.emit("TANH", ctx.slice(ctx.reshape(x, (2, 12)), 1, 2, 5)))
    assert kinds(check_pass(graph, hoist_slices, tmp_path)) == ["RESHAPE", "SLICE", "TANH"]


def test_a_split_moves_in_front_of_a_transpose(tmp_path: Path) -> None:
    ctx, (x,) = context((2, 6, 4))
    turned = ctx.transpose(x, (1, 0, 2))
    axis = ctx.constant(np.array(0, np.int32))
    parts = ctx.emit_many("SPLIT", [axis, turned], [((3, 2, 4), "float32")] * 2, num_splits=2)
    graph = finish(ctx, *(ctx.emit("TANH", part) for part in parts))
    check_pass(graph, hoist_slices, tmp_path)
    remove_dead_code(graph)
    assert kinds(graph)[0] == "SPLIT"


def test_axes_of_size_one_go_before_a_transpose(tmp_path: Path) -> None:
    ctx, (x,) = context((6, 20))
    turned = ctx.transpose(ctx.reshape(x, (6, 5, 1, 4)), (2, 0, 3, 1))
    graph = finish(ctx, ctx.emit("TANH", ctx.reshape(turned, (6, 4, 5))))
    check_pass(graph, drop_units, tmp_path)
    merge_reshapes(graph)
    remove_dead_code(graph)
    assert kinds(graph) == ["RESHAPE", "TRANSPOSE", "TANH"]
