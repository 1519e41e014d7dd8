"""`mlxtop sweep` in a real terminal: the screen while it runs, leaving it, Ctrl-C and going on."""

import json
import re
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Spawn
from tests.e2e.screen import Screen

pytestmark = pytest.mark.e2e

SMALL = ("sweep", "--limits", "0,1M,default", "--prompt-tokens", "16,48", "--max-tokens", "4")


def left_over(screen: Screen) -> str:
    """What stands in the terminal once the screen is gone."""
    return bytes(screen.raw).decode(errors="replace").rpartition("\x1b[?1049l")[2]


def test_a_sweep_from_the_first_frame_to_the_report(spawn: Spawn, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    screen = spawn(*SMALL, "--repeats", "6", "--json", path)
    screen.wait_for("mlxtop sweep demo")
    screen.value(r"● 1\.0 MiB, prompt \d+")
    screen.value(r"tokens/s against peak total, prompt 16 +.*tokens/s against peak total, prompt 48")
    screen.value(r"36/36  done|\d+/36  done: the results are precise enough", within=60)
    screen.value(r" default +48 +[\d.,]+  \([\d.,]+–[\d.,]+\)")
    screen.value(r"(Cannot tell|Use |No measurable)")
    assert screen.overruns == []
    assert screen.unreadable() == ""
    screen.press("t")
    screen.press("q")
    assert screen.exit() == 0
    assert screen.left() == []
    text = left_over(screen)
    assert "tokens/s against peak total, prompt of 48 tokens" in text
    assert "recommended" in text
    assert re.search(r"(Cannot tell|Use |No measurable)", text)
    assert len({(r["round"], r["arm"], r["length"]) for r in json.loads(path.read_text())["readings"]}) == 36


def left_at_once(screen: Screen, key: str) -> None:
    screen.value(r" [1-9]\d*/3000 ")
    screen.press(key)
    assert screen.exit() == 130
    assert screen.left() == []
    # A fast machine may have done enough rounds by then.
    assert re.search(r"(Cannot tell|Use |No measurable)", left_over(screen))


def test_q_reports_what_there_is(spawn: Spawn) -> None:
    left_at_once(spawn(*SMALL, "--repeats", "500"), "q")


def test_ctrl_c_reports_what_there_is_and_resume_goes_on(spawn: Spawn, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    left_at_once(spawn(*SMALL, "--repeats", "500", "--json", path), "ctrl+c")
    before = json.loads(path.read_text())["readings"]
    again = spawn(*SMALL, "--repeats", "5", "--resume", path)
    again.value(r"30/30  done|\d+/30  done: ", within=60)
    again.press("q")
    assert again.exit() == 0
    after = json.loads(path.read_text())["readings"]
    assert after[: len(before)] == before
    assert len(after) > len(before)


def test_every_size(spawn: Spawn) -> None:
    screen = spawn(*SMALL, "--repeats", "500", columns=80, rows=24)
    screen.value(r" [1-9]\d*/3000 ")
    for columns, rows in ((200, 50), (120, 40), (40, 12), (80, 24)):
        screen.resize(columns, rows)
        screen.value(r"^ mlxtop sweep +demo.* \d:\d\d:\d\d *$")
        screen.wait_for("cache-limit")
        screen.wait_for("quit")
    # What was on its way when the window shrank may still be too long.
    screen.overruns.clear()
    screen.press("tab")
    screen.wait_for("peak total, prompt 48")
    assert screen.overruns == []
    screen.press("?")
    screen.wait_for("Show the next prompt length")
    screen.press("escape")
    screen.wait_for("peak total, prompt 48")
    screen.press("q")
    assert screen.exit() == 130


def test_a_model_that_is_not_there(spawn: Spawn) -> None:
    screen = spawn("sweep", "--model", "./no-such-model")
    screen.wait_for("Could not load ./no-such-model: no such directory")
    screen.press("q")
    assert screen.exit() == 1
    assert "mlxtop: Could not load ./no-such-model" in left_over(screen)


def test_a_command_under_the_screen(spawn: Spawn, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import mlx.core as mx\nimport time\nfor i in range(9):\n    mx.eval(mx.ones((64, 1024)) + i)\n    time.sleep(0.1)\nprint('took', 5)\n"
    )
    options = ("--limits", "0,1M", "--repeats", "2", "--metric", r"took (\d+)", "--lower-is-better")
    screen = spawn("sweep", *options, "--", sys.executable, program)
    screen.value(r"4/4  done", within=60)
    screen.value(r" 1\.0 MiB +5")
    # What the program prints is kept from the screen.
    assert "took 5" not in screen.text()
    screen.press("q")
    assert screen.exit() == 0
