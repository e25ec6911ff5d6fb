"""The passes that attention, its masks and its rotations need most."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tflite_graphs import check_pass, context, draw, finish, kinds, only
from tflite_nets import run
from torch import nn

import bridge
from bridge.converters.tflite import Context, Value
from bridge.converters.tflite.ir import Graph, Origin, constant
from bridge.converters.tflite.passes.bounds import apply_bounds
from bridge.converters.tflite.passes.dead_code import remove_dead_code
from bridge.converters.tflite.passes.group_heads import group_heads
from bridge.converters.tflite.passes.hoist_factors import hoist_factors
from bridge.converters.tflite.passes.identities import remove_identities
from bridge.converters.tflite.passes.leave_broadcasts import leave_broadcasts
from bridge.converters.tflite.passes.mask_scores import mask_scores
from bridge.converters.tflite.passes.merge_constants import merge_constants
from bridge.converters.tflite.passes.merge_moves import merge_moves
from bridge.converters.tflite.passes.refused_first import refused_first
from bridge.converters.tflite.passes.rotations import simplify_rotations, split_evenly
from bridge.inspection.tflite_graph import read_graph

LOWEST = float(np.finfo(np.float32).min)


def linear(ctx: Context, x: Value, features: int) -> Value:
    weights, bias = ctx.constant(draw(features, int(x.shape[-1]))), ctx.constant(draw(features))
    return ctx.emit("FULLY_CONNECTED", x, weights, bias, keep_num_dims=x.rank != 2)


def truth(*shape: int) -> Value:
    return constant(draw(*shape) > 0)


def condition(ctx: Context, x: Value) -> Value:
    return ctx.emit("GREATER", x, ctx.constant(np.zeros((1,) * x.rank, np.float32)))


def rotated(ctx: Context, x: Value) -> Value:
    """``x * cos + concat(-x2, x1) * sin``."""
    half = int(x.shape[-1]) // 2
    first, second = (ctx.slice(x, -1, start, half) for start in (0, half))
    turned = ctx.concat([ctx.emit("NEG", second), first], -1)
    angles = [ctx.constant(draw(1, 1, *map(int, x.shape[2:]), seed=seed)) for seed in (4, 5)]
    return ctx.pointwise(
        "ADD", ctx.pointwise("MUL", x, angles[0]), ctx.pointwise("MUL", turned, angles[1])
    )


# -- broadcasts -----------------------------------------------------------------------------------


def test_a_mask_of_one_row_stays_one_row(tmp_path: Path) -> None:
    ctx, (scores, row) = context((1, 2, 3, 4), (1, 1, 1, 4))
    everywhere = ctx.emit("LOGICAL_AND", condition(ctx, row), constant(np.ones((1, 1, 3, 1), bool)))
    kept = ctx.cast(everywhere, "float32")
    reached = ctx.reduce("REDUCE_MAX", kept, [-1], keepdim=True)
    added = ctx.pointwise("MUL", ctx.pointwise("SUB", kept, 1.0), 1e30)
    result = ctx.pointwise("MUL", ctx.pointwise("ADD", scores, added), reached)
    graph = check_pass(finish(ctx, result), leave_broadcasts, tmp_path)
    assert "LOGICAL_AND" not in kinds(graph)
    assert only(graph, "CAST").output.shape == (1, 1, 1, 4)
    assert only(graph, "REDUCE_MAX").output.shape == (1, 1, 1, 1)


def test_what_must_be_repeated_stays_so(tmp_path: Path) -> None:
    ctx, (x, y) = context((1, 1, 4), (2, 3, 4))
    wide = ctx.expand(x, (2, 3, 4))
    joined = ctx.concat([wide, y], -1)
    total = ctx.reduce("SUM", ctx.pointwise("ADD", ctx.expand(x, (1, 3, 4)), x), [1])
    graph = check_pass(finish(ctx, joined, total), leave_broadcasts, tmp_path)
    assert kinds(graph) == ["MUL", "CONCATENATION", "MUL", "ADD", "SUM"]


def test_a_product_broadcasts_over_its_batch(tmp_path: Path) -> None:
    ctx, (x, y) = context((1, 4, 3, 5), (1, 1, 5, 2))
    product = ctx.emit("BATCH_MATMUL", x, ctx.expand(y, (1, 4, 5, 2)))
    assert kinds(check_pass(finish(ctx, product), leave_broadcasts, tmp_path)) == ["BATCH_MATMUL"]


# -- masks ----------------------------------------------------------------------------------------


def test_what_a_finite_mask_cannot_reach_is_not_computed(tmp_path: Path) -> None:
    ctx, (x, row) = context((1, 2, 3, 4), (1, 1, 1, 4))
    lowest = ctx.constant(np.full((1, 1, 1, 1), LOWEST, np.float32))
    bias = ctx.emit("SELECT_V2", condition(ctx, row), ctx.constant(draw(1, 2, 3, 4)), lowest)
    most = ctx.reduce("REDUCE_MAX", bias, [-1], keepdim=True)
    small = ctx.pointwise("MAXIMUM", ctx.pointwise("MUL", most, 2.0**-120), -512.0)
    reached = ctx.pointwise("MINIMUM", ctx.pointwise("ADD", small, 512.0), 1.0)
    scores = ctx.pointwise("ADD", x, ctx.pointwise("MAXIMUM", bias, LOWEST))
    result = ctx.emit("TANH", ctx.pointwise("MUL", ctx.emit("SOFTMAX", scores), reached))
    graph = check_pass(finish(ctx, result), _apply_bounds, tmp_path)
    assert kinds(graph) == ["GREATER", "SELECT_V2", "ADD", "SOFTMAX", "TANH"]


def test_an_input_may_hold_any_number(tmp_path: Path) -> None:
    ctx, (x,) = context((2, 3))
    graph = check_pass(finish(ctx, ctx.pointwise("MAXIMUM", x, LOWEST)), _apply_bounds, tmp_path)
    assert kinds(graph) == ["MAXIMUM"]


def _apply_bounds(graph: Graph) -> None:
    apply_bounds(graph)
    remove_identities(graph)
    remove_dead_code(graph)


def test_scores_are_masked_by_a_minimum(tmp_path: Path) -> None:
    ctx, (scores, row) = context((1, 2, 3, 4), (1, 1, 3, 4))
    fill = ctx.constant(np.full((1, 1, 1, 1), LOWEST, np.float32))
    mask = condition(ctx, row)
    first = ctx.emit("SOFTMAX", ctx.emit("SELECT_V2", mask, scores, fill))
    second = ctx.emit("SOFTMAX", ctx.emit("SELECT_V2", mask, ctx.emit("TANH", scores), fill))
    graph = check_pass(finish(ctx, first, second), mask_scores, tmp_path)
    assert kinds(graph).count("SELECT_V2") == 1
    assert only(graph, "SELECT_V2").output.shape == (1, 1, 3, 4)


def test_an_infinite_mask_is_not_added(tmp_path: Path) -> None:
    ctx, (scores, row) = context((1, 2, 3, 4), (1, 1, 3, 4))
    numbers = [ctx.constant(np.full((1, 1, 1, 1), each, np.float32)) for each in (0.0, -np.inf)]
    first = ctx.emit("ADD", scores, ctx.emit("SELECT_V2", condition(ctx, row), *numbers))
    causal = np.where(np.tri(3, 4, dtype=bool), 0.0, -np.inf).astype(np.float32)
    second = ctx.emit("ADD", ctx.constant(causal[None, None]), scores)
    made = [ctx.emit("SOFTMAX", each) for each in (first, second)]
    graph = check_pass(finish(ctx, *made), mask_scores, tmp_path)
    remove_dead_code(graph)
    assert kinds(graph) == ["GREATER", "SELECT_V2", "MINIMUM", "MINIMUM", "SOFTMAX", "SOFTMAX"]


def test_a_mask_with_other_numbers_is_added(tmp_path: Path) -> None:
    ctx, (scores,) = context((1, 2, 3, 4))
    bias = np.where(np.tri(3, 4, dtype=bool), 0.5, -np.inf).astype(np.float32)
    biased = ctx.emit("SOFTMAX", ctx.emit("ADD", scores, ctx.constant(bias[None, None])))
    graph = check_pass(finish(ctx, biased), mask_scores, tmp_path)
    assert kinds(graph) == ["ADD", "SOFTMAX"]


def test_what_is_read_before_the_softmax_is_still_selected(tmp_path: Path) -> None:
    ctx, (scores, row) = context((1, 2, 3, 4), (1, 1, 3, 4))
    fill = ctx.constant(np.full((1, 1, 1, 1), LOWEST, np.float32))
    masked = ctx.emit("SELECT_V2", condition(ctx, row), scores, fill)
    graph = check_pass(finish(ctx, ctx.emit("SOFTMAX", masked), masked), mask_scores, tmp_path)
    assert only(graph, "SELECT_V2").output.shape == (1, 2, 3, 4)


def test_a_fill_that_scores_could_match_is_still_selected(tmp_path: Path) -> None:
    ctx, (scores, row) = context((1, 2, 3, 4), (1, 1, 3, 4))
    fill = ctx.constant(np.full((1, 1, 1, 1), -10.0, np.float32))
    masked = ctx.emit("SELECT_V2", condition(ctx, row), scores, fill)
    graph = check_pass(finish(ctx, ctx.emit("SOFTMAX", masked)), mask_scores, tmp_path)
    assert only(graph, "SELECT_V2").output.shape == (1, 2, 3, 4)


# -- heads ----------------------------------------------------------------------------------------


def test_heads_that_share_a_key_read_one_key(tmp_path: Path) -> None:
    ctx, (x, mask) = context((1, 5, 8), (1, 1, 5, 5))
    query = ctx.transpose(ctx.reshape(linear(ctx, x, 16), (1, 5, 4, 4)), (0, 2, 1, 3))

    def repeated(features: Value) -> Value:
        few = rotated(ctx, ctx.transpose(ctx.reshape(features, (1, 5, 2, 4)), (0, 2, 1, 3)))
        wide = ctx.expand(ctx.reshape(few, (1, 2, 1, 5, 4)), (1, 2, 2, 5, 4))
        return ctx.reshape(wide, (1, 4, 5, 4))

    key, value = (repeated(linear(ctx, x, 8)) for _ in range(2))
    scores = ctx.emit("BATCH_MATMUL", rotated(ctx, query), key, adj_y=True)
    weights = ctx.emit("SOFTMAX", ctx.pointwise("ADD", scores, mask))
    heads = ctx.emit("BATCH_MATMUL", weights, value)
    joined = ctx.reshape(ctx.transpose(heads, (0, 2, 1, 3)), (1, 5, 16))
    graph = check_pass(finish(ctx, joined), _group_heads, tmp_path)
    products = [op for op in graph.ops if op.kind == "BATCH_MATMUL"]
    assert [op.output.shape for op in products] == [(1, 2, 2, 5, 5), (1, 2, 2, 5, 4)]
    assert [op.inputs[1].shape for op in products if op.inputs[1]] == [(1, 2, 1, 5, 4)] * 2
    # one for each projection and for the mask, and one that joins the heads
    assert kinds(graph).count("RESHAPE") == 5


def test_scores_that_are_an_output_keep_their_shape(tmp_path: Path) -> None:
    ctx, (query, key) = context((1, 4, 5, 8), (1, 2, 5, 8))
    wide = ctx.expand(ctx.reshape(key, (1, 2, 1, 5, 8)), (1, 2, 2, 5, 8))
    scores = ctx.emit("BATCH_MATMUL", query, ctx.reshape(wide, (1, 4, 5, 8)), adj_y=True)
    graph = check_pass(finish(ctx, scores, ctx.emit("SOFTMAX", scores)), _group_heads, tmp_path)
    assert only(graph, "BATCH_MATMUL").output.shape == (1, 2, 2, 5, 5)


def _group_heads(graph: Graph) -> None:
    group_heads(graph)
    remove_dead_code(graph)


# -- factors --------------------------------------------------------------------------------------


def test_a_scale_moves_from_the_scores_to_the_projection(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 5, 8))
    query, key = (
        ctx.transpose(ctx.reshape(linear(ctx, x, 8), (1, 5, 2, 4)), (0, 2, 1, 3)) for _ in range(2)
    )
    scores = ctx.pointwise("DIV", ctx.emit("BATCH_MATMUL", query, key, adj_y=True), 1.7)
    graph = check_pass(finish(ctx, ctx.emit("SOFTMAX", scores)), hoist_factors, tmp_path)
    assert "DIV" not in kinds(graph)


def test_a_scale_moves_into_the_angles_of_a_rotation(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 2, 5, 8))
    x.origins.append(Origin("x"))
    y = ctx.pointwise("MUL", rotated(ctx, x), 0.3)
    graph = check_pass(finish(ctx, ctx.emit("TANH", y)), hoist_factors, tmp_path)
    assert kinds(graph).count("MUL") == 2
    assert x.origins == [Origin("x")]


def test_a_scale_does_not_pass_what_is_read_elsewhere(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 5, 8))
    y = linear(ctx, x, 8)
    outputs = ctx.emit("TANH", ctx.pointwise("MUL", y, 0.3)), ctx.emit("TANH", y)
    assert "MUL" in kinds(check_pass(finish(ctx, *outputs), hoist_factors, tmp_path))


def test_a_scale_reaches_each_operand_once(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 5, 8))
    y = linear(ctx, x, 8)
    total = ctx.pointwise("ADD", y, ctx.pointwise("MUL", y, ctx.constant(draw(1, 1, 8))))
    graph = finish(ctx, ctx.emit("TANH", ctx.pointwise("MUL", total, 0.3)))
    check_pass(graph, hoist_factors, tmp_path)


def test_constants_that_are_added_one_after_another_become_one(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 5, 8))
    y = ctx.pointwise("SUB", x, ctx.constant(draw(1, 5, 8)))
    y = ctx.pointwise("ADD", y, ctx.constant(draw(1, 1, 8)))
    y = ctx.pointwise("DIV", ctx.pointwise("MUL", y, 3.0), ctx.constant(draw(8) + 2))
    graph = check_pass(finish(ctx, y), merge_constants, tmp_path)
    assert kinds(graph) == ["ADD", "MUL"]


def test_constants_that_would_grow_stay_apart(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 5, 8))
    y = ctx.pointwise("ADD", x, ctx.constant(draw(1, 5, 1)))
    y = ctx.pointwise("ADD", y, ctx.constant(draw(1, 1, 8)))
    assert kinds(check_pass(finish(ctx, y), merge_constants, tmp_path)) == ["ADD", "ADD"]


# -- rotations ------------------------------------------------------------------------------------


def test_a_rotation_takes_five_operators(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 2, 5, 8))
    graph = check_pass(finish(ctx, rotated(ctx, x)), _rotate, tmp_path)
    assert sorted(kinds(graph)) == ["ADD", "CONCATENATION", "MUL", "MUL", "SPLIT"]


def test_a_sign_that_others_read_stays(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 2, 5, 8))
    joined = ctx.concat([ctx.emit("NEG", x), x], -1)
    product = ctx.pointwise("MUL", joined, ctx.constant(draw(1, 1, 1, 16)))
    graph = check_pass(finish(ctx, product, ctx.emit("TANH", joined)), _rotate, tmp_path)
    assert "NEG" in kinds(graph)


def test_uneven_slices_stay(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 6))
    parts = [ctx.slice(x, 1, start, size) for start, size in ((0, 2), (2, 4))]
    assert kinds(check_pass(finish(ctx, *parts), split_evenly, tmp_path)) == ["SLICE", "SLICE"]


def _rotate(graph: Graph) -> None:
    simplify_rotations(graph)
    split_evenly(graph)
    remove_dead_code(graph)


# -- moves ----------------------------------------------------------------------------------------


def test_patches_are_cut_by_one_transpose(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 8, 6, 5))
    y = ctx.reshape(ctx.channels_first(x), (20, 2, 3, 2))
    y = ctx.reshape(ctx.transpose(y, (0, 2, 1, 3)), (1, 5, 12, 4))
    y = ctx.reshape(ctx.transpose(y, (0, 3, 2, 1)), (4, 12, 5))
    graph = check_pass(finish(ctx, y), merge_moves, tmp_path)
    assert kinds(graph) == ["RESHAPE", "TRANSPOSE", "RESHAPE"]


def test_moves_that_undo_one_another_are_a_reshape(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 4, 6, 5))
    y = ctx.transpose(ctx.reshape(ctx.channels_first(x), (1, 5, 24)), (0, 2, 1))
    assert kinds(check_pass(finish(ctx, y), merge_moves, tmp_path)) == ["RESHAPE"]


def test_layers_between_moves_are_found_at_the_ends(tmp_path: Path) -> None:
    ctx, (x,) = context((1, 4, 6, 5))
    first = ctx.channels_first(ctx.emit("TANH", x))
    first.origins.append(Origin("convolution"))
    second = ctx.reshape(first, (1, 5, 24))
    second.origins.append(Origin("flatten"))
    last = ctx.transpose(second, (0, 2, 1))
    graph = check_pass(finish(ctx, ctx.emit("TANH", last)), merge_moves, tmp_path)
    assert kinds(graph) == ["TANH", "RESHAPE", "TANH"]
    assert graph.ops[0].output.origins == [
        Origin("convolution", (0, 2, 3, 1)),
        Origin("flatten", (0, 2, 3, 1), reshaped=True),
    ]
    assert last.origins == [Origin("flatten", (0, 2, 1)), Origin("convolution", (0, 2, 1), True)]


def test_factors_that_do_not_divide_are_left_alone(tmp_path: Path) -> None:
    ctx, (x,) = context((4, 5))
    y = ctx.transpose(ctx.reshape(ctx.transpose(x, (1, 0)), (2, 10)), (1, 0))
    graph = check_pass(finish(ctx, ctx.reshape(y, (20,))), merge_moves, tmp_path)
    assert kinds(graph).count("TRANSPOSE") == 2


# -- order ----------------------------------------------------------------------------------------


def test_what_the_delegate_refuses_comes_first(tmp_path: Path) -> None:
    ctx, (x, row) = context((2, 3), (2, 3))
    y = ctx.emit("TANH", x)
    mask = ctx.cast(condition(ctx, row), "float32")
    late = ctx.cast(condition(ctx, y), "float32")
    graph = finish(ctx, ctx.pointwise("MUL", y, mask), late)
    check_pass(graph, refused_first, tmp_path)
    assert kinds(graph) == ["GREATER", "CAST", "TANH", "GREATER", "CAST", "MUL"]


# -- long sums ------------------------------------------------------------------------------------


class ChannelAttention(nn.Module):
    """Scores of channels by channels, over all pixels; like those of DaViT."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pixels = x.reshape(1, 3136, 3, 32).transpose(1, 2)
        return pixels.transpose(-1, -2) @ pixels


@pytest.mark.parametrize("plain", [False, True], ids=["xnnpack", "plain"])
def test_long_sums_round_as_little_as_those_of_pytorch(plain: bool, tmp_path: Path) -> None:
    """Added up one after the other, these numbers of one sign are at 122 dB."""
    x = torch.rand(1, 3136, 96, generator=torch.Generator().manual_seed(0))
    module = ChannelAttention().eval()
    artifact = bridge.to_tflite(module, (x,), tmp_path / "a.tflite")
    (actual,) = run(artifact.path, {"x": x.numpy()}, plain=plain).values()
    truth = module(x.double()).numpy()
    error = np.sqrt(((actual - truth) ** 2).sum() / (truth**2).sum())
    assert -20 * np.log10(error) > 130
    names = [operator.name for operator in read_graph(artifact.path).operators]
    assert names.count("TRANSPOSE") == 1, "parts need none of their own"
