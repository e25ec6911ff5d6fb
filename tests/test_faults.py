"""The scoreboard's faults: each kind changes what it says, and its layer is the one it is in."""

from __future__ import annotations

import math
import sys
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

from faults import effects, models, quantizing, scores, seeding
from faults.changes import changed_array, shifted_slice
from faults.formats import opened, target_of
from faults.judging import Judgement, Row
from faults.kinds import KINDS, kind_named

import bridge
from bridge.layers import Absence, LayerMap, Place

ONNX, TFLITE, TORCHSCRIPT = FORMATS = ("onnx", "tflite", "torchscript")


class Everything(nn.Module):
    """A site for as many kinds as possible, on axes of one size where that makes a site."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.strided = nn.Conv2d(8, 8, 3, padding=1, stride=2)
        self.inner = nn.InstanceNorm2d(8, affine=True)
        self.square = nn.Linear(8, 8)
        self.slope = nn.PReLU(8)
        self.layer_norm = nn.LayerNorm(8)
        self.scale = nn.Parameter(torch.rand(8, 1) + 0.5)
        self.register_buffer("order", torch.arange(8).flip(0) * 3 % 8)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.enter(x), 0.2)
        low = F.relu(self.strided(x))
        wide = F.interpolate(low, scale_factor=2, mode="bilinear", align_corners=False)
        part = self.norm(torch.cat([wide, x], 1)[:, 4:12])
        x = F.hardtanh(self.inner(part) - x, -1.0, 1.0)
        x = self.slope(F.avg_pool2d(x, 3, 2, 1, count_include_pad=False))
        rows = x.mean(dim=3)[:, :, :8]  # [1, 8, 8]
        rows = F.gelu(self.square(rows) * self.scale).index_select(1, self.order)
        rows = rows.transpose(1, 2) + torch.softmax(rows, dim=1)
        rows = self.layer_norm(torch.tanh(rows) @ rows)
        rows = rows[:, 1:] - 0.5 * rows[:, :-1]
        return torch.log(rows.square() + 0.4)


class Recurrent(nn.Module):
    """Look-up, LSTM, GRU."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.lstm = nn.LSTM(8, 8, batch_first=True)
        self.gru = nn.GRU(8, 8, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, ids: Tensor) -> Tensor:
        states, _ = self.lstm(self.embedding(ids))
        return self.head(self.gru(states)[0])


