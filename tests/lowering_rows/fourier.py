"""Discrete Fourier transforms in all directions and normalisations."""

from __future__ import annotations

import torch

from . import Row, f32

X = f32(2, 6, 5)


def parts(z: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(z)


ROWS = [
    Row("aten._fft_r2c", X, call=lambda x: parts(torch.fft.rfft(x))),
    Row("aten._fft_r2c", X, call=lambda x: parts(torch.fft.rfft(x, dim=1, norm="ortho")), label="1"),
    Row("aten._fft_r2c", X, call=lambda x: parts(torch.fft.rfft(x, n=8)), label="padded"),
    Row("aten._fft_r2c", X, call=lambda x: parts(torch.fft.rfft(x, n=3)), label="cut"),
    Row("aten._fft_r2c", X, call=lambda x: parts(torch.fft.fft(x, norm="forward")), label="whole"),
    Row("aten._fft_r2c", X, call=lambda x: parts(torch.fft.rfft2(x, norm="ortho")), label="2d"),
    Row("aten._fft_r2c", X, call=lambda x: torch.fft.fftn(x, dim=(1, 2)).real, label="real"),
    Row("aten._fft_r2c", f32(2, 64, 400), call=lambda x: parts(torch.fft.rfft(x)), label="long"),
    Row("aten._fft_r2c", f32(1, 4096), call=torch.fft.rfft, unsupported="4096 points"),
    Row("aten._fft_c2c", f32(3, 4, 5, 2), call=lambda x: parts(torch.fft.fft(torch.view_as_complex(x)))),
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
    Row("aten._fft_c2r", X, call=lambda x: torch.fft.irfft2(torch.fft.rfft2(x), s=(6, 5)), label="back"),
]  # fmt: skip
