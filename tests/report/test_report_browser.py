"""The page in a headless Chromium: it renders, it zooms, it asks the network for nothing."""

from pathlib import Path
from typing import Any

import pytest

from mlxtop.core.events import ErrorRaised, Event
from mlxtop.core.facts import Facts
from mlxtop.core.sample import Sample
from mlxtop.recording.reader import Recording
from mlxtop.recording.recorder import Recorder
from mlxtop.report.page import page
from tests.recording.source import Session, busy_run, commit, end, real_run, record
from tests.report.browser import Browser, program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason="no Chromium on the path"),
]
HOSTILE = "</script><img src=x onerror=alert(2)>"
COLOURS = """(() => {
    const c = document.querySelectorAll("canvas")[%d], d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
    const found = new Set();
    for (let i = 0; i < d.length; i += 4) if (d[i + 3] > 200) found.add([d[i], d[i + 1], d[i + 2]].join());
    return [...found];
})()"""
SCALES = "mlxtop.charts.map((c) => [c.scales.x.min, c.scales.x.max])"
LIGHT = {
    "active": "9,105,218",
    "cache": "154,103,0",
    "speed": "17,127,44",
    "buffers": "102,57,186",
}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a real run, with a hostile event in it."""
    path = tmp_path_factory.mktemp("one") / "run.mlxtop"
    session = Session()
    items = real_run(session)
    at = items[-1].time
    items.append(Event(at, ErrorRaised(HOSTILE, "ended")))
    record(path, items, session=session)
    return written(path)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two ranks, an hour each, the second a minute later."""
    path = tmp_path_factory.mktemp("two") / "run.mlxtop"
    recorder = Recorder(path)
    for n in range(2):
        session = Session("train", 0.5)
        session.phases = ["start", "prefill", "decode"]
        put = recorder.add(session, ["x"], started=1_700_000_000.0 + n * 60, label=f"rank {n}", rank=n)
        items: list[Sample] = []
        for sample in busy_run(2, 3600, seed=n):
            items.append(sample)
            if len(items) == 1000:
                commit(recorder, items, put)
                items.clear()
        commit(recorder, items, put)
    end(recorder)
    return written(path)


def written(path: Path) -> Path:
    html = path.with_suffix(".html")
    html.write_text(page(Recording(path)), encoding="utf-8")
    return html


def plot(browser: Browser, number: int = 0) -> dict[str, float]:
    """Where a chart's plot lies in the window."""
    box: dict[str, float] = browser.ask(
        f"(mlxtop.charts[{number}].root.scrollIntoView(), (r => ({{x: r.x, y: r.y, w: r.width, h: r.height}}))"
        f"(mlxtop.charts[{number}].over.getBoundingClientRect()))"
    )
    return box


def zoom(browser: Browser, number: int = 0) -> None:
    box = plot(browser, number)
    middle = box["y"] + box["h"] / 2
    browser.drag(box["x"] + 0.25 * box["w"], middle, box["x"] + 0.75 * box["w"])


def test_it_renders_and_complains_of_nothing(browser: Browser, one: Path) -> None:
    browser.open(one)
    assert browser.ask("mlxtop.charts.length") == 2
    memory, speed = browser.ask(COLOURS % 0), browser.ask(COLOURS % 1)
    assert {LIGHT["active"], LIGHT["cache"]} <= set(memory)
    assert LIGHT["speed"] in speed
    assert browser.complaints == []


def test_buffers_have_a_plot_with_their_limit(browser: Browser, tmp_path: Path) -> None:
    session = Session()
    session.state.facts = Facts(resource_limit=800)
    record(
        tmp_path / "run.mlxtop", [Sample(n * 0.1, 1, 2, 3, 3, buffers=n) for n in range(600)], session=session
    )
    browser.open(written(tmp_path / "run.mlxtop"))
    assert browser.ask("mlxtop.charts.length") == 2
    assert browser.ask("mlxtop.charts[1].series.map((s) => s.label).slice(1)") == ["buffers", "buffer limit"]
    assert LIGHT["buffers"] in browser.ask(COLOURS % 1)
    assert browser.ask("mlxtop.charts[1].scales.rate.max") == pytest.approx(880)
    assert browser.complaints == []


def test_it_asks_for_nothing_but_itself(browser: Browser, one: Path) -> None:
    browser.open(one)
    zoom(browser)
    assert browser.ask("performance.getEntriesByType('resource').length") == 0
    assert browser.requests == [one.as_uri()]


def test_its_policy_stops_whatever_would_ask(browser: Browser, one: Path) -> None:
    browser.open(one)
    stopped = browser.ask("""new Promise((done) => {
        document.addEventListener("securitypolicyviolation", (e) => done(e.effectiveDirective));
        fetch("http://127.0.0.1:9/").catch(() => {});
    })""")
    assert stopped == "connect-src"


def test_dragging_zooms_all_charts_and_a_double_click_shows_the_whole(browser: Browser, two: Path) -> None:
    browser.open(two)
    whole = browser.ask(SCALES)
    assert len(whole) == 4
    assert all(scale == whole[0] for scale in whole)
    assert whole[0] == [0, pytest.approx(3660, abs=1)]
    zoom(browser, 2)
    near = browser.ask(SCALES)
    assert near[0] == [pytest.approx(915, abs=10), pytest.approx(2745, abs=10)]
    assert all(scale == near[0] for scale in near)
    box = plot(browser, 2)
    for clicks in (1, 2):
        for kind in ("mousePressed", "mouseReleased"):
            browser.mouse(kind, box["x"] + 50, box["y"] + 50, clicks)
    assert browser.ask(SCALES) == whole
    assert browser.complaints == []


