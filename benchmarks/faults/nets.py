"""Small networks of our own that hold what the zoo's models lack a site for."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Pieces(nn.Module):
    """Pooling, resizing, slices, gathers, clamps, square weights and axes of equal size."""

    order: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, 12, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(12)
        self.dilated = nn.Conv2d(12, 12, 3, padding=2, dilation=2)
        self.low, self.high = nn.Conv2d(24, 12, 1), nn.Conv2d(12, 12, 1)
        self.square = nn.Linear(12, 12)
        self.scale = nn.Parameter(torch.rand(12, 1) + 0.5)
        self.shift = nn.Parameter(torch.rand(1, 12) - 0.5)
        self.layer_norm = nn.LayerNorm(12)
        self.heads = nn.Linear(12, 36)
        self.leave = nn.Linear(12, 5)
        self.register_buffer("order", torch.arange(12).flip(0) * 5 % 12)

    def forward(self, x: Tensor) -> Tensor:
        """Give five positive numbers for each image ``[n, 3, 24, 24]``."""
        x = F.leaky_relu(self.norm(self.enter(x)), 0.1)
        x = x + F.elu(self.dilated(x), 0.7)
        pooled = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        wide = F.interpolate(pooled, scale_factor=2, mode="bilinear", align_corners=False)
        x = torch.cat([wide, F.hardswish(x)], dim=1)
        x = F.gelu(self.low(x), approximate="tanh")
        near = F.interpolate(F.max_pool2d(x, 2), scale_factor=2, mode="nearest")
        x = F.softplus(self.high(x - near))
        edge = F.interpolate(x, size=(12, 12), mode="bilinear", align_corners=True)
        rows = edge.mean(dim=3)[:, :, :12]  # [n, 12, 12]: no size tells the axes apart
        rows = self.square(rows) * self.scale + self.shift
        rows = rows.index_select(1, self.order).clamp(-1.5, 1.5)
        rows = rows.transpose(1, 2) + torch.softmax(rows, dim=1)
        q, k, v = self.heads(self.layer_norm(rows)).chunk(3, dim=-1)
        rows = torch.softmax(q @ k.transpose(1, 2) / 12**0.5, dim=-1) @ v
        rows = rows[:, 1:] - rows[:, :-1]
        deviation = torch.sqrt(rows.square().mean(dim=2, keepdim=True) + 1e-5)
        picked = (rows / deviation).amax(dim=1)
        energies: Tensor = torch.log(self.leave(picked).square() + 1e-3)
        return energies


class Encoder(nn.Module):
    """Pre-norm attention blocks, written with the plain operators that exporters see."""

    def __init__(self, width: int = 32, depth: int = 3) -> None:
        super().__init__()
        self.embed = nn.Linear(8, width)
        self.position = nn.Parameter(torch.zeros(1, 16, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * depth + 1))
        self.wide = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(depth))
        self.mix = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.up = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(depth))
        self.down = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(depth))
        self.depth = depth

    def forward(self, x: Tensor) -> Tensor:
        """Encode ``[n, 16, 8]``."""
        x = self.embed(x) + self.position
        for level in range(self.depth):
            inner = self.norms[2 * level](x)
            n, steps, width = inner.shape
            q, k, v = (
                each.reshape(n, steps, 4, width // 4).permute(0, 2, 1, 3)
                for each in self.wide[level](inner).chunk(3, dim=-1)
            )
            scores = torch.softmax(q @ k.transpose(2, 3) * (width // 4) ** -0.5, dim=-1)
            mixed = (scores @ v).permute(0, 2, 1, 3).reshape(n, steps, width)
            x = x + self.mix[level](mixed)
            inner = self.up[level](self.norms[2 * level + 1](x))
            x = x + self.down[level](F.gelu(inner))
        y: Tensor = self.norms[-1](x)
        return y


def convnext() -> nn.Module:
    """ConvNeXt of a few narrow stages."""
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    stages = [CNBlockConfig(16, 32, 1), CNBlockConfig(32, 48, 2), CNBlockConfig(48, None, 1)]
    return ConvNeXt(stages, layer_scale=1.0, num_classes=10)


def swin() -> nn.Module:
    """Swin of two narrow stages, windows shifted in every other block."""
    from torchvision.models.swin_transformer import SwinTransformer

    return SwinTransformer([4, 4], 24, [2, 2], [2, 4], [4, 4], num_classes=10)


def vit() -> nn.Module:
    """ViT of three narrow blocks."""
    from torchvision.models.vision_transformer import VisionTransformer

    return VisionTransformer(32, 8, 3, 4, 32, 64, num_classes=10)


def resnet() -> nn.Module:
    """ResNet of one basic block in each stage."""
    from torchvision.models.resnet import BasicBlock, ResNet

    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10)


def mobilenet_v2() -> nn.Module:
    """MobileNetV2 at a third of its width, six blocks."""
    from torchvision.models import mobilenet_v2 as build

    settings = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 2, 2], [6, 64, 1, 2]]
    return build(width_mult=0.35, inverted_residual_setting=settings, num_classes=10)


def mobilenet_v3() -> nn.Module:
    """MobileNetV3 small at half its width."""
    from torchvision.models import mobilenet_v3_small as build

    return build(width_mult=0.5, num_classes=10)


def shufflenet_v2() -> nn.Module:
    """ShuffleNetV2 with two blocks in each stage."""
    from torchvision.models.shufflenetv2 import ShuffleNetV2

    return ShuffleNetV2([2, 3, 2], [24, 32, 48, 64, 128], num_classes=10)


def efficientnet() -> nn.Module:
    """EfficientNet of five narrow blocks with squeeze and excitation."""
    from torchvision.models.efficientnet import EfficientNet, MBConvConfig

    # expansion, kernel, stride, channels before and after, how often
    blocks = [
        (1, 3, 1, 16, 12, 1), (6, 3, 2, 12, 16, 2), (6, 5, 2, 16, 24, 2), (6, 3, 1, 24, 32, 1),
    ]  # fmt: skip
    return EfficientNet([MBConvConfig(*each) for each in blocks], 0.0, num_classes=10)
