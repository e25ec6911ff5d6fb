"""What comparing every layer costs beside plainly running the same inputs (part of ``make bench``).

ResNet-50 on 16 inputs, all layers, alone and in their place, in ONNX Runtime and LiteRT. Plainly
running means: eager float64 (the truth), eager float32, and the two runtimes, one thread each.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import zoo

import bridge
from bridge.api import SourceOptions
from bridge.artifact import Artifact
from bridge.report import stored_artifacts
from bridge.validators.runtime import RUNTIMES

PLAIN = (
    ("exported", "eager-float64"),
    ("exported", "eager-float32"),
    ("onnx", "onnxruntime"),
    ("tflite", "litert-xnnpack"),
)
LIMIT = 12


def main() -> None:
    """Run both and print a table in Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--samples", type=int, default=16)
    asked = parser.parse_args()
    model = zoo.find(asked.model)
    (example,) = model.inputs("random").args
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        out, real = folder / "out", folder / "inputs.npz"
        bridge.convert(model.load(), (example,), to=["onnx", "tflite"], out=out, validate=False)
        shape = (asked.samples, *example.shape)
        inputs = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        artifacts = {
            each.artifact.format.name: each.artifact
            for each in stored_artifacts(out, json.loads((out / "manifest.json").read_text()))
        }
        (spec,) = artifacts["exported"].signature.inputs
        np.savez(real, **{spec.name: inputs[:, 0]})
        before = _plainly(artifacts, inputs)
        begun = time.perf_counter()
        bridge.validate(out, source_options=SourceOptions(real=real), latency=False)
        seconds = time.perf_counter() - begun
        plain = (before + _plainly(artifacts, inputs)) / 2
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print("| what | s | limit |\n|---|---|---|")
    print(f"| {asked.model}, {asked.samples} inputs, run plainly | {plain:.1f} | |")
    print(f"| every layer compared, alone and in its place | {seconds:.1f} | |")
    print(f"| ratio | {seconds / plain:.1f} | {LIMIT} |")
    print(f"| peak memory of the process | {memory:.1f} GiB | |")
    sys.exit(seconds > LIMIT * plain)


def _plainly(artifacts: dict[str, Artifact], inputs: np.ndarray) -> float:
    """Seconds of running all inputs, loading left out."""
    total = 0.0
    for format_, runtime in PLAIN:
        artifact = artifacts[format_]
        session = RUNTIMES.get(runtime)().open(artifact)
        (spec,) = artifact.signature.inputs
        begun = time.perf_counter()
        for row in inputs:
            session.run({spec.name: row})
        total += time.perf_counter() - begun
    return total


if __name__ == "__main__":
    main()