def test_the_cursor_of_one_rank_reads_the_others_too(browser: Browser, two: Path) -> None:
    browser.open(two)
    box = plot(browser)
    browser.mouse("mouseMoved", box["x"] + box["w"] / 2, box["y"] + 40)
    lefts = browser.ask("mlxtop.charts.map((c) => c.posToVal(c.cursor.left, 'x'))")
    assert lefts == [pytest.approx(1830, abs=10)] * 4
    values = browser.ask(
        "[...document.querySelectorAll('.u-legend .active .u-value')].map((v) => v.textContent)"
    )
    assert all("GiB" in value for value in values)


@pytest.mark.parametrize(("press", "span"), [("+", 0.5), ("in", 0.5)])
def test_keys_and_buttons_zoom_too(browser: Browser, one: Path, press: str, span: float) -> None:
    browser.open(one)
    whole = browser.ask("mlxtop.view.max")
    if press == "in":
        browser.ask("document.querySelector('[data-do=in]').click()")
    else:
        browser.ask("document.querySelector('.chart').focus()")
        browser.do("Input.dispatchKeyEvent", type="keyDown", key=press, text=press)
    assert browser.ask("mlxtop.view.max - mlxtop.view.min") == pytest.approx(span * whole, rel=0.01)


def test_a_name_in_the_legend_hides_its_line_and_the_shade_above_it(browser: Browser, two: Path) -> None:
    browser.open(two)
    shown = "mlxtop.charts[0].series.filter((s) => s.show).length"
    before = browser.ask(shown)
    browser.ask("document.querySelector('.u-legend .active .u-label').click()")
    assert browser.ask(shown) == before - 2


def test_a_tick_tells_what_happened_as_text(browser: Browser, one: Path) -> None:
    browser.open(one)
    browser.ask("document.querySelector('.tick.error').focus()")
    told = browser.ask("document.querySelector('.tip').textContent")
    assert HOSTILE in told
    assert browser.ask("document.images.length") == 0
    browser.ask("document.querySelector('.tick.error').blur()")
    assert browser.ask("document.querySelector('.tip').hidden")


def test_a_tick_keeps_the_focus_when_the_chart_is_drawn_again(browser: Browser, one: Path) -> None:
    browser.open(one)
    browser.ask("document.querySelector('.tick.error').focus()")
    whole = browser.ask(SCALES)
    browser.ask(
        "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: '-', bubbles: true}))"
    )
    browser.ask("mlxtop.charts.forEach(c => c.redraw())")
    assert browser.ask(SCALES) == whole
    assert browser.ask("document.activeElement.className") == "tick error"
    assert HOSTILE in browser.ask("document.querySelector('.tip').textContent")


def test_a_moment_in_the_table_brings_the_timeline_there(browser: Browser, one: Path) -> None:
    browser.open(one)
    at = float(
        browser.ask("(b => (b.click(), b.dataset.at))([...document.querySelectorAll('.events .at')].at(-1))")
    )
    view: dict[str, Any] = browser.ask("mlxtop.view")
    assert view["min"] < at <= view["max"]
    assert view["max"] - view["min"] < 0.2 * browser.ask("mlxtop.charts[0].data[0].at(-1)")


def test_dark_is_dark_and_a_change_of_mind_is_drawn_at_once(browser: Browser, one: Path) -> None:
    browser.look(scheme="dark")
    browser.open(one)
    assert browser.ask("getComputedStyle(document.body).backgroundColor") == "rgb(13, 17, 23)"
    assert "88,166,255" in browser.ask(COLOURS % 0)
    browser.look(scheme="light")
    found = browser.ask(COLOURS % 0)
    assert LIGHT["active"] in found
    assert "88,166,255" not in found


def test_paper_is_light_whatever_the_screen_is(browser: Browser, one: Path) -> None:
    browser.look(scheme="dark")
    browser.open(one)
    browser.ask("dispatchEvent(new Event('beforeprint'))")
    assert LIGHT["active"] in browser.ask(COLOURS % 0)
    browser.ask("dispatchEvent(new Event('afterprint'))")
    assert LIGHT["active"] not in browser.ask(COLOURS % 0)


@pytest.mark.parametrize("width", [360, 390, 800, 1280, 1920])
def test_nothing_is_wider_than_the_window(browser: Browser, two: Path, width: int) -> None:
    browser.look(width, 800)
    browser.open(two)
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask("mlxtop.charts.every((c) => c.width === c.root.parentElement.clientWidth)")


def test_on_paper_a_chart_is_as_wide_as_the_page(browser: Browser, one: Path) -> None:
    browser.open(one)
    wide = browser.ask("mlxtop.charts[0].width")
    browser.ask("dispatchEvent(new Event('beforeprint'))")
    assert browser.ask("mlxtop.charts.every((c) => c.width <= 680)")
    browser.ask("dispatchEvent(new Event('afterprint'))")
    assert browser.ask("mlxtop.charts[0].width") == wide
