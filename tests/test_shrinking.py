"""A conversion that fails is reduced to the operators that it fails on, with a reproduction."""

from __future__ import annotations

import json
import operator
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import deadly_hops
import pytest
import torch
import typer
from torch import nn
from typer.testing import CliRunner

import bridge
from bridge.api.failures import Failure, normalised
from bridge.api.pieces import CutProgram
from bridge.api.reproduction import write_reproduction
from bridge.api.shrinking import Shrunk, shrink
from bridge.cli.blame import blame
from bridge.converters._capture import capture
from bridge.errors import ConversionError
from bridge.formats import EXECUTORCH, EXPORTED, ONNX, TORCH, TORCHSCRIPT
from bridge.hop import HOPS, Hop
from bridge.outcome import Stage, Symptom
from bridge.planning import Route
from bridge.worker import IN_PROCESS, WORKER, Limits, WorkPool


class Net(nn.Module):
    """Operators of many kinds: with weights, several results, writes in place and a rare one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.gru = nn.GRU(6, 6, batch_first=True)
        self.head = nn.Linear(6, 4)
        self.register_buffer("scale", torch.tensor([0.5, 2.0]))

    def forward(self, image: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        states, _ = self.gru(self.stem(image).mean(1))
        values = torch.linalg.eigvals(states).real.cumsum(-1)
        one, two = self.head(values).split(2, -1)
        mixed = one.tanh() * self.scale
        mixed += two.sigmoid()
        return mixed.softmax(-1) + shift


def program_of(module: nn.Module, *inputs: torch.Tensor, dynamic: Any = None) -> Any:
    torch.manual_seed(0)
    return capture(module.eval(), inputs, {}, dynamic)


INPUTS = (torch.randn(2, 3, 8, 8), torch.ones(2))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("net") / "model.pt2"
    torch.export.save(program_of(Net(), *INPUTS), path)
    return path


@pytest.fixture
def reduce(saved: Path, tmp_path: Path) -> Iterator[Callable[..., Shrunk]]:
    """Shrink the net along a route of hops."""
    with WorkPool(limits=Limits(seconds=60)) as pool:

        def run(*hops: Hop, failure: Failure | None = None, **more: Any) -> Shrunk:
            route = Route(source=EXPORTED, target=hops[-1].target, hops=hops)
            return shrink(saved, route, failure, pool=pool, scratch=tmp_path, **more)

        yield run


DEADLY = Hop(
    name="dies-on-a-pair",
    title="native code that dies",
    source=EXPORTED,
    target=ONNX,
    convert=deadly_hops.die_on_a_pair,
    place=WORKER,
)


def test_any_part_of_a_program_computes_what_the_whole_does_there() -> None:
    whole = CutProgram.of(program_of(Net(), *INPUTS))
    pure = [unit for unit in whole.units if "add_" not in unit.op]
    for seed in range(12):
        torch.manual_seed(seed)
        units = [unit for unit in pure if torch.rand(()) < 0.4] or pure[:1]
        piece = whole.piece(units)
        results = piece.module(*piece.inputs.values())
        ordered = [node for unit in units for node in unit.nodes]
        expected = [
            whole.values[node]
            for node in sorted(ordered, key=list(whole.program.graph.nodes).index)
            if isinstance(whole.values[node], torch.Tensor)
            and (not node.users or any(user not in ordered for user in node.users))
        ]
        assert len(results) == len(expected)
        for one, other in zip(results, expected, strict=True):
            torch.testing.assert_close(one, other)


def test_results_of_several_members_are_not_torn_apart() -> None:
    whole = CutProgram.of(program_of(Net(), *INPUTS))
    (split,) = (unit for unit in whole.units if unit.op == "aten.split")
    assert [node.target is operator.getitem for node in split.nodes] == [False, True, True]
    assert len(whole.piece([split]).module(*whole.piece([split]).inputs.values())) == 2


def test_changing_sizes_become_those_of_the_examples() -> None:
    class Flat(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.reshape(x.shape[0] * 2, -1).relu()

    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    whole = CutProgram.of(program_of(Flat(), torch.ones(4, 6), dynamic=dynamic))
    assert [unit.op for unit in whole.units] == ["aten.reshape", "aten.relu"]
    piece = whole.piece(whole.units[:1])
    assert piece.module(*piece.inputs.values())[0].shape == (8, 3)


def test_an_operator_that_a_hop_refuses_is_found_alone(
    reduce: Callable[..., Shrunk], tmp_path: Path
) -> None:
    shrunk = reduce(HOPS.get("tflite-direct"))
    (unit,) = shrunk.piece.units
    assert (unit.op, unit.module) == ("aten.linalg_eigvals", "")
    assert Path(unit.source.rpartition(":")[0]).name == "test_shrinking.py"
    assert shrunk.failure.symptom is Symptom.UNSUPPORTED
    assert shrunk.minimal
    assert shrunk.total > 10 >= shrunk.trials
    with WorkPool() as pool:
        made = write_reproduction(shrunk, tmp_path / "it", text="net", pool=pool, options={})
    assert made.confirmed, made.said


def test_a_pair_that_kills_a_native_converter_is_found(
    reduce: Callable[..., Shrunk],
) -> None:
    shrunk = reduce(DEADLY)
    assert {unit.op for unit in shrunk.piece.units} == {"aten.cumsum", "aten.sigmoid"}
    assert shrunk.failure.symptom is Symptom.CRASH
    assert shrunk.failure.stage is Stage.LOWER
    assert "SIGSEGV" in shrunk.failure.message
    assert shrunk.minimal


def test_a_search_whose_time_is_over_says_so(reduce: Callable[..., Shrunk]) -> None:
    shrunk = reduce(DEADLY, seconds=0)
    assert len(shrunk.piece.units) == shrunk.total
    assert not shrunk.minimal


def test_another_failure_than_the_recorded_one_is_not_followed(
    reduce: Callable[..., Shrunk],
) -> None:
    recorded = Failure(
        hop=DEADLY.name, stage=Stage.LOWER, symptom=Symptom.TIMEOUT, message="no result after 9 s"
    )
    with pytest.raises(ConversionError, match=r"no result after 9 s.*SIGSEGV"):
        reduce(DEADLY, failure=recorded)


def test_a_program_that_converts_is_not_reduced(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    torch.export.save(program_of(nn.Linear(3, 2), torch.ones(1, 3)), path)
    route = Route(source=EXPORTED, target=ONNX, hops=(DEADLY,))
    with WorkPool() as pool, pytest.raises(ConversionError, match="nothing to reduce"):
        shrink(path, route, pool=pool, scratch=tmp_path)


SCRIPT = """
import onnx

