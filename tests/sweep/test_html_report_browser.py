"""The page in a headless Chromium: its charts are drawn, and it asks the network for nothing."""

from pathlib import Path
from typing import Any

import pytest

from mlxtop.sweep.html_report import page
from mlxtop.sweep.plan import Plan
from mlxtop.sweep.results import summarize
from mlxtop.sweep.target import ModelTarget
from tests.report.browser import Browser, program
from tests.sweep.made import FACTS, measurements, plan

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason="no Chromium on the path"),
]
NAMES = "[...document.querySelectorAll('.chart')].map((c) => [...c.querySelectorAll('.name')].map((n) => n.textContent))"
COLOUR = "getComputedStyle(document.querySelector('.name.chosen')).color"
GREEN = {"light": "rgb(17, 127, 44)", "dark": "rgb(86, 211, 100)"}


def written(path: Path, of: Plan, speeds: list[float]) -> Path:
    made = measurements(of, speeds)
    path.write_text(page(summarize(of, made, FACTS), FACTS, made), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def step(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a sweep over two prompt lengths, of a model with a hostile name."""
    of = plan(target=ModelTarget((128, 512), 64, "</script><img src=x onerror=alert(1)>"))
    return written(tmp_path_factory.mktemp("sweep") / "sweep.html", of, [70.0, 90.0, 100.0, 100.0])


def test_each_prompt_length_has_a_chart_with_every_choice(browser: Browser, step: Path) -> None:
    browser.open(step)
    for names in browser.ask(NAMES):
        assert sorted(names) == ["0 B", "2.0 MiB", "default", "★ 20.0 MiB"]
    totals: list[int] = browser.ask("mlxtop.charts[0].data[0]")
    assert totals == [(500 + 100 * arm) * 2**20 for arm in range(4)]
    # Every choice is drawn once: as recommended, as one that no other beats, or as any other.
    columns: list[list[Any]] = browser.ask("mlxtop.charts[0].data.slice(2)")
    assert [sum(v is not None for v in point) for point in zip(*columns, strict=True)] == [1] * 4
    assert browser.complaints == []
    assert browser.requests == [step.as_uri()]
    assert browser.ask("document.images.length") == 0


def test_names_cover_neither_each_other_nor_the_frame(browser: Browser, tmp_path: Path) -> None:
    crowd = plan(target=ModelTarget((128,), 64))
    browser.look(360, 800)
    browser.open(written(tmp_path / "crowd.html", crowd, [100.0, 100.1, 100.2, 100.3]))
    boxes: list[dict[str, float]] = browser.ask(
        "[...document.querySelectorAll('.name')].map((n) => n.getBoundingClientRect().toJSON())"
    )
    assert boxes
    for n, a in enumerate(boxes):
        assert a["left"] >= 0
        assert a["right"] <= 360
        for b in boxes[n + 1 :]:
            apart = a["right"] <= b["left"] or b["right"] <= a["left"]
            assert apart or a["bottom"] <= b["top"] or b["bottom"] <= a["top"]


def test_dark_is_dark_and_paper_is_light(browser: Browser, step: Path) -> None:
    browser.look(scheme="dark")
    browser.open(step)
    assert browser.ask(COLOUR) == GREEN["dark"]
    browser.ask("dispatchEvent(new Event('beforeprint'))")
    assert browser.ask(COLOUR) == GREEN["light"]


@pytest.mark.parametrize("width", [360, 800, 1280])
def test_nothing_is_wider_than_the_window(browser: Browser, step: Path, width: int) -> None:
    browser.look(width, 800)
    browser.open(step)
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask("mlxtop.charts.every((c) => c.width === c.root.parentElement.clientWidth)")
