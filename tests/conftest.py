"""What the end-to-end tests share: the fixtures of the repository and the results made of them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bridge.api import Result, SourceOptions, convert

torch.manual_seed(0)  # what test modules draw when they are imported

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
EVERY_FORMAT = ("torchscript", "mobile", "onnx", "saved_model", "tflite")


@pytest.fixture(autouse=True)
def _seeded(request: pytest.FixtureRequest) -> None:
    """Seed what a test draws by its id, so that it draws the same in any order and process."""
    seed = zlib.crc32(request.node.nodeid.encode())
    torch.manual_seed(seed)
    np.random.seed(seed)


@dataclass(frozen=True)
class Converted:
    """A fixture and what became of it in every format."""

    name: str
    result: Result
    measured: dict[str, Any]


def fixture_options(name: str) -> SourceOptions:
    """Trained weights and held-out inputs of a fixture."""
    return SourceOptions(weights=FIXTURES / f"{name}.safetensors", real=FIXTURES / f"{name}.npz")


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Converted]:
    """Convert a fixture to every format, once in a session."""
    made: dict[str, Converted] = {}
    measured = json.loads((FIXTURES / "accuracy.json").read_text())

    def get(name: str) -> Converted:
        if name not in made:
            result = convert(
                f"{FIXTURES / 'models.py'}:{name}",
                to=EVERY_FORMAT,
                out=tmp_path_factory.mktemp(name),
                source_options=fixture_options(name),
            )
            made[name] = Converted(name, result, measured[name])
        return made[name]

    return get
