"""The layout pass: which transposes are left, and that the graph computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tflite_graphs import check_pass, context, draw, finish, kinds

from bridge.converters.tflite import Context, Value
from bridge.converters.tflite.ir import Graph
from bridge.converters.tflite.layout import assign_layouts
from bridge.converters.tflite.layout.axes import regrouped
from bridge.converters.tflite.layout.flow import minimum_cut


def conv(ctx: Context, x: Value, channels: int, kernel: int = 1, stride: int = 1) -> Value:
    """A convolution as it is lowered: NCHW to NCHW."""
    weights = ctx.constant(draw(channels, kernel, kernel, int(x.shape[1])))
    result = ctx.emit(
        "CONV_2D",
        ctx.channels_last(x),
        weights,
        ctx.constant(draw(channels)),
        padding="SAME",
        stride_h=stride,
        stride_w=stride,
    )
    return ctx.channels_first(result)


def linear(ctx: Context, x: Value, features: int) -> Value:
    weights = ctx.constant(draw(features, int(x.shape[-1])))
    return ctx.emit(
        "FULLY_CONNECTED", x, weights, ctx.constant(draw(features)), keep_num_dims=x.rank != 2
    )


def transposes(graph: Graph) -> int:
    return kinds(graph).count("TRANSPOSE")


def test_a_chain_of_convolutions_is_transposed_at_its_ends_only(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 3, 8, 6))
    y = ctx.emit("RELU", conv(ctx, x, 4, 3))
    y = ctx.pointwise("ADD", y, conv(ctx, y, 4))
    y = ctx.pointwise("MUL", y, ctx.constant(draw(1, 4, 1, 1)))
    graph = check_pass(finish(ctx, conv(ctx, y, 5, 3)), assign_layouts, tmp_path)
    assert kinds(graph) == [
        "TRANSPOSE", "CONV_2D", "RELU", "CONV_2D", "ADD", "MUL", "CONV_2D", "TRANSPOSE",
    ]  # fmt: skip


def test_inputs_and_outputs_may_be_channels_last(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 3, 8, 6))
    graph = finish(ctx, conv(ctx, ctx.emit("RELU", conv(ctx, x, 4)), 2))
    assign_layouts(graph, {x: (0, 2, 3, 1)}, [(0, 2, 3, 1)])
    assert kinds(graph) == ["CONV_2D", "RELU", "CONV_2D"]
    assert graph.inputs[0].shape == (1, 8, 6, 3)
    assert graph.outputs[0].shape == (1, 8, 6, 2)


def test_axes_in_options_and_constants_follow(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 4, 8, 6))
    y = conv(ctx, x, 4)
    parts = [ctx.slice(y, 1, 1, 2), ctx.slice(y, -3, 0, 1)]
    y = ctx.concat(parts, 1)
    y = ctx.pad(y, [(0, 0), (1, 0), (0, 2), (1, 1)])
    first, second = ctx.emit_many(
        "SPLIT",
        [ctx.constant(np.array(2, np.int32)), y],
        [((1, 4, 5, 8), "float32")] * 2,
        num_splits=2,
    )
    y = ctx.pointwise("SUB", first, second)
    y = ctx.pointwise("MUL", y, ctx.reduce("MEAN", y, (2, 3), keepdim=True))
    graph = check_pass(finish(ctx, conv(ctx, y, 3)), assign_layouts, tmp_path)
    assert transposes(graph) == 2


def test_a_reduction_without_its_axes_ends_the_layout(tmp_path: Path) -> None:
    ctx, (x,) = context((2, 3, 8, 6))
    pooled = ctx.reduce("MEAN", conv(ctx, x, 4), (2, 3))
    graph = check_pass(finish(ctx, linear(ctx, pooled, 5)), assign_layouts, tmp_path)
    assert kinds(graph) == ["TRANSPOSE", "CONV_2D", "MEAN", "FULLY_CONNECTED"]


def test_a_softmax_over_channels_needs_no_transpose(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 3, 8, 6))
    soft = ctx.emit("SOFTMAX", ctx.channels_last(conv(ctx, x, 4)))
    y = conv(ctx, ctx.channels_first(soft), 2)
    graph = check_pass(finish(ctx, y), assign_layouts, tmp_path)
    assert transposes(graph) == 2


def test_flattening_before_a_linear_layer_moves_into_its_weights(tmp_path: Path) -> None:
    ctx, (x,) = context((2, 3, 4, 6))
    flat = ctx.reshape(conv(ctx, x, 5), (2, 120))
    graph = check_pass(finish(ctx, linear(ctx, flat, 7)), assign_layouts, tmp_path)
    assert kinds(graph) == ["TRANSPOSE", "CONV_2D", "RESHAPE", "FULLY_CONNECTED"]


def test_splitting_features_after_a_linear_layer_moves_into_its_weights(tmp_path: Path) -> None:
    ctx, (x,) = context((2, 9))
    image = ctx.reshape(linear(ctx, x, 5 * 4 * 6), (2, 5, 4, 6))
    graph = check_pass(finish(ctx, conv(ctx, image, 3)), assign_layouts, tmp_path)
    assert kinds(graph) == ["FULLY_CONNECTED", "RESHAPE", "CONV_2D", "TRANSPOSE"]


def test_patches_become_tokens_without_a_transpose(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 3, 8, 8))
    tokens = ctx.transpose(ctx.reshape(conv(ctx, x, 6), (1, 6, 64)), (0, 2, 1))
    graph = check_pass(finish(ctx, linear(ctx, tokens, 4)), assign_layouts, tmp_path)
    assert kinds(graph) == ["TRANSPOSE", "CONV_2D", "RESHAPE", "FULLY_CONNECTED"]


def test_permute_norm_permute_vanishes_between_convolutions(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 3, 8, 8))
    y = ctx.transpose(conv(ctx, x, 6), (0, 2, 3, 1))
    y = ctx.pointwise("SUB", y, ctx.reduce("MEAN", y, (3,), keepdim=True))
    y = linear(ctx, y, 6)
    y = conv(ctx, ctx.transpose(y, (0, 3, 1, 2)), 2)
    graph = check_pass(finish(ctx, y), assign_layouts, tmp_path)
    assert transposes(graph) == 2


def test_a_transposed_key_goes_into_adj_y(tmp_path: Path) -> None:
    ctx, (q, k) = context((2, 5, 4), (2, 7, 4))
    scores = ctx.emit("BATCH_MATMUL", q, ctx.transpose(k, (0, 2, 1)))
    graph = check_pass(finish(ctx, scores), assign_layouts, tmp_path)
    assert kinds(graph) == ["BATCH_MATMUL"]
    assert graph.ops[0].options["adj_y"] is True


def test_axes_of_size_one_move_by_reshape(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 6, 1, 1))
    graph = check_pass(finish(ctx, conv(ctx, x, 4)), assign_layouts, tmp_path)
    assert kinds(graph) == ["RESHAPE", "CONV_2D", "RESHAPE"]


def test_a_channel_shuffle_costs_one_transpose(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 3, 8, 8))
    y = ctx.reshape(conv(ctx, x, 6), (1, 2, 3, 8, 8))
    y = ctx.reshape(ctx.transpose(y, (0, 2, 1, 3, 4)), (1, 6, 8, 8))
    graph = check_pass(finish(ctx, conv(ctx, y, 4)), assign_layouts, tmp_path)
    assert transposes(graph) == 3  # the contract at both ends, and the shuffle


def test_a_value_that_is_read_in_two_orders_is_transposed_once(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 3, 8, 8))
    y = conv(ctx, x, 4)
    flat = ctx.reshape(y, (1, 4 * 64))
    graph = check_pass(finish(ctx, conv(ctx, y, 2), flat, y), assign_layouts, tmp_path)
    assert transposes(graph) == 3


@pytest.mark.parametrize(
    ("before", "after", "groups"),
    [
        ((2, 3, 4), (2, 12), (((0,), (1, 2)), ((0,), (1,)))),
        ((2, 12), (2, 3, 1, 4), (((0,), (1,)), ((0,), (1, 2, 3)))),
        ((2, 3, 1, 1), (2, 3), (((0,), (1, 2, 3)), ((0,), (1,)))),
        ((6, 4), (4, 6), (((0, 1),), ((0, 1),))),
        ((1, 6), (6, 1), (((0, 1),), ((0, 1),))),
    ],
)
def test_a_reshape_is_split_into_groups(before, after, groups) -> None:  # type: ignore[no-untyped-def]
    found = regrouped(before, after)
    assert (found.before, found.after) == groups


def test_the_cut_takes_the_cheapest_edges() -> None:
    edges = {("s", "a"): 9, ("s", "b"): 1, ("a", "b"): 3, ("a", "t"): 2, ("b", "t"): 9}
    side = minimum_cut(edges, "s", "t")
    assert side == {"s", "a"}  # 1 + 3 + 2, where cutting at the sink costs 11 and at s 10
