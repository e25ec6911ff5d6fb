"""Inputs of each domain: random ones, and structured ones that a random draw never gives.

Structured images have ramps, hard edges, flat areas and sine waves; structured text has padding
behind a mask; structured audio is a sweep followed by silence.
"""

from __future__ import annotations

import math

import torch

from .registry import Inputs, Kind


def image(kind: Kind, *shape: int, seed: int = 0) -> torch.Tensor:
    """Return images ``[batch, channels, *sizes]`` of about unit variance.

    Args:
        kind: Random, or patterns: one after another over the channels, shifted along leading axes.
        shape: Its shape, of rank 3 (signals), 4 (images) or 5 (videos).
        seed: Seed of a random draw.
    """
    if kind == "random":
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    *leading, height, width = shape if len(shape) > 3 else (*shape[:-1], 1, shape[-1])
    y = torch.linspace(-1.0, 1.0, height).reshape(-1, 1)
    x = torch.linspace(-1.0, 1.0, width).reshape(1, -1)
    count = math.prod(leading)
    planes = torch.stack([_pattern(index, y, x) for index in range(count)])
    return planes.reshape(shape)


def _pattern(index: int, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    shift = 0.1 * (index // 3)
    if index % 3 == 0:
        return 1.5 * (x + shift) + 0.5 * y  # a ramp
    if index % 3 == 1:
        inside = ((x - shift).abs() < 0.5) & (y.abs() < 0.5)
        return torch.where(inside, 2.0, 0.0) + 0.0 * x * y  # a square on a flat ground
    return 1.5 * torch.sin(18.0 * (x + shift)) * torch.cos(9.0 * y)


def tokens(
    kind: Kind, length: int, vocabulary: int, *, batch: int = 1, seed: int = 0
) -> torch.Tensor:
    """Return token ids ``[batch, length]``; structured ones end in padding (id 1)."""
    if kind == "random":
        draw = torch.Generator().manual_seed(seed)
        return torch.randint(2, vocabulary, (batch, length), generator=draw)
    ids = torch.arange(batch * length).reshape(batch, length) * 7 % (vocabulary - 2) + 2
    return torch.where(mask(kind, length, batch=batch) == 1, ids, 1)


def mask(kind: Kind, length: int, *, batch: int = 1) -> torch.Tensor:
    """Return an attention mask ``[batch, length]``: 0 for the padding at the end, 1 elsewhere."""
    kept = length if kind == "random" else length - length // 3
    return (torch.arange(length) < kept).to(torch.int64).repeat(batch, 1)


def text(kind: Kind, length: int, vocabulary: int, *, masked: bool = True) -> Inputs:
    """Return the inputs of a language model: ``input_ids`` and, if asked, ``attention_mask``."""
    kwargs = {"input_ids": tokens(kind, length, vocabulary)}
    if masked:
        kwargs["attention_mask"] = mask(kind, length)
    return Inputs(kwargs=kwargs)


def audio(kind: Kind, *shape: int, seed: int = 0) -> torch.Tensor:
    """Return signals along the last axis; structured ones sweep upwards, then fall silent."""
    if kind == "random":
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    time = torch.linspace(0.0, 1.0, shape[-1])
    sweep = torch.sin(2 * math.pi * (4.0 * time + 0.1 * shape[-1] * time.square()))
    sweep = torch.where(time < 0.8, sweep, 0.0)
    rows = torch.arange(1, 1 + math.prod(shape[:-1])).reshape(-1, 1)
    return (sweep * (1.0 + 0.5 * torch.sin(rows.float()))).reshape(shape)
