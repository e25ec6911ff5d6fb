"""What ``convert`` keeps and tells: names, origins, dynamic sizes; files that enter half-way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import bridge
from bridge.api import ConvertOptions, SourceOptions
from bridge.errors import UsageError
from bridge.samples import InputSpec


class Small(torch.nn.Module):
    """A convolution with batch norm, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.ReLU()
        )
        self.head = torch.nn.Linear(4, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.stem(image).mean((2, 3)))


def small() -> Small:
    torch.manual_seed(0)
    module = Small()
    with torch.no_grad():
        module.stem[1].running_mean.normal_()
        module.stem[1].running_var.uniform_(0.5, 2.0)
    return module.eval()


IMAGE = torch.rand(1, 3, 8, 8)


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    result = bridge.convert(small(), (IMAGE,), to="onnx", out=tmp_path_factory.mktemp("onnx"))
    assert result.ok
    return result.artifacts["onnx"].path


def test_nodes_of_the_simplified_onnx_file_tell_their_origin(onnx_file: Path) -> None:
    told = {}
    for node in onnx.load(onnx_file).graph.node:
        metadata = {each.key: each.value for each in node.metadata_props}
        told[node.op_type] = (
            metadata["driftbridge.layer"],
            metadata["driftbridge.module"],
            metadata["driftbridge.source"].rpartition("/")[2].rpartition(":")[0],
        )
    assert told["Conv"] == ("batch_norm", "stem.1", "test_convert.py")
    assert told["Relu"] == ("relu", "stem.2", "test_convert.py")
    assert told["Gemm"] == ("linear", "head", "test_convert.py")


def test_names_are_the_users(onnx_file: Path) -> None:
    session = onnxruntime.InferenceSession(onnx_file)
    assert [each.name for each in session.get_inputs()] == ["image"]
    assert [each.name for each in session.get_outputs()] == ["output"]


