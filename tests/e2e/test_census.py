"""`mlxtop census`: the arrays of a program that runs, and what has changed since."""

import json
import re
from pathlib import Path

import pytest

from mlxtop.core.census import Census
from tests.agent.program import until
from tests.e2e.place import Place
from tests.e2e.screen import MLXTOP

MIB = 2**20
STEPS = """\
import os, sys, time
import mlx.core as mx, mlxtop
mlxtop.watch()
weight = mx.ones((1024, 1024)); mx.eval(weight)
held = []
def step(n):
    # One step a file of that name.
    while not os.path.exists(f"{folder}/{n}"):
        mx.eval(mx.ones((8, 8))); time.sleep(0.01)
    held.append(mx.ones((512, 1024))); mx.eval(held)
    if n == 1: mlxtop.mark("epoch 1")
folder = os.path.dirname(os.path.abspath(sys.argv[0]))
n = 0
while True:
    step(n); n += 1
"""


@pytest.fixture
def pid(place: Place) -> int:
    pid = place.start(place.script(STEPS, "train.py"))
    until(lambda: place.ps().get(pid, {}).get("active"))
    return pid


def step(place: Place, pid: int, n: int) -> None:
    """Lets the program do its step `n`, and waits until it is done."""
    (place.folder / str(n)).touch()
    until(lambda: place.ps()[pid]["active"] >= (4 + 2 * (n + 1)) * MIB)


def census(place: Place, pid: int, *options: str | Path) -> str:
    done = place.alone(MLXTOP, "census", str(pid), *map(str, options))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_what_appeared_since_a_file_and_since_a_mark(place: Place, pid: int) -> None:
    text = census(place, pid)
    assert re.search(r"^4\.0 MiB of 4\.0 MiB active are accounted for\.$", text, re.MULTILINE)
    assert re.search(r"^ *4\.0 MiB  other +1024×1024 +float32  weight in train\.py$", text, re.MULTILINE)
    before = place.folder / "before.json"
    before.write_text(census(place, pid, "--json"))
    assert Census.from_json(json.loads(before.read_text())).active >= 4 * MIB
    step(place, pid, 0)
    step(place, pid, 1)
    text = census(place, pid, "--since", before)
    assert re.search(r"^Active \+4\.0 MiB in \d+\S*s\.$", text, re.MULTILINE)
    assert re.search(
        r"^\+4\.0 MiB +\+2  appeared  other  512×1024  float32  held\[…\] in train\.py$", text, re.MULTILINE
    )
    assert "weight" not in text
    # That census was the first after the mark.
    step(place, pid, 2)
    found = json.loads(census(place, pid, "--since", "epoch 1", "--json"))
    (change,) = [change for change in found["changes"] if change["computed"]]
    assert (change["holder"], change["nbytes"], change["arrays"]) == ("held[…] in train.py", 2 * MIB, 1)


def test_what_cannot_be_compared_is_told(place: Place, pid: int) -> None:
    broken = place.folder / "broken.json"
    broken.write_text("{}")
    for since, code, why in (
        ("start", 1, "No census was taken after the mark start"),
        ("nowhere", 2, f"mlxtop: nowhere is neither a file nor a mark of process {pid}."),
        (str(broken), 2, "holds no census"),
    ):
        done = place.alone(MLXTOP, "census", str(pid), "--since", since)
        assert (done.returncode, done.stdout) == (code, "")
        assert why in done.stderr
    done = place.alone(MLXTOP, "census", "1x")
    assert done.returncode == 2


def test_a_census_beside_the_screen_that_controls(place: Place, pid: int) -> None:
    screen = place.screen("attach", str(pid))
    screen.value(r"^ active +4\.0 MiB ")
    until(lambda: place.ps()[pid]["watched"] == "yes")
    assert "weight in train.py" in census(place, pid)
    # Its screen stays, and so does its control.
    screen.press("[")
    screen.value(r" cache +20\.0 MiB keyboard")
    assert "where it goes" in screen.text()
    screen.press("w")
    screen.value(r"■ other +1024×1024 +float32 +weight in train\.py")
    assert "weight in train.py" in census(place, pid)


def test_the_screen_shows_what_has_changed_meanwhile(place: Place, pid: int) -> None:
    screen = place.screen("attach", str(pid))
    screen.value(r"^ active +4\.0 MiB ")
    screen.press("w")
    screen.value(r"■ other +1024×1024 +float32 +weight in train\.py")
    step(place, pid, 0)
    step(place, pid, 1)
    screen.press("w")
    screen.value(r"^ changes +active \+4\.0 MiB +since the census \S+ before")
    screen.value(r"^ +\+4\.0 MiB +\+2  appeared +512×1024 +float32 +held\[…\] in train\.py")
    screen.press("a")
    screen.value(r"■ other +1024×1024 +float32 +weight in train\.py")
    screen.press("escape")
    screen.wait_for("where it goes")
    screen.press("q")
    assert screen.exit() == 0
