"""What TFLite Metadata say of a model: names, meanings, ranges, normalisation, labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .contract import BundleTensor, Contract, channels_of
from .metadata_schema import GRAYSCALE, RGB, TENSOR_AXIS_LABELS, pack, union

LABELS_FILE = "labels.txt"

_PARSER_VERSION = "1.0.0"  # every field that is used here is of the first version
_COLOUR_SPACES = {1: GRAYSCALE, 3: RGB}


def model_metadata(contract: Contract, *, name: str, description: str, version: str) -> bytes:
    """Return the packed metadata of a model.

    Args:
        contract: Its inputs and outputs; those of the file's main subgraph that none of them is
            get entries without content, since readers tell them by their order.
        name: Name of the model.
        description: What it is made from.
        version: Version of the model: a digest, say.
    """
    return pack(
        {
            "name": name,
            "description": description,
            "version": version,
            "subgraph_metadata": [
                {
                    "name": "main",
                    "input_tensor_metadata": _in_order(contract.inputs, _input),
                    "output_tensor_metadata": _in_order(contract.outputs, _output),
                }
            ],
            "min_parser_version": _PARSER_VERSION,
        }
    )


def labels_file(labels: Sequence[str]) -> bytes:
    """Return labels as the file that the metadata name: one a line, UTF-8."""
    return "".join(f"{label}\n" for label in labels).encode()


def describe(tensor: BundleTensor) -> str:
    """Return what is known of a tensor, as a sentence."""
    sizes = "×".join(map(str, tensor.shape)) or "a single value"
    facts = [f"{tensor.spec.dtype}, {sizes}"]
    if tensor.spec.layout:
        facts[0] += f" ({tensor.spec.layout})"
    if tensor.spec.quantization:
        scale, zero = tensor.spec.quantization.scales[0], tensor.spec.quantization.zero_points[0]
        sign = "-" if zero >= 0 else "+"
        facts.append(f"real value = {scale!r} × (stored value {sign} {abs(zero)})")
    if tensor.normalization:
        mean, std = tensor.normalization.mean, tensor.normalization.std
        facts.append(f"(raw - {list(mean)}) / {list(std)} of the raw values")
    if tensor.range:
        low, high = tensor.range
        facts.append(f"values from {low:.6g} to {high:.6g} in {tensor.seen}")
    if tensor.labels:
        facts.append(f"scores of the {len(tensor.labels)} labels in {LABELS_FILE}")
    return "; ".join(facts)


def _in_order(
    tensors: Sequence[BundleTensor], content: Callable[[BundleTensor], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Metadata in the order of the subgraph's own tensors."""
    by_place = {tensor.position: tensor for tensor in reversed(tensors)}
    return [
        content(by_place[place]) if place in by_place else {}
        for place in range(max(by_place, default=-1) + 1)
    ]


def _common(tensor: BundleTensor) -> dict[str, Any]:
    common: dict[str, Any] = {"name": tensor.spec.name, "description": describe(tensor)}
    if tensor.range:
        low, high = tensor.range
        common["stats"] = {"min": [low], "max": [high]}
    return common


def _input(tensor: BundleTensor) -> dict[str, Any]:
    made = _common(tensor) | {"content": _content(tensor)}
    if tensor.normalization:
        options = {"mean": tensor.normalization.mean, "std": tensor.normalization.std}
        made["process_units"] = [union("options", "NormalizationOptions", options)]
    return made


def _output(tensor: BundleTensor) -> dict[str, Any]:
    made = _common(tensor) | {"content": union("content_properties", "FeatureProperties", {})}
    if tensor.labels:
        made["associated_files"] = [
            {
                "name": LABELS_FILE,
                "description": "Names of the entries of the last axis, one a line.",
                "type": TENSOR_AXIS_LABELS,
            }
        ]
    return made


def _content(tensor: BundleTensor) -> dict[str, Any]:
    """An image, if it was said how pixels are normalised and the channels come last.

    The tools that read the metadata feed images in that layout only.
    """
    channels = channels_of(tensor)
    if tensor.normalization and channels and channels[0] == 3 and channels[1] in _COLOUR_SPACES:
        size = {"width": tensor.shape[2], "height": tensor.shape[1]}
        image = {"color_space": _COLOUR_SPACES[channels[1]], "default_size": size}
        return union("content_properties", "ImageProperties", image)
    return union("content_properties", "FeatureProperties", {})
