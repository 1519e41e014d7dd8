"""The cache limits of a run compared: over a real model, and over a recording as over the run itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlxtop.analysis.limit_comparison import Comparison
from mlxtop.analysis.work import Use
from mlxtop.core.commands import SetLimit
from mlxtop.core.events import LimitChanged
from mlxtop.core.limits import MIB
from mlxtop.inference.options import FOREVER, Options
from mlxtop.sessions.local import LocalSession
from mlxtop.sessions.replay import ReplayFleet
from tests.recorder import Recorder
from tests.tui.recorded import RecordedSession
from tests.tui.recording import record


@pytest.fixture
def heard() -> Recorder:
    return Recorder()


@pytest.fixture
def running(heard: Recorder) -> Iterator[LocalSession]:
    options = Options(workload="loop", prompt="hello there", max_tokens=24, repeat=FOREVER)
    session = LocalSession(options, 0.01)
    session.subscribe(heard.sink)
    session.open()
    yield session
    session.close(10)


def settled(comparison: Comparison, now: float) -> list[Use]:
    """The comparison once all work has been read."""
    before = comparison.update(now)
    while (after := comparison.update(now)) != before:
        before = after
    return after


def test_a_real_model_under_two_limits(running, heard):
    def generated(more: int) -> None:
        end = running.state.generations + more
        heard.wait(lambda: running.state.generations >= end, "more generations")

    generated(4)
    running.submit(SetLimit("cache", 0, "keyboard"))
    heard.until(LimitChanged, source="keyboard")
    # The one in which the limit changed belongs to neither.
    generated(5)
    first, second = settled(Comparison(running), running.now())
    assert first.limit > second.limit == 0
    assert second.present
    assert min(first.pieces, second.pieces) >= 3
    assert second.against.speed.found in ("same", "differs")
    assert second.highs.cache == 0 or second.seconds < 2
    assert first.speed > 0 < second.speed


@pytest.mark.parametrize("moment", [4.0, 15.0, 26.0])
def test_a_recording_is_compared_like_the_run(tmp_path: Path, moment):
    original = RecordedSession()
    (replay,) = ReplayFleet(record(tmp_path / "run.mlxtop")).members()
    live, read = (settled(Comparison(session), moment) for session in (original, replay))
    assert [use._replace(seconds=0) for use in read] == [use._replace(seconds=0) for use in live]
    assert [use.seconds for use in read] == pytest.approx([use.seconds for use in live], abs=1e-4)
    assert (live[-1].limit, live[-1].present) == (20 * MIB, True)
