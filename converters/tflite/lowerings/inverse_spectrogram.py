"""The inverse of a spectrogram: all frames by one matrix, then added where they overlap."""

from __future__ import annotations

import numpy as np

from ..context import Context
from ..errors import unsupported
from ..ir import Array, Value
from ..lowering import lowers
from ..sizes import Size
from .fourier import inverse_real_matrix
from .linear import fully_connected

_BY_ROOT, _BY_SIZE = 1, 2
_LEAST = 1e-11  # PyTorch refuses windows whose sum of squares is smaller anywhere


@lowers("complex.aten.istft")
def istft(
    ctx: Context,
    x: Value,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Value | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: Size | None = None,
    return_complex: bool = False,
) -> Value:
    """istft(self, int n_fft, int? hop_length, …, int? length) -> FULLY_CONNECTED, PAD, ADD, MUL.

    A frame is cut into pieces of a hop's length, so that each row of the sum has one piece of
    each frame that reaches it.
    """
    if return_complex:
        raise unsupported("return_complex", True, "take the real part")
    half = n_fft // 2 + 1  # what is behind stands for the same numbers again
    batch = ctx.slice(ctx.reshape(x, (*([1] * (4 - x.rank)), *x.shape)), 1, 0, half)
    count = ctx.static(batch.shape[2], "self")
    hop = hop_length or n_fft // 4
    shape = _window(ctx, window, win_length or n_fft, n_fft)
    pieces = -(-n_fft // hop)
    mode = _BY_ROOT if normalized else _BY_SIZE
    matrix = inverse_real_matrix(n_fft, mode) * shape[:, None]
    matrix = np.pad(matrix, ((0, pieces * hop - n_fft), (0, 0))).astype(np.float32)
    columns = ctx.reshape(ctx.transpose(batch, (0, 2, 3, 1)), (batch.shape[0], count, 2 * half))
    frames = fully_connected(ctx, columns, ctx.constant(matrix))
    total: Value | None = None
    for piece in range(pieces):
        part = ctx.slice(frames, 2, piece * hop, hop)
        placed = ctx.pad(part, [(0, 0), (piece, pieces - 1 - piece), (0, 0)])
        total = placed if total is None else ctx.emit("ADD", total, placed)
    assert total is not None
    signal = ctx.reshape(total, (batch.shape[0], (count + pieces - 1) * hop))
    start = n_fft // 2 if center else 0
    whole = n_fft + hop * (count - 1)
    wanted = ctx.static(ctx.shape[-1], "length")
    there = min(wanted, whole - start)
    envelope = _envelope(shape, hop, count)[start : start + there]
    if envelope.size == 0 or envelope.min() <= _LEAST:
        raise unsupported("window", "zero where no frame overlaps", "as PyTorch does")
    cut = ctx.slice(signal, 1, start, there)
    made = ctx.emit("MUL", cut, ctx.constant((1 / envelope).astype(np.float32)[None]))
    return ctx.reshape(ctx.pad(made, [(0, 0), (0, wanted - there)]), ctx.shape)


def _window(ctx: Context, window: Value | None, size: int, points: int) -> Array:
    """The window ``[points]``, with zeros on both sides if it is shorter."""
    if window is not None and (window.data is None or window in ctx.complexes):
        raise unsupported("window", "computed", "a constant of real numbers")
    given = np.ones(size) if window is None else np.asarray(window.data, np.float64)
    left = (points - size) // 2
    return np.pad(given, (left, points - size - left))


def _envelope(window: Array, hop: int, count: int) -> Array:
    """Sum of the squares of all frames' windows."""
    total = np.zeros(len(window) + hop * (count - 1))
    for frame in range(count):
        total[frame * hop : frame * hop + len(window)] += window**2
    return total