class Large(nn.Module):
    """Values so large that integers show every fault, of a table, whose range calibration knows."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 12)
        self.enter = nn.Conv2d(3, 8, 3, padding=1)
        self.enter.weight.data *= torch.linspace(0.2, 3.0, 8).reshape(-1, 1, 1, 1)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.table(ids).reshape(1, 3, 16, 16)
        x = F.relu(self.enter(9.0 * x))
        x = x + F.interpolate(x[:, :, ::2, ::2], scale_factor=2, mode="bilinear")
        return x.mean((2, 3))


def converted(module: nn.Module, given: Tensor, folder: Path) -> seeding.Seeder:
    torch.manual_seed(7)
    for each in module.parameters():
        if each.dim() == 1:
            each.data.uniform_(0.2, 0.8)
    for name, each in module.named_buffers():
        if name.endswith("running_var"):
            each.uniform_(0.5, 1.5)
    bridge.convert(module.eval(), (given,), to=["exported", *FORMATS], out=folder, validate=False)
    return seeding.Seeder(models.quantized(models.read("net", folder), folder / "quantized"))


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> seeding.Seeder:
    torch.manual_seed(3)
    image = torch.randn(1, 3, 16, 16)
    return converted(Everything(), image, tmp_path_factory.mktemp("everything"))


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> seeding.Seeder:
    torch.manual_seed(3)
    ids = torch.randint(0, 20, (1, 10))
    return converted(Recurrent(), ids, tmp_path_factory.mktemp("recurrent"))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> seeding.Seeder:
    torch.manual_seed(3)
    ids = torch.randint(0, 20, (1, 64))
    return converted(Large(), ids, tmp_path_factory.mktemp("large"))


@cache
def fault(seeder: seeding.Seeder, kind: str, carrier: str) -> seeding.Fault | None:
    return next(seeder.faults(kind_named(kind), carrier, []), None)


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_a_kind_changes_what_the_native_runtime_computes(
    kind: str, everything: seeding.Seeder, recurrent: seeding.Seeder, large: seeding.Seeder
) -> None:
    for carrier in kind_named(kind).edits:
        seeders = (everything, recurrent, large)
        found = next(filter(None, (fault(each, kind, carrier) for each in seeders)), None)
        assert found is not None, f"no site in {carrier}"
        assert found.layers
        assert found.effect > effects.BEYOND_ROUNDING


@pytest.mark.parametrize("carrier", [*FORMATS, "→ tflite"])
def test_a_fault_is_the_same_every_time(carrier: str, everything: seeding.Seeder) -> None:
    found = fault(everything, "GELU variant", carrier)
    weights = fault(everything, "weight element", carrier) if carrier in FORMATS else None
    for each in filter(None, (found, weights)):
        again = seeding.Seeder(everything.subject)
        assert fault(again, each.kind, carrier) == each
        assert again.injected(each).content == everything.injected(each).content


@pytest.mark.parametrize("carrier", [*FORMATS, "→ tflite"])
def test_the_layer_of_a_fault_is_the_one_it_was_put_in(
    carrier: str, everything: seeding.Seeder
) -> None:
    gelu = fault(everything, "GELU variant", carrier)
    assert gelu is not None
    assert "gelu" in gelu.layers
    assert set(gelu.layers) <= {"mul", "gelu", "index_select"}


def test_a_fault_in_a_fused_operator_is_one_of_all_that_it_holds(
    everything: seeding.Seeder,
) -> None:
    kind, file = kind_named("activation dropped"), opened(everything.subject, TFLITE)
    sites = file.sites(kind, np.random.default_rng(0))
    (site,) = [each for each in sites if each.operator.kind == "CONV_2D"]
    places = everything.subject.artifacts[TFLITE].layer_map
    tensors = file.seeded(site.operator, places)
    assert set(seeding.seeded_layers(tensors, places)) == {"conv2d_1", "relu"}


def test_only_what_comes_after_a_fault_differs(everything: seeding.Seeder) -> None:
    found = fault(everything, "GELU variant", ONNX)
    assert found is not None
    subject = everything.subject
    artifact, given = subject.artifacts[ONNX], (subject.source.signature.inputs, subject.samples)
    content = everything.injected(found).content
    spine = subject.source.spine
    assert spine is not None
    first = spine.ids().index(found.layers[0])
    before = [each for each in spine.ids()[:first] if artifact.layer_map.place(each).tensor]
    names = [str(artifact.layer_map.place(each).tensor) for each in before]
    good = effects.run(artifact, artifact.path.read_bytes(), *given, names)
    assert effects.effect(good, effects.run(artifact, content, *given, names)) == 0.0


def test_a_rare_nan_is_in_some_samples_only(everything: seeding.Seeder) -> None:
    found = fault(everything, "rare NaN", TORCHSCRIPT)
    assert found is not None
    artifact, given = everything.subject.artifacts[TORCHSCRIPT], everything.subject.samples
    injected = everything.injected(found)
    source = everything.subject.source.signature.inputs
    last = str(artifact.layer_map.place("log").tensor)
    names = [injected.renamed[last]]
    assert (
        0
        < effects.share_of_nonfinite(effects.run(artifact, injected.content, source, given, names))
        < 1
    )


def test_a_fault_without_effect_is_told_apart(everything: seeding.Seeder) -> None:
    rejected: list[seeding.Rejected] = []
    # ReLU6 for ReLU changes nothing where nothing is above 6, and a tenth of the bound does
    tiny = [np.zeros((2, 2))], [np.full((2, 2), 1e-9)]
    assert effects.effect({"t": tiny[0]}, {"t": tiny[1]}) == 0.0
    list(everything.faults(kind_named("axes swapped"), TORCHSCRIPT, rejected))
    assert {each.reason for each in rejected} <= {"no effect", "does not run"}


def test_a_nan_counts_as_infinite_and_another_shape_as_no_effect_at_all() -> None:
    good = {"t": [np.ones(4)]}
    assert math.isinf(effects.effect(good, {"t": [np.array([1, 1, np.nan, 1.0])]}))
    assert math.isnan(effects.effect(good, {"t": [np.ones(5)]}))
    assert effects.effect(good, {"t": [np.full(4, 1.5)]}) == pytest.approx(0.5)


def test_changes_of_arrays_leave_the_good_one_alone() -> None:
    good = np.arange(1.0, 17.0, dtype=np.float32).reshape(4, 4)
    change = partial(changed_array, array=good, axis=0, by=-1.0, rng=np.random.default_rng(0))
    flipped = change("element")
    assert flipped is not None
    assert (flipped != good).sum() == 1
    assert np.array_equal(changed_array("transposed", good, axis=0, by=0, rng=None), good.T)
    assert change("float16") is None  # small integers are exact in it
    assert good.sum() == 136


def test_slices_keep_their_length() -> None:
    assert shifted_slice(1, 2**63 - 1, 8) == (0, 7)
    assert shifted_slice(0, -1, 8) == (1, 8)
    assert shifted_slice(0, 8, 8) is None


def judged(*rows: Row) -> Judgement:
    return Judgement(verdict="fail", reason="", rows=rows)


def seeded(*layers: str) -> seeding.Fault:
    return seeding.Fault(
        kind="epsilon ×10", model="net", format=ONNX, operator=0, edit=0, label="Conv",
        layers=layers, effect=1.0,
    )  # fmt: skip


def test_the_first_layer_that_fails_alone_is_named() -> None:
    judgement = judged(
        Row(layer="a", low=2, isolated=4, accumulated=50, verdict="inconclusive"),
        Row(layer="b", low=20, isolated=30, accumulated=90, verdict="fail"),
        Row(layer="c", low=90, isolated=99, accumulated=99, verdict="fail"),
    )
    assert scores.score(seeded("b"), judgement).first
    third = scores.score(seeded("a"), judgement)
    assert (third.first, third.among, third.rank) == (False, True, 3)
    assert "b was named" in third.why
    assert "a alone is inconclusive" in third.why


def test_without_a_failure_alone_the_first_that_fails_at_all_is_named() -> None:
    judgement = judged(
        Row(layer="a", accumulated=1, accumulated_verdict="pass"),
        Row(layer="b", accumulated=math.inf, accumulated_verdict="fail"),
        Row(layer="c", accumulated=99, accumulated_verdict="fail"),
    )
    made = scores.score(seeded("b"), judgement)
    assert (made.first, made.rank) == (True, 1)


def test_layers_next_down_the_graph_carry_the_fault_of_one_without_a_tensor() -> None:
    places = LayerMap(
        places={
            "conv": Place(absence=Absence.FUSED, into="relu"),
            "relu": Place(tensor="t"),
            "other": Place(tensor="u"),
        }
    )
    assert seeding.seeded_layers(["t"], places) == ("conv", "relu")


@pytest.mark.parametrize("carrier", FORMATS)
def test_the_validator_names_three_faults_and_is_silent_on_the_good_file(
    carrier: str, everything: seeding.Seeder
) -> None:
    kinds = ("GELU variant", "weight element", "slope dropped")
    found = [each for kind in kinds if (each := fault(everything, kind, carrier)) is not None]
    others = {f"good|net|{each}" for each in everything.subject.artifacts if each != carrier}
    records = dict(scores.scores(everything, found, dict.fromkeys(others)))
    assert len(records) == 4
    assert records.pop(f"good|net|{carrier}")["alarms"] == []
    assert [each["top1"] for each in records.values()] == [True] * 3


class Spoilt(nn.Module):
    """The logarithm of what integers store as zero."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.log(self.enter(x).square() + 1e-6).mean((2, 3))


