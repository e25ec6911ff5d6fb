"""Transposed convolutions."""

from . import Row, const, f32, i64


def _w(*shape: int) -> object:
    return const(f32(*shape, low=-1.0, high=1.0))


def _plane(*args: object, **kwargs: object) -> Row:
    return Row("aten.conv_transpose2d.input", *args, **kwargs)


ROWS = [
    _plane(f32(2, 3, 5, 6), _w(3, 4, 2, 2), _w(4), [2, 2]),
    _plane(f32(1, 3, 5, 6), _w(3, 4, 4, 4), _w(4), [2, 2], [1, 1]),
    _plane(f32(1, 3, 5, 6), _w(3, 4, 3, 3), None, [2, 2], [1, 1]),
    _plane(f32(1, 3, 5, 6), _w(3, 4, 3, 3), _w(4), [2, 2], [1, 1], [1, 1]),
    _plane(f32(1, 3, 5, 6), _w(3, 4, 3, 3), _w(4), [2, 2], [0, 0], [1, 1], label="beyond"),
    _plane(f32(1, 3, 5, 6), _w(3, 4, 2, 3), _w(4), [3, 4], [0, 1], [2, 3], label="far beyond"),
    _plane(f32(1, 3, 5, 6), _w(3, 4, 2, 2), _w(4), [3, 3], label="gaps"),
    _plane(f32(1, 3, 5, 6), _w(3, 4, 3, 3), _w(4), label="stride 1"),
    _plane(f32(1, 3, 5, 6), _w(3, 4, 3, 3), _w(4), [1, 1], [1, 1], label="stride 1, same"),
    _plane(f32(1, 3, 5, 6), _w(3, 4, 1, 1), _w(4), [1, 1], [1, 1], label="cut"),
    _plane(f32(1, 3, 5, 6), _w(3, 4, 4, 4), _w(4), [2, 2], [3, 3], label="much cut"),
    _plane(f32(1, 3, 5, 6), _w(3, 4, 3, 2), _w(4), [2, 1], [1, 0], [1, 0], 1, [1, 1]),
    _plane(f32(1, 3, 5, 6), _w(3, 4, 3, 2), _w(4), [2, 1], [1, 0], [0, 0], 1, [2, 3]),
    _plane(f32(1, 4, 5, 6), _w(4, 3, 3, 4), _w(6), [2, 2], [1, 1], [1, 0], 2),
    _plane(f32(1, 4, 5, 6), _w(4, 1, 4, 4), None, [2, 2], [1, 1], [0, 0], 4, label="depthwise"),
    _plane(f32(1, 4, 5, 6), _w(4, 2, 3, 3), _w(8), [2, 2], [1, 1], [1, 1], 4, [2, 1]),
    _plane(f32(1, 4, 5, 6), _w(4, 2, 1, 1), _w(8), [2, 2], [2, 1], [1, 1], 4, label="cut"),
    _plane(f32(3, 5, 6), _w(3, 4, 3, 3), _w(4), [2, 2], [1, 1], label="no batch"),
    _plane(f32(1, 3, 5, 6), _w(3, 4, 3, 3), f32(4), [2, 2], [1, 1], label="live bias"),
    _plane(f32(1, 4, 5, 6), f32(4, 3, 3, 4), _w(6), [2, 2], [1, 1], [1, 0], 2, label="live"),
    _plane(f32(1, 3, 5, 6), const(f32(4, 3, 3, 3).transpose(0, 1)), _w(4), [2, 2], [1, 1]),
    _plane(i64(1, 3, 5, 6), const(i64(3, 4, 3, 3)), unsupported="input=int32"),
    _plane(
        f32(2, 3, 5, 6),
        _w(3, 4, 3, 3),
        _w(4),
        [2, 2],
        [1, 1],
        [1, 1],
        label="dynamic",
        dynamic={0: [0]},
        also=[[f32(3, 3, 5, 6)]],
    ),
    _plane(
        f32(2, 3, 5, 6),
        _w(3, 4, 4, 4),
        _w(4),
        [2, 2],
        [1, 1],
        label="dynamic size",
        dynamic={0: [2, 3]},
        also=[[f32(2, 3, 7, 4)]],
    ),
    Row("aten.conv_transpose1d", f32(2, 3, 7), _w(3, 4, 4), _w(4), [2], [1]),
    Row("aten.conv_transpose1d", f32(1, 3, 7), _w(3, 4, 3), None, [2], [1], [1]),
    Row("aten.conv_transpose1d", f32(3, 7), _w(3, 4, 16), _w(4), [8], [4], label="no batch"),
    Row("aten.conv_transpose1d", f32(1, 4, 7), _w(4, 3, 3), _w(6), [3], [1], [2], 2, [2]),
    Row(
        "aten.conv_transpose1d",
        f32(2, 3, 7),
        _w(3, 4, 4),
        _w(4),
        [2],
        [1],
        label="dynamic",
        dynamic={0: [0, 2]},
        also=[[f32(3, 3, 9)]],
    ),
    Row("aten.conv_transpose3d.input", f32(2, 3, 3, 4, 5), _w(3, 4, 2, 2, 2), _w(4), [2, 2, 2]),
    Row("aten.conv_transpose3d.input", f32(1, 3, 3, 4, 5), _w(3, 4, 3, 3, 3), _w(4), [2], [1], [1]),
    Row("aten.conv_transpose3d.input", f32(1, 3, 3, 4, 5), _w(3, 4, 4, 4, 4), None, [2], [1]),
    Row("aten.conv_transpose3d.input", f32(1, 3, 3, 4, 5), _w(3, 4, 3, 3, 3), _w(4), [1], [1]),
    Row("aten.conv_transpose3d.input", f32(1, 3, 5, 5, 5), _w(3, 4, 3, 3, 3), None, [1], [2]),
    Row("aten.conv_transpose3d.input", f32(1, 3, 5, 5, 5), _w(3, 4, 4, 4, 4), None, [2], [3]),
    Row("aten.conv_transpose3d.input", f32(3, 3, 4, 5), _w(3, 4, 2, 2, 2), None, [4], [1], [2]),
    Row(
        "aten.conv_transpose3d.input",
        f32(1, 4, 3, 4, 5),
        _w(4, 2, 3, 2, 3),
        _w(4),
        [3, 2, 1],
        [2, 0, 1],
        [2, 1, 0],
        2,
        [2, 1, 3],
    ),
    Row(
        "aten.conv_transpose3d.input",
        f32(1, 3, 3, 4, 5),
        f32(3, 4, 2, 2, 2),
        None,
        [2],
        label="live",
    ),
    Row(
        "aten.conv_transpose3d.input",
        f32(2, 3, 3, 4, 5),
        _w(3, 4, 3, 2, 2),
        _w(4),
        [2, 2, 2],
        label="dynamic",
        dynamic={0: [0]},
        also=[[f32(3, 3, 3, 4, 5)]],
    ),
]
