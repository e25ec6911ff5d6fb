"""Validation: what is equal passes, what is wrong fails, and the layer where it begins is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from validation_bench import Bench, X, export, samples

from bridge.artifact import Artifact, Signature
from bridge.layers import Absence, LayerMap, Place
from bridge.live import LiveModel
from bridge.outcome import Stage, Symptom
from bridge.validators.metrics import measure
from bridge.validators.reference import live_reference
from bridge.validators.runtime import RUNTIMES, Runtime
from bridge.validators.validation import Validator
from bridge.validators.verdict import Verdict
from bridge.worker import IN_PROCESS, WorkFailure, WorkPool


class Classifier(nn.Module):
    """Two layers with a norm between them, whose epsilon matters for small inputs."""

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.first = nn.Linear(6, 8)
        self.norm = nn.LayerNorm(8, eps=eps)
        self.second = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.norm(self.first(x))))


class Cancelling(nn.Module):
    """A sum that loses most of its digits in float32, whoever computes it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu((x + 3e4) - 3e4)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with WorkPool() as pool:
        yield Bench(pool, tmp_path)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return export(Classifier(), tmp_path_factory.mktemp("source"))


LAYERS = ["linear", "layer_norm", "relu", "linear_1"]


def test_the_reference_is_the_model_in_float64(bench: Bench, source: Artifact) -> None:
    _, reference = bench.reference(source)
    assert reference.runtime == "eager-float64"
    truth = reference.whole.output(reference.outputs[0])
    with torch.no_grad():
        expected = Classifier().double()(torch.tensor(X.arrays["x"]).double()).numpy()
    np.testing.assert_allclose(truth, expected, rtol=1e-12)
    assert reference.separable.issuperset(LAYERS)


def test_an_identical_model_passes_with_all_its_layers(bench: Bench, source: Artifact) -> None:
    validation = bench.validate(source, source)
    (target,) = validation.targets
    assert validation.layer_samples == 5
    assert validation.verdict is target.verdict is Verdict.PASS
    assert (target.target, target.runtime, target.reason) == ("exported", "eager-float32", "")
    assert target.outcome.symptom is Symptom.OK
    assert target.outputs["output"].sqnr_db > 120
    assert target.outputs["output"].rmse > 0, "it is float32 against float64"
    assert target.top1_agreement == 1
    assert list(target.layers.rows) == LAYERS
    for row in target.layers.rows.values():
        assert row.verdict is Verdict.PASS
        for drift in (row.accumulated, row.isolated):
            assert drift is not None
            assert drift.ratio is not None
            assert drift.ratio.high <= 1, "it is one of the legitimate implementations"
    assert target.deterministic is True
    assert target.layers.isolation == ""
    assert target.layers.introduced is None
    assert target.layers.first_failure is None
    assert target.layers.observer_effect is False


def test_a_wrong_epsilon_is_named_as_the_layer_where_the_drift_begins(
    bench: Bench, source: Artifact
) -> None:
    target = bench.compare(source, export(Classifier(eps=1e-2), bench.folder))
    assert target.verdict is Verdict.FAIL
    assert target.reason.startswith("output output: SQNR")
    verdicts = {layer: row.verdict for layer, row in target.layers.rows.items()}
    assert verdicts["linear"] is Verdict.PASS
    assert {verdicts[layer] for layer in LAYERS[1:]} == {Verdict.FAIL}
    assert target.layers.first_failure == target.layers.introduced == "layer_norm"
    alone = {layer: row.isolated for layer, row in target.layers.rows.items()}
    assert [
        layer for layer, each in alone.items() if each and each.verdict is not Verdict.PASS
    ] == ["layer_norm"]


