"""`mlxtop doctor --keys` in a real terminal and without one."""

import signal
import subprocess
import time

import psutil
import pytest

from tests.e2e.conftest import Spawn
from tests.e2e.screen import MLXTOP

pytestmark = pytest.mark.e2e

PATIENCE = 60


def test_without_a_terminal_keys_cannot_be_tried() -> None:
    ended = subprocess.run(
        [MLXTOP, "doctor", "--keys"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        start_new_session=True,
        check=False,
    )
    assert ended.returncode == 0
    keys = ended.stdout.partition("\nKeys\n")[2]
    assert " ".join(keys.split()) == "missing keys — No terminal to draw on: start mlxtop in one."
    assert "\x1b" not in ended.stdout + ended.stderr


def test_the_report_of_the_keys_goes_where_the_output_goes(spawn: Spawn) -> None:
    screen = spawn(command=["sh", "-c", f"{MLXTOP} doctor --keys | tail -n 3; echo the end"])
    screen.wait_for(" m ")
    x, y = screen.find(" m ")
    screen.press("m")
    screen.wait_for(lambda _: screen.cell(x + 1, y).bold, why="the key turns green")
    screen.send(b"\x03")
    screen.wait_for("the end")
    assert "did not arrive, or were not pressed:" in screen.text()
    absent = screen.text().partition("not pressed:")[2].partition("See the keys")[0].split()
    assert "M" in absent
    assert "m" not in absent
    assert screen.exit() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_it_started_ends_with_it(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [MLXTOP, "doctor"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    started: list[psutil.Process] = []
    end = time.monotonic() + PATIENCE
    while not started and time.monotonic() < end:
        started = psutil.Process(process.pid).children(recursive=True)
    assert started
    process.send_signal(number)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number
    assert psutil.wait_procs(started, timeout=PATIENCE)[1] == []
