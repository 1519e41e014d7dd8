"""What a terminal says late, or in bytes that are no text, in a real one."""

import random
import sys

import pytest

from tests.e2e.conftest import Spawn
from tests.e2e.screen import MLXTOP
from tests.tui.test_keyboard import REPLIES

pytestmark = pytest.mark.e2e


def test_answers_and_noise_change_nothing(spawn: Spawn) -> None:
    screen = spawn("--workload", "chat")
    screen.wait_for("● idle")
    limits = [screen.value(rf"{name} +[\d.]+ (?:B|KiB|MiB|GiB) default")[0] for name in ("cache", "memory")]
    for reply in REPLIES:
        screen.send(reply)
    for reply in REPLIES[:5]:
        screen.send(reply[:3])
        screen.send(reply[3:])
    # Bytes above 127 in any order, as a Latin-1 keyboard and the old mouse protocol send them.
    # Without 0x9B, which begins a sequence that the next key would end.
    noise = random.Random(17)
    screen.send(bytes(noise.choice([*range(0x80, 0x9B), *range(0x9C, 0x100)]) for _ in range(500)))
    screen.press("-")
    screen.wait_for("1s a column")
    assert "╭" not in screen.text()
    assert all(limit in screen.text() for limit in limits)
    screen.press("q")
    assert screen.exit() == 0
    assert screen.left() == []


BROKEN = """
import os, sys, threading
from mlxtop.tui import keyboard
read = os.read
def broken(fd, size):
    data = read(fd, size)
    if b"X" in data and threading.current_thread() is not threading.main_thread():
        raise RuntimeError("no more keys")
    return data
keyboard.os = type("os", (), {"read": staticmethod(broken)})
sys.argv = ["mlxtop", *sys.argv[1:]]
from mlxtop.__main__ import main
main()
"""


@pytest.mark.parametrize("command", [["--workload", "chat"], ["top"]], ids=["dashboard", "top"])
def test_a_keyboard_that_fails_ends_it_with_a_sentence(spawn: Spawn, command: list[str]) -> None:
    screen = spawn(command=[sys.executable, "-c", BROKEN, *command])
    screen.wait_for("? help")
    screen.send("X")
    assert screen.exit() == 1
    assert screen.left() == []
    assert "mlxtop: Could not read the keyboard: no more keys." in screen.text()


def test_a_terminal_that_goes_while_hang_ups_are_ignored(spawn: Spawn) -> None:
    screen = spawn(command=["sh", "-c", 'trap "" HUP; exec "$0" --workload chat', MLXTOP])
    screen.wait_for("● idle")
    screen.hang_up()
    assert screen.exit() == 1
