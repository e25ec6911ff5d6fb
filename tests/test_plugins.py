"""A hop and a runtime from outside the package, found through entry points."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HOP = """
import gzip
from bridge.formats import TORCHSCRIPT, Format, register_format
from bridge.hop import Hop, HopResult, HopTask, register_hop
from bridge.outcome import Stage

PACKED = register_format(Format(name="packed", suffix=".pt.gz", title="TorchScript, gzipped"))


def convert(task: HopTask) -> HopResult:
    task.enter(Stage.SERIALIZE)
    task.out.write_bytes(gzip.compress(task.source.path.read_bytes()))
    return HopResult(signature=task.source.signature, layer_map=task.source.layer_map)


register_hop(
    Hop(name="pack", title="gzip", source=TORCHSCRIPT, target=PACKED, convert=convert)
)
"""

RUNTIME = """
import gzip
import io
import torch
from bridge.validators.runtime import RunResult, Runtime, Session, register_runtime
from packed_hop import PACKED


@register_runtime
class Packed(Runtime):
    name = "packed-torchscript"
    title = "gzipped TorchScript"
    formats = (PACKED,)
    packages = ("torch",)

    def _open(self, artifact, taps):
        content = gzip.decompress(artifact.path.read_bytes())
        return PackedSession(artifact.signature, torch.jit.load(io.BytesIO(content)))


class PackedSession(Session):
    def __init__(self, signature, module):
        super().__init__(signature)
        self.module = module

    def _run(self, inputs):
        with torch.no_grad():
            result = self.module(*(torch.from_numpy(array) for array in inputs.values()))
        return RunResult(outputs={self.signature.outputs[0].name: result.numpy()})
"""

ENTRY_POINTS = """
[driftbridge.formats]
packed = packed_hop
[driftbridge.hops]
packed = packed_hop
[driftbridge.runtimes]
packed = packed_runtime
"""

MODEL = """
import torch


def net():
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()), (torch.randn(1, 3),)
"""


@pytest.fixture
def plugin(tmp_path: Path) -> dict[str, str]:
    """An environment in which a distribution with the hop and the runtime is installed."""
    (tmp_path / "packed_hop.py").write_text(HOP)
    (tmp_path / "packed_runtime.py").write_text(RUNTIME)
    (tmp_path / "net.py").write_text(MODEL)
    info = tmp_path / "packed-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: packed\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def test_each_is_under_40_lines() -> None:
    assert len(HOP.splitlines()) < 40
    assert len(RUNTIME.splitlines()) < 40


def test_plugin_converts_and_validates(tmp_path: Path, plugin: dict[str, str]) -> None:
    done = _driftbridge(plugin, tmp_path, "convert", "net.py:net", "--to", "packed", "--json")
    assert done.returncode == 0, done.stderr
    target = json.loads(done.stdout)["validation"]["targets"]["packed"]
    assert target["runtime"] == "packed-torchscript"
    assert target["verdict"] == "pass"
    assert target["outputs"]["output"]["sqnr_db"] in ("inf",) or (
        target["outputs"]["output"]["sqnr_db"] > 120
    )
    assert (tmp_path / "out" / "model.pt.gz").read_bytes()[:2] == b"\x1f\x8b"


def test_plugin_shows_in_the_graph(tmp_path: Path, plugin: dict[str, str]) -> None:
    done = _driftbridge(plugin, tmp_path, "routes", "--from", "torch", "--to", "packed")
    assert "torch-trace" in done.stdout
    assert "pack" in done.stdout


def _driftbridge(
    environment: dict[str, str], folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bridge", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
