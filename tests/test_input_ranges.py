"""What inputs are drawn from: what the captured program, the names and the examples tell."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

import bridge
from bridge.api import SourceOptions
from bridge.api.opening import open_source
from bridge.api.sampling import settle, steady_edges
from bridge.converters._capture import capture
from bridge.live import LiveModel
from bridge.samples import Domain, Edge, InputRange, InputSpec, Kind, domain_of, draw_samples, more
from bridge.samples.inferring import infer


def captured(
    module: nn.Module, **inputs: torch.Tensor
) -> tuple[torch.export.ExportedProgram, dict[str, NDArray[Any]]]:
    live = LiveModel(module=module.eval(), args=(), kwargs=inputs)
    program = capture(live.module, (), live.kwargs)
    return program, {name: each.numpy() for name, each in live.inputs().items()}


def inferred(module: nn.Module, **inputs: torch.Tensor) -> dict[str, InputRange]:
    return infer(*captured(module, **inputs))


class Words(nn.Module):
    """Embeddings by token, by position (of which two rows are set aside) and by type."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(100, 4)
        self.positions = nn.Embedding(34, 4)
        self.types = nn.Embedding(2, 4)

    def forward(
        self, ids: torch.Tensor, position_ids: torch.Tensor, token_type_ids: torch.Tensor
    ) -> torch.Tensor:
        places = self.positions(position_ids.long() + 2)
        return self.word_embeddings(ids) + places + self.types(token_type_ids.view(1, -1))


def test_ids_stay_within_the_rows_that_they_index() -> None:
    ids = torch.zeros(1, 8, dtype=torch.int64)
    found = inferred(Words(), ids=ids, position_ids=ids.int(), token_type_ids=ids.clone())
    assert {name: (each.kind, each.low, each.high) for name, each in found.items()} == {
        "ids": (Kind.INDEX, 0, 99),
        "position_ids": (Kind.INDEX, 0, 31),
        "token_type_ids": (Kind.INDEX, 0, 1),
    }
    assert found["ids"].how == "token ids 0..99 (rows of word_embeddings)"
    assert found["position_ids"].how == "positions 0..31 (rows of positions)"


class Indexing(nn.Module):
    """One operator with an index, bounded by a table of 5 rows and 7 columns."""

    def __init__(self, operator: str) -> None:
        super().__init__()
        self.operator = operator
        self.register_buffer("table", torch.rand(5, 7))

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        if self.operator == "index_select":
            return self.table.index_select(1, index)
        if self.operator == "gather":
            return self.table.gather(0, index[None].expand(1, -1))
        if self.operator == "index":
            return self.table[:, index]
        if self.operator == "one_hot":
            return functional.one_hot(index, 9).float()
        return functional.embedding_bag(index[None], self.table)


@pytest.mark.parametrize(
    ("operator", "greatest"),
    [("index_select", 6), ("gather", 4), ("index", 6), ("one_hot", 8), ("embedding_bag", 4)],
)
def test_indices_stay_within_what_they_index(operator: str, greatest: int) -> None:
    found = inferred(Indexing(operator), index=torch.zeros(3, dtype=torch.int64))
    assert (found["index"].low, found["index"].high) == (0, greatest)
    assert found["index"].kind is Kind.INDEX


class Lengths(nn.Module):
    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        valid = torch.arange(frames.shape[1]) < lengths[:, None]
        return (frames * valid).sum(1)


def test_lengths_go_from_one_to_what_they_count() -> None:
    found = inferred(Lengths(), frames=torch.rand(2, 12), lengths=torch.tensor([3, 12]))
    assert (found["lengths"].low, found["lengths"].high) == (1, 12)
    assert found["lengths"].how.startswith("lengths 1..12")
    assert "frames" not in found


def attended(scores: torch.Tensor) -> torch.Tensor:
    return torch.softmax(scores, -1)


