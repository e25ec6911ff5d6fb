"""What goes into each artifact and comes out of it; artifacts that agree are one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_COLUMNS = {
    "shape": "Shape",
    "dtype": "Type",
    "layout": "Layout",
    "scale": "Scale",
    "range": "Values",
    "labels": "Labels",
    "meaning": "Meaning",
}


@dataclass(frozen=True, kw_only=True)
class Contract:
    """The inputs and outputs of some artifacts.

    Attributes:
        formats: The artifacts' formats.
        tensors: ``input`` or ``output``, and the tensor.
        columns: Key and title of each property that any of the tensors has.
    """

    formats: list[str]
    tensors: list[tuple[str, Mapping[str, Any]]]
    columns: list[tuple[str, str]]


def contracts(document: Mapping[str, Any]) -> list[Contract]:
    """Return the contracts of all artifacts; of older reports what their signatures say."""
    found: list[Contract] = []
    for conversion in document["conversions"]:
        if not conversion["artifact"]:
            continue
        agreed = (document.get("contract") or {}).get(conversion["format"])
        agreed = agreed or _signed(conversion["artifact"]["signature"])
        tensors = [("input", each) for each in agreed["inputs"]]
        tensors += [("output", each) for each in agreed["outputs"]]
        same = next((each for each in found if each.tensors == tensors), None)
        if same:
            same.formats.append(conversion["format"])
            continue
        columns = [
            (key, title)
            for key, title in _COLUMNS.items()
            if any(each.get(key) not in (None, "") for _, each in tensors)
        ]
        found.append(Contract(formats=[conversion["format"]], tensors=tensors, columns=columns))
    return found


def _signed(signature: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return {
        kind: [{**tensor, **_quantized(tensor)} for tensor in signature[kind]]
        for kind in ("inputs", "outputs")
    }


def _quantized(tensor: Mapping[str, Any]) -> dict[str, Any]:
    quantization = tensor.get("quantization")
    if not quantization:
        return {}
    scales, zero_points = quantization["scales"], quantization["zero_points"]
    if len(scales) == 1:
        return {"scale": scales[0], "zero_point": zero_points[0]}
    return {"meaning": f"quantized with {len(scales)} scales along axis {quantization['axis']}"}
