"""`%%mlxtop` in a real kernel: one for all of these tests, so its cells are numbered through."""

import re
from base64 import b64decode
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

from tests.notebook.kernel import Kernel, Shown, words

ARRAYS = """
import gc, threading, time
import mlx.core as mx
def array(mib):
    return mx.arange(mib * 2**18, dtype=mx.float32)
def step(mib):
    mx.eval(array(mib))
"""
UNTIL_DRAWN = """
from mlxtop import notebook
def until_drawn(pictures):
    while notebook._loaded._running._live.drawn < pictures:
        yield
"""


@pytest.fixture(scope="module")
def kernel(processes: None) -> Iterator[Kernel]:
    with Kernel() as kernel:
        assert (
            kernel.run(
                "import sys, mlxtop\n'mlx.core' in sys.modules, 'IPython.core.magic_arguments' in sys.modules"
            ).status
            == "ok"
        )
        loaded = kernel.run("%load_ext mlxtop\n" + ARRAYS + UNTIL_DRAWN)
        assert (loaded.status, loaded.text) == ("ok", "")
        yield kernel


@pytest.fixture(scope="module")
def counted(kernel: Kernel) -> Shown:
    """A cell with a chart and a census: a chart is drawn while it waits for one."""
    return kernel.run("""%%mlxtop --census
kept = array(8)
mx.eval(kept)
step(32)
for _ in until_drawn(3):
    time.sleep(0.01)
array(2)""")


def cell_number(table: str) -> int:
    found = re.match(r"cell (\d+) under mlxtop", table)
    assert found
    return int(found[1])


def test_the_line_that_made_the_peak(counted: Shown) -> None:
    (table,) = counted.tables
    n = cell_number(table)
    assert f"over the start, at cell {n - 1}, line 8 in step(), from cell {n}, line 4" in table
    size = re.search(r"^peak +([\d.]+) MiB", table, re.MULTILINE)
    assert size is not None
    assert float(size[1]) >= 40
    assert [line.split()[0] for line in table.splitlines()[2:7]] == [
        "peak",
        "active",
        "cache",
        "footprint",
        "time",
    ]


def test_what_stayed_and_who_holds_it(counted: Shown) -> None:
    (table,) = counted.tables
    n = cell_number(table)
    assert re.search(r"\+8\.0 MiB +\+1 +2097152 +kept$", table, re.MULTILINE)
    assert re.search(rf"\+2\.0 MiB +\+1 +524288 +Out\[{n}\]$", table, re.MULTILINE)
    assert f"IPython keeps what a cell returned: here Out[{n}]." in table
    text, tags = words(counted.html[0])
    assert "script" not in tags
    assert all(part in text for part in (f"Out[{n}]", "kept", "over the start", "held by"))


def test_the_chart_is_one_picture_without_a_script(counted: Shown) -> None:
    assert len(counted.charts) >= 4
    assert (len(counted.displays), counted.strangers) == (1, 0)
    last = counted.charts[-1]
    text, tags = words(last)
    assert tags == {"div", "img", "span", "b"}
    assert "active" in text
    found = re.search(r"base64,([\w+/=]+)", last)
    assert found is not None
    picture = ElementTree.fromstring(b64decode(found[1]))
    assert picture.tag.endswith("svg")
    assert len(picture) == 4


def test_the_last_value_is_the_cells(counted: Shown) -> None:
    assert "array([0, 1, 2" in counted.text


def test_a_cell_that_awaits(kernel: Kernel) -> None:
    shown = kernel.run("""%%mlxtop
import asyncio
for _ in until_drawn(2):
    await asyncio.sleep(0.01)
print(array(16).sum())""")
    assert (shown.status, shown.strangers) == ("ok", 0)
    n = cell_number(shown.tables[0])
    assert f"at cell {n}, line 5, outside of mx.eval" in shown.tables[0]


