"""``report.html`` in a real browser: what a person sees and does there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import report_documents
from browser import Page, browser, executable

from bridge.report import html_report

pytestmark = [
    pytest.mark.skipif(executable() is None, reason="there is no Chromium to show the page"),
    pytest.mark.xdist_group("browser"),
]

READY = "document.documentElement.classList.contains('scripted')"
PLACE = 34  # of the seeded layer norm of report_documents.wrong_epsilon
SEEDED = f"layer_norm_{PLACE}"
HOSTILE = '</script><img src=x onerror="window.ran=1">\'`&{{7*7}}<b>|@me[x](y)'

Show = Callable[..., float]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab()


@pytest.fixture
def show(page: Page, tmp_path: Path) -> Show:
    """Write a report's page, open it, and return how long it took until it could be used."""

    def open_(
        document: dict[str, Any], *, width: int = 1280, scripts: bool = True, ready: str = READY
    ) -> float:
        file = tmp_path / "a folder" / "réport.html"
        file.parent.mkdir(exist_ok=True)
        file.write_text(html_report(document), encoding="utf-8")
        page.size(width)
        page.scheme("light")
        return page.open(file, scripts=scripts, ready=ready if scripts else "true")

    return open_


def text(page: Page, selector: str) -> str:
    return str(page.evaluate(f"document.querySelector({selector!r})?.innerText ?? ''"))


def box(page: Page, selector: str) -> dict[str, float]:
    """Where an element is, after it was scrolled into view."""
    place: dict[str, float] = page.evaluate(
        f"(() => {{ const e = document.querySelector({selector!r}); "
        "e.scrollIntoView({block: 'center', behavior: 'instant'}); "
        "const r = e.getBoundingClientRect(); "
        "return {x: r.x, y: r.y, width: r.width, height: r.height}; })()"
    )
    return place


def point_at(page: Page, layer: int, count: int) -> tuple[float, float]:
    """The point of the chart above a layer, while all layers are in view."""
    plot = box(page, "#chart .u-over")
    x = plot["x"] + plot["width"] * (layer + 0.5) / count
    return x, plot["y"] + plot["height"] / 2


def rows(page: Page) -> list[str]:
    """The layers of the table that exist as rows, from the top."""
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('#table .rows .row')].map(r => "
        "r.dataset.group ?? r.querySelector('.id').innerText)"
    )
    return found


def choose(page: Page, selector: str, value: str) -> None:
    page.evaluate(
        f"(() => {{ const e = document.querySelector({selector!r}); e.value = {value!r}; "
        "e.dispatchEvent(new Event(e.type === 'search' ? 'input' : 'change')); })()"
    )


def click(page: Page, selector: str) -> None:
    place = box(page, selector)
    page.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)


# how many pixels of the chart are drawn in the colour of the first target
INK = """(() => {
  const canvas = document.querySelector('#chart canvas');
  const style = getComputedStyle(document.documentElement);
  const wanted = style.getPropertyValue('--series-0').trim().slice(1);
  const rgb = [0, 2, 4].map(at => parseInt(wanted.slice(at, at + 2), 16));
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  const drawing = copy.getContext('2d', { willReadFrequently: true });
  drawing.drawImage(canvas, 0, 0);
  const data = drawing.getImageData(0, 0, copy.width, copy.height).data;
  let count = 0;
  for (let i = 0; i < data.length; i += 4)
    if (data[i + 3] > 200 && rgb.every((c, n) => Math.abs(data[i + n] - c) < 12)) count++;
  return count; })()"""


def drawn(page: Page) -> int:
    """How many pixels the first target's line has, once the chart is drawn.

    A page draws when its browser next renders, which is after the styles have changed.
    """
    page.wait(f"{INK} > 300")
    return int(page.evaluate(INK))


def test_the_page_opens_without_a_word_on_the_console_and_without_the_network(
    page: Page, show: Show, tmp_path: Path
) -> None:
    for document in (
        report_documents.report(),
        report_documents.troubled(),
        report_documents.int8_collapse(),
        report_documents.gpu_refusal(),
        report_documents.first_version(report_documents.wrong_epsilon()),
    ):
        show(document)
        drawn(page)
        assert page.complaints == []
        assert all(url.startswith(("file:", "about:")) for url in page.requests)
        assert len([url for url in page.requests if url.startswith("file:")]) == 1


