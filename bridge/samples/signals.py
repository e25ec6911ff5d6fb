"""Images and sound as cameras and microphones give them: smooth structure, and noise on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .ranges import channel_axis

Floats = NDArray[np.float64]

_WAVES = 6
_PATCHES = 3
_NOISE = (0.0, 0.02, 0.05, 0.15)  # deviations, as parts of the contrast
_LEAST_CONTRAST = 0.3
_TONES = 5


def draw_image(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Draw images ``[N, C, H, W]``, ``[N, H, W, C]`` or videos of either layout, in 0..1.

    Each is a sum of a few smooth waves with rectangles on it, whose channels resemble each other,
    of random brightness and contrast, with noise of a random strength.
    """
    axis = channel_axis(shape)
    assert axis is not None, f"{shape} is no shape of images"
    channels_last = axis == len(shape) - 1
    height, width = shape[-3:-1] if channels_last else shape[-2:]
    frames = [each for place, each in enumerate(shape) if place != axis][:-2]
    pictures = np.stack(
        [_picture(shape[axis], height, width, rng) for _ in range(int(np.prod(frames)))]
    )
    laid_out = pictures.reshape(*frames, shape[axis], height, width)
    return np.ascontiguousarray(np.moveaxis(laid_out, len(frames), axis))


def draw_waveform(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Draw sound ``[..., L]`` in -1..1: tones that swell and fade, and noise."""
    length = shape[-1]
    time = np.arange(length) / length
    rows = []
    for _ in range(int(np.prod(shape[:-1]))):
        cycles = np.exp(rng.uniform(np.log(2), np.log(max(3, length / 8)), _TONES))
        phase, centre, width = (rng.random(_TONES) for _ in range(3))
        swell = np.exp(-(((time[:, None] - centre) / (0.1 + width)) ** 2))
        tones = (np.sin(2 * np.pi * (time[:, None] * cycles + phase)) * swell).sum(1)
        sound = tones / max(1e-9, np.abs(tones).max()) + rng.normal(0, rng.choice(_NOISE), length)
        rows.append(sound / np.abs(sound).max() * rng.uniform(0.1, 1.0))
    return np.stack(rows).reshape(shape)


def _picture(channels: int, height: int, width: int, rng: np.random.Generator) -> Floats:
    """One image ``[C, H, W]`` in 0..1."""
    down, across = rng.uniform(-4, 4, (2, _WAVES, 1))
    y = 2 * np.pi * (np.linspace(0, 1, height) * down + rng.random((_WAVES, 1)))
    x = 2 * np.pi * np.linspace(0, 1, width) * across
    waves = np.cos(y)[:, :, None] * np.cos(x)[:, None] - np.sin(y)[:, :, None] * np.sin(x)[:, None]
    strength = 1 / np.arange(1, _WAVES + 1)
    tint = rng.uniform(0.5, 1.0, (channels, 1)) + 0.3 * rng.normal(size=(channels, _WAVES))
    image = np.tensordot(tint * strength, waves, 1)  # the sum of waves cos(y + x), by channel
    for _ in range(_PATCHES):
        top, left = rng.integers(height), rng.integers(width)
        tall, wide = rng.integers(1, height // 2 + 2), rng.integers(1, width // 2 + 2)
        image[:, top : top + tall, left : left + wide] += rng.normal(size=(channels, 1, 1))
    image -= image.min()
    image /= max(1e-9, image.max())
    contrast = rng.uniform(_LEAST_CONTRAST, 1.0)
    noise = rng.choice(_NOISE)
    if noise:
        image += noise * rng.standard_normal(image.shape, np.float32)
    image *= contrast
    image += rng.uniform(0, 1 - contrast)
    return np.clip(image, 0.0, 1.0, out=image)
