"""What the pieces of an artifact are fed: the reference's values, as the artifact stores them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...layers import Place
from ..quantization.affine import dequantized, quantized
from ..running import Run, to_source_axes
from .forms import in_artifact_form
from .truth import Arrays, ChunkTruth, Fed

_TYPES = ("float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool")


def fed_values(
    truth: ChunkTruth, places: Mapping[str, Place], run: Run
) -> tuple[Arrays, dict[str, Fed]]:
    """Return the reference's values of layers, as an artifact stores them.

    Args:
        truth: The reference; only its separable layers are fed.
        places: Layer → its place in the artifact.
        run: A run that shows the tensors of these layers: their shapes and types are taken from
            it, and not their values.

    Returns:
        Tensor of the artifact → ``[K, *shape]`` in the artifact's axes and type; and for each layer
        that is fed what that stands for in the source's.
    """
    feeds: Arrays = {}
    fed: dict[str, Fed] = {}
    spine = truth.source.spine
    types = {each.id: each.dtype for each in spine.layers} if spine else {}
    for layer, place in places.items():
        if layer not in truth.separable:
            continue
        name, expected = str(place.tensor), truth.values(layer)
        # a file may not say the types of its values: then they are those that it has in float32
        kind = types[layer] or _narrow(expected.dtype)
        actual, code = run.arrays.taps[name], run.quantization.get(name)
        stored_otherwise = expected.dtype.kind == "f" and actual.dtype.kind != "f"
        if kind not in _TYPES or (stored_otherwise and code is None):
            continue
        shaped = in_artifact_form(place, expected, (len(expected), *actual.shape[1:]))
        if shaped is None:
            continue
        if name not in feeds:
            feeds[name] = quantized(shaped, code, actual.dtype)
        stands_for = None
        if code is not None:
            real = to_source_axes(dequantized(feeds[name], code), place.permutation)
            stands_for = real.reshape(expected.shape)
        fed[layer] = Fed(dtype=kind, values=stands_for)
    return feeds, fed


def _narrow(dtype: np.dtype[Any]) -> str:
    return "float32" if dtype.kind == "f" else dtype.name
