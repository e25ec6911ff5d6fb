"""Complex numbers: real tensors go in and come out, since a file can hold no others."""

from __future__ import annotations

import torch

from . import Row, const, f32

Z = f32(2, 3, 4, 2)
W = f32(3, 4, 2, seed=1)


def complex_of(x: torch.Tensor) -> torch.Tensor:
    return torch.view_as_complex(x)


def parts_of(z: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(z.resolve_conj())


ROWS = [
    Row("aten.view_as_complex", Z, call=lambda x: parts_of(complex_of(x))),
    Row("aten.view_as_real", Z, call=lambda x: parts_of(-complex_of(x))),
    Row("aten.neg", Z, call=lambda x: parts_of(-complex_of(x)), label="complex"),
    Row("aten.real", Z, call=lambda x: complex_of(x).real),
    Row("aten.imag", Z, call=lambda x: complex_of(x).imag),
    Row("aten.complex", f32(2, 3), f32(2, 3), call=lambda x, y: parts_of(torch.complex(x, y))),
    Row("aten.complex", f32(2, 3), f32(3), call=lambda x, y: parts_of(torch.complex(x, y))),
    Row("aten.polar", f32(2, 3), f32(2, 3), call=lambda x, y: parts_of(torch.polar(x, y))),
    Row("aten.abs", Z, call=lambda x: complex_of(x).abs(), label="complex"),
    Row("aten.angle", Z, call=lambda x: complex_of(x).angle()),
    Row("aten.conj", Z, call=lambda x: parts_of(complex_of(x).conj() * 2)),
    Row("aten._conj", Z, call=lambda x: parts_of(torch.conj(complex_of(x)) + 1)),
    Row("aten._conj_physical", Z, call=lambda x: parts_of(torch.conj_physical(complex_of(x)))),
    Row("aten.resolve_conj", Z, call=lambda x: parts_of(complex_of(x).conj())),
    Row("aten.add", Z, W, call=lambda x, y: parts_of(complex_of(x) + complex_of(y))),
    Row("aten.add", Z, f32(3, 4), call=lambda x, y: parts_of(complex_of(x) + y)),
    Row("aten.add", Z, call=lambda x: parts_of(complex_of(x) + 2.5), label="complex"),
    Row(
        "aten.add", Z, W, call=lambda x, y: parts_of(complex_of(x).add(complex_of(y), alpha=0.5)),
        label="alpha",
    ),
    Row("aten.sub", Z, f32(4), call=lambda x, y: parts_of(y - complex_of(x))),
    Row("aten.mul", Z, W, call=lambda x, y: parts_of(complex_of(x) * complex_of(y))),
    Row("aten.mul", Z, const(W), call=lambda x, y: parts_of(complex_of(x) * complex_of(y))),
    Row("aten.mul", Z, f32(3, 4), call=lambda x, y: parts_of(y * complex_of(x))),
    Row("aten.mul", Z, call=lambda x: parts_of(complex_of(x) * (0.5 - 2j)), label="number"),
    Row("aten.div", Z, W, call=lambda x, y: parts_of(complex_of(x) / complex_of(y))),
    Row("aten.div", Z, f32(3, 4), call=lambda x, y: parts_of(complex_of(x) / (y + 3))),
    Row(
        "aten.mul", f32(1, 5, 2, 4, 2), const(f32(5, 4, 2)), label="rotation",
        call=lambda x, y: parts_of(complex_of(x) * complex_of(y)[None, :, None]).flatten(3),
    ),
    Row("aten._to_copy", f32(2, 3), call=lambda x: parts_of(x.to(torch.complex64))),
    Row("aten.to", Z, call=lambda x: parts_of(complex_of(x).to(torch.complex128) * 2)),
    Row("aten.view", Z, call=lambda x: parts_of(complex_of(x).view(6, 4))),
    Row("aten.reshape", Z, call=lambda x: parts_of(complex_of(x).mT.reshape(2, -1))),
    Row("aten.flatten", Z, call=lambda x: parts_of(complex_of(x).flatten(1)), label="complex"),
    Row("aten.unflatten", Z, call=lambda x: parts_of(complex_of(x).unflatten(-1, (2, 2)))),
    Row("aten.unsqueeze", Z, call=lambda x: parts_of(complex_of(x).unsqueeze(-1))),
    Row("aten.squeeze", Z, call=lambda x: parts_of(complex_of(x)[:1].squeeze(0))),
    Row(
        "aten._unsafe_view", Z,
        call=lambda x: parts_of(torch.ops.aten._unsafe_view(complex_of(x), [6, 4])),
    ),
    Row("aten.alias", Z, call=lambda x: parts_of(torch.ops.aten.alias(complex_of(x)))),
    Row("aten.clone", Z, call=lambda x: parts_of(complex_of(x).clone() * 2)),
    Row("aten.contiguous", Z, call=lambda x: parts_of(complex_of(x).mT.contiguous())),
    Row("aten.detach", Z, call=lambda x: parts_of(complex_of(x).detach() + 1)),
    Row("aten.resolve_neg", Z, call=lambda x: complex_of(x).conj().imag.resolve_neg()),
    Row("aten.expand", Z, call=lambda x: parts_of(complex_of(x)[:1].expand(5, -1, -1))),
    Row("aten.permute", Z, call=lambda x: parts_of(complex_of(x).permute(2, -3, 1))),
    Row("aten.transpose", Z, call=lambda x: parts_of(complex_of(x).transpose(0, -1))),
    Row("aten.select", Z, call=lambda x: parts_of(complex_of(x)[:, -1])),
    Row("aten.slice", Z, call=lambda x: parts_of(complex_of(x)[:, 1:])),
    Row("aten.slice", Z, call=lambda x: parts_of(complex_of(x)[..., ::2]), label="step"),
    Row(
        "aten.cat", Z, Z,
        call=lambda x, y: parts_of(torch.cat([complex_of(x), complex_of(y)], -1)),
    ),
    Row(
        "aten.cat", Z, f32(2, 3, 4), unsupported="make all of them complex",
        call=lambda x, y: parts_of(torch.cat([complex_of(x), y])),
    ),
    Row("aten.view_as_complex", Z, call=complex_of, unsupported="view_as_real", label="output"),
]  # fmt: skip
