"""LiteRT on files made by hand: what they compute, what is seen inside, and odd files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from runtime_files import Array, assert_close, assert_same, runtime
from tflite_files import TFLiteFile, artifact, cnn, cnn_signature, weights

from bridge.artifact import Quantization, Signature, TensorSpec
from bridge.errors import InputError, SourceError
from bridge.validators.runtime import fed_name

RUNTIMES = ("litert-xnnpack", "litert-builtin")
INNER = ("conv", "depthwise", "sum", "flat")

both = pytest.mark.parametrize("name", RUNTIMES)


def image(batch: int = 1, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(batch, 8, 8, 3)).astype(np.float32)


def expected(x: Array) -> dict[str, Array]:
    """Every tensor of ``cnn`` by PyTorch, in TFLite's axes."""
    tensor = {name: torch.from_numpy(value) for name, value in weights().items()}

    def nhwc(value: torch.Tensor) -> Array:
        return value.permute(0, 2, 3, 1).contiguous().numpy()

    conv = F.conv2d(
        torch.from_numpy(x).permute(0, 3, 1, 2),
        tensor["conv.weight"].permute(0, 3, 1, 2),
        tensor["conv.bias"],
        padding=1,
    ).relu()
    kernel = tensor["depthwise.weight"].permute(3, 0, 1, 2)
    depthwise = F.conv2d(conv, kernel, tensor["depthwise.bias"], padding=1, groups=8)
    added = nhwc((conv + depthwise).relu())
    flat = added.reshape(len(x), -1)
    logits = F.linear(torch.from_numpy(flat), tensor["head.weight"], tensor["head.bias"]).numpy()
    inner = {"conv": nhwc(conv), "depthwise": nhwc(depthwise), "sum": added, "flat": flat}
    return {**inner, "logits": logits}


@both
def test_outputs_and_taps_are_the_nets_own(tmp_path: Path, name: str) -> None:
    file = artifact(tmp_path / "model.tflite", cnn().finish(), cnn_signature())
    before = file.path.read_bytes()
    plain, tapped = runtime(name).open(file), runtime(name).open(file, ["image", *INNER, "conv"])
    for seed in (0, 1):
        x = image(seed=seed)
        wanted = expected(x)
        assert_close(plain.run({"image": x}).outputs["logits"], wanted["logits"])
        result = tapped.run({"image": x})
        assert_same(result.outputs, plain.run({"image": x}).outputs)
        assert list(result.taps) == ["image", *INNER]
        np.testing.assert_array_equal(result.taps["image"], x)
        for inner in INNER:
            assert_close(result.taps[inner], wanted[inner])
    assert file.path.read_bytes() == before


def test_taps_stay_in_one_xnnpack_partition(tmp_path: Path) -> None:
    file = artifact(tmp_path / "model.tflite", cnn().finish(), cnn_signature())
    for name, partitions in (("litert-xnnpack", 1), ("litert-builtin", 0)):
        for taps in ((), INNER):
            session: Any = runtime(name).open(file, taps)
            session.run({"image": image()})
            details = session.interpreter._get_ops_details()
            claims = [each for each in details if each["op_name"] == "DELEGATE"]
            assert len(claims) == partitions
            if claims:  # everything that can be read comes from the delegate
                assert {*session._taps.values()} <= {*claims[0]["outputs"]}


@both
def test_an_output_can_be_tapped_too(tmp_path: Path, name: str) -> None:
    file = artifact(tmp_path / "model.tflite", cnn().finish(), cnn_signature())
    result = runtime(name).open(file, ["StatefulPartitionedCall:0", "sum"]).run({"image": image()})
    np.testing.assert_array_equal(
        result.taps["StatefulPartitionedCall:0"], result.outputs["logits"]
    )


@both
def test_a_file_without_a_signature_goes_by_tensor_names(tmp_path: Path, name: str) -> None:
    content = cnn().finish(signed=False)
    file = artifact(tmp_path / "model.tflite", content, cnn_signature(signed=False))
    result = runtime(name).open(file, ["sum"]).run({"image": image()})
    assert_close(result.outputs["StatefulPartitionedCall:0"], expected(image())["logits"])


