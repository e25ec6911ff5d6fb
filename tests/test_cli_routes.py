"""``driftbridge routes``: the graph and the routes as a person sees them, and as a picture."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import typer
from typer.testing import CliRunner

from bridge import formats, planning
from bridge.availability import AVAILABLE, Availability
from bridge.cli.routes import routes
from bridge.formats import EXECUTORCH, EXPORTED, MOBILE, ONNX, TFLITE, TORCH, Format
from bridge.hop import HOPS, Hop, HopResult, HopTask, register_hop
from bridge.report.graph import Edge, graph_svg, graph_text, probed

SVG = "{http://www.w3.org/2000/svg}"

app = typer.Typer()
app.command()(routes)


def convert(task: HopTask) -> HopResult:
    raise AssertionError("no test of routes converts anything")


def fake(name: str, source: Format, target: Format, **more: object) -> Hop:
    return Hop(
        name=name,
        title=f"{name} <of> & a test",
        source=source,
        target=target,
        convert=convert,
        **more,  # type: ignore[arg-type]
    )


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def register() -> Iterator[Callable[[Hop], Hop]]:
    added: list[str] = []

    def add(hop: Hop) -> Hop:
        register_hop(hop)
        added.append(hop.name)
        return hop

    HOPS.names()  # our own modules first, so that a clash would be the test's
    yield add
    for name in added:
        HOPS.unregister(name)


@pytest.fixture
def unavailable(register: Callable[[Hop], Hop]) -> Hop:
    return register(fake("missing-one", ONNX, EXECUTORCH, packages=("no-such-distribution",)))


def test_graph_shows_every_hop_and_why_one_cannot_run(unavailable: Hop) -> None:
    code, out, _ = run()
    assert code == 0
    for hop in HOPS:
        assert hop.name in out
        assert hop.title in out
    block = out[out.index("missing-one") :].split("─ ")[0]
    assert "NOT AVAILABLE: not installed: no-such-distribution" in block
    assert unavailable.probe().mend in block


def test_picture_names_everything_and_gives_reasons(unavailable: Hop, tmp_path: Path) -> None:
    code, out, _ = run("--svg", str(tmp_path / "graph.svg"))
    assert code == 0
    assert "graph.svg" in out
    root = ElementTree.parse(tmp_path / "graph.svg").getroot()
    texts = {each.text for each in root.iter(f"{SVG}text")}
    assert {hop.name for hop in HOPS} <= texts
    assert {hop.source.name for hop in HOPS} | {hop.target.name for hop in HOPS} <= texts
    titles = {
        group.findtext(f"{SVG}title") or "": group.get("class")
        for group in root.iter(f"{SVG}g")
        if group.find(f"{SVG}title") is not None
    }
    (reason,) = [each for each in titles if each.startswith("missing-one ")]
    assert "not installed: no-such-distribution" in reason
    assert titles[reason] == "hop off"
    style = root.findtext(f"{SVG}style") or ""
    assert ".off path { stroke: #9a4a00; stroke-dasharray" in style
    assert "prefers-color-scheme: dark" in style
    assert [path.name for path in tmp_path.iterdir()] == ["graph.svg"]


def crowded() -> list[Edge]:
    """Parallel hops, one that passes two formats, one that goes back, and refinements."""
    off = Availability(available=False, reason="not <here> & now", mend="get it")
    hops = [
        (fake("to-exported", TORCH, EXPORTED), AVAILABLE),
        (fake("exported-onnx", EXPORTED, ONNX), AVAILABLE),
        (fake("another-exported-onnx-with-a-long-name", EXPORTED, ONNX), off),
        (fake("onnx-saved-model", ONNX, formats.SAVED_MODEL), AVAILABLE),
        (fake("saved-model-tflite", formats.SAVED_MODEL, TFLITE), AVAILABLE),
        (fake("direct", EXPORTED, TFLITE, place="in process"), AVAILABLE),
        (fake("direct-2", EXPORTED, TFLITE), off),
        (fake("onnx-exported", ONNX, EXPORTED), AVAILABLE),
        (fake("quantize", TFLITE, TFLITE), AVAILABLE),
        (fake("compress", TFLITE, TFLITE), off),
        (fake("to-mobile", TORCH, MOBILE), AVAILABLE),
    ]
    return [Edge(hop=hop, availability=availability) for hop, availability in hops]


@pytest.mark.parametrize("edges", [crowded(), probed(HOPS), []], ids=["crowded", "ours", "none"])
def test_no_box_of_the_picture_lies_on_another(edges: list[Edge]) -> None:
    root = ElementTree.fromstring(graph_svg(edges))
    _, _, width, height = map(float, root.get("viewBox", "").split())
    boxes = {}
    for group in root.iter(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        name = group.findtext(f"{SVG}text")
        assert rect is not None
        assert name is not None
        x, y, w, h = (float(rect.get(key, "")) for key in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height
        assert len(name) * 7.5 <= w  # the label fits its box
        boxes[name] = (x, y, x + w, y + h)
    assert len(boxes) >= len(edges)
    for (one, a), (two, b) in itertools.combinations(boxes.items(), 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, f"{one} lies on {two}"


def test_text_of_a_graph_with_a_circle_has_every_hop_once() -> None:
    text = graph_text(crowded())
    for edge in crowded():
        assert text.count(f"─ {edge.hop.name} ") == 1
    assert "to have it: get it" in text
    assert "no hop reads or writes: torchscript, executorch" in text


def test_routes_are_in_the_planners_order(register: Callable[[Hop], Hop]) -> None:
    register(fake("cheap-but-lossy", EXPORTED, MOBILE, loss=1, cost=0.0))
    register(fake("faithful-but-slow", EXPORTED, MOBILE, cost=900.0))
    register(fake("best-of-all", EXPORTED, MOBILE, cost=0.0, packages=("no-such-distribution",)))
    code, out, _ = run("--from", "torch", "--to", "mobile")
    assert code == 0
    names = [each.name for each in planning.routes(TORCH, MOBILE)]
    assert names[-2:] == ["torch-export/faithful-but-slow", "torch-export/cheap-but-lossy"]
    for number, name in enumerate(names, 1):
        assert f"{number}. {name}: loss " in out
    # what cannot run here comes last, however good it would be
    assert f"{len(names) + 1}. torch-export/best-of-all: loss 0, about 2 s" in out
    assert "NOT AVAILABLE, best-of-all: not installed: no-such-distribution" in out


def test_a_missing_refinement_is_told_and_does_not_stop_a_route(
    register: Callable[[Hop], Hop],
) -> None:
    register(fake("polish", MOBILE, MOBILE, packages=("no-such-distribution",)))
    code, out, _ = run("--to", "mobile", "--json")
    assert code == 0
    listed = json.loads(out)["routes"]
    assert [each["name"] for each in listed if each["from"] == "torchscript"] == [
        "lite-interpreter"
    ]
    for each in listed:
        assert each["available"]
        assert each["without"] == {"polish": "not installed: no-such-distribution"}


def test_json_holds_every_hop_with_its_availability(unavailable: Hop) -> None:
    code, out, _ = run("--json")
    assert code == 0
    hops = {each["name"]: each for each in json.loads(out)["hops"]}
    assert set(hops) == set(HOPS.names())
    assert hops["missing-one"]["available"] is False
    assert hops["missing-one"]["mend"].startswith("pip install")
    assert (hops["torch-export"]["from"], hops["torch-export"]["to"]) == ("torch", "exported")


def test_an_unknown_format_is_wrong_usage() -> None:
    code, out, err = run("--to", "tflit")
    assert code == 64
    assert out == ""
    assert "there is no format 'tflit'" in err
    assert "tflite" in err.partition("hint:")[2]


def test_formats_without_a_route_are_wrong_usage() -> None:
    code, _, err = run("--from", "mobile", "--to", "torch")
    assert code == 64
    assert "no route from mobile to torch" in err


def test_quiet_prints_nothing() -> None:
    assert run("--quiet") == (0, "", "")


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken.svg").mkdir()
    for target in (tmp_path / "absent" / "graph.svg", tmp_path / "taken.svg"):
        code, _, err = run("--svg", str(target))
        assert code == 2
        assert "cannot be written" in err
    assert [path.name for path in tmp_path.iterdir()] == ["taken.svg"]


def test_the_commands_import_no_framework_before_they_run() -> None:
    heavy = ["numpy", "torch", "onnx", "ai_edge_litert", "onnxruntime"]
    program = (
        "import sys, bridge.cli.routes, bridge.cli.doctor, bridge.cli.toolchain;"
        "import bridge.cli.inspect;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
