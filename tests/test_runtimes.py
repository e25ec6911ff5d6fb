"""Runtimes: what a file computes, what is seen inside it, and how bad files and inputs end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runtime_files import (
    NETS,
    Array,
    assert_close,
    assert_same,
    described,
    inner_tensors,
    load_script,
    onnx_of,
    program_of,
    runtime,
    save_script,
    tensors,
    trace,
    values_of,
    write,
)
from torch import nn

from bridge.artifact import Artifact, Signature, TensorSpec
from bridge.errors import InputError, SourceError, UsageError
from bridge.formats import EXPORTED, MOBILE, ONNX, TORCHSCRIPT, Format
from bridge.live import tensors_of
from bridge.validators.runtime import (
    RUNTIMES,
    Runtime,
)

FORMATS: dict[str, Format] = {
    "eager-float32": EXPORTED,
    "eager-float64": EXPORTED,
    "onnxruntime": ONNX,
    "torchscript": TORCHSCRIPT,
    "lite-interpreter": MOBILE,
}
TAPPED = {name: form for name, form in FORMATS.items() if RUNTIMES.get(name).taps}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Format], Artifact]:
    """Files of the nets, each written on first use."""
    written: dict[tuple[str, str], Artifact] = {}

    def file(net: str, form: Format) -> Artifact:
        key = (net, form.name)
        if key not in written:
            written[key] = write(net, form, tmp_path_factory.mktemp(f"{net}-{form}"))
        return written[key]

    return file


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name", FORMATS)
def test_outputs_are_the_modules_own(
    files: Callable[[str, Format], Artifact], name: str, net: str
) -> None:
    artifact = files(net, FORMATS[name])
    session = runtime(name).open(artifact)
    for seed in (0, 1):
        inputs = NETS[net].inputs(seed)
        before = {key: array.copy() for key, array in inputs.items()}
        with torch.no_grad():
            expected = tensors_of(NETS[net].module()(*tensors(inputs)))
        outputs = session.run(inputs).outputs
        assert list(outputs) == [spec.name for spec in artifact.signature.outputs]
        for actual, wanted in zip(outputs.values(), expected, strict=True):
            assert_close(actual, wanted.numpy())
        assert_same(inputs, before)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name", TAPPED)
def test_tapping_does_not_change_the_outputs(
    files: Callable[[str, Format], Artifact], name: str, net: str
) -> None:
    artifact = files(net, FORMATS[name])
    inputs = NETS[net].inputs(3)
    plain = runtime(name).open(artifact).run(inputs).outputs
    names = inner_tensors(artifact)
    tapped = runtime(name).open(artifact, [*names, names[0]]).run(inputs)
    assert list(tapped.taps) == names
    # a value that is shown cannot be fused away; a twin's weights lie elsewhere in memory, by which
    # MKL chooses how it adds
    if name in ("onnxruntime", "lite-interpreter"):
        for key, expected in plain.items():
            assert_close(tapped.outputs[key], expected)
    else:
        assert_same(tapped.outputs, plain)


@pytest.mark.parametrize("net", NETS)
def test_onnx_taps_are_the_values_of_the_nodes(
    files: Callable[[str, Format], Artifact], net: str
) -> None:
    artifact, inputs = files(net, ONNX), NETS[net].inputs(3)
    expected = values_of(onnx_of(net).exported_program, inputs)
    named = [name for name in inner_tensors(artifact) if name in expected]
    assert len(named) >= 3
    result = runtime("onnxruntime").open(artifact, named).run(inputs)
    for name in named:
        assert_close(result.taps[name], expected[name])


@pytest.mark.parametrize("net", NETS)
def test_torchscript_taps_are_the_values_of_the_nodes(
    files: Callable[[str, Format], Artifact], net: str
) -> None:
    """The n-th call of an operator in the trace is the n-th one in the captured program."""
    artifact, inputs = files(net, TORCHSCRIPT), NETS[net].inputs(3)
    program = program_of(net)
    expected: dict[str, list[Array]] = {}
    captured = values_of(program, inputs)
    for node in program.graph.nodes:
        if node.name in captured and isinstance(node.target, torch._ops.OpOverload):
            expected.setdefault(node.target._schema.name, []).append(captured[node.name])
    found: dict[str, list[str]] = {}
    for node in load_script(artifact.path).inlined_graph.nodes():
        if node.outputsSize() == 1 and node.output().type().kind() == "TensorType":
            kind = node.kind().replace("_convolution", "conv2d")
            found.setdefault(kind, []).append(node.output().debugName())
    pairs = {
        name: value
        for kind, names in found.items()
        if len(names) == len(expected.get(kind, ()))
        for name, value in zip(names, expected[kind], strict=True)
    }
    assert len(pairs) >= 1
    result = runtime("torchscript").open(artifact, list(pairs)).run(inputs)
    for name, value in pairs.items():
        assert_close(result.taps[name], value)


class Branches(nn.Module):
    def forward(self, x: torch.Tensor, times: int = 2) -> torch.Tensor:
        y = x + 1 if bool(x.sum() > 0) else x - 1
        return y * times


def test_scripted_files_run_with_their_default_arguments(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    save_script(torch.jit.script(Branches()), str(path))
    spec = TensorSpec(name="x", shape=(2,), dtype="float32")
    its = Signature(inputs=(spec,), outputs=(replace(spec, name="output"),))
    artifact = described(TORCHSCRIPT, path, its)
    names = inner_tensors(artifact)
    inner = next(
        value.debugName()
        for node in load_script(path).inlined_graph.nodes()
        for block in node.blocks()
        for value in block.outputs()
    )
    for sign in (1, -1):
        x = {"x": np.full(2, sign, np.float32)}
        result = runtime("torchscript").open(artifact, names).run(x)
        assert result.outputs["output"].tolist() == [4 * sign, 4 * sign]
        assert result.taps[names[-2]].tolist() == [2 * sign, 2 * sign]
    with pytest.raises(SourceError, match="bodies of branches or loops"):
        runtime("torchscript").open(artifact, [inner])


class Nested(nn.Module):
    def forward(self, pair: Any, table: dict[str, torch.Tensor]) -> Any:
        first, rest = pair
        return first + rest[1] * 2, (table["k"] + first, rest[0])


@pytest.mark.parametrize("taps", [False, True])
def test_nested_arguments_and_results_are_flat_in_order(tmp_path: Path, taps: bool) -> None:
    ones = torch.ones(2)
    example = ((ones, [ones, ones]), {"k": ones})
    traced = trace(Nested(), example, strict=False)
    traced.save(str(tmp_path / "model.pt"))
    names = ("pair_0", "pair_1_0", "pair_1_1", "table_k")
    its = Signature(
        inputs=tuple(TensorSpec(name=name, shape=(2,), dtype="float32") for name in names),
        outputs=tuple(TensorSpec(name=n, shape=(2,), dtype="float32") for n in ("sum", "a", "b")),
    )
    artifact = described(TORCHSCRIPT, tmp_path / "model.pt", its)
    shown = inner_tensors(artifact)[:1] if taps else []
    given = {name: np.full(2, 10**i, np.float32) for i, name in enumerate(names)}
    outputs = runtime("torchscript").open(artifact, shown).run(given).outputs
    assert {name: value[0] for name, value in outputs.items()} == {"sum": 201, "a": 1001, "b": 10}


def test_weights_beside_an_onnx_file_are_found_when_tapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx_of("residual").save(str(tmp_path / "model.onnx"), external_data=True)
    assert (tmp_path / "model.onnx.data").exists()
    plain = write("residual", ONNX, tmp_path / "..")
    artifact = replace(plain, path=tmp_path / "model.onnx")
    monkeypatch.chdir("/")
    inputs, names = NETS["residual"].inputs(1), inner_tensors(artifact)
    result = runtime("onnxruntime").open(artifact, [*names, "image"]).run(inputs)
    assert_close(
        result.outputs["linear"], runtime("onnxruntime").open(plain).run(inputs).outputs["linear"]
    )
    np.testing.assert_array_equal(result.taps["image"], inputs["image"])


@pytest.mark.parametrize("name", TAPPED)
def test_unknown_tensors_are_listed_with_near_matches(
    files: Callable[[str, Format], Artifact], name: str
) -> None:
    artifact = files("square", FORMATS[name])
    known = inner_tensors(artifact)[0]
    with pytest.raises(SourceError, match="nowhere") as caught:
        runtime(name).open(artifact, [known, known + "x", "nowhere"])
    assert known in (caught.value.hint or "")
    assert f"{known}x" in caught.value.message


def test_what_a_runtime_cannot_do_is_said(
    files: Callable[[str, Format], Artifact], tmp_path: Path
) -> None:
    class Blind(Runtime):
        name, title, formats = "blind", "a runtime that shows nothing", (MOBILE,)

        def _open(self, artifact: Artifact, taps: list[str]) -> Any:
            raise AssertionError("it is not opened")

    artifact = files("square", MOBILE)
    with pytest.raises(UsageError, match="cannot show tensors"):
        Blind().open(artifact, ["x"])
    with pytest.raises(UsageError, match="cannot run the pieces"):
        Blind().open(artifact, [], [TensorSpec(name="x", shape=(1,), dtype="float32")])
    alone = tmp_path / artifact.path.name
    alone.write_bytes(artifact.path.read_bytes())
    with pytest.raises(SourceError, match=r"not beside it as model\.pt"):
        runtime("lite-interpreter").open(replace(artifact, path=alone), ["x"])
    with pytest.raises(UsageError, match="runs onnx, not mobile"):
        runtime("onnxruntime").open(artifact)
    with pytest.raises(SourceError, match="there is no file"):
        runtime("lite-interpreter").open(replace(artifact, path=artifact.path / "gone"))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"image": np.zeros((2, 3, 10, 10), np.float64)}, "does not take float64"),
        ({"image": np.zeros((2, 3, 10, 9), np.float32)}, r"does not take float32\[2, 3, 10, 9\]"),
        ({"image": np.zeros((3, 10, 10), np.float32)}, "does not take"),
        ({"picture": np.zeros((2, 3, 10, 10), np.float32)}, "there is no input 'picture'"),
        ({}, "'image' is missing"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    files: Callable[[str, Format], Artifact], name: str, wrong: dict[str, Array], message: str
) -> None:
    session = runtime(name).open(files("residual", FORMATS[name]))
    with pytest.raises(InputError, match=message):
        session.run(wrong)
