"""The zoo: models that the compiler is measured on, with random weights that leave no layer dead.

    import zoo
    model = zoo.find("resnet18")
    module, inputs = model.load(), model.inputs("structured")
    module(*inputs.args, **inputs.kwargs)

One module for each source: ``vision`` (torchvision), ``text``, ``visual`` and ``hearing``
(transformers), ``timm_models``, ``own``. A package that is not installed makes only its own models
unavailable.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Sequence

import torch

from .registry import KINDS, Group, Inputs, Kind, MissingPackage, Model

__all__ = [
    "KINDS", "Group", "Inputs", "Kind", "MissingPackage", "Model", "find", "mobilenet_v2", "models",
    "select",
]  # fmt: skip
_MODULES = ("vision", "text", "visual", "hearing", "timm_models", "own")


def models() -> dict[str, Model]:
    """Return all models by name.

    Raises:
        ValueError: Two have one name.
    """
    found: dict[str, Model] = {}
    for name in _MODULES:
        for model in importlib.import_module(f".{name}", __name__).MODELS:
            if model.name in found:
                raise ValueError(f"two models are called {model.name}")
            found[model.name] = model
    return found


def find(name: str) -> Model:
    """Return a model.

    Raises:
        KeyError: There is none of that name; near matches are listed.
    """
    known = models()
    if name not in known:
        near = ", ".join(difflib.get_close_matches(name, known, 5)) or "none near"
        raise KeyError(f"no model is called {name!r} ({near})")
    return known[name]


def select(
    names: Sequence[str] = (), groups: Sequence[str] = (), *, extra: bool = True
) -> list[Model]:
    """Return models by name, or all of some groups or sources, or all.

    Args:
        names: Names; nothing else is looked at if there are any.
        groups: Groups (``cnn``) and sources (``timm``).
        extra: Whether the extra ones are among them.
    """
    if names:
        return [find(name) for name in names]
    return list(_within(groups, extra))


def _within(groups: Sequence[str], extra: bool) -> Iterator[Model]:
    for model in models().values():
        wanted = not groups or model.group in groups or model.source in groups
        if wanted and (extra or not model.extra):
            yield model


def mobilenet_v2() -> tuple[torch.nn.Module, tuple[torch.Tensor]]:
    """Return MobileNetV2 with random statistics, and an image ``[1, 3, 224, 224]``."""
    from .torchvision_operators import prepare_torchvision

    prepare_torchvision()
    from torchvision import models as torchvision_models

    torch.manual_seed(0)
    module = torchvision_models.mobilenet_v2(weights=None).eval()
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0.0, 0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return module, (torch.rand(1, 3, 224, 224),)
