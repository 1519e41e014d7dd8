"""Whatever kills a thread of ours ends the run with its cause, and nothing waits for the dead.

A failure is put into each: the engine, the sampler, the monitor, the fleet, the sweep, the recorder.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlxtop.core.errors import MlxtopError
from mlxtop.core.events import ErrorRaised, Event
from mlxtop.core.sample import Sample
from mlxtop.inference.options import Options
from mlxtop.ipc.sockets import Address
from mlxtop.mlx.highwater import HighWater
from mlxtop.recording.recorder import Recorder
from mlxtop.sessions.agent_client import AgentClient
from mlxtop.sessions.budget_monitor import BudgetMonitor
from mlxtop.sessions.local import LocalSession
from mlxtop.sweep.runner import Sweep
from tests.e2e.screen import Screen
from tests.process import run
from tests.sweep.made import Bench, plan

BEGIN = "from mlxtop.mlx import device\ndevice.facts = broken"
WORK = "from mlxtop.inference import engine\nengine.stream = broken"
LISTENER = "from mlxtop.sessions.local import LocalSession\nLocalSession._emit = broken"
SAMPLER = "from mlxtop.system import footprint\nfootprint.Recent.at = broken"
HEADLESS = ("--headless", "--prompt", "hi", "--max-tokens", "4")
JSON = ("--json", "--prompt", "hi", "--max-tokens", "4")
SWEEP = (
    "sweep",
    "--headless",
    "--repeats",
    "1",
    "--limits",
    "0,1M",
    "--max-tokens",
    "4",
    "--prompt-tokens",
    "8",
)


def command(where: str, *arguments: str) -> list[str]:
    """`mlxtop`, with a failure in it that no `except Exception` holds up."""
    code = f"""
import sys
def broken(*args, **kwargs): raise SystemExit("a bug")
{where}
from mlxtop.__main__ import main
sys.argv = ["mlxtop", *sys.argv[1:]]
main()"""
    return [sys.executable, "-c", code, *arguments]


@pytest.mark.parametrize(
    ("where", "arguments", "what"),
    [
        (BEGIN, HEADLESS, "The thread that runs MLX"),
        (BEGIN, SWEEP, "The thread that runs MLX"),
        (LISTENER, HEADLESS, "The thread that runs MLX"),
        (WORK, JSON, "The thread that runs MLX"),
        (WORK, SWEEP, "The thread that runs MLX"),
        (SAMPLER, JSON, "Sampling"),
    ],
)
@pytest.mark.usefixtures("processes")
def test_a_run_whose_thread_dies_ends_with_its_cause(
    where: str, arguments: tuple[str, ...], what: str
) -> None:
    done: subprocess.CompletedProcess[str] = run(command(where, *arguments), timeout=60)
    said = [line for line in done.stderr.splitlines() if " failed: " in line]
    assert done.returncode == 1, done.stderr
    assert len(said) == 1, done.stderr
    assert said[0].startswith(f"mlxtop: {what} failed: SystemExit: a bug (")
    assert "Traceback" not in done.stderr


@pytest.mark.e2e
def test_the_dashboard_ends_with_its_cause() -> None:
    with Screen(command=command(WORK, "--prompt", "hi")) as screen:
        assert screen.exit() == 1
        assert "mlxtop: The thread that runs MLX failed: SystemExit: a bug" in screen.text()


def until(what: Callable[[], Any]) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_listener_that_fails_ends_the_sampling_and_is_told() -> None:
    def sink(item: Event | Sample) -> None:
        if isinstance(item, Sample):
            raise KeyError("a bug")

    session = LocalSession(Options(workload="chat"))
    session.subscribe(sink)
    session.open()
    until(lambda: session.failure)
    assert str(session.failure).startswith(
        "Sampling failed: KeyError: 'a bug' (sessions/test_dead_threads.py:"
    )
    assert session.close(20)


def test_a_budget_monitor_that_fails_says_once_that_the_budget_is_not_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = LocalSession(Options())
    looks: list[int] = []

    def look(self: BudgetMonitor) -> None:
        looks.append(1)
        raise KeyError("a bug")

    monkeypatch.setattr(BudgetMonitor, "check", look)
    monitor = BudgetMonitor(lambda: (session,))
    monitor.start()
    until(lambda: len(looks) > 2)
    monitor.stop()
    told = session.timeline.between(ErrorRaised, 0, 60)
    assert [event.data.phase for event in told] == ["budget"]
    assert told[0].data.message.startswith("Watching the budget failed: KeyError: 'a bug'")


def test_a_fleet_that_fails_says_why() -> None:
    def find() -> list[Address]:
        raise KeyError("a bug")

    fleet = AgentClient("a program", find)
    fleet.start()
    assert fleet.changed.wait(20)
    assert fleet.status().startswith("Watching failed: KeyError: 'a bug'")
    fleet.join(20)
    fleet.settle()


def test_a_sweep_that_fails_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(plan(), [1.0] * 4)
    monkeypatch.setattr(bench, "open", lambda: {}["a bug"])
    sweep = Sweep(plan(), bench)
    sweep.run()
    assert sweep.progress.stage == "failed"
    assert str(sweep.failure).startswith("The sweep failed: KeyError: 'a bug'")


def test_what_was_not_sampled_is_not_taken_for_little(monkeypatch: pytest.MonkeyPatch) -> None:
    high = HighWater()
    read = high._read
    monkeypatch.setattr(high, "_read", lambda: {}["a bug"])
    high.start()
    high._sampler.join(20)
    monkeypatch.setattr(high, "_read", read)
    with pytest.raises(MlxtopError, match="Sampling failed: KeyError"):
        high.take()
    high.stop()


def test_a_recorder_that_fails_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mlxtop")
    collect, calls = recorder._collect, []

    def fail() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise KeyError("a bug")
        collect()

    monkeypatch.setattr(recorder, "_collect", fail)
    monkeypatch.setattr("mlxtop.recording.recorder.COMMIT_EVERY", 0.01)
    recorder.start()
    until(lambda: len(calls) > 3)
    assert "Recording stopped" in str(recorder.problem)
    recorder.stop()
    assert not recorder.is_alive()
    assert recorder.problem is None
