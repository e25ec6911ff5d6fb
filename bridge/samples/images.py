"""Real inputs from a folder of images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..artifact import TensorSpec
from ..availability import packages_installed
from ..errors import InputError, UnavailableError, UsageError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg")

_SIZE = re.compile(r"(?P<height>\d+)(?:x(?P<width>\d+))?")
_ORDERS = ("rgb", "bgr")


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """How images become inputs.

    Pixels are scaled to 0..1, less ``mean``, over ``std``; for a model that takes whole numbers
    they stay 0..255.

    Attributes:
        resize: Height and width; with ``crop`` a single size is that of the shorter side.
        crop: Height and width of the middle that is kept.
        mean: One number, or one for each channel.
        std: One number, or one for each channel.
        order: ``rgb`` or ``bgr``.
    """

    resize: tuple[int, ...] | None = None
    crop: tuple[int, int] | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    order: str = "rgb"

    @classmethod
    def parse(
        cls,
        *,
        resize: str | None = None,
        crop: str | None = None,
        mean: str | None = None,
        std: str | None = None,
        order: str | None = None,
    ) -> ImageOptions:
        """Read the options of the command line.

        Raises:
            UsageError: A size is not ``224`` or ``224x320``, or a number is none.
        """
        sides = _sides("--resize", resize)
        cropped = _sides("--crop", crop)
        deviations = _numbers("--std", std) or (1.0,)
        if any(each <= 0 for each in deviations):
            raise UsageError(f"--std {std}: it must be greater than 0")
        if order is not None and order not in _ORDERS:
            raise UsageError(f"--channel-order {order} is not known", hint="rgb or bgr")
        return cls(
            resize=sides,
            crop=(cropped[0], cropped[-1]) if cropped else None,
            mean=_numbers("--mean", mean) or (0.0,),
            std=deviations,
            order=order or "rgb",
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ImageOptions:
        """Rebuild options from plain JSON data, as ``dataclasses.asdict`` gives them."""
        resize, crop = data["resize"], data["crop"]
        return cls(
            resize=tuple(resize) if resize else None,
            crop=(crop[0], crop[1]) if crop else None,
            mean=tuple(data["mean"]),
            std=tuple(data["std"]),
            order=data["order"],
        )

    def __str__(self) -> str:
        steps = []
        if self.resize is not None and len(self.resize) == 1 and self.crop:
            steps.append(f"shorter side resized to {self.resize[0]}")
        elif self.resize is not None:
            steps.append(f"resized to {self.resize[0]}x{self.resize[-1]}")
        if self.resize is not None:
            steps[-1] += " (bilinear, antialiased)"
        if self.crop:
            steps.append(f"middle {self.crop[0]}x{self.crop[1]}")
        return ", ".join(steps)


def image_files(folder: Path) -> list[Path]:
    """Return the images in a folder and in the folders in it, in the order of their paths."""
    return sorted(each for each in folder.rglob("*") if each.suffix.lower() in SUFFIXES)


def read_images(
    folder: Path, spec: TensorSpec, options: ImageOptions, most: int | None = None
) -> tuple[NDArray[Any], str]:
    """Read a folder of png and jpeg images as samples of an input.

    Args:
        folder: The folder; images in folders in it count too.
        spec: The input: ``[N, C, H, W]`` or ``[N, H, W, C]`` with 1 channel (grey) or 3 (colour),
            floats or uint8. Images of the other kind are converted.
        options: How they are brought to its size and range.
        most: Most samples to read.

    Returns:
        Samples ``[K, *shape]``, and in words what they are.

    Raises:
        InputError: A file cannot be read, the images do not fit the input, or there are none.
        UnavailableError: Pillow is not installed.
    """
    availability = packages_installed(("pillow",))
    if not availability.available:
        raise UnavailableError(
            f"reading images needs Pillow: {availability.reason}",
            hint="pip install 'driftbridge[images]'",
        )
    axis = _channel_axis(folder, spec)
    _check_type(spec, options)
    batch = spec.shape[0] or 1
    files = image_files(folder)
    files = files[: len(files) // batch * batch]
    if most is not None:
        files = files[: most * batch]
    if not files:
        raise InputError(f"{folder} holds too few images for one sample of {spec}")
    pictures = [_read(file, spec, axis, options) for file in files]
    _check_sizes(files, pictures)
    stacked = np.stack(pictures).reshape(-1, batch, *pictures[0].shape)
    return stacked, _words(folder, len(files), int(spec.shape[axis] or 0), spec, options)


def _channel_axis(folder: Path, spec: TensorSpec) -> int:
    shape = spec.shape
    if len(shape) == 4:
        for axis in (1, 3):
            if shape[axis] in (1, 3):
                return axis
    raise InputError(
        f"the images of {folder} do not fit {spec}",
        hint="a folder of images goes with an input Nx3xHxW or NxHxWx3 (colour), "
        "or with 1 in place of 3 (grey)",
    )


def _check_type(spec: TensorSpec, options: ImageOptions) -> None:
    channels = next(size for size in (spec.shape[1], spec.shape[3]) if size in (1, 3))
    for name, numbers in (("--mean", options.mean), ("--std", options.std)):
        if len(numbers) not in (1, channels):
            raise InputError(
                f"{name} has {len(numbers)} numbers; {spec} has {channels} channel(s)",
                hint="give one number, or one for each channel",
            )
    if spec.dtype.startswith("float"):
        return
    if spec.dtype != "uint8":
        raise InputError(f"images are floats or uint8, and the model takes {spec}")
    if set(options.mean) != {0.0} or set(options.std) != {1.0}:
        raise InputError(
            f"{spec} takes the pixels themselves, 0..255", hint="leave --mean and --std out"
        )


def _read(file: Path, spec: TensorSpec, axis: int, options: ImageOptions) -> NDArray[Any]:
    """One image in the layout and range of the model."""
    pixels = _pixels(file, int(spec.shape[axis] or 0), options)
    if spec.dtype.startswith("float"):
        pixels = (pixels / 255.0 - np.array(options.mean)) / np.array(options.std)
    pixels = pixels.astype(spec.dtype)
    if axis == 1:
        pixels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    for wanted, actual in zip(spec.shape[1:], pixels.shape, strict=True):
        if wanted not in (None, actual):
            sizes = "x".join(map(str, pixels.shape))
            raise InputError(
                f"{file} gives {sizes}, and the model takes {spec}",
                hint="bring images to its size with --resize HEIGHTxWIDTH, "
                "or --resize SIZE --crop SIZE",
            )
    return pixels


def _pixels(file: Path, channels: int, options: ImageOptions) -> NDArray[Any]:
    """The pixels ``[H, W, C]`` in 0..255, upright, resized and cropped, in the wanted order."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            if opened.mode.startswith(("I", "F")):
                raise InputError(f"{file} has more than 8 bits in a channel ({opened.mode})")
            image = ImageOps.exif_transpose(opened).convert("L" if channels == 1 else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{file} is not a whole image: {error}") from error
    image = _cropped(file, _resized(image, options), options)
    pixels = np.asarray(image).reshape(image.height, image.width, channels)
    return pixels[..., ::-1] if options.order == "bgr" else pixels


def _resized(image: Image.Image, options: ImageOptions) -> Image.Image:
    from PIL import Image

    if options.resize is None:
        return image
    height, width = options.resize[0], options.resize[-1]
    if len(options.resize) == 1 and options.crop:
        scale = options.resize[0] / min(image.size)
        height, width = round(image.height * scale), round(image.width * scale)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _cropped(file: Path, image: Image.Image, options: ImageOptions) -> Image.Image:
    if options.crop is None:
        return image
    height, width = options.crop
    if height > image.height or width > image.width:
        raise InputError(
            f"{file} is {image.height}x{image.width}, smaller than --crop {height}x{width}",
            hint="make images large enough with --resize",
        )
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))


