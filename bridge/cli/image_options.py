"""How a folder of images becomes inputs, on the command line."""

from __future__ import annotations

from typing import Annotated, Any

import typer

Resize = Annotated[
    str | None,
    typer.Option(help="Size of images: 224 or HEIGHTxWIDTH; with --crop 224 the shorter side."),
]
Crop = Annotated[str | None, typer.Option(help="Middle of images to keep: 224 or HEIGHTxWIDTH.")]
Mean = Annotated[
    str | None, typer.Option(help="Mean to take off pixels of 0..1, such as 0.485,0.456,0.406.")
]
Std = Annotated[
    str | None, typer.Option(help="Deviation to divide them by, such as 0.229,0.224,0.225.")
]
ChannelOrder = Annotated[str | None, typer.Option(help="Order of colours: rgb or bgr.")]


def image_options(
    resize: str | None, crop: str | None, mean: str | None, std: str | None, order: str | None
) -> Any:
    """Return the options of images; ``UsageError`` if one cannot be read."""
    from ..samples import ImageOptions

    return ImageOptions.parse(resize=resize, crop=crop, mean=mean, std=std, order=order)