def test_a_cell_that_raises(kernel: Kernel) -> None:
    shown = kernel.run("%%mlxtop\nstep(4)\nraise ValueError('<b>no</b>')\n")
    assert (shown.status, shown.error) == ("error", "ValueError")
    assert "notebook/" not in shown.text
    n = cell_number(shown.tables[0])
    assert f", from cell {n}, line 2" in shown.tables[0]


@pytest.mark.parametrize("waits", ["time.sleep(0.01)", "await asyncio.sleep(0.01)"])
def test_an_interrupt_ends_the_thread(kernel: Kernel, waits: str) -> None:
    shown = kernel.run(f"%%mlxtop\nwhile True: {waits}", interrupt_after=2)
    assert shown.status == "error"
    assert len(shown.tables) == 1
    left = kernel.run(
        "[t.name for t in threading.enumerate() if 'mlxtop' in t.name], hasattr(mx.eval, 'stretch')"
    )
    assert left.text == "([], False)"


def test_a_name_that_is_html_is_text(kernel: Kernel) -> None:
    shown = kernel.run("%%mlxtop --census\nbag = {'<img src=x>': array(4)}\nmx.eval(bag)\n")
    assert "bag.<img src=x>" in shown.tables[0]
    text, tags = words(shown.html[0])
    assert "bag.<img src=x>" in text
    assert "img" not in tags


def test_an_array_in_two_places(kernel: Kernel) -> None:
    shown = kernel.run("%%mlxtop --census --no-chart\ntwice = array(4)\ntwice")
    n = cell_number(shown.tables[0])
    assert f"twice, also Out[{n}]" in shown.tables[0]


def test_what_an_exception_keeps(kernel: Kernel) -> None:
    shown = kernel.run("""%%mlxtop --census
def fail():
    inside = array(4); mx.eval(inside)
    raise ValueError
fail()""")
    assert "ValueError keeps inside of fail(), which is over" in shown.tables[0]
    assert "InteractiveShell" not in shown.tables[0]


def test_a_statement(kernel: Kernel) -> None:
    shown = kernel.run("x = 2\n%mlxtop array(8).sum().item() + x")
    n = cell_number(shown.tables[0])
    assert f"at cell {n}, line 2, outside of mx.eval" in shown.tables[0]
    assert float(shown.text) > 0
    failed = kernel.run("%mlxtop 1 / 0")
    assert (failed.error, len(failed.tables)) == ("ZeroDivisionError", 1)


def test_a_script_made_of_a_notebook(kernel: Kernel) -> None:
    shown = kernel.run("get_ipython().run_cell_magic('mlxtop', '--no-chart', 'step(4)\\n')")
    assert (shown.status, len(shown.tables)) == ("ok", 1)
    failed = kernel.run("get_ipython().run_cell_magic('mlxtop', '', '1 / 0\\n')")
    assert (failed.status, len(failed.tables)) == ("error", 1)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("%%mlxtop --cencus\nstep(4)", "unrecognized arguments: --cencus"),
        ("%%mlxtop\n%mlxtop step(4)", "mlxtop measures already: one cell at a time."),
    ],
)
def test_what_cannot_be_asked_for(kernel: Kernel, code: str, sentence: str) -> None:
    shown = kernel.run(code)
    assert shown.status == "error"
    assert f"UsageError: {sentence}" in shown.text
    assert "Traceback" not in shown.text


def test_cells_that_are_not_measured_cost_nothing(kernel: Kernel) -> None:
    shown = kernel.run("step(4)\n1")
    assert (shown.text, shown.tables, shown.charts) == ("1", [], [])


def test_unloading_leaves_nothing(kernel: Kernel) -> None:
    kernel.run("%unload_ext mlxtop")
    shown = kernel.run("%mlxtop step(4)")
    assert "not found" in shown.text
    shown = kernel.run("%reload_ext mlxtop\n%mlxtop step(4)")
    assert len(shown.tables) == 1