def test_each_result_of_an_operator_has_a_place_in_the_onnx_file(tmp_path: Path) -> None:
    class Best(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return *torch.topk(x, 2), x.split([1, 3, 2], dim=1)[1] * 2

    result = bridge.convert(Best(), (torch.randn(3, 6),), to="onnx", out=tmp_path)
    assert result.report["validation"]["targets"]["onnx"]["verdict"] == "pass"
    mapped = result.artifacts["onnx"].layer_map.mapped()
    assert {"getitem", "getitem_1", "getitem_3", "mul"} <= set(mapped)  # best, where, middle


def test_an_onnx_file_is_a_source_with_its_own_layers(onnx_file: Path, tmp_path: Path) -> None:
    result = bridge.convert(onnx_file, to="tflite", out=tmp_path)
    assert result.exit_code == 0
    assert (
        result.report["validation"]["reference"] == "onnx-evaluator-float64"
    )  # it has a Conv in float64
    assert [each["op"] for each in result.report["layers"]] == [
        "onnx.Conv",
        "onnx.Relu",
        "onnx.ReduceMean",
        "onnx.Gemm",
    ]
    assert [name for name, _ in result.conversions[0].routes] == ["onnx2tf-tflite"]


def test_a_dynamic_dimension_stays_dynamic(tmp_path: Path) -> None:
    options = SourceOptions(declared=[InputSpec.parse("image=?x3x8x8")])
    result = bridge.convert(
        small(), to=["onnx", "torchscript"], out=tmp_path, source_options=options
    )
    assert result.ok
    signature = result.artifacts["onnx"].signature
    assert signature.inputs[0].shape == (None, 3, 8, 8)
    assert signature.outputs[0].shape == (None, 5)
    session = onnxruntime.InferenceSession(result.artifacts["onnx"].path)
    for batch in (1, 7):
        image = torch.rand(batch, 3, 8, 8)
        (actual,) = session.run(None, {"image": image.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(actual, small()(image).numpy(), atol=1e-6)


def test_plan_and_inspect_at_the_top(onnx_file: Path) -> None:
    assert bridge.plan("torch", "mobile").name == "torch-trace/lite-interpreter"
    assert "torch-export" in str(bridge.plan("torch", "onnx"))
    counts = {each.name: each.count for each in bridge.inspect(onnx_file).operators}
    assert counts == {"Conv": 1, "Relu": 1, "ReduceMean": 1, "Gemm": 1}


def test_a_simplification_that_changes_the_result_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, onnx_file: Path, tmp_path: Path
) -> None:
    import onnxsim

    from bridge.converters import onnx_simplify
    from bridge.errors import MismatchError
    from bridge.hop import HopTask
    from bridge.sources import open_artifact

    def simplify_wrongly(model: onnx.ModelProto) -> tuple[onnx.ModelProto, bool]:
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        node = next(node for node in changed.graph.node if node.op_type == "Relu")
        node.op_type = "Neg"
        return changed, True

    monkeypatch.setattr(onnxsim, "simplify", simplify_wrongly)
    np.savez(tmp_path / "examples.npz", image=IMAGE.numpy())
    task = HopTask(
        source=open_artifact(onnx_file),
        out=tmp_path / "model.onnx",
        options={},
        enter=lambda stage: None,
        say=lambda text: None,
        examples=tmp_path / "examples.npz",
    )
    with pytest.raises(MismatchError, match="changed the result"):
        onnx_simplify.convert(task)


def test_a_file_that_is_gone_is_made_again(tmp_path: Path) -> None:
    first = bridge.convert(small(), (IMAGE,), to=["onnx", "torchscript"], out=tmp_path)
    assert bridge.convert(small(), (IMAGE,), to=["onnx", "torchscript"], out=tmp_path).reused
    (tmp_path / "model.pt").unlink()
    (tmp_path / "model.onnx").write_bytes(b"somebody wrote something else here")
    again = bridge.convert(small(), (IMAGE,), to=["onnx", "torchscript"], out=tmp_path)
    assert not again.reused
    assert again.ok
    assert (tmp_path / "model.pt").exists()
    assert onnx.load(tmp_path / "model.onnx").graph.node
    assert first.report["layers"]


def test_other_weights_are_another_model(tmp_path: Path) -> None:
    bridge.convert(small(), (IMAGE,), to="torchscript", out=tmp_path)
    changed = small()
    with torch.no_grad():
        changed.head.bias[0] += 1
    result = bridge.convert(changed, (IMAGE,), to="torchscript", out=tmp_path)
    assert not any(outcome.reused for outcome in result.outcomes)


def test_what_is_stale_stays_named_until_it_is_replaced(tmp_path: Path) -> None:
    other, row = torch.nn.Linear(3, 2).eval(), (torch.zeros(1, 3),)
    bridge.convert(small(), (IMAGE,), to="onnx", out=tmp_path, validate=False)
    first = bridge.convert(other, row, to="torchscript", out=tmp_path, validate=False)
    assert first.stale == ("model.onnx",)
    more = bridge.convert(other, row, to="mobile", out=tmp_path, validate=False)
    assert more.stale == ("model.onnx",)
    replaced = bridge.convert(other, row, to="onnx", out=tmp_path, validate=False)
    assert replaced.stale == ()


def test_a_source_is_no_target_of_itself(onnx_file: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is onnx already"):
        bridge.convert(onnx_file, to=["tflite", "onnx"], out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_not_named_as_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is the name of a file") as raised:
        bridge.convert(small(), (IMAGE,), to="tflite", out=tmp_path / "net.tflite")
    assert "net makes model.tflite in it" in str(raised.value)
    assert not list(tmp_path.iterdir())
    (tmp_path / "net.onnx").mkdir()
    assert bridge.convert(
        small(), (IMAGE,), to="torchscript", out=tmp_path / "net.onnx", validate=False
    ).ok


def test_scripting_and_the_opset_are_the_users_choice(tmp_path: Path) -> None:
    options = ConvertOptions(hop_options={"script": True, "opset": 19})
    result = bridge.convert(
        small(), (IMAGE,), to=["torchscript", "onnx"], out=tmp_path, options=options
    )
    assert result.ok
    graph = torch.jit.load(result.artifacts["torchscript"].path).inlined_graph
    # batch norm's own branch on its mode is in a script, and never in a trace
    assert "prim::If" in {node.kind() for node in graph.nodes()}
    opsets = {each.domain: each.version for each in onnx.load(tmp_path / "model.onnx").opset_import}
    assert opsets[""] == 19
