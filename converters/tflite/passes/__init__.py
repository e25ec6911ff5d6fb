"""Optimising passes on the TFLite graph, and the order in which they run.

Each pass is one module with a function that takes a graph and changes it in place; its docstring
states what it needs and what holds afterwards.
"""

from __future__ import annotations

from ..context import CompileOptions
from ..ir import Graph
from ..layout import assign_layouts
from .boundary import boundary_orders
from .bounds import apply_bounds
from .carry_reshapes import carry_reshapes
from .common_subexpressions import share_subexpressions
from .dead_code import remove_dead_code
from .drop_units import drop_units
from .fuse_activation import fuse_activation
from .fuse_padding import fuse_padding
from .group_heads import group_heads
from .half_weights import halve_weights
from .hoist_factors import hoist_factors
from .hoist_slices import hoist_slices
from .identities import remove_identities
from .join_axes import join_axes
from .leave_broadcasts import leave_broadcasts
from .lower_ranks import lower_ranks
from .mask_scores import mask_scores
from .merge_branches import merge_branches
from .merge_constants import merge_constants
from .merge_moves import merge_moves
from .merge_reshapes import merge_reshapes
from .recognize_activations import recognize_activations
from .refused_first import refused_first
from .rotations import simplify_rotations, split_evenly
from .route_channels import route_channels
from .scale_and_shift import scale_and_shift
from .share_transposes import share_transposes
from .simplify_shapes import simplify_shapes
from .split_depthwise import split_depthwise
from .split_linear import split_linear
from .split_wide import split_wide
from .unread_states import drop_unread_states


def optimise(graph: Graph, options: CompileOptions) -> None:
    """Run all passes over a graph and over those that its loops run."""
    drop_unread_states(graph)
    for inner in dict.fromkeys(graph.subgraphs()):
        _optimise(inner, CompileOptions(float16_weights=options.float16_weights))
    _optimise(graph, options)


def _optimise(graph: Graph, options: CompileOptions) -> None:
    remove_dead_code(graph)
    share_subexpressions(graph)
    remove_identities(graph)
    recognize_activations(graph)
    remove_dead_code(graph)
    group_heads(graph)
    remove_dead_code(graph)
    mask_scores(graph)
    leave_broadcasts(graph)
    apply_bounds(graph)
    merge_constants(graph)
    remove_identities(graph)
    join_axes(graph)
    lower_ranks(graph)
    drop_units(graph)
    merge_reshapes(graph)
    remove_dead_code(graph)
    merge_moves(graph)
    hoist_slices(graph)
    remove_dead_code(graph)
    split_linear(graph)
    drop_units(graph)
    merge_reshapes(graph)
    remove_dead_code(graph)
    assign_layouts(graph, *boundary_orders(graph, options.channels_last))
    remove_identities(graph)
    merge_reshapes(graph)
    merge_moves(graph)
    carry_reshapes(graph)
    simplify_shapes(graph)
    remove_dead_code(graph)
    hoist_factors(graph)
    merge_branches(graph)
    scale_and_shift(graph)
    simplify_rotations(graph)
    split_evenly(graph)
    fuse_activation(graph)
    fuse_padding(graph)
    route_channels(graph)
    share_transposes(graph)
    split_depthwise(graph)
    split_wide(graph)
    lower_ranks(graph)
    share_subexpressions(graph)
    remove_dead_code(graph)
    refused_first(graph)
    if options.float16_weights:
        halve_weights(graph)