def test_a_slightly_wrong_epsilon_is_no_rounding(bench: Bench, source: Artifact) -> None:
    """A tolerance of 1e-4 passes it, and so does the whole model's SQNR."""
    target = bench.compare(source, export(Classifier(eps=1.05e-5), bench.folder))
    assert target.outputs["output"].sqnr_db > 90
    assert target.verdict is Verdict.FAIL
    assert "layer layer_norm introduces more than rounding" in target.reason
    row = target.layers.rows["layer_norm"]
    assert row.isolated is not None
    assert row.isolated.ratio is not None
    assert row.isolated.ratio.low > 10
    assert row.accumulated is not None
    assert row.accumulated.verdict is Verdict.PASS
    assert target.layers.introduced == "layer_norm"


def test_a_nan_is_a_failure_and_its_layer_is_named(bench: Bench, source: Artifact) -> None:
    broken = Classifier()
    with torch.no_grad():
        broken.norm.weight[3] = float("nan")
    target = bench.compare(source, export(broken, bench.folder))
    assert target.verdict is Verdict.FAIL
    assert "NaN or infinity" in target.reason
    assert target.layers.first_failure == "layer_norm"
    assert target.layers.observer_effect is False, "a NaN is equal to itself here"


def test_a_layer_as_noisy_as_float32_itself_is_no_failure(bench: Bench) -> None:
    inputs = samples(4, 1, 500, scale=1.0)
    source = export(Cancelling(), bench.folder, like=inputs)
    target = bench.compare(source, source, inputs=inputs)
    row = target.layers.rows["sub"]
    assert row.metrics is not None
    assert row.metrics.sqnr_db < 70
    assert row.verdict is Verdict.PASS
    assert row.accumulated is not None
    assert row.accumulated.ratio is not None
    assert row.accumulated.ratio.value == pytest.approx(1, abs=0.5)


def test_only_what_is_mapped_is_compared_and_the_rest_says_why(
    bench: Bench, source: Artifact
) -> None:
    places = {
        "linear": Place(absence=Absence.FUSED, into="layer_norm"),
        "layer_norm": Place(tensor="layer_norm"),
        "relu": Place(absence=Absence.FOLDED, detail="it is constant"),
    }
    target = bench.compare(source, replace(source, layer_map=LayerMap(places=places)))
    rows = target.layers.rows
    assert {layer: row.reason for layer, row in rows.items()} == {
        "linear": "fused into layer_norm",
        "layer_norm": "",
        "relu": "folded: it is constant",
        "linear_1": "unexplained",
    }
    assert [layer for layer, row in rows.items() if row.mapped] == ["layer_norm"]
    assert rows["relu"].verdict is Verdict.NOT_RUN


