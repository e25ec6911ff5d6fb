"""Convolutions of three axes."""

from . import Row, const, f32, i64


def _w(*shape: int) -> object:
    return const(f32(*shape, low=-1.0, high=1.0))


ROWS = [
    Row("aten.conv3d", f32(2, 3, 5, 6, 7), _w(4, 3, 3, 3, 3), _w(4)),
    Row("aten.conv3d", f32(1, 3, 6, 8, 9), _w(4, 3, 3, 3, 3), None, [2, 2, 2], [1, 1, 1]),
    Row("aten.conv3d", f32(1, 3, 6, 8, 9), _w(4, 3, 3, 7, 7), _w(4), [1, 2, 2], [1, 3, 3]),
    Row("aten.conv3d", f32(1, 3, 6, 8, 9), _w(4, 3, 1, 3, 3), _w(4), [1, 2, 2], [0, 1, 1]),
    Row("aten.conv3d", f32(1, 3, 7, 8, 9), _w(4, 3, 1, 1, 1), None, [2, 2, 2], label="1x1x1"),
    Row("aten.conv3d", f32(2, 3, 6, 8, 9), _w(4, 3, 3, 1, 1), _w(4), [2, 1, 1], [1, 0, 0]),
    Row("aten.conv3d", f32(1, 3, 6, 8, 9), _w(4, 3, 3, 1, 1), _w(4), [1, 2, 2], [1, 0, 0]),
    Row(
        "aten.conv3d",
        f32(1, 3, 9, 8, 9),
        _w(4, 3, 3, 2, 3),
        None,
        [2, 1, 1],
        [2, 0, 1],
        [3, 2, 1],
    ),
    Row("aten.conv3d", f32(1, 4, 5, 6, 7), _w(6, 2, 3, 3, 3), _w(6), [1], [1], [1], 2),
    Row("aten.conv3d", f32(1, 4, 5, 6, 7), _w(4, 1, 3, 3, 3), _w(4), [1], [1], [1], 4),
    Row("aten.conv3d", f32(3, 5, 6, 7), _w(4, 3, 3, 3, 3), _w(4), label="no batch"),
    Row("aten.conv3d", f32(1, 3, 5, 6, 7), f32(4, 3, 2, 3, 3), _w(4), [2], [1], label="live"),
    Row("aten.conv3d.padding", f32(1, 3, 5, 6, 7), _w(4, 3, 2, 3, 4), _w(4), [1], "same"),
    Row("aten.conv3d", i64(1, 3, 5, 6, 7), const(i64(4, 3, 2, 3, 3)), unsupported="input=int32"),
    Row(
        "aten.conv3d",
        f32(2, 3, 6, 6, 7),
        _w(4, 3, 3, 3, 3),
        _w(4),
        [2, 1, 1],
        [1, 1, 1],
        label="dynamic batch",
        dynamic={0: [0]},
        also=[[f32(3, 3, 6, 6, 7)]],
    ),
    Row(
        "aten.conv3d",
        f32(1, 3, 6, 6, 7),
        _w(4, 3, 3, 3, 3),
        _w(4),
        [2, 1, 1],
        [1, 1, 1],
        label="dynamic depth",
        dynamic={0: [2]},
        also=[[f32(1, 3, 9, 6, 7)]],
    ),
]
