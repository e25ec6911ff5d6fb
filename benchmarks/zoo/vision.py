"""torchvision: image classifiers, segmentation, video and optical flow."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from .registry import Group, Inputs, Kind, Model
from .signals import image
from .torchvision_operators import prepare_torchvision

CNNS = (
    "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "resnet18", "resnet50",
    "efficientnet_b0", "shufflenet_v2_x1_0", "squeezenet1_1", "densenet121", "regnet_y_400mf",
    "mnasnet1_0", "convnext_tiny", "inception_v3", "googlenet",
)  # fmt: skip
TRANSFORMERS = ("vit_b_16", "swin_t", "maxvit_t", "swin_v2_t")
SEGMENTATION = ("deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large", "fcn_resnet50")
EXTRA_CNNS = ("vgg11_bn", "alexnet", "efficientnet_v2_s")
_SIZES = {"inception_v3": 299, "raft_small": 128}
_OPTIONS: dict[str, dict[str, Any]] = {
    # their auxiliary heads are for training
    "inception_v3": {"aux_logits": True, "init_weights": False},
    "googlenet": {"aux_logits": True, "init_weights": False},
    **{name: {"weights_backbone": None} for name in SEGMENTATION},
}


def build(family: str, name: str) -> torch.nn.Module:
    """Build a model of torchvision with random weights."""
    prepare_torchvision()
    from torchvision import models

    place = getattr(models, family) if family else models
    module: torch.nn.Module = getattr(place, name)(weights=None, **_OPTIONS.get(name, {}))
    return module


def images(size: int, kind: Kind) -> Inputs:
    """One colour image."""
    return Inputs(args=(image(kind, 1, 3, size, size),))


def video(size: int, kind: Kind) -> Inputs:
    """Sixteen frames."""
    return Inputs(args=(image(kind, 1, 3, 16, size, size),))


def frames(kind: Kind) -> Inputs:
    """Two frames of which the second is shifted, as optical flow takes them."""
    first = image(kind, 1, 3, 128, 128)
    return Inputs(args=(first, first.roll(3, -1)))


def _model(
    name: str, group: Group, inputs: Any = None, *, family: str = "", extra: bool = False
) -> Model:
    return Model(
        name=name,
        group=group,
        source="torchvision",
        build=partial(build, family, name),
        inputs=inputs or partial(images, _SIZES.get(name, 224)),
        packages=("torchvision", "PIL"),
        extra=extra,
    )


MODELS = [
    *(_model(name, "cnn") for name in CNNS),
    *(_model(name, "transformer") for name in TRANSFORMERS),
    *(_model(name, "cnn", family="segmentation") for name in SEGMENTATION),
    _model("r3d_18", "cnn", partial(video, 112), family="video"),
    *(_model(name, "cnn", extra=True) for name in EXTRA_CNNS),
    _model("mvit_v2_s", "transformer", partial(video, 224), family="video", extra=True),
    _model("s3d", "cnn", partial(video, 224), family="video", extra=True),
    _model("raft_small", "other", frames, family="optical_flow", extra=True),
]
