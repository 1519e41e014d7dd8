"""Budgets watched: on a session that stands still, so that usage is what the test says; the rest is real."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from mlxtop.core.budget import Budget, parse_action
from mlxtop.core.commands import AddMark, ClearCache, SetLimit
from mlxtop.core.events import BudgetChanged, SystemRead
from mlxtop.core.facts import Facts
from mlxtop.core.machine import System
from mlxtop.core.playhead import Playhead
from mlxtop.core.sample import UNKNOWN
from mlxtop.sessions import budget_monitor as module
from mlxtop.sessions.budget_monitor import BudgetMonitor, set_budget, usage
from tests.tui.recorded import RecordedSession

MIB = 2**20


class Guarded(RecordedSession):
    """A session whose footprint the test sets."""

    def __init__(self) -> None:
        super().__init__()
        self.use(100 * MIB)

    def use(self, footprint: int) -> None:
        self.pass_time(1, footprint=footprint)

    @property
    def levels(self) -> list[tuple[int, int]]:
        told = self.timeline.between(BudgetChanged, 0, 10**9)
        return [(event.data.was, event.data.level) for event in told if event.data.used is not None]


@pytest.fixture
def session() -> Guarded:
    return Guarded()


def climb(monitor: BudgetMonitor, session: Guarded, *percents: int, budget: int = 1000 * MIB) -> None:
    for percent in percents:
        session.use(budget * percent // 100)
        monitor.check()


def test_each_level_is_told_once(session) -> None:
    monitor = BudgetMonitor(lambda: (session,), 1000 * MIB)
    climb(monitor, session, 10, 79, 81, 80, 78, 82, 96, 97, 101, 102, 105)
    assert session.state.budget == Budget(1000 * MIB, "flag")
    assert session.levels == [(0, 80), (80, 95), (95, 100)]
    assert session.state.alarm == 100
    said = [line.text for line in session.transcript.since(0) if line.who == "log"]
    assert said == [
        "80 % of the budget: footprint 810.0 MiB of 1000 MiB",
        "95 % of the budget: footprint 960.0 MiB of 1000 MiB",
        "budget reached: footprint 1010 MiB of 1000 MiB",
    ]


def test_actions_are_taken_once_each_time_it_is_reached(session) -> None:
    stopped = []
    actions = [parse_action(text) for text in ("mark", "clear", "limit:20M", "stop")]
    monitor = BudgetMonitor(lambda: (session,), 1000 * MIB, actions, stopped.append)
    climb(monitor, session, 50, 96)
    assert session.asked == []
    climb(monitor, session, 101, 99, 101, 110)
    once = [AddMark("budget", "budget"), ClearCache("budget"), SetLimit("cache", 20 * MIB, "budget")]
    assert session.asked == once
    assert stopped == [session]
    climb(monitor, session, 60, 100)
    assert session.asked == once * 2
    assert len(stopped) == 2


def test_a_budget_below_what_is_used_is_reached_at_once_and_another_one_begins_anew(session) -> None:
    monitor = BudgetMonitor(lambda: (session,), None, [parse_action("clear")])
    monitor.check()
    assert session.levels == []
    set_budget(session, 50 * MIB, "keyboard")
    monitor.check()
    assert session.levels == [(0, 100)]
    set_budget(session, 200 * MIB, "keyboard")
    monitor.check()
    assert session.state.alarm == 0
    set_budget(session, 105 * MIB, "keyboard")
    monitor.check()
    assert session.levels == [(0, 100), (0, 95)]
    set_budget(session, "none", "keyboard")
    monitor.check()
    assert (session.state.budget, session.state.alarm, session.state.budget_usage) == (None, 0, None)
    assert session.asked == [ClearCache("budget")]


def test_headroom_and_the_time_to_reach_it(session) -> None:
    monitor = BudgetMonitor(lambda: (session,), 1000 * MIB)
    for n in range(40):
        session.use((100 + 5 * n) * MIB)
        monitor.check()
    used, reach = session.state.budget_usage
    assert used == 295 * MIB
    assert reach == pytest.approx((1000 - 295) / 5, rel=0.05)


def test_a_footprint_that_nobody_knows_is_no_usage(session) -> None:
    monitor = BudgetMonitor(lambda: (session,), 1000 * MIB)
    session.use(UNKNOWN)
    monitor.check()
    assert session.state.budget_usage is None
    assert session.levels == []


def test_on_cuda_the_device_is_compared_and_not_the_footprint(session) -> None:
    session.state.facts = session.state.facts.replace(unified=False, memory=80 * 2**30)
    set_budget(session, 1000 * MIB, "keyboard")
    assert session.state.budget.against == "device"
    assert usage(session) is None, "nobody has read it"
    session.state.system = System(device_used=960 * MIB, device_total=80 * 2**30)
    assert usage(session) == 960 * MIB
    BudgetMonitor(lambda: (session,)).check()
    assert session.levels == [(0, 95)]


def test_a_containers_limit_is_compared_with_what_is_charged_to_the_container(session) -> None:
    session.state.facts = session.state.facts.replace(cgroup_limit=1000 * MIB)
    set_budget(session, "cgroup", "flag")
    assert usage(session) == 100 * MIB, "on another machine the footprint is all we know"
    session.state.system = System(cgroup_limit=1000 * MIB, cgroup_used=990 * MIB)
    assert usage(session) == 990 * MIB


def test_a_ceiling_that_is_not_there_is_told_and_the_program_goes_on(session) -> None:
    monitor = BudgetMonitor(lambda: (session,), "device")
    monitor.check()
    monitor.check()
    assert session.state.error == "No budget: this device names no recommended working set: name a size."
    assert session.state.budget is None


def test_nothing_is_decided_before_the_facts_are_known_nor_after_the_end(session) -> None:
    facts, session.state.facts = session.state.facts, Facts()
    monitor = BudgetMonitor(lambda: (session,), 10 * MIB)
    monitor.check()
    assert session.state.budget is None
    session.state.facts = facts
    session.ended = "it ended"
    monitor.check()
    assert session.state.budget is None


def test_the_machine_is_read_only_where_the_program_runs_on_it(session) -> None:
    monitor = BudgetMonitor(lambda: (session,))
    monitor.check()
    assert session.state.system is None
    here = Guarded()
    here.process = os.getpid()
    BudgetMonitor(lambda: (here,)).check()
    assert sys.platform != "linux" or here.state.system.pss > 0


def test_what_is_dear_is_read_seldom(session, monkeypatch) -> None:
    reads = []

    def reader(pid, unified):
        def read(dear):
            reads.append(dear)
            return System(pss=7 if dear else None)

        return read

    monkeypatch.setattr(module, "SYSTEM_EVERY", 0.0)
    monkeypatch.setattr(module.machine, "reader", reader)
    session.process = os.getpid()
    monitor = BudgetMonitor(lambda: (session,))
    for _ in range(4):
        monitor.check()
    assert reads == [True, False, False, False]
    assert session.state.system.pss == 7, "the last one known stays"


def test_the_machine_s_numbers_go_into_the_stream_when_they_turn_and_else_seldom(
    session, monkeypatch
) -> None:
    calm, tight = System(pressure="normal", available=9), System(pressure="warning", available=5)
    hot = tight.replace(thermal="heavy")
    readings = iter([calm, calm.replace(available=8), tight, tight.replace(available=4), hot, hot, hot])
    monkeypatch.setattr(module, "SYSTEM_EVERY", 0.0)
    monkeypatch.setattr(module.machine, "reader", lambda pid, unified: lambda dear: next(readings))
    session.process = os.getpid()
    monitor = BudgetMonitor(lambda: (session,))
    for _ in range(6):
        monitor.check()
    told = session.timeline.between(SystemRead, 0, 10**9)
    assert [event.data.system for event in told] == [calm, tight, hot]
    assert session.state.system.replace(pss_age=0.0) == hot
    # Nothing has changed, so there is nothing to tell, however long ago.
    monkeypatch.setattr(module, "TELL_EVERY", 0.0)
    monitor.check()
    assert session.timeline.count(SystemRead) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_this_machine_tells_is_an_event_like_any_other(session) -> None:
    session.process = os.getpid()
    BudgetMonitor(lambda: (session,)).check()
    told = session.timeline.latest(SystemRead)
    assert told.data.system.available > 0
    assert told.data.system.replace(pss_age=0.0) == session.state.system.replace(pss_age=0.0)


def test_over_a_recording_this_machine_is_not_read(session) -> None:
    session.process = os.getpid()
    session.playhead = Playhead(10.0)
    BudgetMonitor(lambda: (session,)).check()
    assert session.state.system is None
    assert session.timeline.count(SystemRead) == 0


def wait_for(condition) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.usefixtures("processes")
def test_a_command_is_started_with_figures_and_not_waited_for(session, tmp_path: Path) -> None:
    told, go = tmp_path / "told", tmp_path / "go"
    code = "import json, os, sys; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith('MLXTOP_')}))"
    command = f'while [ ! -e {go} ]; do sleep 0.01; done; {sys.executable} -c "{code}" > {told}.new; mv {told}.new {told}; exit 3'
    monitor = BudgetMonitor(lambda: (session,), 1000 * MIB, [parse_action(f"exec:{command}")])
    session.use(1001 * MIB)
    monitor.check()
    go.touch()
    wait_for(told.exists)
    found = json.loads(told.read_text())
    latest = session.history.latest
    assert found["MLXTOP_USED"] == str(1001 * MIB)
    assert found["MLXTOP_BUDGET"] == str(1000 * MIB)
    assert found["MLXTOP_AGAINST"] == "footprint"
    assert found["MLXTOP_TITLE"] == "demo"
    assert (found["MLXTOP_ACTIVE"], found["MLXTOP_CACHE"]) == (str(latest.active), str(latest.cache))

    def failure() -> bool:
        monitor.check()
        return any("ended with exit code 3" in line.text for line in session.transcript.since(0))

    wait_for(failure)
    assert monitor._running == []


def test_the_thread_ends_when_it_is_told_to(session) -> None:
    monitor = BudgetMonitor(lambda: (session,), 50 * MIB)
    monitor.start()
    wait_for(lambda: session.state.alarm == 100)
    monitor.stop()
    assert not monitor.is_alive()


def test_a_replay_of_the_same_events_is_in_the_same_state(session) -> None:
    monitor = BudgetMonitor(lambda: (session,), 1000 * MIB)
    climb(monitor, session, 50, 96)
    again = RecordedSession()
    for event in session.timeline.between(BudgetChanged, 0, 10**9):
        again.record_event(event.data, event.time)
    assert (again.state.budget, again.state.alarm) == (session.state.budget, 95)
    assert again.state.budget.source == "flag"
