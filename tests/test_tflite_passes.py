"""The optimising passes: what is left of a graph, and that it computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tflite_graphs import check_pass, context, draw, evaluate, finish, kinds, only

from bridge.converters.tflite import Context, Value
from bridge.converters.tflite.ir import Graph, Origin
from bridge.converters.tflite.passes.carry_reshapes import carry_reshapes
from bridge.converters.tflite.passes.common_subexpressions import share_subexpressions
from bridge.converters.tflite.passes.dead_code import remove_dead_code
from bridge.converters.tflite.passes.fold_affine import fold_affine
from bridge.converters.tflite.passes.fuse_activation import fuse_activation
from bridge.converters.tflite.passes.fuse_padding import fuse_padding
from bridge.converters.tflite.passes.half_weights import halve_weights
from bridge.converters.tflite.passes.hoist_factors import hoist_factors
from bridge.converters.tflite.passes.identities import remove_identities
from bridge.converters.tflite.passes.join_axes import join_axes
from bridge.converters.tflite.passes.lower_ranks import lower_ranks
from bridge.converters.tflite.passes.merge_reshapes import merge_reshapes
from bridge.converters.tflite.passes.scale_and_shift import scale_and_shift
from bridge.converters.tflite.passes.share_transposes import share_transposes
from bridge.converters.tflite.passes.simplify_shapes import simplify_shapes
from bridge.converters.tflite.passes.split_linear import split_linear
from bridge.converters.tflite.passes.split_wide import split_wide
from bridge.converters.tflite.passes.unread_states import drop_unread_states

LOWEST = float(np.finfo(np.float32).min)


def conv(ctx: Context, x: Value, channels: int = 4, kernel: int = 1, **options: object) -> Value:
    weights = ctx.constant(draw(channels, kernel, kernel, int(x.shape[-1])))
    given = {"padding": "VALID", "stride_h": 1, "stride_w": 1, **options}
    return ctx.emit("CONV_2D", x, weights, ctx.constant(draw(channels)), **given)


def linear(ctx: Context, x: Value, features: int) -> Value:
    weights = ctx.constant(draw(features, int(x.shape[-1])))
    return ctx.emit(
        "FULLY_CONNECTED", x, weights, ctx.constant(draw(features)), keep_num_dims=x.rank != 2
    )


def max_pool(ctx: Context, x: Value, stride: int = 2) -> Value:
    return ctx.emit(
        "MAX_POOL_2D",
        x,
        padding="VALID",
        filter_height=3,
        filter_width=3,
        stride_h=stride,
        stride_w=stride,
    )


def test_scale_and_shift_fold_into_a_convolution(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 5, 5, 3))
    y = conv(ctx, x)
    y.origins.append(Origin("conv"))
    y = ctx.pointwise("MUL", y, ctx.constant(draw(1, 1, 1, 4)))
    y = ctx.pointwise("SUB", y, ctx.constant(draw(4)))
    y = ctx.pointwise("DIV", y, ctx.constant(np.float32(3.0).reshape(())))
    graph = check_pass(finish(ctx, y), fold_affine, tmp_path)
    assert kinds(graph) == ["CONV_2D"]


@pytest.mark.parametrize(("channels", "kinds_"), [(2, "conv"), (4832, "conv"), (4833, "two")])
def test_only_as_many_channels_are_convolved_as_the_plain_kernel_ends_with(
    channels: int, kinds_: str, tmp_path: Path
) -> None:
    ctx, (x,) = context((1, 2, 1, channels))
    y = ctx.pointwise("MUL", x, ctx.constant(draw(channels)))
    y = ctx.pointwise("ADD", y, ctx.constant(draw(channels)))
    graph = check_pass(finish(ctx, y), scale_and_shift, tmp_path)
    assert kinds(graph) == {"conv": ["DEPTHWISE_CONV_2D"], "two": ["MUL", "ADD"]}[kinds_]


def test_a_depthwise_convolution_is_scaled_along_its_last_axis(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 5, 5, 4))
    y = ctx.emit(
        "DEPTHWISE_CONV_2D",
        x,
        ctx.constant(draw(1, 3, 3, 4)),
        ctx.constant(draw(4)),
        padding="SAME",
        stride_h=1,
        stride_w=1,
        depth_multiplier=1,
    )
    y = ctx.pointwise("MUL", y, ctx.constant(draw(4)))
    assert kinds(check_pass(finish(ctx, y), fold_affine, tmp_path)) == ["DEPTHWISE_CONV_2D"]


def test_scale_and_shift_fold_into_all_convolutions_of_a_sum(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 5, 5, 3))
    parts = [conv(ctx, x), conv(ctx, x, kernel=1), conv(ctx, x)]
    total = ctx.pointwise("ADD", ctx.pointwise("ADD", parts[0], parts[1]), parts[2])
    total.origins.append(Origin("sum"))
    y = ctx.pointwise("MUL", total, ctx.constant(draw(4)))
    y = ctx.pointwise("ADD", y, ctx.constant(draw(4, seed=8)))
    graph = check_pass(finish(ctx, y), fold_affine, tmp_path)
    assert kinds(graph) == ["CONV_2D"] * 3 + ["ADD"] * 2
    assert not any(value.origins for op in graph.ops for value in op.outputs)


def test_a_shift_goes_to_one_convolution_of_a_sum_but_a_scale_needs_all(tmp_path: Path) -> None:
    ctx, (x, z) = context((1, 5, 5, 3), (1, 5, 5, 4))
    y = ctx.pointwise("ADD", ctx.pointwise("ADD", conv(ctx, x), z), ctx.constant(draw(4)))
    y = ctx.pointwise("MUL", y, ctx.constant(draw(4, seed=8)))
    graph = check_pass(finish(ctx, y), fold_affine, tmp_path)
    assert kinds(graph) == ["CONV_2D", "ADD", "MUL"]


def test_what_others_read_is_not_folded_away(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 5, 5, 3))
    y = conv(ctx, x)
    scaled = ctx.pointwise("MUL", y, ctx.constant(draw(4)))
    graph = check_pass(finish(ctx, scaled, ctx.emit("TANH", y)), fold_affine, tmp_path)
    assert kinds(graph) == ["CONV_2D", "MUL", "TANH"]


def test_a_constant_that_changes_along_other_axes_stays(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 5, 5, 3))
    y = ctx.pointwise("ADD", conv(ctx, x), ctx.constant(draw(1, 5, 5, 4)))
    assert kinds(check_pass(finish(ctx, y), fold_affine, tmp_path)) == ["CONV_2D", "ADD"]


def test_the_scale_and_shift_of_a_norm_fold_into_all_linear_layers_that_read_it(
    tmp_path: Path,
) -> None:
    ctx, (x,) = context((2, 5, 6))
    y = ctx.pointwise("MUL", ctx.emit("TANH", x), ctx.constant(draw(6)))
    y = ctx.pointwise("ADD", y, ctx.constant(draw(6, seed=8)))
    graph = check_pass(finish(ctx, linear(ctx, y, 4), linear(ctx, y, 3)), fold_affine, tmp_path)
    assert kinds(graph) == ["TANH", "FULLY_CONNECTED", "FULLY_CONNECTED"]


def test_a_number_moves_through_views_into_the_weights(tmp_path: Path) -> None:
    ctx, (x,) = context((2, 5, 6))
    heads = ctx.transpose(ctx.reshape(linear(ctx, x, 8), (2, 5, 2, 4)), (0, 2, 1, 3))
    y = ctx.pointwise("MUL", heads, 0.35)
    graph = check_pass(finish(ctx, ctx.emit("TANH", y)), hoist_factors, tmp_path)
    assert kinds(graph) == ["FULLY_CONNECTED", "RESHAPE", "TRANSPOSE", "TANH"]


def test_an_activation_becomes_part_of_the_operator_before_it(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 5, 5, 3))
    y = ctx.emit("RELU6", conv(ctx, x))
    y = ctx.emit("RELU", ctx.pointwise("ADD", y, y))
    graph = check_pass(finish(ctx, y), fuse_activation, tmp_path)
    assert kinds(graph) == ["CONV_2D", "ADD"]
    assert only(graph, "CONV_2D").options["fused_activation_function"] == "RELU6"


def test_an_activation_of_what_is_read_elsewhere_stays(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 5, 5, 3))
    y = conv(ctx, x)
    graph = check_pass(finish(ctx, ctx.emit("RELU", y), y), fuse_activation, tmp_path)
    assert kinds(graph) == ["CONV_2D", "RELU"]


def test_padding_that_same_can_express_disappears(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 7, 7, 3))
    y = conv(ctx, ctx.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)]), kernel=3, stride_h=2, stride_w=2)
    graph = check_pass(finish(ctx, y), fuse_padding, tmp_path)
    remove_dead_code(graph)
    assert kinds(graph) == ["CONV_2D"]


def test_padding_that_same_puts_elsewhere_stays(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 8, 8, 3))  # SAME pads an even size by (0, 1) here
    y = conv(ctx, ctx.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)]), kernel=3, stride_h=2, stride_w=2)
    graph = check_pass(finish(ctx, y), fuse_padding, tmp_path)
    assert kinds(graph) == ["PAD", "CONV_2D"]


def test_two_paddings_become_one(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 8, 8, 3))
    y = ctx.pad(ctx.pad(x, [(0, 0), (1, 0), (1, 0), (0, 0)]), [(0, 0), (1, 2), (1, 2), (0, 0)])
    graph = check_pass(finish(ctx, conv(ctx, y, kernel=3)), fuse_padding, tmp_path)
    remove_dead_code(graph)
    assert kinds(graph) == ["PAD", "CONV_2D"]


def test_a_max_pool_is_padded_with_zeros_after_a_relu(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 8, 8, 3))
    pads = [(0, 0), (1, 1), (1, 1), (0, 0)]
    y = max_pool(ctx, ctx.pad(ctx.emit("RELU", x), pads, fill=LOWEST))
    graph = check_pass(finish(ctx, y), fuse_padding, tmp_path)
    remove_dead_code(graph)
    assert kinds(graph) == ["RELU", "PAD", "MAX_POOL_2D"]


def test_a_max_pool_of_negative_numbers_reads_cells_that_it_drops(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 8, 7, 3))
    below = ctx.pointwise("SUB", x, 2.0)
    y = max_pool(ctx, ctx.pad(below, [(0, 0), (1, 0), (1, 1), (0, 0)], fill=LOWEST))
    graph = check_pass(finish(ctx, y), fuse_padding, tmp_path)
    remove_dead_code(graph)
    assert kinds(graph) == ["SUB", "PAD", "MAX_POOL_2D", "STRIDED_SLICE"]
    assert only(graph, "PAD").output.shape == (1, 9, 7, 3)


def test_a_max_pool_that_same_cannot_express_is_padded_with_constants(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 8, 8, 3))
    below = ctx.pointwise("SUB", x, 2.0)
    y = max_pool(ctx, ctx.pad(below, [(0, 0), (2, 1), (0, 1), (0, 0)], fill=LOWEST))
    graph = check_pass(finish(ctx, y), fuse_padding, tmp_path)
    remove_dead_code(graph)
    assert kinds(graph) == ["SUB", "CONCATENATION", "CONCATENATION", "MAX_POOL_2D"]


def test_reshapes_merge_and_vanish(tmp_path: Path) -> None:
    ctx, (x,) = context((2, 12))
    y = ctx.reshape(ctx.reshape(x, (2, 3, 4)), (2, 4, 3))
    z = ctx.reshape(ctx.reshape(x, (24,)), (2, 12))
    graph = check_pass(
        finish(ctx, ctx.emit("TANH", y), ctx.emit("TANH", z)), simplify_shapes, tmp_path
    )
    remove_dead_code(graph)
    assert kinds(graph) == ["RESHAPE", "TANH", "TANH"]


def test_a_reduction_drops_the_axes_that_a_reshape_would(tmp_path: Path) -> None:
    ctx, (x,) = context((2, 3, 4, 5))
    y = ctx.reshape(ctx.reduce("MEAN", x, (1, 2), keepdim=True), (2, 5))
    graph = check_pass(finish(ctx, y), simplify_shapes, tmp_path)
    assert kinds(graph) == ["MEAN"]


def test_leading_axes_of_size_one_are_left_to_broadcasting(tmp_path: Path) -> None:
    ctx, (x, y) = context((2, 3, 4), (3, 4))
    graph = check_pass(finish(ctx, ctx.pointwise("MUL", x, y)), simplify_shapes, tmp_path)
    remove_dead_code(graph)
    assert kinds(graph) == ["MUL"]


def test_the_same_is_computed_once(tmp_path: Path) -> None:
    ctx, (x,) = context((2, 6))
    y = ctx.pointwise("ADD", ctx.emit("TANH", x), ctx.emit("TANH", x))
    z = ctx.pointwise("MUL", ctx.pointwise("MUL", x, 2.0), ctx.pointwise("MUL", x, 3.0))
    graph = check_pass(finish(ctx, y, z), share_subexpressions, tmp_path)
    assert sorted(kinds(graph)) == ["ADD", "MUL", "MUL", "MUL", "TANH"]


def test_casts_to_different_types_are_different(tmp_path: Path) -> None:
    ctx, (x,) = context((2, 3))
    whole, truth = ctx.cast(x, "int32"), ctx.emit("CAST", x, shape=x.shape, dtype="bool")
    graph = finish(ctx, ctx.cast(whole, "float32"), ctx.emit("LOGICAL_NOT", truth))
    check_pass(graph, share_subexpressions, tmp_path)


def test_a_block_that_joins_all_layers_so_far_reuses_what_is_joined(tmp_path: Path) -> None:
    ctx, inputs = context(*[(1, 4, 4, 2)] * 8)
    joined = [ctx.concat(inputs[:count], 3) for count in range(2, 9)]
    outputs = [ctx.emit("TANH", each) for each in joined]
    graph = check_pass(finish(ctx, *outputs), split_wide, tmp_path)
    widest = max(len(op.inputs) for op in graph.ops if op.kind == "CONCATENATION")
    assert widest <= 5
    assert kinds(graph).count("CONCATENATION") == len(joined)


def test_a_wide_concatenation_is_nested(tmp_path: Path) -> None:
    ctx, inputs = context(*[(1, 3)] * 11)
    graph = check_pass(finish(ctx, ctx.concat(inputs, 1)), split_wide, tmp_path)
    assert kinds(graph) == ["CONCATENATION"] * 4


def test_operators_that_change_nothing_go(tmp_path: Path) -> None:
    ctx, (x,) = context((2, 3))
    y = ctx.pointwise("MUL", ctx.emit("TANH", x), 1.0)
    y = ctx.pointwise("ADD", y, ctx.constant(np.zeros((2, 3), np.float32)))
    y = ctx.pointwise("MUL", y, ctx.constant(np.ones((4, 2, 3), np.float32)))
    graph = check_pass(finish(ctx, ctx.emit("TANH", y)), remove_identities, tmp_path)
    assert kinds(graph) == ["TANH", "RESHAPE", "MUL", "TANH"]  # the last MUL broadcasts


def test_a_fused_projection_becomes_three(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 5, 6))
    qkv = ctx.reshape(linear(ctx, x, 24), (1, 5, 3, 2, 4))
    parts = [ctx.reshape(ctx.slice(qkv, 2, index, 1), (1, 5, 2, 4)) for index in range(3)]
    graph = finish(ctx, *(ctx.emit("TANH", part) for part in parts))
    check_pass(graph, split_linear, tmp_path)
    assert kinds(graph).count("FULLY_CONNECTED") == 3
    assert "SLICE" not in kinds(graph)


def test_features_that_nothing_reads_are_not_computed(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 5, 6))
    y = ctx.slice(linear(ctx, x, 12), -1, 2, 4)
    graph = check_pass(finish(ctx, y), split_linear, tmp_path)
    assert kinds(graph) == ["FULLY_CONNECTED"]
    assert only(graph, "FULLY_CONNECTED").output.shape == (1, 5, 4)


def test_a_gated_unit_becomes_two(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 5, 6))
    wide = linear(ctx, x, 8)
    y = ctx.pointwise("MUL", ctx.slice(wide, 2, 0, 4), ctx.slice(wide, 2, 4, 4))
    graph = check_pass(finish(ctx, y), split_linear, tmp_path)
    assert kinds(graph) == ["FULLY_CONNECTED", "FULLY_CONNECTED", "MUL"]


def test_half_precision_weights_are_widened_and_infinite_ones_are_not_made(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 64))
    large = np.full(64, 1e6, np.float32)
    y = ctx.pointwise("ADD", linear(ctx, x, 64), ctx.constant(large))
    graph = finish(ctx, y)
    before = evaluate(graph, tmp_path)
    halve_weights(graph)
    assert kinds(graph) == ["DEQUANTIZE", "DEQUANTIZE", "FULLY_CONNECTED", "ADD"]
    np.testing.assert_allclose(evaluate(graph, tmp_path)[0], before[0], rtol=1e-6)


def test_dead_code_goes(tmp_path: Path) -> None:
    ctx, (x,) = context((2, 3))
    ctx.emit("TANH", ctx.emit("TANH", x))
    graph = check_pass(finish(ctx, ctx.emit("RELU", x)), remove_dead_code, tmp_path)
    assert kinds(graph) == ["RELU"]


def test_a_loop_carries_only_what_is_read_after_it(tmp_path: Path) -> None:
    ctx, (x,) = context((2, 3))
    first = [ctx.integers([0]), x, ctx.emit("TANH", x), ctx.emit("COS", x)]
    shapes = [(value.shape, value.dtype) for value in first]
    with ctx.subgraph("condition", shapes) as condition:
        condition.outputs = [ctx.emit("LESS", condition.inputs[0], ctx.integers([4]))]
    with ctx.subgraph("body", shapes) as body:
        turn, total, factor, forgotten = body.inputs
        body.outputs = [
            ctx.emit("ADD", turn, ctx.integers([1])),
            ctx.emit("ADD", total, factor),
            ctx.emit("ADD", factor, factor),
            ctx.emit("MUL", forgotten, total),
        ]
    graphs = {"cond_subgraph_index": condition, "body_subgraph_index": body}
    made = ctx.emit_many("WHILE", first, shapes, **graphs)
    graph = check_pass(finish(ctx, ctx.emit("NEG", made[1])), drop_unread_states, tmp_path)
    assert kinds(graph) == ["TANH", "WHILE", "NEG"]
    assert only(graph, "WHILE").inputs == first[:3]
    assert kinds(body) == ["ADD", "ADD", "ADD"]


def test_a_matrix_is_read_the_other_way_round_instead_of_being_transposed_again(
    tmp_path: Path,
) -> None:
    ctx, (x,) = context((2, 5, 3, 4))
    rows, columns = ctx.transpose(x, (0, 2, 1, 3)), ctx.transpose(x, (0, 2, 3, 1))
    columns.origins.append(Origin("keys"))
    scores = ctx.emit("BATCH_MATMUL", rows, columns)
    mixed = ctx.emit("BATCH_MATMUL", scores, columns, adj_y=True)
    graph = check_pass(finish(ctx, mixed), share_transposes, tmp_path)
    assert kinds(graph) == ["TRANSPOSE", "BATCH_MATMUL", "BATCH_MATMUL"]
    assert [op.options["adj_y"] for op in graph.ops[1:]] == [True, False]
    assert rows.origins == [Origin("keys", (0, 1, 3, 2))]


def test_a_transpose_that_others_read_stays(tmp_path: Path) -> None:
    ctx, (x,) = context((2, 5, 3, 4))
    rows, columns = ctx.transpose(x, (0, 2, 1, 3)), ctx.transpose(x, (0, 2, 3, 1))
    scores = ctx.emit("BATCH_MATMUL", rows, columns)
    graph = finish(ctx, scores, ctx.emit("TANH", columns))
    check_pass(graph, share_transposes, tmp_path)
    assert kinds(graph) == ["TRANSPOSE", "TRANSPOSE", "BATCH_MATMUL", "TANH"]


def test_what_treats_rows_alike_takes_the_rows_of_its_neighbours(tmp_path: Path) -> None:
    ctx, (x,) = context((4, 5, 5, 3))
    y = ctx.reshape(conv(ctx, x), (2, 2, 5, 5, 4))
    y.origins.append(Origin("clip", (0, 2, 3, 4, 1)))
    y = ctx.emit("TANH", ctx.pointwise("MUL", y, ctx.constant(draw(1, 1, 1, 1, 4))))
    mean = ctx.reduce("MEAN", y, [-1], keepdim=True)
    y = ctx.pointwise("SUB", y, mean)
    y = conv(ctx, ctx.reshape(y, (4, 5, 5, 4)))
    graph = check_pass(finish(ctx, y), carry_reshapes, tmp_path)
    assert kinds(graph) == ["CONV_2D", "MUL", "TANH", "MEAN", "SUB", "CONV_2D"]
    assert graph.ops[0].output.origins == []  # clips and channels are not neighbours there


def test_rows_are_not_changed_where_that_saves_nothing(tmp_path: Path) -> None:
    ctx, (x,) = context((4, 5, 5, 3))
    y = ctx.emit("TANH", ctx.reshape(x, (2, 2, 5, 5, 3)))
    graph = check_pass(finish(ctx, y), carry_reshapes, tmp_path)
    assert kinds(graph) == ["RESHAPE", "TANH"]


def test_a_value_with_new_rows_is_still_the_layer_s(tmp_path: Path) -> None:
    ctx, (x,) = context((4, 5, 5, 3))
    y = ctx.emit("TANH", ctx.reshape(conv(ctx, x), (1, 4, 5, 5, 4)))
    y.origins.append(Origin("clip", (0, 2, 3, 4, 1)))  # NCDHW in PyTorch
    y = conv(ctx, ctx.reshape(y, (4, 5, 5, 4)))
    graph = check_pass(finish(ctx, y), carry_reshapes, tmp_path)
    assert kinds(graph) == ["CONV_2D", "TANH", "CONV_2D"]
    assert only(graph, "TANH").output.origins == [Origin("clip", (1, 2, 3, 0), reshaped=True)]


def test_xnnpack_gets_no_tensor_of_seven_axes_that_it_cannot_run(tmp_path: Path) -> None:
    ctx, (x,) = context((2, 3, 2, 2, 1, 2, 3))
    joined = ctx.concat([x, ctx.constant(draw(2, 3, 1, 2, 1, 2, 3))], 2)
    means = ctx.reduce("MEAN", ctx.emit("SOFTMAX", joined), [1, 3, 6], keepdim=True)
    graph = check_pass(finish(ctx, means), lower_ranks, tmp_path)
    taken = [op for op in graph.ops if op.kind != "RESHAPE"]
    assert [op.kind for op in taken] == ["CONCATENATION", "SOFTMAX", "MEAN", "MEAN", "MEAN"]
    assert max(value.rank for op in taken for value in (*op.inputs, *op.outputs)) <= 6


def test_pointwise_operators_of_many_axes_work_on_joined_ones(tmp_path: Path) -> None:
    ctx, (x, rows, columns, y) = context(
        (24, 28), (1, 2, 3, 4, 1, 7, 1), (1, 2, 3, 4, 1, 1, 4), (1, 2, 3, 4, 1, 7, 4)
    )
    many = ctx.reshape(x, (1, 2, 3, 4, 1, 7, 4))
    added = ctx.emit("ADD", many, ctx.emit("MUL", rows, columns, shape=many.shape))
    least = ctx.emit("MINIMUM", added, ctx.constant(draw(2, 3, 4, 1, 7, 1)))
    less = ctx.emit("LESS", least, y, shape=many.shape, dtype="bool")
    half = ctx.constant(np.float32(0.5))
    chosen = ctx.emit("SELECT_V2", less, half, least, shape=many.shape, dtype="float32")
    added.origins.append(Origin("sum"))

    graph = check_pass(finish(ctx, chosen), _joined, tmp_path)
    pointwise = [op for op in graph.ops if op.kind != "RESHAPE"]
    assert [op.kind for op in pointwise] == ["MUL", "ADD", "MINIMUM", "LESS", "SELECT_V2"]
    assert [op.output.shape for op in pointwise] == [(24, 7, 4), (672,), (168, 4), (672,), (672,)]
    assert max(value.rank for op in pointwise for value in op.inputs if value) == 3
    assert [op.output.origins for op in pointwise][1] == [Origin("sum", reshaped=True)]


def test_axes_that_cannot_be_joined_stay(tmp_path: Path) -> None:
    sizes = (2, 3, 2, 3, 2, 3, 2)
    ctx, (x, y) = context(
        tuple(size if axis % 2 else 1 for axis, size in enumerate(sizes)),
        tuple(1 if axis % 2 else size for axis, size in enumerate(sizes)),
    )
    graph = check_pass(finish(ctx, ctx.emit("ADD", x, y, shape=sizes)), join_axes, tmp_path)
    assert kinds(graph) == ["ADD"]


def test_a_transpose_moves_runs_of_axes_that_stay_together(tmp_path: Path) -> None:
    ctx, (x,) = context((3, 4, 90))
    many = ctx.reshape(x, (1, 3, 4, 1, 9, 5, 2))
    turned = ctx.transpose(many, (0, 3, 5, 6, 1, 2, 4))
    graph = check_pass(finish(ctx, turned), join_axes, tmp_path)
    (transpose,) = (op for op in graph.ops if op.kind == "TRANSPOSE")
    assert transpose.output.shape == (10, 108)
    assert transpose.inputs[0] is not None
    assert transpose.inputs[0].shape == (108, 10)


def test_a_transpose_of_axes_of_size_one_is_a_reshape(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 5, 1, 1, 1, 1, 1))
    graph = check_pass(finish(ctx, ctx.transpose(x, (6, 5, 4, 3, 2, 1, 0))), _joined, tmp_path)
    assert kinds(graph) == ["RESHAPE"]


def _joined(graph: Graph) -> None:
    join_axes(graph)
    remove_identities(graph)
    merge_reshapes(graph)
