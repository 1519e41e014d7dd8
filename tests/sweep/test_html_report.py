"""The page as text. In a browser: test_html_report_browser.py."""

import json
import re
from typing import Any

from mlxtop.core.facts import Facts
from mlxtop.sweep.html_report import page
from mlxtop.sweep.results import summarize
from mlxtop.sweep.target import ModelTarget
from tests.sweep.made import FACTS, measurements, plan

STEP = [70.0, 90.0, 100.0, 100.0]


def data(text: str) -> dict[str, Any]:
    """What the page holds for its charts."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])  # type: ignore[no-any-return]


def test_the_page_says_what_the_sweep_says_and_needs_nothing_else() -> None:
    made = measurements(plan(), STEP)
    summary = summarize(plan(), made, FACTS)
    text = page(summary, FACTS, made)
    assert summary.recommendation.sentence in text
    assert text.count('class="chart"') == 2
    assert text.count("<tr>") == 1 + 8
    assert len(data(text)["readings"]) == len(made)
    assert "Copyright (c) 2022 Leon Sorokin" in text
    assert "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'" in text
    assert not re.search(r"<(link|img|iframe|object|embed|base|form)\b|\s(src|href)=|@import|url\(", text)


def test_names_are_text() -> None:
    name = "</title></script><script>alert(1)</script>\x1b[31m\u2028"
    hostile = plan(target=ModelTarget((128, 512), 64, name))
    made = measurements(hostile, STEP)
    text = page(summarize(hostile, made, FACTS), FACTS, made)
    assert "<script>alert" not in text
    assert text.count("</script>") == 3
    assert not {"\x1b", "\u2028"} & set(text)
    assert data(text)["plan"]["subject"] == name


def test_with_nothing_measured_there_is_a_page_all_the_same() -> None:
    text = page(summarize(plan(), [], Facts()), Facts(), [])
    assert text.count("Nothing was measured.") == 2
    assert 'class="chart"' not in text
