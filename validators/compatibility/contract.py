"""The I/O contract of an artifact: what an app gives it, and what it gets."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...artifact import Artifact, TensorSpec
from ...samples import Samples
from .measuring import Measurement, finite_range

Range = tuple[float, float]


def contract(
    artifact: Artifact,
    *,
    inputs: Sequence[TensorSpec],
    samples: Samples,
    declared: Mapping[str, Range],
    measurement: Measurement,
) -> dict[str, Any]:
    """Return the contract as the report has it.

    Args:
        artifact: The artifact.
        inputs: The source's inputs; the artifact's correspond by their order.
        samples: What the artifact was compared on, in the source's names.
        declared: Input of the source → the range that the user declared.
        measurement: What came out of the artifact.
    """
    labels = _labels(artifact.path)
    return {
        "inputs": [
            _row(its, *_input_values(its, source.name, samples, declared), labels=None)
            for its, source in zip(artifact.signature.inputs, inputs, strict=False)
        ],
        "outputs": [
            _row(its, *_output_values(its, measurement), labels=_labels_of(its, labels))
            for its in artifact.signature.outputs
        ],
    }


def _row(
    spec: TensorSpec, values: Range | None, meaning: str, labels: Sequence[str] | None
) -> dict[str, Any]:
    quantization = spec.quantization
    single = quantization is not None and len(quantization.scales) == 1
    return {
        "name": spec.name,
        "shape": list(spec.shape),
        "dtype": spec.dtype,
        "layout": spec.layout,
        "scale": quantization.scales[0] if quantization and single else None,
        "zero_point": quantization.zero_points[0] if quantization and single else None,
        "range": None if values is None else list(values),
        "labels": None if labels is None else list(labels),
        "meaning": meaning,
    }


def _input_values(
    spec: TensorSpec, source: str, samples: Samples, declared: Mapping[str, Range]
) -> tuple[Range | None, str]:
    if source in declared:
        low, high = declared[source]
        return (low, high), f"{low:g}..{high:g}, as declared"
    values = samples.arrays.get(source)
    if values is None or values.dtype.kind not in "biuf":
        return None, "no values are known"
    found = finite_range(values)
    if found is None:
        return None, f"no finite value in {samples.count} samples"
    stored = ", real values before quantization" if spec.quantization else ""
    return found, f"observed in {samples.count} samples ({samples.origin}){stored}"


def _output_values(spec: TensorSpec, measurement: Measurement) -> tuple[Range | None, str]:
    if measurement.reason:
        return None, f"it was not run: {measurement.reason}"
    values = measurement.outputs.get(spec.name)
    if values is None:
        return None, f"no finite value in {measurement.samples} samples"
    stored = ", stored integers" if spec.quantization else ""
    return _rounded(values), f"observed in {measurement.samples} samples{stored}"


def _rounded(values: Range) -> Range:
    """To four digits: in those the runtimes agree, so that formats have one contract."""
    low, high = (float(f"{each:.4g}") for each in values)
    return low, high


def _labels(path: Path) -> list[list[str]]:
    """Lists of labels that a TFLite file carries: text files in the archive at its end."""
    if path.is_dir() or path.suffix != ".tflite" or not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        texts = [each for each in archive.infolist() if each.filename.endswith(".txt")]
        return [archive.read(each).decode("utf-8", errors="replace").splitlines() for each in texts]


def _labels_of(spec: TensorSpec, labels: Sequence[Sequence[str]]) -> Sequence[str] | None:
    """The list that has one label for each of an output's last places, if it is the only one."""
    fitting = [each for each in labels if spec.shape and len(each) == spec.shape[-1]]
    return fitting[0] if len(fitting) == 1 else None