@both
@pytest.mark.parametrize("taps", [(), INNER])
def test_dynamic_sizes_are_those_of_the_inputs(
    tmp_path: Path, name: str, taps: tuple[str, ...]
) -> None:
    content = cnn(batch=None).finish()
    file = artifact(tmp_path / "model.tflite", content, cnn_signature(batch=None))
    session = runtime(name).open(file, taps)
    for batch in (1, 4, 4, 2, 1):
        x = image(batch, seed=batch)
        wanted, result = expected(x), session.run({"image": x})
        for actual, of in ((result.outputs, ["logits"]), (result.taps, taps)):
            assert list(actual) == list(of)
            for key in of:
                assert_close(actual[key], wanted[key])
    with pytest.raises(InputError, match="does not take"):
        session.run({"image": image()[:, :4]})


@both
def test_buffers_behind_the_flatbuffer_survive(tmp_path: Path, name: str) -> None:
    """Large files keep weights behind the flatbuffer and find them by absolute offset."""
    file = cnn()
    content = file.finish()
    big = max(file.model.buffers, key=lambda each: 0 if each.data is None else len(each.data))
    data = bytes(big.data)
    big.data, big.offset, big.size = None, 1, len(data)  # placeholders reserve the fields
    start = -(-len(file.finish()) // 16) * 16
    big.offset = start
    packed = file.finish()
    assert len(packed) <= start < len(content)
    packed = packed.ljust(start, b"\0") + data
    its = artifact(tmp_path / "model.tflite", packed, cnn_signature())
    wanted = expected(image())
    result = runtime(name).open(its, INNER).run({"image": image()})
    for inner in INNER:
        assert_close(result.taps[inner], wanted[inner])
    assert_close(result.outputs["logits"], wanted["logits"])
    cuts = [TensorSpec(name=each, shape=wanted[each].shape, dtype="float32") for each in INNER]
    fed = {fed_name(each): wanted[each] for each in INNER}
    pieces = runtime(name).open(its, INNER, cuts).run({"image": image(), **fed})
    for inner in INNER:
        assert_close(pieces.taps[inner], wanted[inner])
    assert_close(pieces.outputs["logits"], wanted["logits"])


@both
def test_constants_may_share_names_with_activations(tmp_path: Path, name: str) -> None:
    file = cnn()
    for tensor in file.graph.tensors:
        if tensor.name == "conv.weight":
            tensor.name = "sum"
    its = artifact(tmp_path / "model.tflite", file.finish(), cnn_signature())
    result = runtime(name).open(its, ["sum"]).run({"image": image()})
    assert_close(result.taps["sum"], expected(image())["sum"])


def test_names_that_mislead_are_refused(tmp_path: Path) -> None:
    file = cnn()
    next(each for each in file.graph.tensors if each.name == "depthwise").name = "conv"
    its = artifact(tmp_path / "model.tflite", file.finish(), cnn_signature())
    with pytest.raises(SourceError, match=r"'conv' is tensors \[7, 8\]"):
        runtime("litert-xnnpack").open(its, ["conv"])
    with pytest.raises(SourceError, match=r"no tensor 'con', 'conv\.weight'") as caught:
        runtime("litert-xnnpack").open(its, ["con", "conv.weight", "flat"])
    assert "did you mean conv" in (caught.value.hint or "")


def test_signatures_that_are_not_the_files_are_refused(tmp_path: Path) -> None:
    its = artifact(tmp_path / "model.tflite", cnn().finish(), cnn_signature(signed=False))
    assert runtime("litert-xnnpack").open(its)  # a tensor's own name is a name of it too
    wrong = replace(its.signature.outputs[0], name="logit")
    its = replace(its, signature=replace(its.signature, outputs=(wrong,)))
    with pytest.raises(SourceError, match="no output 'logit'"):
        runtime("litert-xnnpack").open(its)


def test_inputs_that_the_signature_leaves_out_are_refused(tmp_path: Path) -> None:
    file = cnn()
    more = file.tensor("more", (1, 8))
    file.graph.operators[0].inputs.append(more)
    file.inputs["more"] = more
    its = artifact(tmp_path / "model.tflite", file.finish(), cnn_signature())
    with pytest.raises(SourceError, match="also takes more"):
        runtime("litert-builtin").open(its)


@both
def test_inputs_may_lie_in_memory_in_any_order(tmp_path: Path, name: str) -> None:
    file = artifact(tmp_path / "model.tflite", cnn().finish(), cnn_signature())
    turned = np.ascontiguousarray(image().transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)
    assert not turned.flags.c_contiguous
    output = runtime(name).open(file).run({"image": turned}).outputs["logits"]
    assert_close(output, expected(image())["logits"])


@both
def test_quantized_tensors_keep_their_stored_values(tmp_path: Path, name: str) -> None:
    file = TFLiteFile()
    scale = Quantization(scales=(0.5,), zero_points=(3,))
    x = file.tensor("x", (1, 4))
    file.inputs = {"x": x}
    stored = file.operator("QUANTIZE", [x], file.tensor("stored", (1, 4), "INT8", None, scale))
    back = file.operator("DEQUANTIZE", [stored], file.tensor("back", (1, 4)))
    file.outputs = {"back": back}
    spec = TensorSpec(name="x", shape=(1, 4), dtype="float32")
    its = Signature(inputs=(spec,), outputs=(replace(spec, name="back"),))
    opened = runtime(name).open(artifact(tmp_path / "q.tflite", file.finish(), its), ["stored"])
    result = opened.run({"x": np.array([[0, 1, -2.4, 1000]], np.float32)})
    np.testing.assert_array_equal(
        result.taps["stored"], np.array([[3, 5, -2, 127]], np.int8), strict=True
    )
    assert result.outputs["back"].tolist() == [[0, 1, -2.5, 62]]


@both
def test_state_does_not_leak_into_the_next_sample(tmp_path: Path, name: str) -> None:
    file = TFLiteFile()
    draw = np.random.default_rng(1)
    x = file.tensor("x", (1, 2, 3))
    state = file.tensor("state", (1, 4))
    file.graph.tensors[state].isVariable = True
    constants = [
        file.constant(key, draw.normal(size=shape).astype(np.float32))
        for key, shape in (("input", (4, 3)), ("recurrent", (4, 4)), ("bias", (4,)))
    ]
    y = file.operator(
        "UNIDIRECTIONAL_SEQUENCE_RNN",
        [x, *constants, state],
        file.tensor("y", (1, 2, 4)),
        "SequenceRNNOptions",
        fusedActivationFunction=file.schema.ActivationFunctionType.TANH,
    )
    file.inputs, file.outputs = {"x": x}, {"y": y}
    spec = TensorSpec(name="x", shape=(1, 2, 3), dtype="float32")
    its = Signature(
        inputs=(spec,), outputs=(TensorSpec(name="y", shape=(1, 2, 4), dtype="float32"),)
    )
    session = runtime(name).open(artifact(tmp_path / "r.tflite", file.finish(), its))
    inputs = {"x": draw.normal(size=(1, 2, 3)).astype(np.float32)}
    first = session.run(inputs).outputs
    session.run({"x": inputs["x"] * 5})
    assert_same(session.run(inputs).outputs, first)


@both
@pytest.mark.parametrize("taps", [(), ("conv",)])
@pytest.mark.parametrize("kept", [0.99, 0.5, 0.01])
def test_truncated_files_are_refused_in_the_runtimes_words(
    tmp_path: Path, name: str, taps: tuple[str, ...], kept: float
) -> None:
    content = cnn().finish()
    content = content[: int(len(content) * kept)]
    file = artifact(tmp_path / "model.tflite", content, cnn_signature())
    with pytest.raises(ValueError, match="not a valid Flatbuffer"):
        runtime(name).open(file, taps)
