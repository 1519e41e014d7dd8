"""Leaving, in every phase and by every door: quickly, without a word, the terminal as it was found."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Measured, Spawn
from tests.e2e.looks import focus
from tests.e2e.screen import Screen

pytestmark = pytest.mark.e2e


@pytest.fixture
def enter(spawn: Spawn, long_prompt: Callable[[int], Path], tmp_path: Path) -> Callable[[str], Screen]:
    """A dashboard in the phase of that name. Its prefill is one step that takes many seconds."""

    def start(phase: str) -> Screen:
        arguments: dict[str, list[str | Path]] = {
            "load": [],
            "prefill": ["--prompt-file", long_prompt(3000), "--prefill-step-size", "4000"],
            "decode": ["--prompt", "hello", "--max-tokens", "100000"],
            "idle": ["--workload", "chat"],
            "failed": ["--model", tmp_path / "nowhere"],
        }
        screen = spawn(*arguments[phase], columns=80, rows=24)
        screen.wait_for(f"● {phase}")
        if phase == "load":
            # The load has begun when the first frame stood.
            screen.wait_for("? help")
        return screen

    return start


def test_the_alternate_screen_is_left_empty(enter: Callable[[str], Screen]) -> None:
    screen = enter("idle")
    screen.press("q")
    assert screen.exit() == 0
    # Nothing is drawn between the two: tmux brings back what is there when it was resized meanwhile.
    last = bytes(screen.raw).rpartition(b"\x1b[?1049l")[0].rpartition(b"\x1b[2J")[2]
    assert len(last) < 100
    assert "mlxtop" not in screen.text()


def gone(screen: Screen, since: float, code: int, measured: Measured, name: str) -> None:
    assert screen.exit() == code
    measured(name, time.monotonic() - since)
    assert screen.left() == []


@pytest.mark.parametrize("phase", ["load", "prefill", "decode", "idle", "failed"])
def test_q(enter: Callable[[str], Screen], measured: Measured, phase: str) -> None:
    screen = enter(phase)
    gone(screen, screen.press("q"), 0, measured, f"q to the shell, in {phase}")


# While idle it is pressed in a dialog and in a line of text, below.
@pytest.mark.parametrize("phase", ["prefill", pytest.param("idle", marks=pytest.mark.soak)])
def test_control_c(enter: Callable[[str], Screen], measured: Measured, phase: str) -> None:
    screen = enter(phase)
    gone(screen, screen.press("ctrl+c"), 0, measured, "ctrl+c to the shell")


# Each signal once here, and in another phase: `q` goes the same way in all of them.
@pytest.mark.parametrize(
    ("number", "phase"),
    [
        (signal.SIGTERM, "prefill"),
        (signal.SIGHUP, "decode"),
        (signal.SIGINT, "load"),
        pytest.param(signal.SIGTERM, "load", marks=pytest.mark.soak),
        pytest.param(signal.SIGTERM, "decode", marks=pytest.mark.soak),
        pytest.param(signal.SIGHUP, "failed", marks=pytest.mark.soak),
        pytest.param(signal.SIGINT, "decode", marks=pytest.mark.soak),
    ],
)
def test_signals(
    enter: Callable[[str], Screen], measured: Measured, number: signal.Signals, phase: str
) -> None:
    screen = enter(phase)
    since = time.monotonic()
    screen.signal(number)
    gone(screen, since, 128 + number, measured, "a signal to the shell")


def test_a_signal_before_the_first_frame(spawn: Spawn) -> None:
    screen = spawn()
    screen.wait_for(lambda _: b"\x1b[?1049h" in screen.raw)
    screen.signal(signal.SIGTERM)
    assert screen.exit() in (128 + signal.SIGTERM, -signal.SIGTERM)


def test_the_window_is_closed(enter: Callable[[str], Screen]) -> None:
    screen = enter("decode")
    screen.hang_up()
    assert screen.exit() != 0


def test_keys_after_q_change_nothing(enter: Callable[[str], Screen]) -> None:
    """A bunch of keys, as they come over a slow line: with `q` the rest is nobody's."""
    screen = enter("decode")
    screen.send("qlM?g")
    assert screen.exit() == 0
    assert screen.left() == []


def test_control_c_while_typing(enter: Callable[[str], Screen]) -> None:
    """In a line of text `q` is a letter; Ctrl-C is Ctrl-C everywhere."""
    screen = enter("idle")
    focus(screen, "i", "i: type the next prompt")
    screen.type("quite")
    screen.wait_for("quite")
    screen.press("ctrl+c")
    assert screen.exit(5) == 0
    assert screen.left() == []


def test_control_c_in_a_dialog(enter: Callable[[str], Screen]) -> None:
    screen = enter("idle")
    screen.press("l")
    screen.wait_for("cache limit (now")
    screen.type("q")
    screen.value(r"│ +q +│")
    screen.press("ctrl+c")
    assert screen.exit(5) == 0
    assert screen.left() == []
