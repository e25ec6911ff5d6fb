"""The planner: which route it takes, and what it says when there is none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import bridge
from bridge.errors import RegistryError, UnavailableError, UsageError
from bridge.formats import (
    EXECUTORCH,
    EXPORTED,
    FORMATS,
    MOBILE,
    ONNX,
    SAVED_MODEL,
    TFLITE,
    TORCH,
    Format,
)
from bridge.hop import HOPS, Hop, HopResult, HopTask, register_hop
from bridge.planning import plan, routes
from bridge.worker import IN_PROCESS


def convert(task: HopTask) -> HopResult:
    raise AssertionError("planning converts nothing")


def hop(
    name: str,
    source: Format,
    target: Format,
    *,
    loss: int = 0,
    cost: float = 1.0,
    packages: tuple[str, ...] = (),
) -> Hop:
    return Hop(
        name=name,
        title=name,
        source=source,
        target=target,
        convert=convert,
        loss=loss,
        cost=cost,
        place=IN_PROCESS,
        packages=packages,
    )


EXPORT = hop("export", TORCH, EXPORTED)
DIRECT = hop("direct", EXPORTED, TFLITE)
TO_ONNX = hop("to-onnx", EXPORTED, ONNX)
SIMPLIFY = hop("simplify", ONNX, ONNX)
VIA_ONNX = hop("via-onnx", ONNX, TFLITE, loss=1)
TO_TF = hop("to-tf", ONNX, SAVED_MODEL)
FROM_TF = hop("from-tf", SAVED_MODEL, TFLITE)


def names(found: list[bridge.planning.Route]) -> list[str]:
    return [route.name for route in found]


def test_the_least_loss_comes_first_and_then_the_least_cost() -> None:
    cheap = hop("cheap", TORCH, TFLITE, loss=2, cost=0.1)
    slow = hop("slow", TORCH, TFLITE, loss=1, cost=9)
    fast = hop("fast", TORCH, TFLITE, loss=1, cost=5)
    first, second = hop("first", TORCH, ONNX, cost=2), hop("second", ONNX, TFLITE, cost=50)
    found = routes(TORCH, TFLITE, hops=[cheap, slow, fast, first, second])
    assert names(found) == ["first/second", "fast", "slow", "cheap"]
    assert [(route.loss, route.cost) for route in found] == [(0, 52), (1, 5), (1, 9), (2, 0.1)]


def test_of_equal_routes_the_shortest_comes_first_whatever_the_order_of_registration() -> None:
    long = [hop("a", TORCH, ONNX, cost=1), hop("b", ONNX, TFLITE, cost=1)]
    short = hop("c", TORCH, TFLITE, cost=2)
    again = hop("d", TORCH, TFLITE, cost=2)
    for order in ([*long, again, short], [short, *reversed(long), again]):
        assert names(routes(TORCH, TFLITE, hops=order)) == ["c", "d", "a/b"]


def test_every_way_is_found_and_no_format_is_entered_twice() -> None:
    back = hop("back", ONNX, EXPORTED)
    hops = [EXPORT, DIRECT, TO_ONNX, VIA_ONNX, TO_TF, FROM_TF, back]
    assert set(names(routes(TORCH, TFLITE, hops=hops))) == {
        "export/direct",
        "export/to-onnx/via-onnx",
        "export/to-onnx/to-tf/from-tf",
    }


def test_refinements_are_applied_on_arrival_at_their_format() -> None:
    shrink = hop("shrink", TFLITE, TFLITE)
    polish = hop("polish", ONNX, ONNX)
    (found,) = routes(TORCH, TFLITE, hops=[SIMPLIFY, EXPORT, polish, TO_ONNX, VIA_ONNX, shrink])
    assert found.name == "export/to-onnx/simplify/polish/via-onnx/shrink"
    assert (
        str(found) == "torch → exported (export) → onnx (to-onnx) → simplify → polish "
        "→ tflite (via-onnx) → shrink"
    )


def test_a_users_own_file_is_not_refined_where_it_enters() -> None:
    (found,) = routes(ONNX, TFLITE, hops=[SIMPLIFY, VIA_ONNX])
    assert found.name == "via-onnx"


def test_from_a_format_to_itself_there_is_nothing_to_do() -> None:
    (found,) = routes(ONNX, ONNX, hops=[SIMPLIFY, VIA_ONNX])
    assert found.hops == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("direct", ["export/direct"]),
        ("to-onnx", ["export/to-onnx/simplify/via-onnx"]),
        ("simplify", ["export/to-onnx/simplify/via-onnx"]),
        ("export/direct", ["export/direct"]),
        ("export", ["export/direct", "export/to-onnx/simplify/via-onnx"]),
        ("export/to-onnx", []),
        ("onnx", []),
    ],
)
def test_a_route_is_chosen_by_its_name_or_by_that_of_a_hop(name: str, expected: list[str]) -> None:
    hops = [EXPORT, DIRECT, TO_ONNX, SIMPLIFY, VIA_ONNX]
    assert names(routes(TORCH, TFLITE, hops=hops, name=name)) == expected


@contextmanager
def registered(*hops: Hop) -> Iterator[None]:
    for each in hops:
        register_hop(each)
    try:
        yield
    finally:
        for each in hops:
            HOPS.unregister(each.name)


# No hop of ours makes ExecuTorch of these, so that only the toy hops count.
GOOD = hop("toy-good", MOBILE, EXECUTORCH, loss=1)
BEST_BUT_MISSING = hop("toy-missing", MOBILE, EXECUTORCH, packages=("no-such-one", "numpy"))
ALSO_MISSING = hop("toy-also-missing", MOBILE, EXECUTORCH, packages=("no-such-other",))


def test_the_best_route_that_is_available_here_is_planned() -> None:
    with registered(GOOD, BEST_BUT_MISSING):
        assert plan(MOBILE, EXECUTORCH).hops == (GOOD,)
        assert plan("mobile", "executorch", "toy-good").name == "toy-good"
        assert bridge.plan("mobile", "executorch").hops == (GOOD,)


def test_the_reasons_of_all_routes_are_listed_if_none_is_available() -> None:
    with (
        registered(BEST_BUT_MISSING, ALSO_MISSING),
        pytest.raises(UnavailableError, match="no route from mobile to executorch") as raised,
    ):
        plan(MOBILE, EXECUTORCH)
    assert "toy-missing: not installed: no-such-one" in raised.value.message
    assert "toy-also-missing: not installed: no-such-other" in raised.value.message
    assert "numpy" not in raised.value.message, "it is installed"
    assert "pip install" in (raised.value.hint or "")


def test_a_route_that_is_asked_for_is_unavailable_though_others_are_not() -> None:
    with (
        registered(GOOD, BEST_BUT_MISSING),
        pytest.raises(UnavailableError, match="toy-missing: not installed: no-such-one"),
    ):
        plan(MOBILE, EXECUTORCH, "toy-missing")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("mobile", "executorch"), "there is no route from mobile to executorch$", "routes shows"),
        (("torch", "onnx", "no-hop"), "from torch to onnx through 'no-hop'$", "routes shows"),
        (("mobile", "onnx", "torch-export"), "through 'torch-export'$", "routes shows"),
        (("torch", "coreml"), "there is no format 'coreml'$", "formats: torch, "),
        (("pytorch", "onnx"), "there is no format 'pytorch'$", "did you mean torch"),
    ],
)
def test_what_there_is_no_way_to_is_a_wrong_request(
    arguments: tuple[str, ...], message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as raised:
        plan(*arguments)
    assert re.search(message, raised.value.message)
    assert hint in (raised.value.hint or "")


def test_two_hops_of_one_name_are_refused() -> None:
    with registered(GOOD), pytest.raises(RegistryError, match="two hops are called 'toy-good'"):
        register_hop(hop("toy-good", ONNX, TFLITE))


OURS: dict[str, Callable[[Hop], bool]] = {
    "a name that a route can be made of": lambda each: "/" not in each.name and bool(each.name),
    "a title": lambda each: bool(each.title),
    "a loss that is not negative": lambda each: each.loss >= 0,
    "a cost": lambda each: each.cost > 0,
    "a conversion that a worker can import": lambda each: "<" not in each.convert.__qualname__,
    "known formats": lambda each: {each.source.name, each.target.name} <= set(FORMATS),
}


@pytest.mark.parametrize("what", OURS)
def test_every_registered_hop_has(what: str) -> None:
    assert HOPS.names()
    assert [each.name for each in HOPS if not OURS[what](each)] == []