def _check_sizes(files: Sequence[Path], pictures: Sequence[NDArray[Any]]) -> None:
    """Where the model takes any size, the images may still not differ among themselves."""
    for file, picture in zip(files, pictures, strict=True):
        if picture.shape != pictures[0].shape:
            raise InputError(
                f"{file} is of another size than {files[0]}",
                hint="bring them to one with --resize HEIGHTxWIDTH",
            )


def _words(folder: Path, count: int, channels: int, spec: TensorSpec, options: ImageOptions) -> str:
    kind = "grey" if channels == 1 else options.order.upper()
    parts = [f"{count} images of {folder.name}", str(options), kind]
    if spec.dtype.startswith("float"):
        mean, std = (", ".join(f"{x:g}" for x in each) for each in (options.mean, options.std))
        parts.append(f"scaled to 0..1, mean {mean}, std {std}")
    return ", ".join(part for part in parts if part)


def _sides(option: str, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    match = _SIZE.fullmatch(text.strip().lower())
    sides = tuple(int(each) for each in match.groups() if each) if match else ()
    if not sides or 0 in sides:
        raise UsageError(f"{option} {text} is no size", hint="224, or HEIGHTxWIDTH as 224x320")
    return sides


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        numbers = tuple(float(each) for each in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not np.isfinite(numbers).all():
        raise UsageError(f"{option} {text} is no list of numbers", hint="0.485,0.456,0.406")
    return numbers
