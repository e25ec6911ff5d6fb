"""A small one-stage detector, with its choice of boxes inside: by topk, or by torchvision's nms."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .torchvision_operators import prepare_torchvision

BOXES = 12


class TopKDetector(nn.Module):
    """Boxes as distances from cell centres, of which the best are gathered."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=4, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU6(),
            nn.Conv2d(16, 16, 3, stride=2, padding=1), nn.SiLU(),
        )  # fmt: skip
        self.scores = nn.Conv2d(16, 4, 1)
        self.distances = nn.Conv2d(16, 4, 1)

    def candidates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return all boxes ``[n, cells, 4]`` and their scores by class ``[n, cells, 4]``."""
        features = self.body(x)
        height, width = features.shape[2:]
        rows = (torch.arange(height, device=x.device) + 0.5) * 8
        columns = (torch.arange(width, device=x.device) + 0.5) * 8
        y, x_ = torch.meshgrid(rows, columns, indexing="ij")
        centres = torch.stack([x_, y], dim=-1).reshape(1, -1, 2)
        sides = self.distances(features).exp().mul(8).flatten(2).transpose(1, 2)
        boxes = torch.cat([centres - sides[..., :2], centres + sides[..., 2:]], dim=-1)
        return boxes, self.scores(features).sigmoid().flatten(2).transpose(1, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the best boxes of images ``[n, 3, h, w]``, their scores and classes."""
        boxes, scores = self.candidates(x)
        best, label = scores.max(dim=-1)
        value, index = best.topk(BOXES, dim=1)
        chosen = boxes.gather(1, index.unsqueeze(-1).expand(-1, -1, 4))
        return chosen.clamp(0, 64), value, label.gather(1, index)


class NmsDetector(TopKDetector):
    """The same, with overlapping boxes removed; how many remain depends on the image."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the boxes that remain of the best ones, their scores and classes."""
        from torchvision.ops import nms

        boxes, scores, labels = super().forward(x)
        kept = nms(boxes[0], scores[0], 0.4)
        return boxes[0][kept], scores[0][kept], labels[0][kept]


def nms_detector() -> nn.Module:
    """Build a detector that needs torchvision's operators."""
    prepare_torchvision()
    return NmsDetector()
