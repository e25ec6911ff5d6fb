"""Fingerprints: equal for equal models, and never equal for models that are not."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bridge.api.reuse import array_digest, fingerprint, hop_key, key_of
from bridge.formats import EXPORTED, ONNX
from bridge.hop import Hop, HopResult, HopTask
from bridge.live import LiveModel

SOURCE = """
import functools
from dataclasses import dataclass

import torch
from torch import nn

SCALE = 2.0

@dataclass
class Config:
    slope: float = 0.1
    sizes: tuple = (4, 4)

class Gain:
    def __init__(self, factor):
        self.factor = factor

    def apply(self, x):
        return x * self.factor

def slow_gain(x):
    return x * 2

def scaled_by(factor):
    def scale(x):
        return x * factor
    return scale

def with_keyword(factor):
    def scale(x, *, by=factor):
        return x * by
    return scale

class Net(nn.Module):
    threshold = 0.5

    def __init__(self, extra=None):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.act = nn.Sequential(nn.ReLU(), nn.Identity())
        self.config = Config()
        self.extra = extra

    def forward(self, x, mask=None):
        return self.act(self.norm(self.linear(x))) * SCALE > self.threshold
"""


def load(path: Path, name: str = "fingerprinted_net") -> Any:
    """Import a user's file as the command line does."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Any]:
    """A user's module of code, imported from a file."""
    (tmp_path / "net.py").write_text(SOURCE)
    yield load(tmp_path / "net.py")
    del sys.modules["fingerprinted_net"]


def build(theirs: Any, extra: Any = None) -> LiveModel:
    torch.manual_seed(3)
    return LiveModel(module=theirs.Net(extra).eval(), args=(torch.ones(2, 4),))


def told(live: LiveModel) -> str:
    key = fingerprint(live)
    assert key is not None
    return key


def test_two_equal_builds_have_one_fingerprint(theirs: Any) -> None:
    assert told(build(theirs)) == told(build(theirs))


