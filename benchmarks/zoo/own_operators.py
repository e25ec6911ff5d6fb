"""Small nets around operators that few models use, in the settings that converters get wrong."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .registry import Inputs, Kind
from .signals import image


class TransposedConvolutions(nn.Module):
    """Groups, dilation, output_padding, asymmetric strides; in one and three dimensions too."""

    def __init__(self) -> None:
        super().__init__()
        self.grouped = nn.ConvTranspose2d(8, 12, 3, stride=2, padding=1, groups=4)
        self.dilated = nn.ConvTranspose2d(12, 6, 3, padding=2, dilation=2)
        self.padded = nn.ConvTranspose2d(6, 4, (3, 5), (3, 2), (0, 1), output_padding=(2, 1))
        self.depthwise = nn.ConvTranspose2d(4, 4, 4, stride=2, padding=1, groups=4, bias=False)
        self.line = nn.ConvTranspose1d(4, 3, 4, stride=3, output_padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run on maps ``[n, 8, h, w]``."""
        y = F.relu(self.dilated(F.relu(self.grouped(x))))
        y = self.depthwise(F.relu6(self.padded(y)))
        line: Tensor = self.line(y.mean(dim=2))
        return y, line


class Sampling(nn.Module):
    """grid_sample at learned places, bicubic, nearest and antialiased resizing, roll, flip."""

    def __init__(self) -> None:
        super().__init__()
        self.offsets = nn.Conv2d(8, 2, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run on maps ``[n, 8, h, w]``."""
        places = torch.tanh(self.offsets(x)).permute(0, 2, 3, 1) * 1.2
        warped = F.grid_sample(x, places, padding_mode="border", align_corners=False)
        zeros = F.grid_sample(x, places, align_corners=True)
        bicubic = F.interpolate(warped + zeros, scale_factor=1.7, mode="bicubic")
        nearest = F.interpolate(x.roll((1, -2), (2, 3)), size=(9, 31), mode="nearest")
        smooth = F.interpolate(x.flip(3), size=(5, 6), mode="bilinear", antialias=True)
        return bicubic, nearest, smooth


class Einsums(nn.Module):
    """einsum in the forms of attention and bilinear layers, baddbmm, outer products."""

    def __init__(self) -> None:
        super().__init__()
        self.core = nn.Parameter(torch.randn(6, 10, 10) * 0.3)
        self.heads = nn.Parameter(torch.randn(10, 4, 5) * 0.3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run on sequences ``[n, length, 10]``."""
        heads = torch.einsum("bld,dhk->blhk", x, self.heads)
        scores = torch.einsum("blhk,bmhk->bhlm", heads, heads).softmax(-1)
        mixed = torch.einsum("bhlm,bmhk->blhk", scores, heads).flatten(2)
        bilinear = torch.einsum("bld,ode,ble->blo", x, self.core, x)
        outer = torch.baddbmm(x @ x.mT, mixed, mixed.transpose(1, 2), beta=0.5, alpha=0.1)
        return bilinear, outer


class Volumes(nn.Module):
    """3-D convolutions with strides, dilation and groups, 3-D pools, a transposed one."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(2, 8, 3, stride=(1, 2, 2), padding=1), nn.BatchNorm3d(8), nn.ReLU(),
            nn.MaxPool3d(2, stride=(1, 2, 2)), nn.Conv3d(8, 8, 3, padding=2, dilation=2, groups=2),
            nn.LeakyReLU(0.2), nn.AvgPool3d(2), nn.ConvTranspose3d(8, 3, 2, stride=2),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Run on volumes ``[n, 2, d, h, w]``."""
        volume: Tensor = self.body(x)
        return volume


class Scans(nn.Module):
    """Cumulative and scatter operators, sorting, one-hot, triangular masks, where."""

    def forward(self, x: Tensor, index: Tensor) -> tuple[Tensor, ...]:
        """Run on ``[n, length, 10]`` and indices ``[n, length]`` below 10."""
        sums = x.cumsum(1)
        products = torch.sigmoid(x).cumprod(1)
        counts = torch.zeros_like(x).scatter_add(2, index.unsqueeze(-1), x[..., :1])
        placed = x.scatter(2, index.unsqueeze(-1), 1.0)
        classes = F.one_hot(index, 10).float() * x
        ordered, order = x.sort(dim=-1, descending=True)
        lower = torch.tril(x @ x.mT, diagonal=-1)
        chosen = torch.where(x > sums, x, products)
        taken = x.index_select(2, torch.tensor([9, 0, 3])).masked_fill(index.unsqueeze(-1) > 4, 0.0)
        return sums, products, counts, placed, classes, ordered, order, lower, chosen, taken


class Norms(nn.Module):
    """Every norm, at odd axes and without affine parts, and activations that are rarely used."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LayerNorm((8, 12, 14))
        self.rms = nn.RMSNorm(14)
        self.instance = nn.InstanceNorm2d(8, affine=True)
        self.group = nn.GroupNorm(2, 8)
        self.local = nn.LocalResponseNorm(3)

    def forward(self, x: Tensor) -> Tensor:
        """Run on maps ``[n, 8, 12, 14]``."""
        x = F.mish(self.layer(x)) + F.softplus(self.rms(x))
        x = F.selu(self.instance(x)) + F.celu(self.group(x), alpha=0.7)
        x = F.hardtanh(self.local(x), -1.5, 0.5) + F.softsign(x) + F.logsigmoid(x)
        x = F.normalize(x, dim=1) + F.softmin(x, dim=2) + F.hardshrink(x, 0.3)
        return F.pad(F.pad(x, (2, 1, 1, 3), mode="reflect"), (1, 1, 2, 2), mode="replicate")


class Shuffles(nn.Module):
    """Pixel and channel shuffles, unfold and fold, chunks, repeats, strided and negative slices."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 16, 3, padding="same", dilation=2, padding_mode="circular")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run on maps ``[n, 8, h, w]`` of even sizes."""
        wide = F.pixel_shuffle(self.conv(x), 2)
        mixed = F.channel_shuffle(F.pixel_unshuffle(wide, 2), 4)
        first, second = mixed.chunk(2, dim=1)
        columns = F.unfold(first, 3, padding=1, stride=2)
        folded = F.fold(columns, x.shape[2:], 3, padding=1, stride=2)
        strided = second[:, 1::3, -8:-1:2, ::4].repeat(1, 2, 1, 1)
        return folded, strided, second.repeat_interleave(2, dim=3).movedim(1, -1)


class ConvexUpsampling(nn.Module):
    """Each fine cell a weighted mean of coarse neighbours, over tensors of seven axes (RAFT)."""

    def __init__(self) -> None:
        super().__init__()
        self.flow = nn.Conv2d(8, 2, 3, padding=1)
        self.weights = nn.Conv2d(8, 9 * 4 * 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run on maps ``[n, 8, h, w]``."""
        batch, _, height, width = x.shape
        weights = self.weights(x).view(batch, 1, 9, 4, 4, height, width).softmax(dim=2)
        around = F.unfold(self.flow(x), 3, padding=1).view(batch, 2, 9, 1, 1, height, width)
        fine = (weights * around).sum(dim=2).permute(0, 1, 4, 2, 5, 3)
        return fine.reshape(batch, 2, 4 * height, 4 * width)


def maps(kind: Kind) -> Inputs:
    """Feature maps ``[1, 8, 12, 14]``."""
    return Inputs(args=(image(kind, 1, 8, 12, 14),))


def sequences(kind: Kind) -> Inputs:
    """Two sequences ``[2, 7, 10]``."""
    return Inputs(args=(image(kind, 2, 7, 10),))


def volumes(kind: Kind) -> Inputs:
    """A volume ``[1, 2, 9, 16, 18]``."""
    return Inputs(args=(image(kind, 1, 2, 9, 16, 18),))


def indexed_sequences(kind: Kind) -> Inputs:
    """Two sequences, and an index into each step."""
    index = torch.arange(14).reshape(2, 7) * 3 % 10
    return Inputs(args=(image(kind, 2, 7, 10), index))


NETS: list[tuple[str, Callable[[], nn.Module], Callable[[Kind], Inputs]]] = [
    ("transposed_convolutions", TransposedConvolutions, maps),
    ("sampling", Sampling, maps),
    ("einsums", Einsums, sequences),
    ("volumes", Volumes, volumes),
    ("scans", Scans, indexed_sequences),
    ("norms", Norms, maps),
    ("shuffles", Shuffles, maps),
    ("convex_upsampling", ConvexUpsampling, maps),
]
