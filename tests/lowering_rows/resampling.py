"""Interpolation to another size."""

import torch
from torch.nn import functional

from . import Row, f32, i32


def _to(mode: str, **arguments: object) -> object:
    def interpolate(x: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(x, mode=mode, **arguments)

    return interpolate


def _rows(operator: str, mode: str, x: torch.Tensor, sizes: list, **arguments: object) -> list[Row]:
    """A row for each size or scale; what is no list is a scale."""
    return [
        Row(
            operator,
            x,
            call=_to(
                mode,
                **({"size": size} if isinstance(size, list) else {"scale_factor": size}),
                **arguments,
            ),
            label=f"{size} {' '.join(arguments)}",
        )
        for size in sizes
    ]


PLANE, ODD = f32(2, 3, 6, 5), f32(1, 3, 9, 11)
NEAREST_SIZES = [
    2,
    3.0,
    0.5,
    1.7,
    0.6,
    (2.0, 1.5),
    [12, 10],
    [9, 13],
    [4, 5],
    [3, 3],
    [1, 1],
    [12, 5],
]
LINEAR_SIZES = [
    2.0,
    0.5,
    1.7,
    (3.0, 0.6),
    [12, 10],
    [9, 13],
    [4, 4],
    [1, 1],
    [1, 7],
    [6, 9],
    [6, 5],
]

ROWS = [
    *_rows("aten.upsample_nearest2d.vec", "nearest", PLANE, NEAREST_SIZES),
    *_rows("aten.upsample_nearest2d.vec", "nearest", ODD, NEAREST_SIZES),
    *_rows("aten.upsample_nearest2d.vec", "nearest", PLANE, [1.7], recompute_scale_factor=True),
    *_rows("aten.upsample_nearest2d.vec", "nearest", i32(1, 3, 4, 5).to(torch.uint8), [2, [5, 3]]),
    *_rows("aten._upsample_nearest_exact2d.vec", "nearest-exact", PLANE, NEAREST_SIZES),
    *_rows("aten._upsample_nearest_exact2d.vec", "nearest-exact", ODD, NEAREST_SIZES),
    *_rows("aten.upsample_nearest1d.vec", "nearest", f32(2, 3, 7), [2, 1.7, 0.5, [10], [5]]),
    *_rows("aten._upsample_nearest_exact1d.vec", "nearest-exact", f32(2, 3, 7), [2, 1.7, [5]]),
    *_rows(
        "aten.upsample_nearest3d.vec", "nearest", f32(2, 3, 3, 4, 5), [2, 1.7, [3, 8, 4], [6, 4, 5]]
    ),
    *_rows("aten._upsample_nearest_exact3d.vec", "nearest-exact", f32(1, 3, 3, 4, 5), [2, 1.7]),
    Row("aten.upsample_nearest1d", f32(2, 3, 7), [14], 2.0),
    Row("aten.upsample_nearest2d", f32(2, 3, 7, 6), [14, 12], 2.0, 2.0),
    Row("aten.upsample_nearest2d", f32(2, 3, 7, 6), [9, 5]),
    Row("aten.upsample_nearest3d", f32(2, 3, 2, 4, 3), [4, 5, 6], 2.0, 1.3, 2.0),
    Row("aten._upsample_nearest_exact1d", f32(2, 3, 7), [11], 1.6),
    Row("aten._upsample_nearest_exact2d", f32(2, 3, 7, 6), [9, 5]),
    Row("aten._upsample_nearest_exact3d", f32(2, 3, 2, 4, 3), [4, 5, 6]),
    Row(
        "aten.upsample_nearest2d.vec",
        f32(2, 3, 6, 5),
        call=_to("nearest", scale_factor=2),
        dynamic={0: [0, 2, 3]},
        also=[[f32(1, 3, 7, 9)]],
        label="dynamic",
    ),
    Row(
        "aten.upsample_nearest2d.vec",
        f32(2, 3, 6, 5),
        call=_to("nearest", size=[8, 9]),
        dynamic={0: [2, 3]},
        also=[[f32(2, 3, 7, 11)]],
        label="dynamic",
    ),
    Row(
        "aten._upsample_nearest_exact2d.vec",
        f32(2, 3, 6, 5),
        call=_to("nearest-exact", size=[8, 9]),
        dynamic={0: [2, 3]},
        also=[[f32(2, 3, 7, 11)]],
        label="dynamic",
    ),
    Row(
        "aten.upsample_nearest2d.vec",
        f32(2, 3, 6, 6),
        call=_to("nearest", scale_factor=1.5),
        dynamic={0: [2]},
        unsupported="scale_factors=[1.5, 1.5]",
    ),
    Row(
        "aten.upsample_nearest1d.vec",
        f32(2, 3, 6),
        call=_to("nearest", size=[8]),
        dynamic={0: [2]},
        unsupported="input depends on a size that changes",
    ),
    *_rows("aten.upsample_bilinear2d.vec", "bilinear", PLANE, LINEAR_SIZES),
    *_rows("aten.upsample_bilinear2d.vec", "bilinear", ODD, LINEAR_SIZES, align_corners=True),
    *_rows("aten.upsample_bilinear2d.vec", "bilinear", f32(1, 2, 33, 47), [[97, 61], [13, 101]]),
    *_rows("aten.upsample_linear1d.vec", "linear", f32(2, 3, 7), [2.0, 1.7, [10], [5]]),
    *_rows("aten.upsample_linear1d.vec", "linear", f32(2, 3, 7), [[10]], align_corners=True),
    *_rows("aten.upsample_trilinear3d.vec", "trilinear", f32(2, 3, 3, 4, 5), [2.0, 1.7, [2, 7, 9]]),
    *_rows(
        "aten.upsample_trilinear3d.vec",
        "trilinear",
        f32(1, 3, 3, 4, 5),
        [[5, 4, 9]],
        align_corners=True,
    ),
    Row("aten.upsample_linear1d", f32(2, 3, 7), [11], False, 1.6),
    Row("aten.upsample_bilinear2d", f32(2, 3, 7, 6), [14, 12], False, 2.0, 2.0),
    Row("aten.upsample_bilinear2d", f32(2, 3, 7, 6), [10, 9], True),
    Row("aten.upsample_trilinear3d", f32(2, 3, 2, 4, 3), [4, 5, 6], False),
    Row(
        "aten.upsample_bilinear2d.vec",
        f32(2, 3, 6, 5),
        call=_to("bilinear", scale_factor=2.0),
        dynamic={0: [0, 2, 3]},
        also=[[f32(1, 3, 7, 9)]],
        label="dynamic",
    ),
    Row(
        "aten.upsample_bilinear2d.vec",
        f32(2, 3, 6, 5),
        call=_to("bilinear", size=[8, 9]),
        dynamic={0: [2, 3]},
        also=[[f32(2, 3, 7, 11)]],
        label="dynamic",
    ),
    Row(
        "aten.upsample_bilinear2d.vec",
        f32(2, 3, 6, 6),
        call=_to("bilinear", scale_factor=1.5),
        dynamic={0: [2]},
        unsupported="scale_factors depends on a size that changes",
    ),
    Row(
        "aten.upsample_bilinear2d",
        i32(1, 3, 4, 4, low=0).to(torch.uint8),
        [8, 8],
        False,
        unsupported="input=uint8",
    ),
    *_rows("aten.upsample_bicubic2d.vec", "bicubic", PLANE, LINEAR_SIZES),
    *_rows("aten.upsample_bicubic2d.vec", "bicubic", PLANE, [[12, 10], [4, 9]], align_corners=True),
    *_rows("aten._upsample_bilinear2d_aa.vec", "bilinear", PLANE, LINEAR_SIZES, antialias=True),
    *_rows("aten._upsample_bicubic2d_aa.vec", "bicubic", PLANE, LINEAR_SIZES, antialias=True),
    Row("aten.upsample_bicubic2d", f32(2, 3, 7, 6), [10, 9], False, 1.5, 1.5),
    Row("aten._upsample_bilinear2d_aa", f32(2, 3, 7, 6), [4, 3], True),
    Row("aten._upsample_bicubic2d_aa", f32(2, 3, 7, 6), [4, 3], False),
    Row("aten._upsample_lanczos2d_aa", f32(2, 3, 7, 6), [4, 9], False),
    Row("aten._upsample_lanczos2d_aa.vec", f32(2, 3, 7, 6), None, False, [1.5, 0.6]),
    Row(
        "aten.upsample_bicubic2d.vec",
        f32(2, 3, 6, 5),
        call=_to("bicubic", scale_factor=2.0),
        dynamic={0: [0]},
        also=[[f32(3, 3, 6, 5)]],
        label="dynamic",
    ),
    Row(
        "aten.upsample_bicubic2d.vec",
        f32(2, 3, 6, 5),
        call=_to("bicubic", scale_factor=2.0),
        dynamic={0: [2]},
        unsupported="scale_factors depends on a size that changes",
    ),
]
