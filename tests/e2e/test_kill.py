"""How much of a recording a kill of mlxtop would lose, in each way of watching, and what other signals leave."""

import os
import signal
import statistics
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from mlxtop.recording.errors import RecordingError
from mlxtop.recording.reader import Recording
from tests.agent.program import until
from tests.e2e.place import BUSY, Place, gone, running
from tests.e2e.screen import MLXTOP

pytestmark = pytest.mark.e2e
LOOK_FOR = 3.0
MOST = 1.0
LOOKS = 8
"""The age of a file's last sample is by the wall: a loaded machine is late for some looks, a bug for all."""


def opened(path: Path) -> Recording | None:
    """The recording as soon as there is a sample in it."""
    try:
        found = Recording(path)
    except RecordingError:
        return None
    if found.last(1) is not None:
        return found
    found.close()
    return None


def lost(recordings: dict[str, Recording]) -> dict[str, float]:
    """Seconds that a kill would usually lose at the worst moment: a commit makes the last sample younger."""
    ages: dict[str, list[float]] = {name: [] for name in recordings}
    end = time.time() + LOOK_FOR
    while time.time() < end:
        for name, recording in recordings.items():
            last = recording.last(1)
            assert last is not None
            ages[name].append(time.time() - recording.sessions[0].started - last.time)
        time.sleep(0.01)
    highest = {name: [a for a, b in pairwise(of) if b < a - 0.05] for name, of in ages.items()}
    return {name: statistics.median(of) if len(of) >= 3 else LOOK_FOR for name, of in highest.items()}


def test_a_kill_loses_at_most_a_second_in_every_mode_and_other_signals_are_told(place: Place) -> None:
    paths = {name: place.folder / f"{name}.mlxtop" for name in ("local", "headless", "run", "attach")}
    script = place.script(BUSY)
    pids = {
        "local": place.start(MLXTOP, "--headless", "--repeat", "forever", "--record", paths["local"]),
        "headless": place.start(
            MLXTOP, "run", "--headless", "--record", paths["headless"], "--", sys.executable, script
        ),
    }
    busy = place.start(script, MLXTOP="1")
    until(lambda: busy in place.ps())
    screens = {
        "run": place.screen("run", "--record", paths["run"], "--", sys.executable, script),
        "attach": place.screen("attach", "--record", paths["attach"], str(busy)),
    }
    for screen in screens.values():
        running(screen)
    recordings = {name: until(lambda p=path: opened(p)) for name, path in paths.items()}
    late = recordings
    for _ in range(LOOKS):
        found = lost(late)
        print("seconds that a kill would lose:", found)
        late = {name: recordings[name] for name, seconds in found.items() if seconds > MOST}
        if not late:
            break
    assert list(late) == []
    for name, pid in pids.items():
        os.kill(pid, signal.SIGKILL)
        gone(pid)
        recordings[name].close()
        killed = Recording(paths[name])
        assert killed.damaged == 0
        killed.close()
    for name, number in (("run", signal.SIGHUP), ("attach", signal.SIGTERM)):
        screens[name].signal(number)
        assert screens[name].exit() == 128 + number
        last = recordings[name].events(1)[-1]
        assert last.describe() == f"mlxtop was ended by {number.name}, the program is still running"
        recordings[name].close()
