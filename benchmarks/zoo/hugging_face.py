"""How models of the package transformers are made: a class, and settings of its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from .registry import Group, Inputs, Kind, Model
from .torchvision_operators import prepare_torchvision

VOCABULARY = 500
LENGTH = 24

# What most configurations call the sizes of a small network.
SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
}
TEXT: dict[str, Any] = {**SMALL, "vocab_size": VOCABULARY, "max_position_embeddings": 64}


def build(model: str, config: str, settings: Mapping[str, Any]) -> torch.nn.Module:
    """Build a model with random weights."""
    prepare_torchvision()  # which transformers imports if it is there
    import transformers

    made = getattr(transformers, config)(**settings)
    if hasattr(made, "use_cache"):
        made.use_cache = False
    module: torch.nn.Module = getattr(transformers, model)(made)
    return module


def hugging_face(
    name: str,
    model: str,
    config: str,
    inputs: Callable[[Kind], Inputs],
    *,
    part: str = "",
    group: Group = "transformer",
    extra: bool = False,
    **settings: Any,
) -> Model:
    """Return a model of the package transformers.

    Args:
        name: Name in the zoo.
        model: Class of the model.
        config: Class of its configuration.
        inputs: Its inputs.
        part: Submodule to take instead of the whole.
        group: Kind of network.
        extra: Whether it is beyond the usual list.
        settings: Fields of the configuration.
    """
    whole = partial(build, model, config, settings)
    return Model(
        name=name,
        group=group,
        source="transformers",
        build=(lambda: whole().get_submodule(part)) if part else whole,
        inputs=inputs,
        packages=("transformers",),
        extra=extra,
    )
