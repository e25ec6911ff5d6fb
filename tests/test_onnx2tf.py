"""onnx2tf in its toolchain: what it makes computes the same, and its layers are where we say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx2tf_files import (
    GOOD,
    Bench,
    assert_close,
    described,
    exported,
    new_folder,
    permuted,
    values_of,
)

from bridge.artifact import Artifact
from bridge.converters._onnx2tf.axes import new_axes, permutation_between
from bridge.converters._onnx2tf.graphs import operator_name
from bridge.converters.onnx2tf import to_saved_model, to_tflite
from bridge.layers import Absence
from bridge.outcome import Stage, Symptom
from bridge.worker import WorkFailure, WorkPool

CHANNELS_LAST = (0, 2, 3, 1)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    said: list[str] = []
    with WorkPool(progress=said.append) as pool:
        yield Bench(pool=pool, folder=tmp_path_factory.mktemp("onnx2tf"), said=said)


def operators(artifact: Artifact) -> list[str]:
    """The names of a TFLite file's operators."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(artifact.path.read_bytes(), 0)
    return [operator_name(model, each) for each in model.subgraphs[0].operators]


def model_of(op: str, *, shape: list[int | str], domain: str = "") -> onnx.ModelProto:
    """A model of one operator from x to y."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy")
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"], domain=domain)], "g", [x], [y])
    domains = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=domains, ir_version=9)


def test_a_layout_that_cannot_be_known_is_not_guessed() -> None:
    shape = (1, 8, 8, 8)
    image, other = new_axes("image", shape), new_axes("other", shape)
    assert permutation_between(image, shape, other, shape) is None
    moved = (image[0], image[2], image[3], image[1])
    assert permutation_between(image, shape, moved, shape) == CHANNELS_LAST
    # one axis without a name can only be the one that is left
    assert permutation_between(image, shape, (*moved[:3], other[1]), shape) == CHANNELS_LAST
    # and sizes that differ leave one choice
    flat, last = (1, 8, 4, 4), (1, 4, 4, 8)
    nameless = new_axes("nameless", last)
    assert permutation_between(new_axes("image", flat), flat, nameless, last) == CHANNELS_LAST


@pytest.mark.parametrize("name", GOOD)
def test_the_tflite_file_takes_and_gives_what_the_torch_module_does(
    bench: Bench, name: str
) -> None:
    model, inputs, expected = exported(name)
    tflite, _ = bench.converted(name)
    specs = (*tflite.signature.inputs, *tflite.signature.outputs)
    assert [spec.name for spec in specs] == [
        each.name for each in (*model.graph.input, *model.graph.output)
    ]
    assert all(spec.permutation is None for spec in specs)
    for runtime in ("litert-xnnpack", "litert-builtin"):
        outputs = bench.ran(runtime, tflite, inputs).outputs
        for actual, wanted in zip(outputs.values(), expected, strict=True):
            assert_close(actual[0], wanted)


@pytest.mark.parametrize("io_layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("runtime", ["litert-builtin", "tensorflow"])
def test_every_mapped_tensor_is_its_layer(
    bench: Bench, runtime: str, name: str, io_layout: str
) -> None:
    model, inputs, _ = exported(name)
    tflite, saved_model = bench.converted(name, io_layout)
    artifact = tflite if runtime == "litert-builtin" else saved_model
    result = bench.ran(runtime, artifact, inputs)
    expected = values_of(model, inputs)
    for layer, place in artifact.layer_map.mapped().items():
        actual = result.taps[str(place.tensor)][0]
        assert_close(actual, permuted(expected[layer], place.permutation))
    for spec in artifact.signature.outputs:
        wanted = permuted(expected[spec.name], spec.permutation)
        assert_close(result.outputs[spec.name][0], wanted)


@pytest.mark.parametrize("name", GOOD)
def test_every_layer_has_a_tensor_or_a_reason(bench: Bench, name: str) -> None:
    for artifact in bench.converted(name):
        places = artifact.layer_map.places
        unexplained = [
            layer for layer, place in places.items() if place.absence is Absence.UNEXPLAINED
        ]
        assert not unexplained
        for place in places.values():
            if place.absence is Absence.FUSED:
                assert place.into in artifact.layer_map.mapped()


def test_fused_layers_name_the_layer_that_they_are_in(bench: Bench) -> None:
    tflite, saved_model = bench.converted("convolutions")
    convolution = tflite.layer_map.place("getitem")  # the batch norm went into its weights
    assert (convolution.absence, convolution.into) == (Absence.FUSED, "hardtanh")
    assert saved_model.layer_map.place("getitem").tensor


def test_equal_sizes_do_not_hide_the_layout(bench: Bench) -> None:
    for artifact in bench.converted("equal sizes"):
        places = artifact.layer_map.places
        for layer in ("conv2d", "sigmoid", "conv2d_1"):
            assert places[layer].permutation == CHANNELS_LAST
        assert places["mean"].permutation is None
    moved, _ = bench.converted("equal sizes", "nhwc")
    permutations = {
        spec.name: spec.permutation for spec in (*moved.signature.inputs, *moved.signature.outputs)
    }
    assert permutations == {"image": CHANNELS_LAST, "mul": CHANNELS_LAST, "mean": None}
    assert moved.signature.inputs[0].layout == "NHWC"


def test_the_second_hop_takes_the_first_ones_conversion(bench: Bench) -> None:
    source = described(exported("cancer_mlp")[0], new_folder(bench.folder))
    bench.run(to_saved_model, source, io_layout=["nhwc"])
    bench.said.clear()
    bench.run(to_tflite, source, io_layout=["nhwc"])
    assert not any("converting" in line for line in bench.said)
    bench.run(to_tflite, source)
    assert any("converting" in line for line in bench.said)


def test_gelu_is_one_builtin_operator(bench: Bench) -> None:
    tflite, _ = bench.converted("transformer")
    found = operators(tflite)
    assert found.count("GELU") == 1
    assert not any("Erf" in name for name in found)
    erf = tflite.layer_map.place("val_92")
    assert (erf.absence, erf.into) == (Absence.FUSED, "gelu")


def test_a_bare_erf_says_that_it_is_approximated(bench: Bench) -> None:
    tflite, _ = bench.converted("erf")
    assert any("Erf" in note for note in tflite.notes)
    assert not any(name.startswith("CUSTOM") for name in operators(tflite))


def test_operators_that_only_tensorflow_runs_are_refused_together(bench: Bench) -> None:
    source = described(exported("trigonometry")[0], new_folder(bench.folder))
    with pytest.raises(WorkFailure) as caught:
        bench.run(to_tflite, source)
    assert (caught.value.symptom, caught.value.stage) == (Symptom.UNSUPPORTED, Stage.SERIALIZE)
    assert "FlexSinh (used 1×): made for ONNX Sinh" in caught.value.message
    assert "FlexTan (used 2×): made for ONNX Tan" in caught.value.message
    saved_model = bench.run(to_saved_model, source)
    _, inputs, expected = exported("trigonometry")
    outputs = bench.ran("tensorflow", saved_model, inputs).outputs
    assert_close(next(iter(outputs.values()))[0], expected[0])


def test_operators_that_onnx2tf_does_not_know_are_refused_together(bench: Bench) -> None:
    model = model_of("Unheard", shape=[2, 3], domain="somewhere")
    with pytest.raises(WorkFailure, match=r"onnx\.Unheard \(used 1×\)") as caught:
        bench.run(to_tflite, described(model, new_folder(bench.folder)))
    assert caught.value.symptom is Symptom.UNSUPPORTED


def test_a_result_that_computes_something_else_is_refused(bench: Bench) -> None:
    source = described(exported("square transformer")[0], new_folder(bench.folder))
    for hop in (to_tflite, to_saved_model):
        with pytest.raises(WorkFailure, match=r"output 'add_1' is \d+% off") as caught:
            bench.run(hop, source)
        assert (caught.value.symptom, caught.value.stage) == (Symptom.MISMATCH, Stage.COMPARE)


def test_a_dynamic_dimension_is_refused_with_its_name(bench: Bench) -> None:
    model = model_of("Relu", shape=["batch", 3])
    with pytest.raises(WorkFailure, match=r"'x' has a dynamic dimension \(batchx3\)") as caught:
        bench.run(to_tflite, described(model, new_folder(bench.folder)))
    assert caught.value.hint is not None


def test_a_failure_names_the_operator(bench: Bench) -> None:
    model = model_of("Det", shape=[3, 2])  # of what is not square
    with pytest.raises(WorkFailure, match=r"on operator Det \(value 'y'\)") as caught:
        bench.run(to_tflite, described(model, new_folder(bench.folder)))
    assert caught.value.stage is Stage.LOWER


def test_an_unknown_layout_is_refused(bench: Bench) -> None:
    source = described(model_of("Relu", shape=[2, 3]), new_folder(bench.folder))
    with pytest.raises(WorkFailure, match="nwhc is not known") as caught:
        bench.run(to_tflite, source, io_layout=["nwhc"])
    assert caught.value.usage
    with pytest.raises(WorkFailure, match="of all images or of none") as caught:
        bench.run(to_tflite, source, io_layout=["nhwc", "x=nchw"])
    assert not caught.value.usage


def test_names_that_tensorflow_cannot_use_still_find_their_tensors(bench: Bench) -> None:
    given = ("in/put.1", "0")
    graph = helper.make_graph(
        [
            helper.make_node("Mul", [*given], ["/a/b:0"], name="/a"),
            helper.make_node("Tanh", ["/a/b:0"], ["/out:0"], name="/a"),
        ],
        "g",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3])
            for name in ("in/put.1", "0")
        ],
        [helper.make_tensor_value_info("/out:0", TensorProto.FLOAT, [2, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    inputs = (np.full((2, 3), 0.5, np.float32), np.full((2, 3), 2.0, np.float32))
    for hop, runtime in ((to_tflite, "litert-builtin"), (to_saved_model, "tensorflow")):
        artifact = bench.run(hop, described(model, new_folder(bench.folder)))
        assert [spec.name for spec in artifact.signature.inputs] == ["in_put_1", "input_0"]
        assert "in/put.1 is in_put_1" in artifact.notes[0]
        assert set(artifact.layer_map.mapped()) == {"in/put.1", "0", "/a/b:0", "/out:0"}
        result = bench.ran(runtime, artifact, inputs)
        place = artifact.layer_map.place("/a/b:0")
        assert_close(result.taps[str(place.tensor)][0], inputs[0] * inputs[1])


def test_tensorflow_refuses_what_a_saved_model_does_not_have(bench: Bench) -> None:
    _, saved_model = bench.converted("erf")
    _, inputs, _ = exported("erf")
    with pytest.raises(WorkFailure, match="has no tensor 'model/nothing:0'"):
        bench.ran("tensorflow", saved_model, inputs, taps=["model/nothing:0"])


def test_tensorflow_shows_tensors_without_changing_the_outputs(bench: Bench) -> None:
    _, saved_model = bench.converted("digits_cnn")
    _, inputs, _ = exported("digits_cnn")
    plain = bench.ran("tensorflow", saved_model, inputs, taps=[])
    tapped = bench.ran("tensorflow", saved_model, inputs)
    assert not plain.taps
    for name, array in plain.outputs.items():
        assert_close(tapped.outputs[name], array)
