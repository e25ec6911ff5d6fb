"""Networks of our own for what the packages' lack: U-Nets, recurrent nets, 1-D audio nets."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import detection, own_operators
from .registry import Group, Inputs, Kind, Model
from .signals import audio, image, mask, tokens

VOCABULARY = 200
LENGTH = 20


class Block(nn.Module):
    """Convolution, norm, PReLU."""

    def __init__(self, channels_in: int, channels: int, norm: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.norm = norm
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        y: Tensor = self.act(self.norm(self.conv(x)))
        return y


class UNet(nn.Module):
    """Two levels down and up again, on maps of odd sizes too.

    One way up is a transposed convolution with ``output_padding``, the other is bilinear.
    """

    def __init__(self) -> None:
        super().__init__()
        self.enter = Block(3, 8, nn.InstanceNorm2d(8, affine=True))
        self.down = Block(8, 16, nn.GroupNorm(4, 16))
        self.deep = Block(16, 32, nn.GroupNorm(8, 32))
        self.up = nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1, output_padding=1)
        self.join = Block(32, 16, nn.InstanceNorm2d(16))
        self.narrow = nn.Conv2d(16, 8, 1)
        self.last = Block(16, 8, nn.BatchNorm2d(8))
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Segment images ``[n, 3, h, w]``."""
        first = self.enter(x)
        second = self.down(F.max_pool2d(first, 2))
        deep = self.deep(F.avg_pool2d(second, 2, ceil_mode=True, count_include_pad=False))
        up = self.up(deep)[..., : second.shape[2], : second.shape[3]]
        joined = self.join(torch.cat([up, second], 1))
        wide = F.interpolate(self.narrow(joined), first.shape[2:], mode="bilinear")
        logits: Tensor = self.head(self.last(torch.cat([wide, first], 1)))
        return logits


