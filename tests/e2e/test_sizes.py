"""The demo model at the sizes the dashboard is made for, and in terminals that can do less."""

import re

import pytest

from tests.e2e.conftest import Measured, Spawn
from tests.e2e.looks import TOKENS_PER_SECOND, settled
from tests.e2e.screen import Screen

pytestmark = pytest.mark.e2e

AMOUNT = r"(?:\d+(?:\.\d+)? (?:[KMGT]i)?B|—)"
LEVEL = r"(?:normal|warning|critical|—) +"
PRESSURE = rf"pressure {LEVEL}"


def running(screen: Screen) -> None:
    """Waits until the demo decodes and its speed is known."""
    screen.value(r"● decode \d+/\d+ +" + TOKENS_PER_SECOND)


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40), (200, 50)])
def test_everything_is_there(spawn: Spawn, measured: Measured, columns: int, rows: int) -> None:
    screen = spawn(columns=columns, rows=rows)
    first = screen.wait_for(lambda text: text.startswith(" mlxtop demo")) - screen.began
    measured("first frame", first)
    running(screen)
    screen.wait_for("since “loaded”")
    screen.value(r"▸ a prompt of \d+ tokens")
    screen.wait_for(lambda text: re.search(r"^ speed +\d+\.\d /s", text, re.MULTILINE))
    settled(screen)
    assert screen.unreadable() == ""
    # Room, pressure and swap stand under the first row, at every size.
    screen.wait_for(
        lambda text: re.search(
            rf"^ \w[\w ]+ {AMOUNT} left of +{AMOUNT}  {PRESSURE}  swap +{AMOUNT}", text, re.M
        )
    )
    # The prompt line waits over the keys, the model's words stand over the prompt line.
    assert screen.row(rows - 2).strip().startswith("i: type the next prompt")
    for key in ("set", "clear", "mark", "pause", "quit", "help"):
        assert key in screen.row(rows - 1), key
    screen.press("q")
    assert screen.exit() == 0
    assert screen.left() == []


def test_resize_to_a_strip_and_back(spawn: Spawn) -> None:
    screen = spawn(columns=120, rows=40)
    running(screen)
    screen.resize(40, 12)
    screen.wait_for(lambda text: re.search(r"^ active +.*\n.*\n cache ", text, re.MULTILINE))
    screen.wait_for(lambda text: re.search(rf"^ left +{AMOUNT} {LEVEL} swap +{AMOUNT}", text, re.MULTILINE))
    # What was on its way when the window shrank may still be too long.
    screen.overruns.clear()
    for name in ("active", "cache", "peak", "speed"):
        screen.value(rf"^ {name} +\S+ (MiB|KiB|B|/s)[^\n]*[▁▂▃▄▅▆▇█]|^ {name} .*\n[^\n]+[▁▂▃▄▅▆▇█]")
    screen.value(TOKENS_PER_SECOND.replace("tok/s", "tok/s *\n"))
    assert screen.overruns == []
    screen.resize(120, 40)
    running(screen)
    screen.wait_for("i: type the next prompt")
    screen.overruns.clear()
    running(screen)
    settled(screen)
    screen.press("q")
    assert screen.exit() == 0
    assert screen.left() == []


@pytest.mark.parametrize(
    "env",
    [
        {"NO_COLOR": "1"},
        # As many colours as `linux`.
        pytest.param({"TERM": "xterm-16color", "COLORTERM": None}, marks=pytest.mark.soak),
        {"TERM": "linux", "COLORTERM": None},
        {"TERM": "xterm-256color", "COLORTERM": None},
    ],
    ids=["NO_COLOR", "xterm-16color", "linux", "xterm-256color"],
)
def test_lesser_terminals_stay_readable(spawn: Spawn, env: dict[str, str | None]) -> None:
    screen = spawn(columns=80, rows=24, env=env)
    running(screen)
    screen.wait_for("since “loaded”")
    settled(screen)
    assert screen.unreadable() == ""
    sent = bytes(screen.raw)
    if "NO_COLOR" in env:
        greys = {c for c in screen.colours() if re.fullmatch("[0-9a-f]{6}", c)}
        assert all(c[0:2] == c[2:4] == c[4:6] for c in greys), greys
    else:
        assert not re.search(rb"\x1b\[[\d;]*[34]8;2;", sent), "24-bit colours for a terminal that has none"
    if env.get("TERM") in ("xterm-16color", "linux"):
        assert not re.search(rb"\x1b\[[\d;]*[34]8;5;", sent), "256 colours for a terminal of 16"
    screen.press("q")
    assert screen.exit() == 0
    assert screen.left() == []
