"""Pixel and channel shuffles."""

from . import Row, f32, i64, truths

ROWS = [
    Row("aten.pixel_shuffle", f32(2, 12, 3, 4), 2),
    Row("aten.pixel_shuffle", f32(2, 9, 3, 4), 3, label="one channel"),
    Row("aten.pixel_shuffle", f32(2, 3, 3, 4), 1),
    Row("aten.pixel_shuffle", f32(12, 3, 4), 2, label="no batch"),
    Row("aten.pixel_shuffle", f32(2, 3, 8, 3, 4), 2, label="two batches"),
    Row("aten.pixel_shuffle", i64(2, 12, 3, 4), 2),
    Row("aten.pixel_shuffle", truths(2, 12, 3, 4), 2),
    Row("aten.pixel_unshuffle", truths(2, 3, 4, 6), 2),
    Row(
        "aten.pixel_shuffle",
        f32(2, 12, 3, 4),
        2,
        label="dynamic",
        dynamic={0: [0, 2]},
        also=[[f32(3, 12, 5, 4)]],
    ),
    Row("aten.pixel_unshuffle", f32(2, 3, 4, 6), 2),
    Row("aten.pixel_unshuffle", f32(2, 1, 6, 9), 3),
    Row("aten.pixel_unshuffle", f32(3, 4, 6), 2, label="no batch"),
    Row("aten.channel_shuffle", f32(2, 6, 3, 4), 2),
    Row("aten.channel_shuffle", f32(2, 6, 5), 3),
    Row("aten.channel_shuffle", f32(2, 6, 3, 4), 1),
    Row("aten.channel_shuffle", f32(2, 6, 3, 4), 6),
    Row(
        "aten.channel_shuffle",
        f32(2, 6, 3, 4),
        2,
        label="dynamic",
        dynamic={0: [0]},
        also=[[f32(3, 6, 3, 4)]],
    ),
    Row("aten.native_channel_shuffle", f32(2, 6, 3, 4), 2),
]
