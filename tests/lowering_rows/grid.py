"""Sampling at computed places."""

from itertools import product

from . import Row, const, f32

ROWS = [
    *(
        Row("aten.grid_sampler", f32(2, 3, 6, 7), f32(2, 4, 5, 2, low=-1.6, high=1.6), *modes)
        for modes in product((0, 1, 2), (0, 1, 2), (False, True))
    ),
    *(
        Row("aten.grid_sampler", f32(2, 3, 4, 6, 7), f32(2, 4, 3, 5, 3, low=-1.6, high=1.6), *modes)
        for modes in product((0, 1), (0, 1, 2), (False, True))
    ),
    Row("aten.grid_sampler", f32(1, 2, 5, 5), f32(1, 9, 9, 2, low=-9, high=9), 0, 2, False),
    Row("aten.grid_sampler", f32(1, 2, 1, 5), f32(1, 9, 9, 2), 0, 2, True, label="one row"),
    Row("aten.grid_sampler", f32(1, 2, 5, 5), const(f32(1, 9, 9, 2)), 0, 0, True),
    Row("aten.grid_sampler", f32(1, 2, 5, 5), f32(1, 9, 9, 2) * 1e6, 0, 0, True, label="far"),
    Row("aten.grid_sampler_2d", f32(2, 3, 6, 7), f32(2, 4, 5, 2), 0, 0, False),
    Row("aten.grid_sampler_3d", f32(2, 3, 4, 6, 7), f32(2, 4, 3, 5, 3), 0, 0, False),
    Row(
        "aten.grid_sampler",
        f32(2, 3, 6, 7),
        f32(2, 4, 5, 2),
        0,
        0,
        False,
        label="dynamic",
        dynamic={0: [0], 1: [0, 1]},
        also=[[f32(3, 3, 6, 7), f32(3, 8, 5, 2)]],
    ),
    Row("aten.affine_grid_generator", f32(2, 2, 3), [2, 3, 5, 6], False),
    Row("aten.affine_grid_generator", f32(2, 2, 3), [2, 3, 5, 6], True),
    Row("aten.affine_grid_generator", f32(2, 2, 3), [2, 3, 1, 6], True),
    Row("aten.affine_grid_generator", f32(2, 3, 4), [2, 3, 4, 5, 6], False),
]
