"""Real inputs that are no arrays in a file: folders of images, and Python iterables."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from PIL import Image

import bridge
from bridge.api import SourceOptions
from bridge.api.opening import open_source
from bridge.api.sampling import find_real, read_real
from bridge.artifact import TensorSpec
from bridge.errors import InputError, SourceError, UsageError
from bridge.report.schema import load_schema
from bridge.samples import ImageOptions, read_images, read_items

COLOUR = TensorSpec(name="image", shape=(1, 3, 8, 12), dtype="float32")
GREY = TensorSpec(name="image", shape=(None, 1, 8, 12), dtype="float32")
LAST = TensorSpec(name="image", shape=(2, 8, 12, 3), dtype="float32")
BYTES = TensorSpec(name="image", shape=(1, 8, 12, 3), dtype="uint8")
PLAIN = ImageOptions()


def paint(folder: Path, name: str, colour: Any, size: tuple[int, int] = (12, 8)) -> None:
    """Write an image of one colour, with another in its upper left quarter."""
    folder.mkdir(exist_ok=True)
    image = Image.new("RGB" if isinstance(colour, tuple) else "L", size, colour)
    image.paste(0, (0, 0, size[0] // 2, size[1] // 2))
    image.save(folder / name)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "my pictures"
    paint(folder, "a.png", (255, 51, 0))
    paint(folder, "b.PNG", (0, 102, 255))
    paint(folder, "c.jpg", 255)
    (folder / "notes.txt").write_text("not an image")
    return folder


def test_images_are_scaled_normalised_and_laid_out_as_the_model_takes_them(pictures: Path) -> None:
    options = ImageOptions.parse(mean="0.5,0.4,0.3", std="0.5,0.25,0.1")
    stacked, how = read_images(pictures, COLOUR, options)
    assert stacked.shape == (3, 1, 3, 8, 12)
    assert stacked.dtype == np.float32
    np.testing.assert_allclose(stacked[0, 0, :, -1, -1], [1.0, -0.8, -3.0], rtol=1e-6)
    np.testing.assert_allclose(stacked[0, 0, :, 0, 0], [-1.0, -1.6, -3.0], rtol=1e-6)
    assert how == (
        "3 images of my pictures, RGB, scaled to 0..1, mean 0.5, 0.4, 0.3, std 0.5, 0.25, 0.1"
    )
    last, _ = read_images(pictures, LAST, options)
    assert last.shape == (1, 2, 8, 12, 3), "the third makes no whole batch"
    np.testing.assert_array_equal(last[0, 1].transpose(2, 0, 1), stacked[1, 0])


def test_colours_of_the_other_order_and_bytes(pictures: Path) -> None:
    swapped, how = read_images(pictures, BYTES, ImageOptions.parse(order="bgr"))
    assert swapped[0, 0, -1, -1].tolist() == [0, 51, 255]
    assert how == "3 images of my pictures, BGR"
    with pytest.raises(InputError, match=r"0\.\.255"):
        read_images(pictures, BYTES, ImageOptions.parse(mean="0.5"))


def test_a_grey_model_gets_grey_images_and_a_colour_model_colours(pictures: Path) -> None:
    grey, how = read_images(pictures, GREY, PLAIN)
    assert grey.shape == (3, 1, 1, 8, 12)
    assert grey[0, 0, 0, -1, -1] == pytest.approx((0.299 * 255 + 0.587 * 51) / 255, abs=0.01)
    assert "grey" in how
    colour, _ = read_images(pictures, COLOUR, PLAIN)
    np.testing.assert_allclose(colour[2, 0, :, -1, -1], 1, atol=0.02)


def test_the_shorter_side_is_resized_and_the_middle_kept(tmp_path: Path) -> None:
    paint(tmp_path, "wide.png", (255, 255, 255), size=(80, 32))
    options = ImageOptions.parse(resize="16", crop="8x12")
    stacked, how = read_images(tmp_path, COLOUR, options)
    assert stacked.shape == (1, 1, 3, 8, 12)
    picture = stacked[0, 0, 0]
    assert picture[0, 0] == 0
    assert picture[-1, -1] == 1
    assert (picture[:4, :6] < 0.5).all(), "the middle of the picture is in the middle"
    assert (picture[:, 6:] > 0.5).all()
    assert "shorter side resized to 16 (bilinear, antialiased), middle 8x12" in how
    whole, how = read_images(tmp_path, COLOUR, ImageOptions.parse(resize="8x12"))
    assert whole.shape == (1, 1, 3, 8, 12)
    assert "resized to 8x12" in how


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 12), (255, 0, 0))
    exif = image.getexif()
    exif[0x0112] = 6  # the camera was turned by 90°
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert read_images(tmp_path, COLOUR, PLAIN)[0].shape == (1, 1, 3, 8, 12)


def test_an_unreadable_image_is_named(pictures: Path) -> None:
    content = (pictures / "a.png").read_bytes()
    for name, damaged in (("d.png", content[: len(content) // 2]), ("e.jpg", b"hello")):
        (pictures / name).write_bytes(damaged)
        with pytest.raises(InputError, match=f"{name} is not a whole image"):
            read_images(pictures, COLOUR, PLAIN)
        (pictures / name).unlink()
    Image.fromarray(np.zeros((8, 12), np.uint16)).save(pictures / "f.png")
    with pytest.raises(InputError, match=r"f\.png has more than 8 bits"):
        read_images(pictures, COLOUR, PLAIN)


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (TensorSpec(name="x", shape=(1, 4, 8, 12), dtype="float32"), {}, "do not fit x"),
        (TensorSpec(name="x", shape=(1, 3), dtype="float32"), {}, "do not fit x"),
        (TensorSpec(name="x", shape=(1, 3, 9, 12), dtype="float32"), {}, r"a\.png gives 3x8x12"),
        (TensorSpec(name="x", shape=(1, 3, 8, 12), dtype="int64"), {}, "floats or uint8"),
        (TensorSpec(name="x", shape=(9, 3, 8, 12), dtype="float32"), {}, "too few images"),
        (COLOUR, {"mean": "0.1,0.2"}, "--mean has 2 numbers; .* has 3"),
        (GREY, {"std": "1,2,3"}, "--std has 3 numbers; .* has 1"),
        (COLOUR, {"crop": "9x12"}, "smaller than --crop"),
    ],
)
def test_images_that_do_not_fit_are_refused(
    pictures: Path, spec: TensorSpec, options: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message) as raised:
        read_images(pictures, spec, ImageOptions.parse(**options))
    assert "too few" in message or raised.value.hint or "floats" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resize": "big"}, "--resize big"),
        ({"crop": "0"}, "--crop 0"),
        ({"crop": "3x4x5"}, "--crop 3x4x5"),
        ({"mean": "1;2"}, "--mean 1;2"),
        ({"mean": "nan"}, "--mean nan"),
        ({"std": "0,1,1"}, "--std 0,1,1"),
        ({"order": "cmyk"}, "--channel-order cmyk"),
    ],
)
def test_options_that_cannot_be_read_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ImageOptions.parse(**options)


def test_a_folder_of_neither_arrays_nor_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(InputError, match=r"neither arrays .* nor images"):
        find_real(tmp_path, None)


def test_arrays_beside_pictures_of_them_are_arrays(pictures: Path) -> None:
    assert find_real(pictures, None).images
    np.save(pictures / "image.npy", np.zeros((1, 3, 8, 12), np.float32))
    assert not find_real(pictures, None).images


def test_options_of_images_without_images_are_refused() -> None:
    options = SourceOptions(images=ImageOptions.parse(mean="0.5"))
    with pytest.raises(UsageError, match=r"--mean.* are for images"):
        open_source(torch.nn.Linear(3, 2), (torch.ones(1, 3),), options, 60)


TOKENS = TensorSpec(name="ids", shape=(1, 4), dtype="int64")
SCALE = TensorSpec(name="scale", shape=(1,), dtype="float32")


def rows(count: int) -> list[torch.Tensor]:
    return [torch.arange(4)[None] + each for each in range(count)]


def test_items_of_every_form_give_the_same_samples() -> None:
    wanted = np.stack([each.numpy() for each in rows(4)])
    forms: dict[str, list[Any]] = {
        "tensors": rows(4),
        "arrays": [each.numpy() for each in rows(4)],
        "without the batch": [each[0] for each in rows(4)],
        "several at once": [torch.cat(rows(4)[:3]), rows(4)[3]],
        "tuples": [(each,) for each in rows(4)],
        "mappings": [{"ids": each} for each in rows(4)],
        "with the truth": [(each, 7) for each in rows(4)],
        "mappings with the truth": [{"labels": [7], "ids": each} for each in rows(4)],
    }
    for form, items in forms.items():
        samples = read_items(items, [TOKENS], "loader")
        np.testing.assert_array_equal(samples.arrays["ids"], wanted, err_msg=form, strict=True)
        assert (samples.labels is not None) == ("truth" in form), form
        assert samples.how["ids"] == f"{len(items)} items of loader"


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([{"tokens": rows(1)[0]}], r"item 0 of it does not fit .*; given: tokens"),
        ([(rows(1)[0], 1, 2)], r"given: 3 value"),
        (["hello"], r"item 0 of it: ids is str"),
        ([rows(1)[0].float()], r"'ids' is float32; the model takes ids: int64"),
        ([torch.zeros(1, 5, dtype=torch.int64)], r"'ids' is \[1, 5\]"),
        ([torch.zeros(1, n, dtype=torch.int64) for n in (4, 5)], r"different shapes"),
    ],
)
def test_items_that_do_not_fit_are_refused(items: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_items(items, [TOKENS], "it")


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(20, 4)
        self.head = torch.nn.Linear(4, 3)

    def forward(self, ids: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return self.head(self.embedding(ids).mean(1) * scale)


def endless() -> Iterator[dict[str, torch.Tensor]]:
    for seed in itertools.count():
        torch.manual_seed(seed)
        yield {"ids": torch.randint(0, 20, (1, 4)), "scale": torch.rand(1)}


def test_convert_compares_on_what_an_iterable_yields(tmp_path: Path) -> None:
    result = bridge.convert(
        Net().eval(),
        to="torchscript",
        out=tmp_path,
        samples=endless(),
        source_options=SourceOptions(samples=5),
    )
    assert result.ok
    inputs = result.report["validation"]["inputs"]
    assert inputs["samples"] == 5
    assert inputs["how"] == dict.fromkeys(("ids", "scale"), "5 items of a generator")
    with np.load(tmp_path / "examples.npz") as stored:
        np.testing.assert_array_equal(stored["ids"], next(endless())["ids"].numpy())
    for name in ("report", "manifest"):
        jsonschema.validate(json.loads((tmp_path / f"{name}.json").read_text()), load_schema(name))


def test_an_iterable_of_nothing_is_refused(tmp_path: Path) -> None:
    for samples, message in (((), "empty"), (7, "int is no iterable")):
        with pytest.raises(InputError, match=message):
            bridge.convert(Net(), to="onnx", out=tmp_path, samples=samples)  # type: ignore[arg-type]


SCRIPT = """
import torch