def test_a_file_that_the_quantizer_spoils_is_no_good_one(tmp_path: Path) -> None:
    subject = converted(Spoilt(), torch.randn(1, 3, 16, 16), tmp_path).subject
    assert "tflite-weights" in subject.artifacts
    assert "tflite-int8" not in subject.artifacts
    assert "is NaN or infinite" in subject.refused["tflite-int8"]


def test_quantized_files_are_calibrated_on_other_samples_than_they_are_judged_on(
    everything: seeding.Seeder,
) -> None:
    subject = everything.subject
    judged_on = subject.samples_of("tflite-int8")
    assert subject.samples_of("tflite") is subject.samples
    given = list(
        quantizing.calibration_samples(subject.artifacts["tflite"], subject.source, judged_on)
    )
    assert len(given) == quantizing.CALIBRATED_ON
    assert not any(np.array_equal(row["x"], own) for row in given for own in judged_on.arrays["x"])
    assert subject.artifacts["tflite-int8"].precision == "int8"
    assert subject.artifacts["tflite-dynamic"].precision == "int8-weights"


class Result(NamedTuple):
    logits: Tensor


class Named(nn.Module):
    """A result that is named, as in the outputs of a Hugging Face model."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Result:
        return Result(logits=self.second(nn.functional.gelu(self.first(x))))


@pytest.mark.parametrize("carrier", ["→ onnx", "→ tflite"])
def test_a_conversion_fault_is_followed_to_outputs_of_another_name(
    carrier: str, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    seeder = converted(Named(), torch.randn(1, 6), tmp_path)
    found = fault(seeder, "GELU variant", carrier)
    assert found is not None
    injected = seeder.injected(found)
    good = seeder.subject.artifacts[target_of(carrier)]
    assert injected.signature is not None
    assert good.signature.outputs[0].name == "logits"
    assert injected.signature.outputs[0].name != "logits"
    others = {f"good|net|{each}" for each in seeder.subject.artifacts}
    (record,) = dict(scores.scores(seeder, [found], dict.fromkeys(others))).values()
    assert record["top1"]
