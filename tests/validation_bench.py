"""A source with its reference, and what is compared with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bridge.artifact import Artifact
from bridge.samples import Samples
from bridge.sources.exported_source import read
from bridge.validators.reference import Reference, artifact_reference
from bridge.validators.results import TargetResult, Validation
from bridge.validators.running import Runner
from bridge.validators.validation import Validator
from bridge.worker import WorkPool


def samples(*shape: int, scale: float = 0.1, labels: Any = None) -> Samples:
    rng = np.random.default_rng(5)
    x = (rng.normal(size=shape) * scale).astype(np.float32)
    return Samples(arrays={"x": x}, origin="drawn", labels=labels)


X = samples(5, 2, 6)


def export(module: nn.Module, folder: Path, name: str = "model", like: Samples = X) -> Artifact:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.pt2"
    example = torch.tensor(like.first()["x"])
    torch.export.save(torch.export.export(module.eval(), (example,)), path)
    return read(path)


class Bench:
    """A source with its reference, and whatever is compared with it."""

    def __init__(self, pool: WorkPool, folder: Path) -> None:
        self.pool, self.folder = pool, folder

    def reference(self, source: Artifact, inputs: Samples = X) -> tuple[Runner, Reference]:
        runner = Runner(
            pool=self.pool, scratch=self.folder / "scratch", inputs=source.signature.inputs
        )
        return runner, artifact_reference(runner, source, inputs)

    def validate(
        self, source: Artifact, *artifacts: Artifact, inputs: Samples = X, **options: Any
    ) -> Validation:
        runner, reference = self.reference(source, inputs)
        validator = Validator(runner=runner, reference=reference, samples=inputs, **options)
        return validator.validate(artifacts)

    def compare(
        self, source: Artifact, artifact: Artifact, inputs: Samples = X, **options: Any
    ) -> TargetResult:
        (target,) = self.validate(source, artifact, inputs=inputs, **options).targets
        return target