class Masked(nn.Module):
    """Scores that a mask of some form leaves some of out."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form

    def forward(self, scores: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        if self.form == "filled where it is zero":
            return attended(scores.masked_fill(keep == 0, float("-inf")))
        if self.form == "filled where it is true":
            return attended(scores.masked_fill(keep.bool(), -1e9))
        if self.form == "added":
            return attended(scores + (1.0 - keep[:, None].float()) * -10000.0)
        if self.form == "where":
            return attended(torch.where(keep > 0, scores, torch.tensor(-1e4)))
        if self.form == "attention":
            q = scores[:, None, :, None]
            return functional.scaled_dot_product_attention(q, q, q, keep[:, None, None].bool())
        inverted = 1.0 - keep.float()
        return attended(scores.masked_fill(inverted.to(torch.bool), torch.finfo(torch.float32).min))


@pytest.mark.parametrize(
    ("form", "inverted"),
    [
        ("filled where it is zero", False),
        ("filled where it is true", True),
        ("added", False),
        ("where", False),
        ("attention", False),
        ("filled where one less it is true", False),
    ],
)
def test_a_mask_is_known_by_its_use_and_never_leaves_out_everything(
    form: str, inverted: bool
) -> None:
    module, keep = Masked(form), torch.ones(2, 8, dtype=torch.int64)
    program, examples = captured(module, scores=torch.randn(2, 8), keep=keep)
    found = infer(program, examples)["keep"]
    assert (found.kind, found.inverted) == (Kind.MASK, inverted)
    samples = draw_samples(examples, 9, domain_of(examples, inferred={"keep": found}))
    kept = samples.arrays["keep"][1:].astype(bool) ^ inverted
    lengths = kept.sum(-1)
    assert lengths.min() == 1, "the shortest"
    assert lengths.max() == 8, "the longest"
    assert (kept == (np.arange(8) < lengths[..., None])).all(), "the first ones"
    for scores, mask in zip(samples.arrays["scores"][1:], samples.arrays["keep"][1:], strict=True):
        assert module(torch.from_numpy(scores), torch.from_numpy(mask)).isfinite().all()


def test_padding_masks_of_pytorch_leave_out_where_they_are_true() -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)

        def forward(self, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
            return self.layer(x, src_key_padding_mask=padding)

    found = inferred(Encoder(), x=torch.randn(1, 6, 4), padding=torch.zeros(1, 6, dtype=bool))
    assert found["padding"].inverted
    assert "ones" not in found["padding"].how


def test_sound_is_known_by_the_convolution_that_reads_it() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(1, 4, 10, stride=5)

        def forward(self, signal: torch.Tensor) -> torch.Tensor:
            return self.conv(signal[:, None])

    program, examples = captured(Net(), signal=torch.zeros(1, 400))
    found = infer(program, examples)
    assert found["signal"].kind is Kind.AUDIO
    drawn = draw_samples(examples, 8, domain_of(examples, inferred=found)).arrays["signal"]
    assert np.abs(drawn).max() <= 1
    smooth = drawn[1, 0] / drawn[1, 0].std()
    assert np.corrcoef(smooth[:-1], smooth[1:])[0, 1] > 0.3, "neighbouring values are alike"


IMAGES = {
    "in 0..1": (np.random.default_rng(0).random((1, 3, 24, 24), np.float32), (0, 1)),
    "in -1..1": (np.random.default_rng(0).uniform(-1, 1, (2, 1, 24, 24)), (-1, 1)),
    "with the channels last": (np.full((1, 24, 24, 3), 0.5, np.float32), (0, 1)),
    "of bytes": (np.full((1, 3, 24, 24), 9, np.uint8), (0, 255)),
    "normalised": (np.linspace(-2.1, 2.6, 3 * 576, dtype=np.float32).reshape(1, 3, 24, 24), None),
    "of a video": (np.zeros((1, 3, 2, 24, 24), np.float32), (0, 1)),
}


@pytest.mark.parametrize("case", IMAGES)
def test_images_are_structured_and_stay_in_their_range(case: str) -> None:
    example, ends = IMAGES[case]
    low, high = ends or (example.min(), example.max())
    drawn = draw_samples({"x": example}, 12).arrays["x"]
    assert drawn.dtype == example.dtype
    assert low <= drawn.min() < low + 0.3 * (high - low)
    assert high - 0.3 * (high - low) < drawn.max() <= high
    axis = -2 if example.shape[-1] == 3 else -1
    alike = [
        np.corrcoef(
            np.delete(each, 0, axis).ravel().astype(float),
            np.delete(each, -1, axis).ravel().astype(float),
        )[0, 1]
        for each in (drawn[1], drawn[3], drawn[5], drawn[7])
    ]
    assert np.median(alike) > 0.5, "pixels resemble their neighbours"


def test_more_samples_have_the_same_first_ones() -> None:
    examples = {
        "image": np.random.default_rng(0).random((1, 3, 8, 8), np.float32),
        "ids": np.arange(6)[None],
        "mask": np.ones((1, 6), np.int64),
        "x": np.random.default_rng(1).normal(size=(1, 4)).astype(np.float32),
    }
    few = draw_samples(examples, 5)
    many = more(few, 20)
    assert many.count == 20
    alone = draw_samples({"x": examples["x"]}, 5)
    for name, stacked in few.arrays.items():
        np.testing.assert_array_equal(many.arrays[name][:5], stacked, strict=True)
        assert len({each.tobytes() for each in many.arrays[name][7:]}) > 3, "they differ"
    np.testing.assert_array_equal(alone.arrays["x"], few.arrays["x"], strict=True)
    assert more(few, 3).count == 3


def test_edges_of_the_range_are_among_the_samples() -> None:
    domain = Domain(
        inputs={"x": InputRange(kind=Kind.UNIFORM, low=-2, high=3, how="")}, edges=tuple(Edge)
    )
    drawn = draw_samples({"x": np.ones((1, 50), np.float32)}, 8, domain).arrays["x"]
    assert any((each == 0).all() for each in drawn)
    assert any((each == 3).all() for each in drawn)
    assert any(set(np.unique(each)) == {-2, 3} for each in drawn)


class Normalising(nn.Module):
    """A constant has no deviation: NaN."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - x.mean()) / x.std()


