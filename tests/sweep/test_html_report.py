import json
import re
from xml.etree import ElementTree

from mlxtop.sweep.html_report import page
from mlxtop.sweep.results import summarize
from tests.sweep.made import FACTS, plan, readings

STEP = [70.0, 90.0, 100.0, 100.0]


def test_the_page_says_what_the_sweep_says_and_needs_nothing_else() -> None:
    made = readings(plan(), STEP)
    summary = summarize(plan(), made, FACTS)
    text = page(summary, FACTS, made)
    assert summary.recommendation.sentence in text
    assert text.count("<svg") == 2
    assert text.count('class="point chosen"') == 2
    assert text.count("<tr>") == 1 + 8
    assert not re.search(r"""(?:src|href)=["']|url\(|@import""", text)
    for picture in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(picture)
    data = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    assert len(json.loads(data[1])["readings"]) == len(made)


def test_names_are_text() -> None:
    hostile = plan(subject="</title><script>alert(1)</script>")
    made = readings(hostile, STEP)
    text = page(summarize(hostile, made, FACTS), FACTS, made)
    assert "<script>alert" not in text
    assert text.count("</script>") == 1


def test_with_nothing_measured_there_is_a_page_all_the_same() -> None:
    text = page(summarize(plan(), [], {}), {}, [])
    assert text.count("Nothing was measured.") == 2