def test_two_processes_give_one_fingerprint_and_none_to_a_class_typed_at_a_prompt(
    tmp_path: Path,
) -> None:
    (tmp_path / "net.py").write_text(SOURCE)
    code = """
import functools
import torch
from bridge.api.reuse import fingerprint
from bridge.live import LiveModel
import net

class Typed(torch.nn.Module):
    def forward(self, x):
        return x

torch.manual_seed(3)
extra = [{"b", "a", "c"}, functools.partial(net.slow_gain), net.Gain(3), {"k": torch.ones(2)}]
for model in (net.Net(extra).eval(), Typed()):
    print(fingerprint(LiveModel(module=model, args=(torch.ones(2, 4),))))
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    first, second = (each.communicate()[0].splitlines() for each in processes)
    assert first == second
    assert len(first[0]) == 64
    assert first[1] == "None"


Change = Callable[[LiveModel], LiveModel | None]


def in_place(change: Callable[[Any], Any]) -> Change:
    """A change of the module, without gradients."""

    def apply(live: LiveModel) -> None:
        with torch.no_grad():
            change(live.module)

    return apply


def set_forward(net: Any) -> None:
    net.forward = types.MethodType(lambda self, x, mask=None: self.linear(x), net)


CHANGES: dict[str, Change] = {
    "a weight by its last bit": in_place(
        lambda net: net.linear.weight[1, 2].copy_(
            torch.nextafter(net.linear.weight[1, 2], torch.tensor(9.0))
        )
    ),
    "the sign of a zero": in_place(lambda net: net.norm.bias[0].copy_(torch.tensor(-0.0))),
    "a buffer": in_place(lambda net: net.norm.running_mean.add_(1)),
    "an added buffer": in_place(lambda net: net.register_buffer("more", torch.zeros(1))),
    "the type of the weights": in_place(lambda net: net.linear.double()),
    "the shape of a weight": in_place(
        lambda net: setattr(net.norm, "weight", nn.Parameter(torch.ones(1, 4)))
    ),
    "a setting of a layer": in_place(lambda net: setattr(net.norm, "eps", 1e-3)),
    "an added setting": in_place(lambda net: setattr(net, "alpha", 1)),
    "a setting from 1 to 1.0": in_place(lambda net: setattr(net.act[1], "inplace", 1.0)),
    "training mode": in_place(lambda net: net.train()),
    "a layer": in_place(lambda net: net.act.__setitem__(0, nn.GELU())),
    "the order of layers": in_place(
        lambda net: setattr(net, "act", nn.Sequential(*reversed(net.act)))
    ),
    "a layer that became shared": in_place(lambda net: net.act.__setitem__(1, net.act[0])),
    "a missing layer": in_place(lambda net: setattr(net, "act", None)),
    "a field of a config": in_place(lambda net: setattr(net.config, "slope", 0.2)),
    "a method": in_place(set_forward),
    "a value of the example": lambda live: replace(live, args=(torch.zeros(2, 4),)),
    "the shape of the example": lambda live: replace(live, args=(torch.ones(3, 4),)),
    "the type of the example": lambda live: replace(live, args=(torch.ones(2, 4).double(),)),
    "a keyword input": lambda live: replace(live, kwargs={"mask": torch.ones(2)}),
    "an input that is no tensor": lambda live: replace(live, args=(*live.args, True)),
    "a dynamic axis": lambda live: replace(live, dynamic={"x": (0,)}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_changes_the_fingerprint(theirs: Any, what: str) -> None:
    live = build(theirs)
    before = told(live)
    assert told(CHANGES[what](live) or live) != before


# What a user's module may hold: two values each that compute different things.
HELD: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "a closure": lambda m: (m.scaled_by(2), m.scaled_by(3)),
    "a closure's keyword default": lambda m: (m.with_keyword(2), m.with_keyword(3)),
    "functions": lambda m: (m.scaled_by(2), m.slow_gain),
    "a function within a function": lambda m: (
        eval("lambda x: (lambda y: y + 1)(x)"),
        eval("lambda x: (lambda y: y + 2)(x)"),
    ),
    "a partial function": lambda m: (
        functools.partial(m.Gain.apply, None, 2),
        functools.partial(m.Gain.apply, None, 3),
    ),
    "a partial function's keyword": lambda m: (
        functools.partial(nn.functional.leaky_relu, negative_slope=0.1),
        functools.partial(nn.functional.leaky_relu, negative_slope=0.2),
    ),
    "a method of an object": lambda m: (m.Gain(2).apply, m.Gain(3).apply),
    "an object": lambda m: (m.Gain(2), m.Gain(3)),
    "a data class": lambda m: (m.Config(sizes=(4, 4)), m.Config(sizes=(4, 5))),
    "a method of a dictionary": lambda m: ({"a": 1}.get, {"a": 2}.get),
    "a built-in function": lambda m: (torch.relu, torch.tanh),
    "an array": lambda m: (np.arange(3), np.arange(3) + 1),
    "an array of objects": lambda m: (np.array([{}, 1], object), np.array([{}, 2], object)),
    "a NumPy scalar": lambda m: (np.float32(1), np.float32(2)),
    "a nested list": lambda m: ([{"a": (1, {2})}], [{"a": (1, {3})}]),
    "nesting": lambda m: ([[1], 2], [[1, 2]]),
    "types": lambda m: (torch.float16, torch.float32),
    "a plain list of layers": lambda m: ([nn.Linear(2, 2).half()], [nn.Linear(2, 2)]),
    "a scalar tensor": lambda m: (torch.tensor(1.0), torch.tensor(2.0)),
    "a complex tensor": lambda m: (torch.tensor([1j]), torch.tensor([1j]).conj()),
    "flags": lambda m: (torch.tensor([True, False]), torch.tensor([True, True])),
    "a bfloat16 tensor": lambda m: (torch.ones(2).bfloat16(), torch.zeros(2).bfloat16()),
    "tied and untied tensors": lambda m: ([torch.ones(2)] * 2, [torch.ones(2), torch.ones(2)]),
    "modules of functions": lambda m: (nn.functional, torch),
}


@pytest.mark.parametrize("what", HELD)
def test_what_a_module_holds_is_told_by_its_content(theirs: Any, what: str) -> None:
    one, other = HELD[what](theirs)
    assert told(build(theirs, one)) == told(build(theirs, one))
    assert told(build(theirs, one)) != told(build(theirs, other))


def test_weights_of_layers_in_a_plain_list_count(theirs: Any) -> None:
    layer = nn.Linear(2, 2)
    before = told(build(theirs, [layer]))
    with torch.no_grad():
        layer.bias[0] += 1
    assert told(build(theirs, [layer])) != before


def test_objects_that_refer_to_each_other_are_told(theirs: Any) -> None:
    one, other = theirs.Gain(1), theirs.Gain(2)
    one.partner, other.partner = other, one
    before = told(build(theirs, one))
    assert told(build(theirs, one)) == before
    other.factor = 3
    assert told(build(theirs, one)) != before


def test_a_module_that_knows_its_parent_is_told(theirs: Any) -> None:
    live = build(theirs)
    before = told(live)
    live.module.linear.owners = [live.module]
    assert told(live) != before


@pytest.mark.parametrize(
    ("name", "value"), [("SCALE", 3.0), ("SCALE", 2), ("threshold", 0.25), ("forward", None)]
)
def test_what_the_code_reads_from_its_module_and_class_counts(
    theirs: Any, name: str, value: Any
) -> None:
    before = told(build(theirs))
    if name == "SCALE":
        theirs.SCALE = value
    else:
        setattr(theirs.Net, name, value or theirs.Gain.apply)
    assert told(build(theirs)) != before


def test_the_text_of_the_source_counts(theirs: Any, tmp_path: Path) -> None:
    before = told(build(theirs))
    (tmp_path / "net.py").write_text(
        SOURCE.replace("slow_gain(x):\n    return x * 2", "slow_gain(x):\n    return x * 3")
    )
    assert told(build(load(tmp_path / "net.py"))) != before
    (tmp_path / "net.py").write_text(SOURCE)
    assert told(build(load(tmp_path / "net.py"))) == before


def test_code_that_is_older_than_its_file_is_not_taken_for_the_new(
    theirs: Any, tmp_path: Path
) -> None:
    """Who edits a file while it is loaded makes results of the old code beside the new text."""
    before = told(build(theirs))
    (tmp_path / "net.py").write_text(SOURCE.replace("return x * 2", "return x * 3"))
    mixed = told(build(theirs))
    after = told(build(load(tmp_path / "net.py")))
    assert len({before, mixed, after}) == 3


def test_the_text_of_another_file_of_the_users_counts(theirs: Any, tmp_path: Path) -> None:
    before = told(build(theirs))
    (tmp_path / "ops.py").write_text("def gain(x):\n    return x * 2\n")
    load(tmp_path / "ops.py", "fingerprinted_ops")
    try:
        with_it = told(build(theirs))
        assert with_it != before
        (tmp_path / "ops.py").write_text("def gain(x):\n    return x * 3\n")
        load(tmp_path / "ops.py", "fingerprinted_ops")
        assert told(build(theirs)) not in (before, with_it)
    finally:
        del sys.modules["fingerprinted_ops"]


def empty_cell() -> Callable[[], Any]:
    def read() -> Any:
        return later

    if not read:
        later = 1
    return read


class Slotted:
    __slots__ = ("stream",)


UNTOLD: dict[str, Callable[[], Any]] = {
    "an open file": lambda: open(os.devnull),  # noqa: SIM115 - the garbage collector closes it
    "a generator": lambda: (each for each in range(3)),
    "a lock": lambda: __import__("threading").Lock(),
    "an object of native code": lambda: torch._C.Graph(),
    "a scripted function": lambda: torch.jit.script(nn.functional.hardtanh),
    "a sparse tensor": lambda: torch.eye(3).to_sparse(),
    "a tensor without memory": lambda: torch.empty(3, device="meta"),
    "a parameter without a shape": lambda: nn.UninitializedParameter(),
    "a closure without a value": empty_cell,
}


@pytest.mark.parametrize("what", UNTOLD)
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_told_by_content_is_never_reused(theirs: Any, what: str) -> None:
    assert fingerprint(build(theirs, UNTOLD[what]())) is None


@pytest.mark.parametrize(
    "register",
    [
        lambda net, hook: net.register_forward_hook(hook),
        lambda net, hook: net.linear.register_forward_pre_hook(hook),
        lambda net, hook: net.act[0].register_forward_hook(hook, with_kwargs=True),
    ],
)
def test_a_module_with_a_hook_is_never_reused(
    theirs: Any, register: Callable[[Any, Any], Any]
) -> None:
    live = build(theirs)
    before = told(live)
    handle = register(live.module, lambda *_: None)
    assert fingerprint(live) is None
    handle.remove()
    assert told(live) == before


EXECUTED = """
from torch import nn
class Net(nn.Module):
    def forward(self, x):
        return x * {factor}
