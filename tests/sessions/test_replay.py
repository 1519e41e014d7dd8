"""A recording made of a real run's trace, and what a screen sees of it at any moment."""

from pathlib import Path

import pytest

from mlxtop.core.budget import Budget
from mlxtop.core.commands import AddMark, ClearCache, RecordEvent, SetLimit
from mlxtop.core.events import (
    BudgetChanged,
    Event,
    GenerationFinished,
    SessionEnded,
    SystemRead,
    WarningChanged,
)
from mlxtop.core.machine import System
from mlxtop.core.sample import Sample
from mlxtop.recording.recorder import Recorder
from mlxtop.sessions.replay import ReplayFleet, ReplaySession
from tests.recording.source import PATIENCE, Session, add
from tests.tui.recorded import RecordedSession
from tests.tui.recording import record


@pytest.fixture
def original() -> RecordedSession:
    return RecordedSession()


@pytest.fixture
def replay(tmp_path: Path, original: RecordedSession) -> ReplaySession:
    (session,) = ReplayFleet(record(tmp_path / "run.mlxtop")).members()
    return session


def test_it_opens_at_its_end_with_all_that_was(replay, original):
    assert replay.now() == pytest.approx(original.history.latest.time, abs=1e-5)
    assert replay.history.count == original.history.count
    assert replay.history.latest[1:] == original.history.latest[1:]
    assert replay.phases == original.phases
    assert replay.state.limits == original.state.limits
    assert replay.state.generations == original.state.generations
    assert replay.state.most == original.state.most
    assert replay.state.facts == original.state.facts


def test_how_it_ended_is_told_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "run.mlxtop"
    recorder, session = Recorder(path), Session()
    put = add(recorder, session)
    put(Sample(1.0, 1, 2, 3, 3))
    session.clock = 1.5
    recorder.start()
    recorder.stop(PATIENCE, cause="ended by SIGTERM")
    assert recorder.failure is None
    (replay,) = ReplayFleet(path).members()
    assert replay.now() == 1.5
    end = replay.timeline.latest(SessionEnded)
    assert end is not None
    assert end.describe() == "ended by SIGTERM"
    replay.playhead.seek(1.2)
    assert replay.timeline.latest(SessionEnded) is None


def test_the_most_of_a_run_is_that_of_the_samples_up_to_the_playhead(tmp_path: Path) -> None:
    recorder, session = Recorder(tmp_path / "run.mlxtop"), Session(interval=0.5)
    put, samples = add(recorder, session), list[Sample]()
    for n in range(3000):
        held = 1000 + n * 7919 % 1009 + n // 3
        samples.append(Sample(n * 0.5, held, n % 5, held, held + n % 5, 3 * held % 3001))
        put(samples[-1])
    session.clock = 1500.0
    recorder.start()
    recorder.stop(PATIENCE)
    (replay,) = ReplayFleet(tmp_path / "run.mlxtop").members()
    for at in (1499.0, 3.2, 3.7, 61.0, 59.9, 700.4, 701.0, 1310.0, 0.0):
        assert replay.playhead is not None
        replay.playhead.seek(at)
        seen = [sample for sample in samples if sample.time <= at]
        most = replay.state.most
        assert most.footprint == max(sample.footprint for sample in seen), at
        assert most.total == max(max(sample.total for sample in seen), seen[-1].peak), at


@pytest.mark.parametrize("width", [0.1, 0.5, 1.0, 5.0, 30.0])
def test_its_columns_are_those_of_the_live_session(replay, original, width):
    start = int(original.now() / width) * width - 60 * width
    live = original.history.columns(start, width, 61, until=original.now())
    read = replay.history.columns(start, width, 61, until=original.now())
    assert read.lo == live.lo
    assert read.hi == live.hi
    assert read.last == live.last


def test_a_moment_is_as_it_was(replay):
    then = RecordedSession(until=12.0)
    replay.playhead.seek(12.0)
    assert replay.history.latest[1:] == then.history.latest[1:]
    assert replay.state.phase == then.state.phase
    assert replay.state.limits == then.state.limits
    assert [mark.name for mark in replay.state.marks] == [mark.name for mark in then.state.marks]
    assert replay.timeline.latest(GenerationFinished) == then.timeline.latest(GenerationFinished)


def test_the_machine_is_as_it_was_and_unknown_before_it_was_told_of(tmp_path):
    calm, tight = System(pressure="normal", swap_used=0), System(pressure="critical", swap_used=2**30)
    told = [Event(at, SystemRead(each)) for at, each in ((5.0, calm), (15.0, tight))]
    odd = Event(16.0, SystemRead(System(pressure="splendid")))
    (replay,) = ReplayFleet(record(tmp_path / "run.mlxtop", more=[*told, odd])).members()
    for at, expected in ((20.0, tight), (14.0, calm), (4.0, None), (26.0, tight)):
        replay.playhead.seek(at)
        assert replay.state.system == expected, at


def test_going_back_undoes_what_happened_since(replay):
    replay.playhead.seek(25.0)
    later = replay.state.generations
    replay.playhead.seek(8.0)
    assert replay.state.generations < later
    replay.playhead.seek(25.0)
    assert replay.state.generations == later


def test_a_delta_between_any_two_moments(replay):
    replay.playhead.seek(10.0)
    at_ten = replay.history.latest
    replay.submit(AddMark("here", "keyboard"))
    replay.playhead.seek(20.0)
    mark = replay.state.marks[-1]
    assert mark.name == "here"
    assert (mark.snapshot.active, mark.snapshot.cache) == (at_ten.active, at_ten.cache)
    replay.playhead.seek(5.0)
    assert replay.state.marks[-1].name == "here"


def test_a_budget_over_a_recording_holds_wherever_the_playhead_stands(replay):
    replay.playhead.seek(20.0)
    replay.submit(RecordEvent(BudgetChanged(Budget(2**30, "keyboard"))))
    replay.submit(RecordEvent(WarningChanged("damaged")))
    for at in (20.0, 5.0, 25.0):
        replay.playhead.seek(at)
        assert (replay.state.budget, replay.state.warning) == (Budget(2**30, "keyboard"), "damaged")


def test_it_plays_and_stops_at_the_end(replay, monkeypatch):
    clock = 100.0
    monkeypatch.setattr("mlxtop.core.playhead.time.monotonic", lambda: clock)
    head = replay.playhead
    head.seek(3.0)
    head.faster(2)
    head.toggle()
    clock += 2.0
    assert head.now() == pytest.approx(3.0 + 2.0 * head.speed)
    clock += 1000.0
    assert head.now() == head.end
    assert not head.playing
    head.toggle()
    assert head.now() == 0.0


def test_commands_change_nothing(replay, tmp_path):
    before = (tmp_path / "run.mlxtop").read_bytes()
    replay.submit(AddMark("mine", "keyboard"))
    replay.submit(SetLimit("cache", 0, "keyboard"))
    replay.submit(ClearCache("keyboard"))
    assert SetLimit not in replay.capabilities
    assert replay.state.limits["cache"].pending is None
    assert (tmp_path / "run.mlxtop").read_bytes() == before
