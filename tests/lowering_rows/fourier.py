"""Discrete Fourier transforms in all directions and normalisations."""

from __future__ import annotations

import torch

from . import Row, const, f32

X = f32(2, 6, 5)
WINDOW = const(torch.hann_window(64))


def parts(z: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(z)


ROWS = [
    Row("aten._fft_r2c", X, call=lambda x: parts(torch.fft.rfft(x))),
    Row(
        "aten._fft_r2c", X, label="axis",
        call=lambda x: parts(torch.fft.rfft(x, dim=1, norm="ortho")),
    ),
    Row("aten._fft_r2c", X, call=lambda x: parts(torch.fft.rfft(x, n=8)), label="padded"),
    Row("aten._fft_r2c", X, call=lambda x: parts(torch.fft.rfft(x, n=3)), label="cut"),
    Row("aten._fft_r2c", X, call=lambda x: parts(torch.fft.fft(x, norm="forward")), label="whole"),
    Row("aten._fft_r2c", X, call=lambda x: parts(torch.fft.rfft2(x, norm="ortho")), label="2d"),
    Row("aten.fft_fftn", X, call=lambda x: torch.fft.fftn(x, dim=(1, 2)).real),
    Row("aten.fft_fftn", X, call=lambda x: parts(torch.fft.fftn(x, s=(7, 3), norm="ortho"))),
    Row("aten.fft_fftn", f32(3, 4, 5, 2), label="complex",
        call=lambda x: parts(torch.fft.fftn(torch.view_as_complex(x), s=(3, 6), dim=(0, -1)))),
    Row("aten.fft_fft2", X, call=lambda x: parts(torch.fft.fft2(x, norm="forward"))),
    Row("aten._fft_r2c", f32(2, 64, 400), call=lambda x: parts(torch.fft.rfft(x)), label="long"),
    Row("aten._fft_r2c", f32(1, 4096), call=torch.fft.rfft, unsupported="4096 points"),
    Row(
        "aten._fft_c2c", f32(3, 4, 5, 2),
        call=lambda x: parts(torch.fft.fft(torch.view_as_complex(x))),
    ),
    Row(
        "aten._fft_c2c", f32(3, 4, 5, 2), label="inverse",
        call=lambda x: parts(torch.fft.ifft2(torch.view_as_complex(x), dim=(0, -1))),
    ),
    Row("aten._fft_c2r", f32(3, 4, 5, 2), call=lambda x: torch.fft.irfft(torch.view_as_complex(x))),
    Row(
        "aten._fft_c2r", f32(3, 4, 5, 2), label="odd",
        call=lambda x: torch.fft.irfft(torch.view_as_complex(x), n=9, norm="ortho"),
    ),
    Row(
        "aten._fft_c2r", f32(3, 4, 5, 2), label="2d",
        call=lambda x: torch.fft.irfft2(torch.view_as_complex(x), norm="forward"),
    ),
    Row(
        "aten._fft_c2r", X, label="back",
        call=lambda x: torch.fft.irfft2(torch.fft.rfft2(x), s=(6, 5)),
    ),
    Row(
        "aten._fft_r2c", f32(2, 400), WINDOW, label="spectrogram",
        call=lambda x, w: torch.stft(x, 64, 16, window=w, return_complex=True).abs(),
    ),
    Row(
        "aten.istft", f32(1, 33, 20, 2), WINDOW,
        call=lambda x, w: torch.istft(torch.view_as_complex(x), 64, 16, window=w),
    ),
    Row(
        "aten.istft", f32(2, 33, 9, 2), const(torch.hamming_window(48)), label="short window",
        call=lambda x, w: torch.istft(
            torch.view_as_complex(x), 64, 20, 48, w, normalized=True, length=180
        ),
    ),
    Row(
        "aten.istft", f32(33, 7, 2), label="shorter",
        call=lambda x: torch.istft(torch.view_as_complex(x), 64, length=70, center=False),
    ),
    Row(
        "aten.istft", f32(33, 7, 2), label="longer",
        call=lambda x: torch.istft(torch.view_as_complex(x), 64, length=200, center=False),
    ),
    Row(
        "aten.istft", f32(3, 16, 7, 2), label="two sides",
        call=lambda x: torch.istft(torch.view_as_complex(x), 16, onesided=False),
    ),
    Row(
        "aten.istft", f32(2, 400), WINDOW, label="back",
        call=lambda x, w: torch.istft(
            torch.stft(x, 64, 16, window=w, return_complex=True), 64, 16, window=w, length=400
        ),
    ),
    Row(
        "aten.istft", f32(1, 33, 20, 2), WINDOW.tensor,
        call=lambda x, w: torch.istft(torch.view_as_complex(x), 64, 16, window=w),
        unsupported="window",
    ),
]  # fmt: skip