"""


@pytest.mark.parametrize(
    "namespace", [{}, {"__name__": __name__}, {"__name__": "no_such_module"}], ids=str
)
def test_a_class_without_a_source_file_is_never_reused(namespace: dict[str, Any]) -> None:
    names = dict(namespace)
    exec(EXECUTED.format(factor=2), names)
    live = LiveModel(module=names["Net"]().eval(), args=(torch.ones(1),))
    assert fingerprint(live) is None


def test_a_model_of_library_layers_alone_is_told() -> None:
    def net() -> LiveModel:
        torch.manual_seed(0)
        layers = nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 1)),
            nn.MultiheadAttention(4, 2),
            nn.LSTM(4, 4),
            nn.TransformerEncoderLayer(4, 2, 8),
        )
        return LiveModel(module=layers.eval(), args=(torch.ones(1, 3, 8, 8),))

    assert told(net()) == told(net())


def convert(task: HopTask) -> HopResult:
    raise AssertionError


@dataclass(frozen=True)
class Step:
    parent: str = "parent"
    hop: Hop = dataclasses.field(
        default_factory=lambda: Hop(
            name="demo",
            title="demo",
            source=EXPORTED,
            target=ONNX,
            convert=convert,
            packages=("numpy",),
        )
    )
    options: dict[str, Any] = dataclasses.field(default_factory=dict)

    def key(self) -> str:
        return hop_key(self.parent, self.hop, self.options)


def test_a_hops_result_is_reused_for_the_same_parent_options_and_versions_only() -> None:
    base = Step()
    keys = [
        base.key(),
        Step(parent="other").key(),
        Step(options={"opset": 17}).key(),
        Step(options={"opset": 18}).key(),
        Step(hop=replace(base.hop, name="other")).key(),
        Step(hop=replace(base.hop, packages=("numpy", "torch"))).key(),
        Step(hop=replace(base.hop, place="onnx2tf")).key(),
    ]
    assert len(set(keys)) == len(keys)
    assert Step().key() == base.key()
    assert Step(options={"a": 1, "b": 2}).key() == Step(options={"b": 2, "a": 1}).key()


def test_keys_do_not_run_together() -> None:
    assert key_of("ab", "c") != key_of("a", "bc")
    assert key_of(["a"], "b") != key_of("a", ["b"])


def test_arrays_are_told_by_their_values_in_order() -> None:
    array = np.arange(6).reshape(2, 3)
    assert array_digest(array) == array_digest(np.asfortranarray(array))
    assert array_digest(array) != array_digest(array + 1)
    assert array_digest(array) != array_digest(array.reshape(3, 2))
    assert array_digest(array) != array_digest(array.astype(np.float64).view(np.int64))
    assert array_digest(np.zeros(2, np.int64)) != array_digest(np.zeros(2, np.float64))