def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.Flatten(), torch.nn.LazyLinear(4))

def made():
    module = net()
    module(torch.zeros(1, 3, 8, 12))
    return module

def data():
    for shade in range(3):
        yield torch.full((1, 3, 8, 12), shade / 10)

def broken():
    yield torch.zeros(1, 3, 8, 12)
    raise ValueError("the disk of my data is gone")
"""


def test_the_command_line_takes_images_and_the_folder_is_validated_on_them(
    tmp_path: Path, pictures: Path
) -> None:
    (tmp_path / "mine.py").write_text(SCRIPT)
    arguments = ["mine.py:made", "--to", "torchscript", "--json", "-i", "input=1x3x8x12"]
    arguments += ["--inputs", str(pictures), "--resize", "8x12", "--mean", "0.5", "--std", "0.25"]
    done = subprocess.run(
        [sys.executable, "-m", "bridge", "convert", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    inputs = json.loads(done.stdout)["validation"]["inputs"]
    assert inputs["samples"] == 3
    assert "resized to 8x12" in inputs["how"]["input"]
    assert "mean 0.5, std 0.25" in inputs["how"]["input"]
    again = bridge.validate(tmp_path / "out")
    assert again.report["validation"]["inputs"] == inputs


def test_a_callable_by_name_gives_the_inputs_and_the_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    opened = open_source("mine.py:made", None, SourceOptions(real="mine.py:data"), 60)
    assert opened.samples.how == {"input": "3 items of mine.py:data"}
    assert opened.samples.arrays["input"].shape == (3, 1, 3, 8, 12)
    assert opened.source.signature.inputs[0].shape == (1, 3, 8, 12)
    assert opened.to_json()["inputs"] == f"{tmp_path / 'mine.py'}:data"


def test_what_the_users_own_iterable_raises_is_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    options = SourceOptions(real="mine.py:broken")
    with pytest.raises(SourceError, match="the disk of my data is gone") as raised:
        bridge.convert("mine.py:made", to="onnx", out="out", source_options=options)
    assert "mine.py" in (raised.value.where or "")
    assert not (tmp_path / "out").exists()


def test_fewer_samples_than_a_file_holds_are_said_to_be(tmp_path: Path) -> None:
    file = tmp_path / "many.npz"
    np.savez(file, x=np.zeros((6, 4), np.float32))
    inputs = [TensorSpec(name="x", shape=(1, 4), dtype="float32")]
    given, images = find_real(file, None), ImageOptions()
    some = read_real(given, inputs, images=images, examples={}, most=2)
    assert (some.count, some.origin) == (2, "the first 2 of 6 real samples of many.npz")
    assert read_real(given, inputs, images=images, examples={}, most=9).count == 6
