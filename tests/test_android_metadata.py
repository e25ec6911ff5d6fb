"""Metadata in a TFLite file: what readers find, and that the model stays what it was."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from compile_torch import compile_module
from metadata_reader import packed_files, read_metadata
from numpy.typing import NDArray

from bridge.android.attach import attach_metadata
from bridge.android.contract import BundleTensor, Contract, Normalization
from bridge.android.metadata import model_metadata
from bridge.android.metadata_schema import pack
from bridge.artifact import Quantization, TensorSpec
from bridge.converters.tflite import CompileOptions, serialize
from bridge.errors import SourceError

Array = NDArray[Any]


class Net(torch.nn.Module):
    """A convolution and a product: constants of several sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 5, 3)
        self.linear = torch.nn.Linear(5 * 36, 7)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.linear(torch.relu(self.convolution(image)).flatten(1))
        return made


class Recurrent(torch.nn.Module):
    """Enough steps for a WHILE, whose condition and body are subgraphs of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = torch.nn.GRU(4, 6, batch_first=True)

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.cells(steps)[0]
        return made


def run(path: Path, *inputs: Array) -> list[Array]:
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    for details, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(details["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()]


def constant_places(path: Path) -> list[tuple[int, bytes]]:
    content = path.read_bytes()
    model = schema.Model.GetRootAs(content)
    found = []
    for buffer in map(model.Buffers, range(model.BuffersLength())):
        if buffer.Offset() > 1:
            found.append((buffer.Offset(), content[buffer.Offset() :][: buffer.Size()]))
        elif not buffer.DataIsNone():
            place = buffer._tab.Vector(buffer._tab.Offset(4))
            found.append((place, content[place : place + buffer.DataLength()]))
    return found


def draw(*shape: int) -> Array:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


def check_survives(path: Path, *inputs: Array) -> Path:
    """Attach metadata twice: outputs are the same bits, and every constant the same bytes."""
    before, constants = run(path, *inputs), constant_places(path)
    once, twice = path.with_name("once.tflite"), path.with_name("twice.tflite")
    attach_metadata(path, pack({"name": "first"}), {"labels.txt": b"old"}, once)
    attach_metadata(once, pack({"name": "second"}), {"labels.txt": b"new"}, twice)
    for made, name, label in ((once, b"first", b"old"), (twice, b"second", b"new")):
        assert read_metadata(made).name == name
        assert packed_files(made) == {"labels.txt": label}
        for expected, actual in zip(before, run(made, *inputs), strict=True):
            assert expected.tobytes() == actual.tobytes()
        moved = constant_places(made)[: len(constants)]
        assert [content for _, content in moved] == [content for _, content in constants]
        # kernels read them with vector instructions
        assert {(new - old) % 64 for (new, _), (old, _) in zip(moved, constants, strict=True)} == {
            0
        }
    return once


def test_the_model_stays_what_it_was(tmp_path: Path) -> None:
    path = compile_module(Net(), (torch.zeros(1, 3, 8, 8),), tmp_path / "m.tflite").path
    made = check_survives(path, draw(1, 3, 8, 8))
    # the whole old file is in the new one, but for its first bytes: nothing was packed anew
    assert path.read_bytes()[8:] in made.read_bytes()
    with zipfile.ZipFile(made) as archive:
        assert archive.testzip() is None


def test_a_model_with_several_subgraphs_survives(tmp_path: Path) -> None:
    options = CompileOptions(unroll=1)
    path = compile_module(
        Recurrent(), (torch.zeros(1, 12, 4),), tmp_path / "m.tflite", options=options
    ).path
    assert schema.Model.GetRootAs(path.read_bytes()).SubgraphsLength() > 1
    check_survives(path, draw(1, 12, 4))


def test_constants_behind_the_flatbuffer_are_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serialize, "_LARGEST_INSIDE", 100)  # as in a model above 2 GB
    path = compile_module(Net(), (torch.zeros(1, 3, 8, 8),), tmp_path / "m.tflite").path
    model = schema.Model.GetRootAs(path.read_bytes())
    assert any(model.Buffers(index).Offset() > 1 for index in range(model.BuffersLength()))
    check_survives(path, draw(1, 3, 8, 8))


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    path = compile_module(Net(), (torch.zeros(1, 3, 8, 8),), tmp_path / "m.tflite").path
    made = []
    for name in ("a", "b"):
        attach_metadata(path, pack({"name": "n"}), {"f": b"x"}, tmp_path / name)
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]


@pytest.mark.parametrize("content", [b"", b"short", b"\x08\0\0\0ONNX" + bytes(40)])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="damaged"):
        attach_metadata(path, pack({}), {}, tmp_path / "out")


def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    path = compile_module(Net(), (torch.zeros(1, 3, 8, 8),), tmp_path / "m.tflite").path
    path.write_bytes(struct.pack("<I", 1 << 30) + path.read_bytes()[4:])
    with pytest.raises(SourceError, match="damaged"):
        attach_metadata(path, pack({}), {}, tmp_path / "out")


def tensor(name: str, *shape: int, position: int = 0, **known: Any) -> BundleTensor:
    spec = TensorSpec(
        name=name,
        shape=shape,
        dtype=known.pop("dtype", "float32"),
        layout=known.pop("layout", None),
        quantization=known.pop("quantization", None),
    )
    return BundleTensor(spec=spec, identifier=name, position=position, **known)


def attached(tmp_path: Path, contract: Contract) -> Any:
    path = compile_module(Net(), (torch.zeros(1, 3, 8, 8),), tmp_path / "m.tflite").path
    metadata = model_metadata(contract, name="näme", description="d", version="v")
    attach_metadata(path, metadata, {}, tmp_path / "out.tflite")
    return read_metadata(tmp_path / "out.tflite")


def test_readers_find_names_ranges_normalisation_and_labels(tmp_path: Path) -> None:
    image = tensor(
        "image",
        1,
        8,
        6,
        3,
        layout="NHWC",
        range=(-2.0, 2.5),
        seen="3 samples",
        normalization=Normalization(mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0)),
    )
    scores = tensor("scores", 1, 2, range=(0.0, 1.0), seen="3 samples", labels=("cat", "dog"))
    found = attached(tmp_path, Contract(inputs=(image,), outputs=(scores,)))
    assert found.name.decode() == "näme"
    assert found.minParserVersion == b"1.0.0"
    (subgraph,) = found.subgraphMetadata
    (its,) = subgraph.inputTensorMetadata
    assert its.name == b"image"
    assert "values from -2 to 2.5 in 3 samples" in its.description.decode()
    assert (list(its.stats.min), list(its.stats.max)) == ([-2.0], [2.5])
    (unit,) = its.processUnits
    assert list(unit.options.mean) == [1.0, 2.0, 3.0]
    assert list(unit.options.std) == [4.0, 5.0, 6.0]
    properties = its.content.contentProperties
    assert (properties.defaultSize.width, properties.defaultSize.height) == (6, 8)
    assert properties.colorSpace == 1  # RGB
    (output,) = subgraph.outputTensorMetadata
    (labels,) = output.associatedFiles
    assert (labels.name, labels.type) == (b"labels.txt", 2)  # TENSOR_AXIS_LABELS


def test_channels_first_is_no_image_to_the_tools(tmp_path: Path) -> None:
    norm = Normalization(mean=(0.0,), std=(255.0,))
    image = tensor("image", 1, 3, 8, 8, layout="NCHW", normalization=norm)
    found = attached(tmp_path, Contract(inputs=(image,), outputs=(tensor("o", 1),)))
    (its,) = found.subgraphMetadata[0].inputTensorMetadata
    assert its.content.contentPropertiesType == 1  # FeatureProperties
    assert "(NCHW)" in its.description.decode()
    assert list(its.processUnits[0].options.std) == [255.0]


def test_tensors_are_listed_in_the_order_of_the_file(tmp_path: Path) -> None:
    inputs = (tensor("a", 1, position=1), tensor("b", 1, position=0))
    outputs = (tensor("x", 1, position=2), tensor("y", 1, position=0), tensor("z", 1, position=0))
    found = attached(tmp_path, Contract(inputs=inputs, outputs=outputs)).subgraphMetadata[0]
    assert [each.name for each in found.inputTensorMetadata] == [b"b", b"a"]
    assert [each.name for each in found.outputTensorMetadata] == [b"y", None, b"x"]


def test_a_quantized_tensor_says_what_its_steps_are(tmp_path: Path) -> None:
    steps = Quantization(scales=(0.5,), zero_points=(-3,))
    made = tensor("q", 1, 4, dtype="int8", quantization=steps)
    found = attached(tmp_path, Contract(inputs=(made,), outputs=(made,)))
    (its,) = found.subgraphMetadata[0].inputTensorMetadata
    assert "real value = 0.5 × (stored value + 3)" in its.description.decode()


def test_a_field_that_the_schema_has_not_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="ModelMetadata has no field colour"):
        pack({"colour": "red"})
