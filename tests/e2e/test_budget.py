"""Budgets of real programs that outgrow them, with a screen and without."""

import json
import re
import sys
from pathlib import Path

import pytest

from tests.agent.program import until
from tests.e2e.place import Place, alive
from tests.e2e.screen import MLXTOP
from tests.process import mlxtop

pytestmark = pytest.mark.e2e

GROWS = """\
import sys, time
import mlx.core as mx
held = []
for n in range(int(sys.argv[1])):
    # Not MLX's: only the footprint grows. What MLX frees stays in its cache.
    held.append(bytearray(b"x") * 2**22)
    mx.eval(mx.ones((1024, 1024)) + n)
    time.sleep(0.1)
print("grown", flush=True)
while True:
    mx.eval(mx.ones(9)); time.sleep(0.05)
"""
MIB = 2**20


def test_a_program_outgrows_its_budget_on_the_screen(place: Place) -> None:
    script, told = place.script(GROWS), place.folder / "told"
    do = (
        "--on-budget",
        f"exec:env > {told}.new; mv {told}.new {told}; echo it is told",
        "--on-budget",
        "clear",
    )
    screen = place.screen(
        "run", "--budget", "400M", *do, "--", *[str(w) for w in _python(script, "120")], columns=160, rows=50
    )
    screen.wait_for("● run")
    screen.value(r" budget +400\.0 MiB flag")
    screen.value(r" headroom +[1-9]\d*\.\d MiB")
    screen.value(r"^ 80 % of the budget: footprint 3\d\d\.\d MiB of 400\.0 MiB, \d+\.\d MiB left")
    screen.value(r"^ budget reached: footprint [4-9]\d\d\.\d MiB of 400\.0 MiB, \d+\.\d MiB over")
    screen.wait_for("it is told")
    screen.value(r" cache clears +[1-9]\d*")
    screen.value(r" headroom +-\d+\.\d MiB reached")
    found = dict(re.findall(r"^MLXTOP_(\w+)=(.*)$", told.read_text(), re.MULTILINE))
    assert found["BUDGET"] == str(400 * MIB)
    assert int(found["USED"]) >= 400 * MIB
    assert alive(int(found["PID"]))
    # A higher one by the key: the alarm is over, and nothing jumps back.
    screen.press("b")
    screen.wait_for("Budget (now 400.0 MiB; footprint")
    screen.type("64G\r")
    screen.value(r" budget +64\.00 GiB keyboard")
    screen.value(r" headroom +63\.\d\d GiB")
    screen.wait_for("grown")
    screen.press("q")
    screen.wait_for("Stop the program")
    screen.press("enter")
    screen.exit()
    assert screen.left() == []


def test_a_program_is_stopped_at_its_budget(place: Place) -> None:
    script, told = place.script(GROWS), place.folder / "told"
    done = place.alone(
        MLXTOP, "run", "--headless", "--budget", "200M", "--on-budget", f"exec:echo $MLXTOP_USED > {told}",
        "--on-budget", "stop", "--", *[str(w) for w in _python(script, "600")],
    )  # fmt: skip
    assert done.returncode == 128 + 2
    until(lambda: told.exists() and told.read_text().strip() != "")
    assert 200 * MIB <= int(told.read_text()) < 400 * MIB
    assert "grown" not in done.stdout


def test_an_attached_program_is_asked_to_end(place: Place) -> None:
    script = place.script(GROWS)
    pid = place.start(script, "600", MLXTOP="1")
    until(lambda: pid in place.ps())
    screen = place.screen("attach", "--budget", "200M", "--on-budget", "stop", str(pid))
    screen.wait_for("budget reached: footprint")
    screen.wait_for("● ended")
    until(lambda: not alive(pid))
    screen.press("q")
    assert screen.exit() == 0


def test_the_stream_tells_of_a_budget_and_what_was_done(tmp_path: Path) -> None:
    told = tmp_path / "told"
    do = (
        "--on-budget",
        "clear",
        "--on-budget",
        "mark",
        "--on-budget",
        f"exec:echo noise; echo {{}} > {told}",
    )
    done = mlxtop("--json", "--budget", "60M", *do, "--prompt", "hello", "--max-tokens", "200")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    events = [line for line in lines if line["type"] == "event"]
    alarms = [e for e in events if e["kind"] == "budget"]
    assert (alarms[0]["level"], alarms[0]["budget"], alarms[0]["source"]) == (0, 60 * MIB, "flag")
    assert alarms[-1]["level"] == 100
    assert alarms[-1]["used"] >= 60 * MIB
    assert any(e["kind"] == "clear" and e["source"] == "budget" for e in events)
    assert any(e["kind"] == "mark" and e["source"] == "budget" for e in events)
    assert told.read_text() == "{}\n"
    assert "noise" in done.stderr


def test_a_run_of_ours_ends_at_its_budget() -> None:
    done = mlxtop("--headless", "--budget", "60M", "--on-budget", "stop", "--repeat", "forever")
    assert done.returncode == 1
    assert done.stderr.strip() == "mlxtop: stopped at the budget of 60.0 MiB"
    assert "Ending memory" in done.stdout


def _python(script: Path, *arguments: str) -> list[str]:
    return [sys.executable, str(script), *arguments]
