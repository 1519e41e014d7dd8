"""`mlxtop top`: every program with MLX on this machine, those of others among them."""

import os
import re
import signal
import time
from contextlib import suppress

import pytest

from tests.agent.program import until
from tests.e2e.place import BUSY, Place, alive, running
from tests.e2e.screen import PATIENCE, Screen

pytestmark = pytest.mark.e2e

CHOSEN = r"^▌[ ↑↓■]+(\d+) "


@pytest.fixture
def two(place: Place) -> tuple[int, int]:
    """Two programs that let agents in; the second holds three times as much."""
    small = place.start(place.script(BUSY, "small.py"), MLXTOP="1")
    large = place.start(place.script(BUSY.replace("1024, 1024", "3, 1024, 1024"), "large.py"), MLXTOP="1")
    until(lambda: all(place.ps().get(pid, {}).get("active") for pid in (small, large)))
    return small, large


def choose(screen: Screen, pid: int) -> None:
    """Chooses process `pid` in a list that may hold many of others', and that changes meanwhile."""
    end = time.monotonic() + 2 * PATIENCE
    while (chosen := screen.value(CHOSEN)[1]) != str(pid):
        assert time.monotonic() < end, f"{pid} cannot be chosen\n{screen.dump()}"
        if f" {pid} " in screen.text():
            screen.click(*screen.find(f" {pid} "))
            # A second click on what is chosen opens it. Rows may have moved under the first one.
            with suppress(AssertionError):
                screen.value(rf"^▌[ ↑↓■]+{pid} ", within=3.0)
            continue
        # Out of sight: what came last stands last.
        screen.press("up")
        heard(screen)
        if screen.value(CHOSEN)[1] == chosen:
            screen.press("end")
            heard(screen)


def heard(screen: Screen) -> None:
    """Waits until what was pressed has been heard: the units, changed after it, tell."""
    screen.press("u")
    screen.value(r" \d[\d.]* [kMG]B ")
    screen.press("u")
    screen.value(r" \d[\d.]* [KMG]iB ")


def shown(screen: Screen, pid: int, what: str) -> None:
    """Waits for a lane of process `pid` that says `what`, wherever in the list it stands."""
    screen.value(CHOSEN)
    choose(screen, pid)
    screen.value(rf"^▌[ ↑↓■]+{pid} .*{what}")


def test_two_programs_are_listed_and_each_opens(place: Place, two: tuple[int, int]) -> None:
    small, large = two
    screen = place.screen("top", rows=50)
    shown(screen, small, r"● run +4\.0 MiB ")
    screen.wait_for("small.py")
    shown(screen, large, r"● run +12\.0 MiB ")
    screen.wait_for("large.py")
    # To look is not to watch: the place of the one who controls is free.
    assert {place.ps()[pid]["watched"] for pid in two} == {"ready"}
    screen.press("enter")
    screen.wait_for("where it goes")
    screen.value(r"^ active +12\.0 MiB ")
    screen.press("[")
    screen.value(r" cache +20\.0 MiB keyboard")
    until(lambda: [place.ps()[pid]["watched"] for pid in two] == ["ready", "yes"])
    screen.press("o")
    until(lambda: place.ps()[large]["watched"] == "ready")
    # One that ends is told of, and the others go on.
    os.kill(small, signal.SIGKILL)
    shown(screen, small, "■ ended")
    screen.value(r" \d+ sessions?, \d+ ended ")
    screen.press("q")
    assert screen.exit() == 0
    assert screen.left() == []
    assert alive(large)


def test_a_program_without_an_agent_is_listed_as_such(place: Place) -> None:
    pid = place.start(place.script(BUSY))
    until(lambda: place.ps().get(pid, {}).get("watched") == "no")
    screen = place.screen("top", rows=50)
    screen.wait_for("MLX programs without an agent")
    shown(screen, pid, rf" [\d.]+ MiB +.*program\.py +mlxtop attach {pid} ")
    screen.press("enter")
    screen.wait_for(f"Process {pid} has no agent. Run: mlxtop attach {pid}")
    screen.press("q")
    assert screen.exit() == 0
    assert alive(pid)


def test_what_comes_later_is_listed_too(place: Place) -> None:
    screen = place.screen("top", rows=50)
    screen.value(r"q quit")
    pid = place.start(place.script(BUSY), MLXTOP="1")
    screen.value(CHOSEN)
    until(lambda: place.ps().get(pid, {}).get("active"))
    shown(screen, pid, "● run ")
    screen.press("q")
    assert screen.exit() == 0


def test_one_that_is_watched_by_somebody_else_can_be_looked_at(place: Place, two: tuple[int, int]) -> None:
    small, _ = two
    first = place.screen("attach", str(small))
    running(first)
    screen = place.screen("top", rows=50)
    shown(screen, small, "● run ")
    screen.press("enter")
    screen.value(r"^ active +4\.0 MiB ")
    screen.value(rf"already watched by mlxtop \(process {first.process.pid}\)")
    screen.press("[")
    screen.press("o", "q")
    assert screen.exit() == 0
    # The first one's limits are its own.
    assert re.search(r" cache +32\.0 MiB default", first.text())
    first.press("[")
    first.value(r" cache +20\.0 MiB keyboard")


def test_a_small_terminal_and_back(place: Place, two: tuple[int, int]) -> None:
    small, _ = two
    screen = place.screen("top")
    shown(screen, small, "● run ")
    screen.resize(40, 12)
    screen.value(r"^ mlxtop .*\d [KMG]iB *$")
    screen.wait_for("⏎ open")
    # What was on its way when the window shrank may still be too long.
    screen.overruns.clear()
    screen.press("u")
    screen.value(r"^ mlxtop .*\d [kMG]B *$")
    assert screen.overruns == []
    screen.resize(120, 40)
    screen.wait_for("q quit")
    screen.value(rf"^▌[ ↑↓■]+{small} .*● run ")
    screen.press("q")
    assert screen.exit() == 0
    assert screen.left() == []
