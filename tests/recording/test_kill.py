"""mlxtop is killed while it records: what was committed is there, and nothing is damaged."""

import random
import signal
import sqlite3
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from mlxtop.core.sample import Sample
from mlxtop.recording.reader import Recording
from mlxtop.recording.rollup import LEVELS
from tests.process import ROOT
from tests.recording.victim import RATE, sample


def start(path: Path, how: str = "running") -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.recording.victim", str(path), how]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def last_words(victim: "subprocess.Popen[str]") -> dict[str, int]:
    """How far it said it had come, once it is gone."""
    assert victim.stdout is not None
    said = {"put": 0, "committed": 0}
    for line in victim.stdout:
        what, _, n = line.partition(" ")
        said[what] = int(n)
    assert victim.wait() == -signal.SIGKILL
    return said


def survivors(path: Path) -> list[Sample]:
    """What the file still holds, which must be whole and a beginning of all, at every level."""
    read = Recording(path)
    found = list(read.samples(1))
    assert found == [sample(n) for n in range(len(found))]
    assert read.count(1) == len(found)
    assert read.last(1) == (found[-1] if found else None)
    for level in LEVELS:
        rows = read.rows(1, level, 0.0, float("inf"))
        assert max(rows.hi[0]) == found[-1].active
        assert min(rows.lo[0]) == 0
        assert rows.last[0][-1] == found[-1].tokens
    assert read.damaged == 0
    read.close()
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        plain = database.execute("SELECT time, active, tokens FROM samples").fetchall()
    lasts = [sample(n) for n in range(RATE - 1, len(found) - 1, RATE)]
    assert plain == [(s.time // 1, s.active, s.tokens) for s in lasts], "a second that is over has its row"
    return found


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_the_last_second_at_most(tmp_path: Path) -> None:
    chance, lost = random.Random(), []
    victims = [(path := tmp_path / f"{n}.mlxtop", start(path)) for n in range(10)]
    for _, victim in victims:
        assert victim.stdout is not None
        stop = RATE * 2 + chance.randrange(RATE * 2)
        for line in victim.stdout:
            if line == f"put {stop}\n":
                break
        victim.kill()
    for path, victim in victims:
        said = last_words(victim)
        found = survivors(path)
        assert len(found) >= said["committed"], "a commit that was over is lost"
        lost.append((said["put"] - len(found)) / RATE)
    # Commits are 0.4 s apart: a loaded machine would have to hold up half of ten victims for 0.6 s more.
    assert statistics.median(lost) <= 1.0
    print("seconds lost:", *(f"{seconds:.2f}" for seconds in sorted(lost)))


@pytest.mark.parametrize("how", ["merging", "merged"])
@pytest.mark.usefixtures("processes")
def test_a_kill_in_the_middle_of_a_merge_loses_no_block(tmp_path: Path, how: str) -> None:
    path = tmp_path / "run.mlxtop"
    said = last_words(start(path, how))
    assert said["committed"] >= 120
    assert len(survivors(path)) == said["committed"]