class DeepUNet(nn.Module):
    """A U-Net of plain transposed convolutions (kernel 2, stride 2), as most exported ones are."""

    def __init__(self) -> None:
        super().__init__()
        widths = (8, 16, 32)
        self.down = nn.ModuleList(
            Block(a, b, nn.BatchNorm2d(b)) for a, b in zip((3, *widths), widths, strict=False)
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.join = nn.ModuleList(Block(2 * a, a, nn.BatchNorm2d(a)) for a in widths[:-1])
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Segment images ``[n, 3, h, w]``."""
        kept: list[Tensor] = []
        for index, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if index else x)
            kept.append(x)
        for index in (1, 0):
            x = self.join[index](torch.cat([self.up[index](x), kept[index]], 1))
        return torch.sigmoid(self.head(x))


class Tagger(nn.Module):
    """Embeddings, a bidirectional LSTM of two layers, a label for each token."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 24, padding_idx=1)
        self.lstm = nn.LSTM(24, 32, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(64, 9)

    def forward(self, ids: Tensor) -> Tensor:
        """Tag token ids ``[n, length]``."""
        states, _ = self.lstm(self.embedding(ids))
        return F.log_softmax(self.head(states), dim=-1)


class GRUClassifier(nn.Module):
    """Masked embeddings, a GRU, a label from its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 24)
        self.gru = nn.GRU(24, 32, num_layers=2, batch_first=True)
        self.head = nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 5), nn.Softmax(-1))

    def forward(self, ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Classify token ids ``[n, length]``."""
        embedded = self.embedding(ids) * attention_mask.unsqueeze(-1).float()
        _, last = self.gru(embedded)
        label: Tensor = self.head(last[-1])
        return label


class CellLoop(nn.Module):
    """An LSTM cell in a Python loop, its states as inputs: one step of a streaming model."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(16, 24)
        self.rnn = nn.RNN(24, 12, nonlinearity="relu")

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run four steps of ``[4, n, 16]``."""
        seen = []
        for step in x.unbind(0):
            h, c = self.cell(step, (h, c))
            seen.append(h)
        return self.rnn(torch.stack(seen))[0], h, c


class AudioNet(nn.Module):
    """Strided and dilated 1-D convolutions, gated; a transposed one back to the input's rate."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv1d(1, 16, 9, stride=4, padding=4)
        self.gates = nn.ModuleList(
            nn.Conv1d(16, 32, 3, padding=2**level, dilation=2**level) for level in range(3)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(16) for _ in range(3))
        self.depthwise = nn.Conv1d(16, 16, 5, padding=2, groups=16)
        self.leave = nn.ConvTranspose1d(16, 1, 8, stride=4, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """Filter signals ``[n, 1, time]``."""
        x = F.leaky_relu(self.enter(x), 0.1)
        for gate, norm in zip(self.gates, self.norms, strict=True):
            x = x + norm(F.glu(gate(x), dim=1))
        filtered: Tensor = self.leave(F.silu(self.depthwise(x)))
        return torch.tanh(filtered)


class KeywordNet(nn.Module):
    """A framed spectrum by a fixed transform, log energies, a small CNN."""

    basis: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        angles = torch.arange(64).reshape(-1, 1) * torch.arange(33).reshape(1, -1) * torch.pi / 32
        self.register_buffer("basis", torch.cat([angles.cos(), angles.sin()], 1))
        self.register_buffer("window", torch.hann_window(64))
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.Hardswish(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=4), nn.ELU(), nn.AdaptiveMaxPool2d(2),
        )  # fmt: skip
        self.head = nn.Linear(64, 6)

    def forward(self, x: Tensor) -> Tensor:
        """Classify signals ``[n, time]``."""
        frames = x.unfold(-1, 64, 32) * self.window
        real, imaginary = (frames @ self.basis).chunk(2, dim=-1)
        energies = torch.log(real.square() + imaginary.square() + 1e-3)
        logits: Tensor = self.head(self.body(energies.unsqueeze(1)).flatten(1))
        return logits


class Enhancer(nn.Module):
    """Speech enhancement: a recurrent mask on a spectrogram, and back to a wave."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(128))
        self.recurrent = nn.GRU(65, 32, batch_first=True)
        self.mask = nn.Linear(32, 65)

    def forward(self, x: Tensor) -> Tensor:
        """Run on waves ``[n, samples]``."""
        spectrum = torch.stft(x, 128, 64, window=self.window, return_complex=True)
        features, _ = self.recurrent(torch.log1p(spectrum.abs()).transpose(1, 2))
        mask = torch.sigmoid(self.mask(features)).transpose(1, 2)
        return torch.istft(spectrum * mask, 128, 64, window=self.window, length=x.shape[1])


def images(kind: Kind) -> Inputs:
    """An image of odd sizes."""
    return Inputs(args=(image(kind, 1, 3, 49, 63),))


def even_images(kind: Kind) -> Inputs:
    """An image of even sizes."""
    return Inputs(args=(image(kind, 1, 3, 48, 64),))


def ids(kind: Kind) -> Inputs:
    """Two rows of tokens."""
    return Inputs(args=(tokens(kind, LENGTH, VOCABULARY, batch=2),))


def masked_ids(kind: Kind) -> Inputs:
    """Two rows of tokens with their mask."""
    rows = tokens(kind, LENGTH, VOCABULARY, batch=2)
    return Inputs(args=(rows, mask(kind, LENGTH, batch=2)))


def steps(kind: Kind) -> Inputs:
    """Four steps and the states before them."""
    states = [torch.full((2, 24), value) for value in (0.1, -0.2)]
    return Inputs(args=(audio(kind, 4, 2, 16), *states))


def wave(kind: Kind) -> Inputs:
    """A signal with a channel."""
    return Inputs(args=(audio(kind, 1, 1, 1000),))


def plain_wave(kind: Kind) -> Inputs:
    """A signal without."""
    return Inputs(args=(audio(kind, 1, 1024),))


def _own(
    name: str, group: Group, build: Callable[[], nn.Module], inputs: Callable[[Kind], Inputs]
) -> Model:
    return Model(name=name, group=group, source="own", build=build, inputs=inputs)


MODELS = [
    _own("unet", "cnn", UNet, images),
    _own("unet_even", "cnn", UNet, even_images),
    _own("deep_unet", "cnn", DeepUNet, even_images),
    _own("lstm_tagger", "recurrent", Tagger, ids),
    _own("gru_classifier", "recurrent", GRUClassifier, masked_ids),
    _own("cell_loop", "recurrent", CellLoop, steps),
    _own("audio_net", "audio", AudioNet, wave),
    _own("keyword_net", "audio", KeywordNet, plain_wave),
    Model(
        name="enhancer",
        group="audio",
        source="own",
        build=Enhancer,
        inputs=plain_wave,
        extra=True,
    ),
    *(_own(name, "other", build, given) for name, build, given in own_operators.NETS),
    _own("detector_topk", "cnn", detection.TopKDetector, even_images),
    Model(
        name="detector_nms",
        group="cnn",
        source="own",
        build=detection.nms_detector,
        inputs=even_images,
        packages=("torchvision",),
    ),
]