for node in onnx.load(source).graph.node:
    assert node.op_type != "Tanh", "no kernel"
"""


def test_a_later_hop_is_given_what_the_earlier_ones_make_of_the_part(
    reduce: Callable[..., Shrunk], saved: Path, tmp_path: Path
) -> None:
    picky = Hop(
        name="refuses-tanh",
        title="a converter without Tanh",
        source=ONNX,
        target=EXECUTORCH,
        convert=deadly_hops.refuse_tanh,
        place=IN_PROCESS,
        packages=("onnx",),
        script=SCRIPT,
    )

    class Small(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.exp().tanh().relu()

    torch.export.save(program_of(Small(), torch.ones(3)), tmp_path / "small.pt2")
    hops = (HOPS.get("torch-onnx"), picky)
    with WorkPool() as pool:
        shrunk = shrink(
            tmp_path / "small.pt2",
            Route(source=EXPORTED, target=EXECUTORCH, hops=hops),
            pool=pool,
            scratch=tmp_path,
        )
        folder = tmp_path / "my reproduction"
        made = write_reproduction(shrunk, folder, text="small", pool=pool, options={})
    assert [unit.op for unit in shrunk.piece.units] == ["aten.tanh"]
    assert made.confirmed
    assert made.said == "AssertionError: no kernel"
    script = (folder / "reproduce.py").read_text()
    assert "bridge" not in script
    assert "torch" not in script.partition("import onnx")[2]
    assert {each.name for each in folder.iterdir()} >= {"model.onnx", "piece.py", "tensors.pt"}


def test_a_hop_from_a_live_module_is_given_the_part_as_one(saved: Path, tmp_path: Path) -> None:
    picky = Hop(
        name="refuses-tanh-live",
        title="a tracer without tanh",
        source=TORCH,
        target=TORCHSCRIPT,
        convert=deadly_hops.refuse_tanh_in_a_module,
        place=IN_PROCESS,
    )
    route = Route(source=TORCH, target=TORCHSCRIPT, hops=(picky,))
    with WorkPool() as pool:
        shrunk = shrink(saved, route, pool=pool, scratch=tmp_path)
    assert [unit.op for unit in shrunk.piece.units] == ["aten.tanh"]
    assert shrunk.failure.stage is Stage.CAPTURE


def test_numbers_paths_and_places_do_not_make_another_failure() -> None:
    one = "ValueError: node 12 (conv2d_3) at 0x7f01 of /tmp/a/model.onnx\n  at mine.py:3"
    other = "ValueError: node 1 (conv2d) at 0x12 of /home/me/x/model.onnx"
    assert normalised(one) == normalised(other)
    assert normalised(one) != normalised(other.replace("node", "value"))


RARE = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(4, 2)

    def forward(self, x):
        y = x.sin()
        y = torch.special.bessel_j0(y)
        return self.head(y)

def net():
    torch.manual_seed(0)
    return Net(), (torch.rand(2, 4),)
"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run ``driftbridge blame`` in this process."""
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(blame)
    return lambda *arguments: CliRunner().invoke(app, arguments)


def test_the_command_names_the_operator_and_its_line_and_writes_a_script_that_fails(
    command: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(RARE)
    converted = bridge.convert("mine.py:net", to="onnx", out="out")
    assert converted.exit_code == 2
    done = command("out", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    (unit,) = found["operators"]
    assert unit["op"] == "aten.special_bessel_j0"
    assert unit["source"] == "mine.py:11"
    assert (found["target"], found["hop"]) == ("onnx", "torch-onnx")
    assert found["symptom"] == "unsupported"
    assert found["minimal"]
    assert found["reproduction"]["confirmed"]
    script = tmp_path / "out" / "blame-onnx" / "reproduce.py"
    assert "bridge" not in script.read_text()
    assert "torch.ops.aten.special_bessel_j0.default" in script.read_text()

    script.write_text(script.read_text().replace("special_bessel_j0.default", "sin.default"))
    capsys.readouterr()
    runpy.run_path(str(script))
    assert capsys.readouterr().out.splitlines()[-1] == "it converts: the failure is gone"


def test_where_nothing_failed_there_is_nothing_to_blame(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    module, row = nn.Linear(3, 2), (torch.ones(1, 3),)
    bridge.convert(module, row, to="torchscript", out="out", validate=False)
    for folder, message in (("out", "no conversion in out failed"), (".", "is not a folder that")):
        done = command(folder)
        assert done.exit_code == 64
        assert message in done.stderr
