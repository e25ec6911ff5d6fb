"""The layer map: how it is carried through hops, and how it explains what has no tensor."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest

from bridge.layers import (
    Absence,
    Layer,
    LayerMap,
    Place,
    Spine,
    explain_absences,
    identity_map,
)


def chain(*rows: tuple[str, str, str], outputs: tuple[str, ...] = ()) -> Spine:
    """A spine from rows of id, operator and what it reads (names split by spaces)."""
    layers = tuple(Layer(id=id_, op=op, inputs=tuple(read.split())) for id_, op, read in rows)
    return Spine(origin="exported", layers=layers, inputs=("x",), outputs=outputs)


def test_two_layers_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="one id"):
        chain(("a", "aten.relu", "x"), ("a", "aten.relu", "x"))


def test_a_place_has_either_a_tensor_or_the_reason_why_not() -> None:
    with pytest.raises(ValueError, match="either a tensor or the reason"):
        Place()
    with pytest.raises(ValueError, match="either a tensor or the reason"):
        Place(tensor="t", absence=Absence.FUSED)


def test_a_layer_that_is_not_listed_is_unexplained() -> None:
    layers = identity_map(["a"])
    assert layers.place("a") == Place(tensor="a")
    assert layers.place("b") == Place(absence=Absence.UNEXPLAINED)


def test_carrying_renames_permutes_and_keeps_the_reasons() -> None:
    before = LayerMap(
        places={
            "conv": Place(tensor="t1"),
            "relu": Place(tensor="t2"),
            "norm": Place(absence=Absence.FUSED, into="relu"),
            "gone": Place(tensor="t3"),
            "lost": Place(tensor="t4"),
        }
    )
    after = before.carry(
        {"t1": "u1", "t2": "u2"},
        permutations={"u1": (0, 2, 3, 1)},
        lost={"t3": (Absence.FOLDED, "it was constant")},
    )
    assert after.places == {
        "conv": Place(tensor="u1", permutation=(0, 2, 3, 1)),
        "relu": Place(tensor="u2"),
        "norm": Place(absence=Absence.FUSED, into="relu"),
        "gone": Place(absence=Absence.FOLDED, detail="it was constant"),
        "lost": Place(absence=Absence.UNEXPLAINED),
    }
    assert list(after.mapped()) == ["conv", "relu"]
    assert before.places["conv"] == Place(tensor="t1"), "the parent's map stays as it was"


def test_a_tensor_of_two_layers_stays_with_both() -> None:
    before = LayerMap(places={"a": Place(tensor="t"), "b": Place(tensor="t")})
    after = before.carry({"t": "u"}, permutations={"u": (1, 0)})
    assert after.place("a") == after.place("b") == Place(tensor="u", permutation=(1, 0))


@pytest.mark.parametrize("rank", [2, 3, 4, 5])
def test_permutations_of_successive_hops_compose_as_transposes_do(rank: int) -> None:
    rng = np.random.default_rng(rank)
    array = rng.normal(size=range(2, 2 + rank))
    for _ in range(20):
        steps = [
            tuple(map(int, rng.permutation(rank))) if rng.random() < 0.8 else None for _ in range(3)
        ]
        layers, expected = identity_map(["a"]), array
        for index, step in enumerate(steps):
            before, after = layers.place("a").tensor, f"t{index}"
            assert before is not None
            layers = layers.carry({before: after}, permutations={after: step} if step else None)
            expected = expected if step is None else expected.transpose(step)
        place = layers.place("a")
        actual = array if place.permutation is None else array.transpose(place.permutation)
        np.testing.assert_array_equal(actual, expected, strict=True)


def test_going_to_another_layout_and_back_is_no_permutation() -> None:
    there = identity_map(["a"]).carry({"a": "b"}, permutations={"b": (0, 2, 3, 1)})
    back = there.carry({"b": "c"}, permutations={"c": (0, 3, 1, 2)})
    assert back.place("a") == Place(tensor="c")


EXPLANATIONS = {
    "a constant is folded": (
        chain(("c", "aten.ones", ""), ("a", "aten.add", "x c")),
        {"a"},
        {"c": Place(absence=Absence.FOLDED, detail="it depends on no input")},
    ),
    "what constants feed is folded too": (
        chain(("c", "aten.ones", ""), ("d", "aten.mul", "c c"), ("a", "aten.add", "x d")),
        {"a"},
        {"d": Place(absence=Absence.FOLDED, detail="it depends on no input")},
    ),
    "a layer is fused into its only reader": (
        chain(("conv", "aten.conv2d", "x"), ("relu", "aten.relu", "conv")),
        {"relu"},
        {"conv": Place(absence=Absence.FUSED, into="relu")},
    ),
    "a chain is fused into its end": (
        chain(
            ("conv", "aten.conv2d", "x"),
            ("norm", "aten.batch_norm", "conv"),
            ("relu", "aten.relu", "norm"),
        ),
        {"relu"},
        {
            "conv": Place(absence=Absence.FUSED, into="relu"),
            "norm": Place(absence=Absence.FUSED, into="relu"),
        },
    ),
    "a reader that reads twice is one reader": (
        chain(("a", "aten.relu", "x"), ("b", "aten.mul", "a a")),
        {"b"},
        {"a": Place(absence=Absence.FUSED, into="b")},
    ),
    "two readers leave it unexplained": (
        chain(("a", "aten.relu", "x"), ("b", "aten.neg", "a"), ("c", "aten.exp", "a")),
        {"b", "c"},
        {"a": Place(absence=Absence.UNEXPLAINED)},
    ),
    "dropout changes nothing": (
        chain(("a", "aten.relu", "x"), ("b", "aten.dropout", "a"), ("c", "aten.neg", "b")),
        {"a", "c"},
        {"b": Place(absence=Absence.ELIMINATED, into="c", detail="it changes nothing")},
    ),
    "what nobody reads is eliminated": (
        chain(("a", "aten.relu", "x"), ("b", "aten.neg", "x"), outputs=("a",)),
        {"a"},
        {"b": Place(absence=Absence.ELIMINATED, detail="nothing reads it")},
    ),
    "an output of the model is read by whoever runs it": (
        chain(("a", "aten.relu", "x"), outputs=("a",)),
        set(),
        {"a": Place(absence=Absence.UNEXPLAINED)},
    ),
    "an output that a layer reads too is not fused away": (
        chain(("a", "aten.relu", "x"), ("b", "aten.neg", "a"), outputs=("a", "b")),
        {"b"},
        {"a": Place(absence=Absence.UNEXPLAINED)},
    ),
    "dropout at the output is eliminated as anywhere": (
        chain(("a", "aten.relu", "x"), ("b", "aten.dropout", "a"), outputs=("b",)),
        {"a"},
        {"b": Place(absence=Absence.ELIMINATED, detail="it changes nothing")},
    ),
}


@pytest.mark.parametrize("case", EXPLANATIONS)
def test_explanations(case: str) -> None:
    spine, mapped, expected = EXPLANATIONS[case]
    layers = explain_absences(spine, {layer: Place(tensor=layer) for layer in mapped})
    assert {layer: layers.place(layer) for layer in expected} == expected
    assert list(layers.places) == spine.ids(), "every layer has a place, in the spine's order"
    assert set(layers.mapped()) == mapped


def test_a_reason_that_a_hop_gives_is_kept() -> None:
    spine = chain(("conv", "aten.conv2d", "x"), ("relu", "aten.relu", "conv"))
    given = Place(absence=Absence.OPAQUE, detail="inside a custom operator")
    assert explain_absences(spine, {"conv": given}).place("conv") == given


def test_every_layer_of_a_random_graph_gets_a_place() -> None:
    rng = np.random.default_rng(zlib.crc32(b"every layer of a random graph gets a place"))
    for _ in range(50):
        names = ["x"]
        rows = []
        for index in range(int(rng.integers(1, 30))):
            read = rng.choice(names, size=int(rng.integers(0, 3)))
            rows.append((f"l{index}", "aten.add", " ".join(map(str, read))))
            names.append(f"l{index}")
        spine = chain(*rows, outputs=(names[-1],))
        mapped = {layer for layer in spine.ids() if rng.random() < 0.5}
        layers = explain_absences(spine, {layer: Place(tensor=layer) for layer in mapped})
        for layer in spine.ids():
            place = layers.place(layer)
            if place.absence is Absence.FUSED:
                assert place.into in mapped, "a layer is fused into one that has a tensor"
            assert (place.tensor is not None) == (layer in mapped)


def test_a_spine_survives_json() -> None:
    spine = Spine(
        origin="exported",
        layers=(
            Layer(
                id="conv2d",
                op="aten.conv2d",
                module="features.0",
                source="net.py:3",
                inputs=("x",),
                shape=(1, 8, 4, 4),
                dtype="float32",
            ),
            Layer(id="sum_1", op="aten.sum", inputs=("conv2d",), shape=()),
            Layer(id="getitem", op="aten.topk", inputs=("sum_1",)),
        ),
        inputs=("x", "unused"),
        outputs=("sum_1", "x", ""),
    )
    assert Spine.from_json(json.loads(json.dumps(spine.to_json()))) == spine


def test_a_layer_map_survives_json() -> None:
    layers = LayerMap(
        places={
            "a": Place(tensor="t", permutation=(0, 2, 3, 1)),
            "b": Place(tensor="u", reshaped=True),
            "scalar": Place(tensor="v", permutation=()),
            "c": Place(absence=Absence.FUSED, into="a"),
            "d": Place(absence=Absence.OPAQUE, detail="inside a custom operator"),
        }
    )
    again = LayerMap.from_json(json.loads(json.dumps(layers.to_json())))
    assert again == layers
    assert list(again.places) == list(layers.places)


def test_a_layer_fused_into_a_fused_one_ends_where_there_is_a_tensor() -> None:
    fused = {
        "conv": Place(absence=Absence.FUSED, into="norm"),
        "norm": Place(absence=Absence.FUSED, into="relu"),
        "relu": Place(tensor="r"),
        "lost": Place(absence=Absence.FUSED, into="gone"),
        "gone": Place(absence=Absence.UNEXPLAINED),
    }
    resolved = LayerMap(places=fused).resolved()
    assert resolved.place("conv").into == "relu"
    assert resolved.place("norm").into == "relu"
    assert resolved.place("lost").into == "gone"