class ChannelsLast(nn.Module):
    """What a mobile converter makes of ``Channels``: the same numbers in other places."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.tensor([1.0, 2.0, 3.0])


class Channels(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)


def test_an_artifact_in_another_layout_is_compared_in_the_sources(bench: Bench) -> None:
    inputs = samples(3, 1, 3, 4, 5)
    source = export(Channels(), bench.folder, like=inputs)
    last = replace(inputs, arrays={"x": inputs.arrays["x"].transpose(0, 1, 3, 4, 2)})
    artifact = export(ChannelsLast(), bench.folder, "last", like=last)
    permutation = (0, 2, 3, 1)
    signature = Signature(
        inputs=tuple(replace(each, permutation=permutation) for each in artifact.signature.inputs),
        outputs=tuple(
            replace(each, permutation=permutation) for each in artifact.signature.outputs
        ),
    )
    layers = LayerMap(places={"mul": Place(tensor="mul", permutation=permutation)})
    artifact = replace(artifact, signature=signature, layer_map=layers)
    target = bench.compare(source, artifact, inputs=inputs)
    assert target.verdict is Verdict.PASS
    assert target.layers.rows["mul"].verdict is Verdict.PASS

    unmapped = replace(artifact, layer_map=LayerMap(places={"mul": Place(tensor="mul")}))
    row = bench.compare(source, unmapped, inputs=inputs).layers.rows["mul"]
    assert row.verdict is Verdict.FAIL
    assert row.reason == "its tensor is [1, 4, 5, 3], not [1, 3, 4, 5]"


def test_an_output_of_another_shape_is_a_failure(bench: Bench, source: Artifact) -> None:
    class Wider(Classifier):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([super().forward(x)] * 2, dim=1)

    target = bench.compare(source, export(Wider(), bench.folder))
    assert target.verdict is Verdict.FAIL
    assert target.reason == "output output: its shape is [2, 6], not [2, 3]"
    assert target.outputs == {}


def test_a_file_that_does_not_load_fails_alone(bench: Bench, source: Artifact) -> None:
    damaged = bench.folder / "damaged.pt2"
    damaged.write_bytes(source.path.read_bytes()[:500])
    validation = bench.validate(source, replace(source, path=damaged), source)
    bad, good = validation.targets
    assert bad.verdict is validation.verdict is Verdict.FAIL
    assert (bad.outcome.stage, bad.outcome.symptom) == (Stage.LOAD, Symptom.ERROR)
    assert bad.reason.startswith("error at load: ")
    assert good.verdict is Verdict.PASS


def test_a_source_that_does_not_run_has_no_reference(bench: Bench, source: Artifact) -> None:
    with pytest.raises(WorkFailure, match="there is no file"):
        bench.reference(replace(source, path=bench.folder / "gone.pt2"))


def test_what_cannot_run_here_is_not_run_and_does_not_count(bench: Bench, source: Artifact) -> None:
    class Missing(Runtime):
        name, title, place = "missing", "a runtime that nobody has", IN_PROCESS
        formats, packages = (source.format,), ("no-such-package",)

        def _open(self, artifact: Artifact, taps: list[str]) -> Any:
            raise AssertionError("it is not opened")

    RUNTIMES.register("missing", Missing, home=__name__)
    try:
        validation = bench.validate(source, source)
    finally:
        RUNTIMES.unregister("missing")
    ran, missing = validation.targets
    assert missing.target == "exported@missing"
    assert (missing.outcome.symptom, missing.verdict) == (Symptom.UNAVAILABLE, Verdict.NOT_RUN)
    assert missing.reason == "not installed: no-such-package"
    assert ran.verdict is validation.verdict is Verdict.PASS


def test_a_classifier_that_decides_otherwise_fails_and_loses_accuracy(
    bench: Bench, source: Artifact
) -> None:
    _, reference = bench.reference(source)
    truth = reference.whole.output(reference.outputs[0]).argmax(-1)
    labels = truth.copy()
    labels[0] = (labels[0] + 1) % 3  # the model itself errs on the first sample
    known = replace(X, labels=labels)

    class Negated(Classifier):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return -super().forward(x)

    validation = bench.validate(source, source, export(Negated(), bench.folder), inputs=known)
    good, bad = validation.targets
    assert validation.reference_accuracy == good.accuracy == 0.8
    assert good.verdict is Verdict.PASS
    assert bad.verdict is Verdict.FAIL
    assert bad.top1_agreement == 0
    assert "top-1 agreement 0.00% is below 99.9%" in bad.reason
    assert "SQNR" in bad.reason


def test_a_module_that_cannot_be_captured_is_run_itself_in_float64(
    bench: Bench, source: Artifact
) -> None:
    class Uncapturable(Classifier):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) if float(x.sum()) < 1e9 else x

    module = Uncapturable().eval()
    live = LiveModel(module=module, args=(torch.tensor(X.first()["x"]),))
    runner, wanted = bench.reference(source)
    reference = live_reference(runner, live, source.signature, X)
    truth, expected = (each.whole.output(each.outputs[0]) for each in (reference, wanted))
    assert measure(expected, truth).max_abs < 1e-12
    assert next(module.parameters()).dtype is torch.float32, "the user's module stays as it was"
    validation = Validator(runner=runner, reference=reference, samples=X).validate([source])
    assert validation.verdict is Verdict.PASS
    assert validation.targets[0].layers.rows == {}