class Choosing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.topk(2).indices


@pytest.mark.parametrize(("module", "left"), [(Normalising(), (Edge.MIXED,)), (Choosing(), ())])
def test_no_edge_is_taken_where_the_model_gives_nan_or_chooses_between_equals(
    module: nn.Module, left: tuple[Edge, ...]
) -> None:
    program, examples = captured(module, x=torch.randn(1, 12))
    domain = domain_of(examples)
    assert steady_edges(program, examples, domain, 60) == left
    plain, _ = captured(nn.Sequential(nn.Linear(12, 3)), input=torch.randn(1, 12))
    assert steady_edges(plain, examples, domain, 60) == tuple(Edge)


def test_values_are_drawn_like_the_examples_and_never_leave_their_domain() -> None:
    class Log(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.log()

    program, examples = captured(Log(), x=torch.rand(1, 40) + 0.01)
    samples = settle(draw_samples(examples, 16), program, declared={}, made_up=(), seconds=60)
    assert np.isfinite(np.log(samples.arrays["x"])).all()
    assert samples.how["x"].startswith("like the example's own values")


def test_what_the_user_declares_counts_more_than_what_is_inferred() -> None:
    ids = torch.zeros(1, 8, dtype=torch.int64)
    program, examples = captured(
        Words(), ids=ids, position_ids=ids.clone(), token_type_ids=ids.clone()
    )
    samples = settle(
        draw_samples(examples, 16), program, declared={"ids": (5, 9)}, made_up=(), seconds=60
    )
    assert set(np.unique(samples.arrays["ids"][1:])) == {5, 6, 7, 8, 9}
    assert samples.how["ids"] == "whole numbers drawn from 5..9 (declared)"


def test_a_mask_to_be_added_keeps_its_two_values() -> None:
    example = np.array([[0.0, 0.0, -math.inf, -math.inf]], np.float32)
    samples = draw_samples({"mask": example}, 12)
    assert set(np.unique(samples.arrays["mask"])) == {0.0, -math.inf}
    assert (samples.arrays["mask"][..., 0] == 0).all()
    stored = samples.domain
    assert stored is not None
    assert Domain.from_json(stored.to_json()) == stored


class Tagger(nn.Module):
    """Embeddings of tokens, averaged where a mask says so."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        states = self.words(ids).masked_fill((mask == 0)[..., None], 0.0)
        return self.head(states.sum(1) / mask.sum(1, keepdim=True)) * scale


def test_a_folder_is_validated_on_the_samples_that_it_was_made_with(tmp_path: Path) -> None:
    declared = ["ids=1x6:int64", "mask=1x6:int64", "scale=1x1:2..3"]
    options = SourceOptions(declared=[InputSpec.parse(each) for each in declared])
    first = bridge.convert(Tagger(), to="torchscript", out=tmp_path, source_options=options)
    assert first.ok
    inputs = first.report["validation"]["inputs"]
    assert inputs["how"]["ids"] == "token ids 0..49 (rows of words)"
    assert inputs["how"]["mask"].startswith("a mask: ones for the first tokens")
    assert inputs["how"]["scale"] == "drawn uniformly from 2..3 (declared)"
    again = bridge.validate(tmp_path)
    assert again.report["validation"]["inputs"] == inputs
    target = first.report["validation"]["targets"]["torchscript"]
    assert again.report["validation"]["targets"]["torchscript"]["outputs"] == target["outputs"]
    assert bridge.convert(Tagger(), to="torchscript", out=tmp_path, source_options=options).ok


def test_an_unchanged_run_takes_the_domain_that_it_found_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    module = Tagger().eval()
    inputs = (torch.zeros(1, 6, dtype=torch.int64), torch.ones(1, 6), torch.ones(1, 1))
    first = bridge.convert(module, inputs, to="torchscript", out=tmp_path)
    monkeypatch.setattr(torch.export, "load", None)  # nothing needs to be read again
    second = bridge.convert(module, inputs, to="torchscript", out=tmp_path)
    assert second.reused
    assert second.report == first.report


def test_an_onnx_file_tells_the_tables_that_its_inputs_index(tmp_path: Path) -> None:
    ids = torch.zeros(1, 6, dtype=torch.int64)
    inputs = {"ids": ids, "mask": torch.ones(1, 6, dtype=torch.int64), "scale": torch.ones(1, 1)}
    made = bridge.convert(Tagger(), inputs, to="onnx", out=tmp_path, validate=False)
    opened = open_source(made.artifacts["onnx"].path, None, SourceOptions(samples=8), 60)
    settled = opened.settled(None, {}, 60)
    drawn = settled.samples.arrays["ids"]
    assert drawn.min() >= 0
    assert 40 < drawn.max() <= 49
    assert settled.samples.how["ids"].startswith("indices 0..49 (rows of ")
    assert settled.samples.how["mask"].startswith("a mask: ones")