@pytest.mark.parametrize("missing", ["validation", "layers", "conversions", "targets", "drift"])
def test_a_page_lacks_only_what_its_report_lacks(page: Page, show: Show, missing: str) -> None:
    document = report_documents.wrong_epsilon(12)
    if missing == "validation":  # convert --no-validate
        document["validation"] = None
        for layer in document["layers"]:
            layer["targets"] = {}
    elif missing == "layers":  # the source could not be captured
        document["layers"] = []
    elif missing == "conversions":  # validate --against
        document |= {"conversions": [], "compatibility": {}, "contract": {}}
    elif missing == "targets":  # nothing could run
        for each in document["validation"]["targets"].values():
            each["outcome"] = report_documents.outcome("x", "y", "unavailable", "not here")
            each |= {"verdict": "not run", "outputs": {}}
        for layer in document["layers"]:
            layer["targets"] = {}
    else:  # a runtime that shows no layers
        for layer in document["layers"]:
            layer["targets"] = {"onnx": report_documents.absent("onnxruntime", "shows none")}
    ready = missing != "layers"
    show(document, scripts=True, ready=READY if ready else "true")
    assert page.complaints == []
    assert "models/net.py:Net" in text(page, "h1")
    if ready:
        assert len(rows(page)) == 12
        page.click(*point_at(page, 3, 12))
        page.wait("document.querySelector('#panel').dataset.layer === 'conv2d_3'")
        assert "stem.0.project" in text(page, "#panel")
    assert page.complaints == []


