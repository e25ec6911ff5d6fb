"""Inspection of a SavedModel that TensorFlow made, in the toolchain that it lives in."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.artifact import TensorSpec
from bridge.errors import SourceError
from bridge.inspection import inspect
from bridge.toolchain import environment_of, python_of

SAVED_MODEL_SCRIPT = """
import sys
import numpy as np
import tensorflow as tf

class Net(tf.Module):
    def __init__(self):
        self.w = tf.Variable(np.ones((4, 3), np.float32))
        self.b = tf.Variable(np.ones(3, np.float32))
        self.unused = tf.Variable(np.ones(100, np.float32))
        self.k = tf.constant(np.ones((3, 3), np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def serve(self, x):
        y = tf.nn.relu(x @ self.w + self.b) @ self.k
        if tf.reduce_max(y, axis=None) > 0.0:
            y = tf.exp(y)
        return {"z": y, "a": tf.cast(tf.abs(y), tf.float16)}

net = Net()
tf.saved_model.save(net, sys.argv[1], signatures=net.serve)
print(tf.__version__)
"""


@dataclass(frozen=True, kw_only=True)
class SavedModel:
    folder: Path
    tensorflow: str


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    """A SavedModel by TensorFlow itself, which lives in a toolchain."""
    folder = tmp_path_factory.mktemp("tensorflow") / "model.savedmodel"
    script = folder.with_name("make.py")
    script.write_text(SAVED_MODEL_SCRIPT)
    done = subprocess.run(
        [str(python_of("onnx2tf")), str(script), str(folder)],
        env=environment_of("onnx2tf"),
        capture_output=True,
        text=True,
        check=True,
    )
    return SavedModel(folder=folder, tensorflow=done.stdout.split()[-1])


def test_saved_model(saved_model: SavedModel) -> None:
    found = inspect(saved_model.folder)
    assert found.format.name == "saved_model"
    counts = {each.name: each.count for each in found.operators}
    expected = ("Relu", "AddV2", "Max", "Greater", "StatelessIf", "Exp", "Abs", "Cast")
    assert counts == {"MatMul": 2, **dict.fromkeys(expected, 1)}
    assert found.parameters >= 12 + 3 + 9
    assert found.parameters < 100
    assert found.signature.inputs == (TensorSpec(name="x", shape=(None, 4), dtype="float32"),)
    assert found.signature.outputs == (
        TensorSpec(name="a", shape=(None, 3), dtype="float16"),
        TensorSpec(name="z", shape=(None, 3), dtype="float32"),
    )
    assert (found.producer, found.producer_version) == ("TensorFlow", saved_model.tensorflow)
    assert found.details["variables"] == "2"
    assert found.size == sum(
        each.stat().st_size for each in saved_model.folder.rglob("*") if each.is_file()
    )


def test_a_truncated_saved_model_is_refused(saved_model: SavedModel, tmp_path: Path) -> None:
    graph = Path(shutil.copytree(saved_model.folder, tmp_path / "copy")) / "saved_model.pb"
    whole = graph.read_bytes()
    for size, message in ((len(whole) // 2, "truncated"), (1, "truncated"), (0, "empty")):
        os.truncate(graph, size)
        with pytest.raises(SourceError, match=message):
            inspect(graph.parent)
    graph.write_bytes(whole)
    os.truncate(graph.parent / "variables/variables.data-00000-of-00001", 40)
    with pytest.raises(SourceError, match="variables take 60 bytes"):
        inspect(graph.parent)


def test_one_file_of_a_saved_model_points_to_its_folder(saved_model: SavedModel) -> None:
    with pytest.raises(SourceError, match="one file of a SavedModel") as raised:
        inspect(saved_model.folder / "saved_model.pb")
    assert str(saved_model.folder) in str(raised.value.hint)
