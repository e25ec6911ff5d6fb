"""Inputs: how they are declared, drawn and read, and what is refused."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.artifact import TensorSpec
from bridge.errors import InputError
from bridge.samples import InputSpec, Samples, draw_like, draw_samples, read_samples, vary

DECLARATIONS = {
    "1x3x224x224": InputSpec(name="", shape=(1, 3, 224, 224)),
    "x=8": InputSpec(name="x", shape=(8,)),
    "x=scalar": InputSpec(name="x", shape=()),
    "scalar:int64": InputSpec(name="", shape=(), dtype="int64"),
    "image=?x3x8x8": InputSpec(name="image", shape=(2, 3, 8, 8), dynamic=(0,)),
    "tokens=?4x?16:int64": InputSpec(name="tokens", shape=(4, 16), dynamic=(0, 1), dtype="int64"),
    "x=4x4:float16": InputSpec(name="x", shape=(4, 4), dtype="float16"),
    "mask=1x8:bool": InputSpec(name="mask", shape=(1, 8), dtype="bool"),
    "x=3:float32:0..1": InputSpec(name="x", shape=(3,), low=0.0, high=1.0),
    "x=3:0..1": InputSpec(name="x", shape=(3,), low=0.0, high=1.0),
    "x=3:-1.5..2.5": InputSpec(name="x", shape=(3,), low=-1.5, high=2.5),
    "x=3:1e-3..1e+3": InputSpec(name="x", shape=(3,), low=0.001, high=1000.0),
    "t=7:int64:0..30521": InputSpec(name="t", shape=(7,), dtype="int64", low=0, high=30521),
    "p=7:uint8:0..255": InputSpec(name="p", shape=(7,), dtype="uint8", low=0, high=255),
    "x=3:2..2": InputSpec(name="x", shape=(3,), low=2.0, high=2.0),
    "  x=1x2  ": InputSpec(name="x", shape=(1, 2)),
    "batch.image=1x2": InputSpec(name="batch.image", shape=(1, 2)),
}


@pytest.mark.parametrize("text", DECLARATIONS)
def test_a_declaration_is_read(text: str) -> None:
    assert InputSpec.parse(text) == DECLARATIONS[text]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not declare an input"),
        ("x=", "does not declare an input"),
        ("=3x4", "does not declare an input"),
        ("x", "does not declare an input"),
        ("x=3x", "does not declare an input"),
        ("x=x3", "does not declare an input"),
        ("x=3,4", "does not declare an input"),
        ("x=-1x3", "does not declare an input"),
        ("x=??x3", "does not declare an input"),
        ("x=3.5", "does not declare an input"),
        ("x=3:float32:", "does not declare an input"),
        ("x=3:float32:0..", "does not declare an input"),
        ("x=3:float32:0-1", "does not declare an input"),
        ("x=3:float32:e..1", "does not declare an input"),
        ("x=3:float32:0..1.2.3", "does not declare an input"),
        ("x=3:float", "no element type 'float'"),
        ("x=3:bfloat16", "no element type 'bfloat16'"),
        ("x=3:5..1", "range"),
        ("x=3:int64:5..1", "range"),
        ("x=3:uint8:-1..1", "range"),
        ("x=3:int8:0..200", "range"),
        ("x=3:bool:0..2", "range"),
        ("x=3:int64:0.5..1.5", "range"),
        ("x=3:float16:0..1e9", "range"),
    ],
)
def test_what_is_no_declaration_is_refused_with_the_form(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        InputSpec.parse(text)
    assert repr(text) in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize(
    ("text", "least", "greatest", "values"),
    [
        ("x=2000:-3..5", -3.0, 5.0, None),
        ("x=2000:float16:0..1", 0.0, 1.0, None),
        ("x=2000:int64:3..6", 3, 6, {3, 4, 5, 6}),
        ("x=2000:int8:-128..127", -128, 127, None),
        ("x=2000:uint8:0..255", 0, 255, None),
        ("x=2000:bool:0..1", 0, 1, {False, True}),
        ("x=2000:bool:1..1", 1, 1, {True}),
        ("x=2000:bool", 0, 1, {False, True}),
        ("x=2000:int32", 0, 1, {0, 1}),
        ("x=2000", -6, 6, None),
        ("x=scalar:2..3", 2, 3, None),
    ],
)
def test_what_is_drawn_is_of_the_declared_shape_type_and_range(
    text: str, least: float, greatest: float, values: set[Any] | None
) -> None:
    spec = InputSpec.parse(text)
    drawn = np.asarray(spec.draw(np.random.default_rng(1)))
    assert drawn.shape == spec.shape
    assert drawn.dtype.name == spec.dtype
    assert drawn.min() >= least
    assert drawn.max() <= greatest
    if spec.shape:
        assert drawn.max() > greatest - 0.1 * abs(greatest) - 4, "the range is used"
    if values is not None:
        assert set(drawn.tolist()) == values


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    examples = {"a": np.ones((2, 3), np.float32) * 5, "b": np.arange(6)}
    one, same, other = draw_like(examples, 1), draw_like(examples, 1), draw_like(examples, 2)
    for name in examples:
        np.testing.assert_array_equal(one[name], same[name], strict=True)
        assert not np.array_equal(one[name], other[name])


RNG = np.random.default_rng(zlib.crc32(b"examples"))
EXAMPLES: dict[str, tuple[NDArray[Any], float, float]] = {
    "pixels stay in [0, 1]": (RNG.random((2, 500), np.float32), 0, 1),
    "a mask of zeros stays in [0, 1]": (np.zeros((4, 4), np.float32), 0, 1),
    "normalised audio stays in [-1, 1]": (RNG.uniform(-1, 1, (900,)), -1, 1),
    "tokens stay within those seen": (RNG.integers(10, 90, (1, 700)), 10, 90),
    "bytes stay bytes": (RNG.integers(0, 256, 999).astype(np.uint8), 0, 255),
    "a full int8 range does not overflow": (np.array([-128, 127] * 300, np.int8), -128, 127),
    "flags stay flags": (RNG.random(400) < 0.2, 0, 1),
}


@pytest.mark.parametrize("case", EXAMPLES)
def test_draws_stay_within_the_range_of_the_example(case: str) -> None:
    example, least, greatest = EXAMPLES[case]
    drawn = draw_like({"x": example}, 3)["x"]
    assert drawn.shape == example.shape
    assert drawn.dtype == example.dtype
    assert least <= drawn.min()
    assert drawn.max() <= greatest


def test_unbounded_floats_are_drawn_with_the_mean_and_deviation_of_the_example() -> None:
    example = np.random.default_rng(0).normal(50, 7, 20_000).astype(np.float32)
    drawn = draw_like({"x": example}, 3)["x"]
    assert abs(drawn.mean() - 50) < 0.5
    assert abs(drawn.std() - 7) < 0.5


def test_the_examples_are_the_first_sample() -> None:
    examples = {"x": np.full((1, 3), 7, np.float32), "empty": np.zeros((0, 2), np.float32)}
    samples = draw_samples(examples, 4)
    assert samples.count == 4
    assert {name: stacked.shape for name, stacked in samples.arrays.items()} == {
        "x": (4, 1, 3),
        "empty": (4, 0, 2),
    }
    np.testing.assert_array_equal(samples.first()["x"], examples["x"], strict=True)
    assert "3 drawn" in samples.origin


IMAGE = TensorSpec(name="image", shape=(1, 2, 2), dtype="float32")
BATCH = TensorSpec(name="image", shape=(4, 2, 2), dtype="float32")
FREE = TensorSpec(name="image", shape=(None, 2, None), dtype="float32")
STEP = TensorSpec(name="step", shape=(), dtype="int64")


def pictures(count: int) -> NDArray[np.float32]:
    return np.arange(count * 4, dtype=np.float32).reshape(count, 2, 2)


def write_npz(folder: Path, arrays: dict[str, Any]) -> Path:
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def write_folder(folder: Path, arrays: dict[str, Any]) -> Path:
    (folder / "data").mkdir()
    for name, array in arrays.items():
        np.save(folder / "data" / f"{name}.npy", array)
    (folder / "data" / "README.txt").write_text("what this is")
    return folder / "data"


@pytest.mark.parametrize("write", [write_npz, write_folder])
def test_real_inputs_are_read_from_an_npz_file_and_from_a_folder(
    tmp_path: Path, write: Callable[[Path, dict[str, Any]], Path]
) -> None:
    arrays = {
        "image": pictures(6),
        "step": np.arange(6),
        "labels": np.arange(6) % 3,
        "expected": np.zeros((6, 10)),
    }
    samples = read_samples(write(tmp_path, arrays), [STEP, IMAGE])
    assert samples.count == 6
    assert list(samples.arrays) == ["step", "image"], "in the order of the model's inputs"
    assert samples.arrays["image"].shape == (6, 1, 2, 2)
    assert samples.arrays["step"].shape == (6,)
    np.testing.assert_array_equal(samples.arrays["image"][5, 0], pictures(6)[5])
    assert samples.labels is not None
    np.testing.assert_array_equal(samples.labels, (np.arange(6) % 3).reshape(6, 1))
    assert "6 real samples" in samples.origin


def test_real_inputs_are_cut_into_the_batches_of_the_model(tmp_path: Path) -> None:
    arrays = {"image": pictures(10), "labels": np.arange(10)}
    samples = read_samples(write_npz(tmp_path, arrays), [BATCH])
    assert samples.arrays["image"].shape == (2, 4, 2, 2), "the last two make no whole batch"
    np.testing.assert_array_equal(samples.arrays["image"][1, 0], pictures(10)[4])
    assert samples.labels is not None
    np.testing.assert_array_equal(samples.labels, [[0, 1, 2, 3], [4, 5, 6, 7]])


def test_a_dynamic_batch_is_read_one_by_one(tmp_path: Path) -> None:
    samples = read_samples(write_npz(tmp_path, {"image": pictures(3)}), [FREE])
    assert samples.arrays["image"].shape == (3, 1, 2, 2)


def test_inputs_of_different_batches_give_samples_together(tmp_path: Path) -> None:
    pair = TensorSpec(name="pair", shape=(2,), dtype="float32")
    arrays = {"image": pictures(8), "pair": np.zeros(4, np.float32), "labels": np.arange(8)}
    samples = read_samples(write_npz(tmp_path, arrays), [BATCH, pair])
    assert samples.arrays["pair"].shape == (2, 2)
    assert samples.labels is not None
    assert samples.labels.shape == (2, 4)


def test_an_input_may_be_called_labels(tmp_path: Path) -> None:
    spec = TensorSpec(name="labels", shape=(1, 2), dtype="int64")
    samples = read_samples(write_npz(tmp_path, {"labels": np.ones((3, 2), np.int64)}), [spec])
    assert samples.arrays["labels"].shape == (3, 1, 2)
    assert samples.labels is None


def test_the_head_of_samples_is_as_long_as_there_are_any() -> None:
    whole = Samples(arrays={"x": np.arange(5)}, origin="here", labels=np.arange(5).reshape(5, 1))
    head = whole.head(2)
    assert (head.count, head.origin) == (2, "here")
    assert head.labels is not None
    assert head.labels.tolist() == [[0], [1]]
    assert whole.head(99).count == 5


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"picture": pictures(2)}, r"missing: image; unknown: picture"),
        ({"image": pictures(2), "extra": np.zeros(2)}, r"unknown: extra"),
        ({}, r"missing: image"),
        ({"image": pictures(2)[:, :1]}, r"'image' is \[2, 1, 2\]; .*image: float32\[1x2x2\]"),
        ({"image": pictures(2)[0]}, r"'image' is \[2, 2\]"),
        ({"image": np.float32(1)}, r"'image' is \[\]"),
        ({"image": pictures(2).astype(np.float64)}, r"'image' is float64; .*float32"),
        ({"image": (pictures(2) * 255).astype(np.uint8)}, r"'image' is uint8"),
        ({"image": pictures(0)}, r"no whole sample"),
        ({"image": pictures(4), "labels": np.arange(3)}, r"3 labels.* 4"),
        ({"image": pictures(4), "labels": np.int64(3)}, r"labels"),
    ],
)
def test_real_inputs_that_do_not_fit_are_refused(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    path = write_npz(tmp_path, arrays)
    with pytest.raises(InputError, match=message) as raised:
        read_samples(path, [IMAGE])
    assert str(path) in raised.value.message


def test_inputs_with_different_numbers_of_samples_are_refused(tmp_path: Path) -> None:
    path = write_npz(tmp_path, {"image": pictures(6), "step": np.arange(5)})
    with pytest.raises(InputError, match=r"image: 6, step: 5"):
        read_samples(path, [IMAGE, STEP])


def packed() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, image=np.random.default_rng(0).random((50, 2, 2), np.float32))
    return buffer.getvalue()


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def with_damage(content: bytes) -> bytes:
    """Flip bytes in the middle, where the compressed values are."""
    middle = len(content) // 2
    return (
        content[:middle]
        + bytes(each ^ 0xFF for each in content[middle:][:20])
        + content[middle + 20 :]
    )


DAMAGED = {
    "an empty file": b"",
    "a truncated file": packed()[:300],
    "a file with flipped bytes": with_damage(packed()),
    "a text": b"image,label\n1,2\n",
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00]\x94(K\x01K\x02e.",
    "an npz file of pickled objects": zipped(image=npy(np.array([{"a": 1}, None], object))),
    "an npz file with a truncated array": zipped(image=npy(pictures(9))[:-7]),
    "an npz file with a member that is no array": zipped(image=b"hello"),
    "a lone npy file": npy(pictures(3)),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_or_foreign_file_is_refused(tmp_path: Path, case: str) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(DAMAGED[case])
    with pytest.raises(InputError, match=re.escape(str(path))):
        read_samples(path, [IMAGE])


@pytest.mark.parametrize("case", ["an empty file", "a pickle", "an array of pickled objects"])
def test_a_damaged_file_in_a_folder_is_refused(tmp_path: Path, case: str) -> None:
    content = {**DAMAGED, "an array of pickled objects": npy(np.array([{}, None], object))}[case]
    (tmp_path / "image.npy").write_bytes(content)
    with pytest.raises(InputError, match=re.escape(str(tmp_path))):
        read_samples(tmp_path, [IMAGE])


def test_reading_a_pickled_array_runs_no_code_of_it(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "harmed",))

    path = tmp_path / "data.npz"
    path.write_bytes(zipped(image=npy(np.array([Harmful()], object))))
    with pytest.raises(InputError):
        read_samples(path, [IMAGE])
    assert not (tmp_path / "harmed").exists()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        read_samples(tmp_path / "nothing.npz", [IMAGE])


def test_variations_lie_apart_from_the_examples() -> None:
    examples = {
        "signed": np.array([0.5, 2.0], np.float32),
        "image": np.array([0.0, 0.25, 1.0], np.float32),
        "ids": np.array([3, 9, 4]),
        "mask": np.array([True, False]),
        "empty": np.zeros((0, 3), np.float32),
    }
    mirrored, least, greatest = vary(examples).values()
    assert mirrored["signed"].tolist() == [-0.5, -2.0]
    assert mirrored["image"].tolist() == [1.0, 0.75, 0.0]
    assert mirrored["ids"].tolist() == [9, 3, 8]
    assert mirrored["mask"].tolist() == [False, True]
    assert least["ids"].tolist() == [3, 3, 3]
    assert greatest["signed"].tolist() == [2.0, 2.0]
    for each in (mirrored, least, greatest):
        assert {n: (a.shape, a.dtype) for n, a in each.items()} == {
            n: (a.shape, a.dtype) for n, a in examples.items()
        }
