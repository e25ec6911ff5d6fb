"""Captures of models whose results are objects of their own class."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import bridge

SOURCE = """
import collections
import torch
from torch.utils import _pytree as pytree

class Output(collections.OrderedDict):
    pass

pytree.register_pytree_node(
    Output,
    lambda d: (list(d.values()), list(d.keys())),
    lambda values, keys: Output(zip(keys, values)),
    serialized_type_name="net.Output",
    flatten_with_keys_fn=lambda d: (
        [(pytree.MappingKey(key), value) for key, value in d.items()], list(d)
    ),
    to_dumpable_context=lambda keys: keys,
    from_dumpable_context=lambda keys: keys,
)

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)

    def forward(self, x):
        return Output(logits=self.linear(x), hidden=torch.relu(x))

def net():
    return Net(), (torch.ones(1, 3),)
"""


def test_a_capture_is_loaded_where_the_class_of_its_result_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(SOURCE)
    command = [sys.executable, "-m", "bridge", "convert", "net.py:net", "--to", "onnx,tflite"]
    done = subprocess.run(
        [*command, "--no-validate", "--quiet"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    report = bridge.validate(tmp_path / "out", latency=False).report
    targets = report["validation"]["targets"]
    assert {name: each["verdict"] for name, each in targets.items()} == dict.fromkeys(
        ("onnx", "tflite", "tflite@litert-builtin"), "pass"
    )
    assert list(targets["onnx"]["outputs"]) == ["logits", "hidden"]
