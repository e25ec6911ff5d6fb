"""Rows of normalizations."""

from __future__ import annotations

import torch

from . import Row, const, f32

MEAN, VAR = const(f32(6)), const(f32(6, low=0.1))
SCALE, SHIFT = const(f32(6, seed=1)), const(f32(6, seed=2))
PLANE, SCALES = [4, 5], const(f32(4, 5, seed=1))
LARGE_MEAN = f32(3, 64, low=999, high=1001)
ROUNDED = "the mean is rounded: PyTorch itself is as far from the result in double precision"
STATS = (0.1, 1e-3, False)

ROWS = [
    Row("aten.batch_norm", f32(2, 6, 4, 5), SCALE, SHIFT, MEAN, VAR, False, *STATS),
    Row("aten.batch_norm", f32(2, 6, 5), None, SHIFT, MEAN, VAR, False, *STATS),
    Row("aten.batch_norm", f32(2, 6), SCALE, None, MEAN, VAR, False, *STATS),
    Row("aten.batch_norm", f32(2, 6, 2, 3, 4), None, None, MEAN, VAR, False, *STATS),
    Row("aten.batch_norm", f32(2, 6, 4, 5), SCALE, SHIFT, None, None, True, *STATS),
    Row("aten.batch_norm", f32(4, 6), None, None, None, None, True, *STATS),
    Row(
        "aten.batch_norm",
        *(f32(2, 6, 4, 5), SCALE, SHIFT, f32(6), f32(6, low=0.1, seed=3), False, *STATS),
        label="computed statistics",
    ),
    Row(
        "aten.batch_norm",
        *(f32(2, 6, 4, 5), f32(6), f32(6, seed=3), MEAN, VAR, False, *STATS),
        label="computed scale",
    ),
    Row("aten.batch_norm", f32(2, 6), None, None, MEAN, VAR, True, *STATS, unsupported="training"),
    Row(
        "aten.batch_norm",
        *(f32(2, 6, 4, 5), SCALE, SHIFT, MEAN, VAR, False, *STATS),
        dynamic={0: [0, 2]},
        also=[[f32(3, 6, 7, 5)]],
    ),
    Row(
        "aten.native_batch_norm",
        *(f32(2, 6, 4), SCALE, SHIFT, MEAN, VAR, False, 0.1, 1e-3),
        call=lambda *args: torch.native_batch_norm(*args)[0],
    ),
    Row("aten.native_batch_norm", f32(2, 6, 4), SCALE, SHIFT, MEAN, VAR, False, 0.1, 1e-3),
    Row("aten.native_batch_norm", f32(2, 6, 4), None, None, None, None, True, 0.1, 1e-3),
    Row(
        "aten._native_batch_norm_legit",
        *(f32(2, 6, 4), SCALE, SHIFT, MEAN, VAR, False, 0.1, 1e-3),
        call=lambda *args: torch.ops.aten._native_batch_norm_legit(*args)[0],
    ),
    Row(
        "aten._native_batch_norm_legit.no_stats",
        *(f32(2, 6, 4), SCALE, SHIFT, True, 0.1, 1e-3),
        call=lambda *args: torch.ops.aten._native_batch_norm_legit.no_stats(*args)[0],
    ),
    Row(
        "aten._native_batch_norm_legit_no_training",
        *(f32(2, 6, 4), SCALE, SHIFT, MEAN, VAR, 0.1, 1e-3),
        call=lambda *args: torch.ops.aten._native_batch_norm_legit_no_training(*args)[0],
    ),
    Row("aten.instance_norm", f32(2, 6, 4, 5), SCALE, SHIFT, None, None, True, *STATS),
    Row("aten.instance_norm", f32(2, 6, 7), None, None, None, None, True, *STATS),
    Row("aten.instance_norm", f32(2, 6, 2, 3, 4), SCALE, None, None, None, True, *STATS),
    Row("aten.instance_norm", f32(2, 6, 4, 5), SCALE, SHIFT, MEAN, VAR, False, *STATS),
    Row(
        "aten.instance_norm",
        *(f32(2, 6, 4, 5), None, None, None, None, True, *STATS),
        dynamic={0: [0, 2]},
        also=[[f32(3, 6, 7, 5)]],
    ),
    Row(
        "aten.instance_norm",
        *(f32(2, 6, 4, 5), None, None, MEAN, VAR, True, *STATS),
        unsupported="use_input_stats",
    ),
    Row("aten.layer_norm", f32(2, 3, 6), [6], SCALE, SHIFT),
    Row("aten.layer_norm", f32(2, 3, 6), [6], SCALE, None, 1e-3),
    Row("aten.layer_norm", f32(6), [6]),
    Row("aten.layer_norm", f32(2, 3, 4, 5), PLANE, SCALES, const(f32(4, 5))),
    Row("aten.layer_norm", f32(3, 4, 5), [3, 4, 5]),
    Row("aten.layer_norm", f32(2, 6), [6], f32(6), f32(6, seed=1), label="computed scale"),
    Row("aten.layer_norm", torch.full((2, 6), 3.5), [6], None, SHIFT, label="no variance"),
    Row("aten.layer_norm", f32(3, 64, low=9, high=11), [64], label="mean 10"),
    Row("aten.layer_norm", LARGE_MEAN, [64], sqnr=75.0, reason=ROUNDED, label="mean 1000"),
    Row(
        "aten.layer_norm",
        *(f32(2, 3, 6), [6], SCALE, SHIFT),
        dynamic={0: [0, 1]},
        also=[[f32(4, 9, 6)]],
    ),
    Row("aten.native_layer_norm", f32(2, 3, 6), [6], SCALE, SHIFT, 1e-5),
    Row("aten.native_layer_norm", f32(2, 4, 5), PLANE, None, None, 1e-5),
    Row("aten.rms_norm", f32(2, 3, 6), [6], SCALE),
    Row("aten.rms_norm", f32(2, 3, 6), [3, 6], None, 1e-2),
    Row("aten.rms_norm", f32(2, 3, 6, low=-1e-3, high=1e-3), [6], SCALE),
    Row(
        "aten.rms_norm",
        *(f32(2, 3, 6), [6], SCALE, 1e-6),
        dynamic={0: [0, 1]},
        also=[[f32(4, 9, 6)]],
    ),
    Row("aten._fused_rms_norm", f32(2, 3, 6), [6], SCALE, 1e-6),
    Row("aten.group_norm", f32(2, 6, 4, 5), 3, SCALE, SHIFT),
    Row("aten.group_norm", f32(2, 6, 4, 5), 1, SCALE, SHIFT, 1e-3),
    Row("aten.group_norm", f32(2, 6, 4, 5), 6, None, None),
    Row("aten.group_norm", f32(2, 6, 7), 2, None, SHIFT),
    Row("aten.group_norm", f32(2, 6), 3, SCALE, SHIFT),
    Row("aten.group_norm", f32(2, 6), 6),
    Row("aten.group_norm", f32(2, 6, 2, 3, 4), 2),
    Row(
        "aten.group_norm",
        *(f32(2, 6, 4, 5), 3, SCALE, SHIFT),
        dynamic={0: [0, 2]},
        also=[[f32(3, 6, 7, 5)]],
    ),
    Row("aten.native_group_norm", f32(2, 6, 4, 5), SCALE, SHIFT, 2, 6, 20, 2, 1e-5),
    Row("aten.native_group_norm", f32(2, 6, 4), None, None, 2, 6, 4, 6, 1e-5),
]