def test_dark_pages_draw_the_chart_in_their_own_colours(page: Page, show: Show) -> None:
    show(report_documents.report())
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.scheme("dark")
    page.wait("getComputedStyle(document.body).backgroundColor !== " + repr(light))
    drawn(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_what_is_behind_them(page: Page, show: Show, scheme: str) -> None:
    show(report_documents.troubled())
    page.scheme(scheme)
    low = page.evaluate("""(() => {
      const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
      const light = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255;
        return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
        return .2126 * r + .7152 * g + .0722 * b; };
      const behind = e => { for (; e; e = e.parentElement) {
        const c = getComputedStyle(e).backgroundColor;
        if (c.startsWith('rgb(') && parse(c).length === 3) return parse(c); }
        return [255, 255, 255]; };
      const bad = [];
      for (const e of document.querySelectorAll('body *')) {
        if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
        if (!e.offsetParent || e.closest('noscript, script, :disabled')) continue;
        const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
        const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        if (ratio < 4.5) bad.push(`${e.tagName}.${e.className} ${ratio.toFixed(2)} ${e.innerText}`);
      }
      return bad; })()""")
    assert low == []


def test_the_seeded_layer_is_named_and_shown_before_anything_is_touched(
    page: Page, show: Show
) -> None:
    show(report_documents.wrong_epsilon())
    assert "fail" in text(page, ".sentence").lower()
    first = text(page, ".findings li")
    assert SEEDED in first
    assert "models/net.py:25" in first
    assert "38.4" in first
    panel = text(page, "#panel")
    assert panel.startswith(SEEDED)
    assert "The drift begins here" in panel
    assert f"reproduction/{SEEDED}/run.py" in panel
    assert SEEDED in rows(page)  # the table has scrolled to it


def test_a_layer_that_drifts_shows_how_its_errors_are_spread(page: Page, show: Show) -> None:
    show(report_documents.wrong_epsilon())
    heights = "[...document.querySelectorAll('.histogram .bars i')].map((b) => b.offsetHeight)"
    bars = page.evaluate(heights)
    assert max(bars) == bars[1] > bars[2] > bars[0] > 0
    name = page.evaluate("document.querySelector('.histogram .bars').ariaLabel")
    assert name.startswith("spread of the error alone, from -0.00200 to 0.00100")


def test_a_blamed_layer_shows_the_operators_of_both_sides(page: Page, show: Show) -> None:
    document = report_documents.wrong_epsilon()
    document["validation"]["targets"]["tflite"]["blame"] = {
        "layer": SEEDED,
        "call": "aten.layer_norm(conv2d_33, eps=1e-05)",
        "operators": ["ADD(activation=0)", "RSQRT()"],
        "script": "blame-tflite/reproduce.py",
        "confirmed": True,
    }
    show(document)
    panel = text(page, "#panel")
    assert "aten.layer_norm(conv2d_33, eps=1e-05)" in panel
    assert "ADD(activation=0); RSQRT()" in panel
    assert "blame-tflite/reproduce.py" in panel


def test_hovering_tells_the_layer_with_its_module_place_and_figures(page: Page, show: Show) -> None:
    show(report_documents.wrong_epsilon())
    page.mouse("mouseMoved", *point_at(page, PLACE, 60))
    page.wait("!document.querySelector('.tip').hidden")
    told = text(page, ".tip")
    for part in (SEEDED, "aten.layer_norm", "stages.1.1.norm", "models/net.py:25", "38.4"):
        assert part in told
    page.mouse("mouseMoved", *point_at(page, 5, 60))
    page.wait("document.querySelector('.tip').dataset.layer === 'add_5'")


def test_a_click_in_the_chart_goes_to_the_row(page: Page, show: Show) -> None:
    show(report_documents.report(600))
    assert "add_437" not in rows(page)
    page.click(*point_at(page, 437, 600))
    page.wait("document.querySelector('#panel').dataset.layer === 'add_437'")
    assert text(page, "#table .row.chosen .id") == "add_437"


def test_dragging_zooms_and_the_button_shows_everything_again(page: Page, show: Show) -> None:
    show(report_documents.wrong_epsilon())
    x, y = point_at(page, 30, 60)
    page.drag(x, y, point_at(page, 40, 60)[0])
    plot = box(page, "#chart .u-over")
    page.mouse("mouseMoved", plot["x"] + plot["width"] / 2, plot["y"] + 40)
    page.wait(f"document.querySelector('.tip').dataset.layer === 'add_{PLACE + 1}'")
    click(page, "#zoom-all")
    page.mouse("mouseMoved", *point_at(page, 5, 60))
    page.wait("document.querySelector('.tip').dataset.layer === 'add_5'")


def test_what_is_shown_can_be_chosen(page: Page, show: Show) -> None:
    show(report_documents.wrong_epsilon())
    before = drawn(page)
    for tick in (1, 2):
        click(page, f"#kinds label:nth-of-type({tick}) input")
    click(page, "#series label:nth-of-type(1) input")
    page.wait(f"{INK} < {before / 4}")
    assert page.complaints == []


def test_a_column_sorts_with_the_worst_first_and_a_second_click_turns_it(
    page: Page, show: Show
) -> None:
    show(report_documents.wrong_epsilon())
    click(page, "#table [data-key='1'] button")
    page.evaluate("document.querySelector('#table').scrollTop = 0")
    page.wait(f"document.querySelector('#table .rows .id').innerText === '{SEEDED}'")
    assert (
        page.evaluate("document.querySelector('#table [data-key=\"1\"]').getAttribute('aria-sort')")
        == "descending"
    )
    click(page, "#table [data-key='1'] button")
    page.wait(f"document.querySelector('#table .rows .id').innerText !== '{SEEDED}'")
    click(page, "#table [data-key='op'] button")
    assert rows(page)[0].startswith("add_")


def test_filters_leave_what_is_asked_for(page: Page, show: Show) -> None:
    show(report_documents.wrong_epsilon())
    choose(page, "#f-verdict", "fail")
    assert text(page, "#shown") == "14 of 60 layers"
    assert rows(page)[0] == SEEDED
    choose(page, "#f-op", "aten.add")
    assert all(each.startswith("add_") for each in rows(page))
    choose(page, "#f-op", "")
    choose(page, "#f-verdict", "")
    choose(page, "#f-module", "stages.0")
    assert text(page, "#shown") == "18 of 60 layers"
    choose(page, "#f-module", "")
    choose(page, "#f-text", "NET.py:25")
    assert text(page, "#shown") == "6 of 60 layers"
    choose(page, "#f-text", "nothing is like this")
    assert "No layer" in text(page, "#table")
    click(page, ".findings button")  # a layer that the filter hides is shown all the same
    assert text(page, "#table .row.chosen .id") == SEEDED


def test_modules_collapse_and_tell_what_is_in_them(page: Page, show: Show) -> None:
    show(report_documents.wrong_epsilon())
    choose(page, "#f-group", "1")
    click(page, "#fold-all")
    assert rows(page) == ["stem", "stages", "head"]
    assert "fail" in text(page, "#table [data-group=stages]")
    click(page, "#table [data-group=stem]")
    assert rows(page)[:3] == ["stem", "conv2d_0", "batch_norm_1"]


def test_everything_can_be_done_with_the_keyboard(page: Page, show: Show) -> None:
    show(report_documents.wrong_epsilon())
    page.evaluate("document.querySelector('#chart').focus()")
    page.press("Home", "ArrowRight", "ArrowRight")
    said = text(page, "#chart-said")
    assert said.startswith("relu6_2, aten.relu6: onnx pass")
    page.press("Enter")
    page.wait("document.querySelector('#panel').dataset.layer === 'relu6_2'")
    page.evaluate("document.querySelector('#table').focus()")
    page.press("ArrowDown", "Enter")
    page.wait("document.querySelector('#panel').dataset.layer === 'conv2d_3'")
    page.press("End", "Enter")
    page.wait("document.querySelector('#panel').dataset.layer === 'add_59'")
    choose(page, "#f-group", "1")
    page.evaluate("document.querySelector('#table').focus()")
    page.press("Home", "ArrowLeft")
    assert rows(page)[:2] == ["stem", "stages"]
    unreachable = page.evaluate(
        "[...document.querySelectorAll('button, select, input, summary, a')].filter(e => "
        "e.tabIndex < 0).length"
    )
    assert unreachable == 0


@pytest.mark.parametrize("make", ["troubled", "gpu_refusal", "report"])
def test_a_phone_never_scrolls_the_page_sideways(page: Page, show: Show, make: str) -> None:
    show(getattr(report_documents, make)(), width=360)
    wide = page.evaluate(
        "[...document.querySelectorAll('body *')].filter(e => e.offsetParent && "
        "e.getBoundingClientRect().right > innerWidth + 1 && "
        "!e.closest('#table, table.plain, .tree, pre, .visually-hidden, thead'))"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert wide == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_on_a_phone_both_sides_options_have_the_whole_width(page: Page, show: Show) -> None:
    show(report_documents.wrong_epsilon(), width=360)
    least = page.evaluate(
        "Math.min(...[...document.querySelectorAll('.findings dd')].map(e => e.offsetWidth))"
    )
    assert least > 240


def test_3000_layers_in_4_targets_open_in_two_seconds_and_scroll_without_a_gap(
    page: Page, show: Show
) -> None:
    document = report_documents.wrong_epsilon(3000)
    assert len(html_report(document)) < 6_000_000
    assert min(show(document) for _ in range(2)) < 2.0
    assert page.evaluate("document.querySelectorAll('#table .row').length") < 80
    before = page.busy()
    frames = page.evaluate("""new Promise(done => {
      const table = document.querySelector('#table');
      table.scrollIntoView({block: 'center', behavior: 'instant'});
      let count = 0;
      const step = () => {
        count += 1; table.scrollTop = 400 * count;
        if (count < 60) requestAnimationFrame(step); else done(count);
      };
      requestAnimationFrame(step); })""")
    assert (page.busy() - before) / frames < 0.04
    page.wait("document.querySelector('#table .rows .row').getBoundingClientRect().top < 900")
    assert len(rows(page)) > 10


def test_nothing_of_a_model_runs_as_script_or_becomes_markup(page: Page, show: Show) -> None:
    show(report_documents.hostile(HOSTILE))
    choose(page, "#f-group", "2")
    click(page, "#fold-all")
    click(page, "#fold-all")
    page.mouse("mouseMoved", *point_at(page, 4, 18))
    page.click(*point_at(page, 4, 18))
    page.wait("document.querySelector('#panel h3') !== null")
    assert text(page, "#panel h3") == f"{HOSTILE}4"
    assert page.evaluate("window.ran") is None
    assert (
        page.evaluate(
            "document.querySelectorAll('img, main b:not(.hop b, .lead b, #table b)').length"
        )
        == 0
    )
    assert page.complaints == []


def test_without_script_the_verdicts_and_the_failing_layers_are_there(
    page: Page, show: Show
) -> None:
    show(report_documents.wrong_epsilon(), scripts=False)
    page.call("Emulation.setScriptExecutionDisabled", value=False)
    assert "tflite" in text(page, ".verdicts")
    assert SEEDED in text(page, "noscript")
    assert page.evaluate("document.querySelector('#explorer').offsetParent === null")
    assert page.evaluate("document.querySelectorAll('.findings button')[0].offsetParent === null")
