"""A frame is of its moment: what the run did afterwards does not show in it."""

import pytest

from mlxtop.core.events import GenerationFinished, SystemRead
from mlxtop.core.machine import System
from mlxtop.core.sample import speed
from mlxtop.tui.frame import SPEED_WINDOW, Own, View, gather, visible_columns
from mlxtop.tui.panels.limits import held
from tests.tui.recorded import RecordedSession

LAST = 26.0


def paused(session: RecordedSession, now: float) -> float | None:
    view = View(paused=True)
    return gather(session, view, Own(), visible_columns(session, view, 80, now), now).speed


def test_the_speed_of_a_paused_view_stands_still() -> None:
    gone_on = RecordedSession(LAST)
    told = 0
    for quarter in range(4 * 5, 4 * int(LAST)):
        now = quarter / 4
        found = paused(gone_on, now)
        assert found == paused(RecordedSession(now), now), now
        told += found is not None
    assert told > 70


def test_a_long_prefill_shows_the_last_generation_s_speed() -> None:
    session = RecordedSession(LAST)
    history = session.history
    # The longest prompts take more than the window: nothing was decoded within it.
    silent = [
        t / 10
        for t in range(60, int(LAST * 10))
        if speed(history.at(t / 10 - SPEED_WINDOW), history.at(t / 10)) is None
    ]
    told = [event.data.tps for event in session.timeline.between(GenerationFinished, 0, LAST)]
    shown = {paused(session, now) for now in silent} - {None}
    assert shown
    assert all(any(speed == pytest.approx(tps) for tps in told) for speed in shown)


def test_the_machine_of_a_paused_view_is_that_of_its_moment() -> None:
    session = RecordedSession(LAST)
    for at, pressure in ((5.0, "normal"), (15.0, "critical")):
        session.record_event(SystemRead(System(pressure=pressure)), at)

    def pressure(now: float, paused: bool) -> str | None:
        view = View(paused=paused)
        return gather(session, view, Own(), visible_columns(session, view, 80, now), now).machine.pressure

    assert [pressure(now, paused=True) for now in (4.0, 10.0, 20.0)] == [None, "normal", "critical"]
    assert pressure(10.0, paused=False) == "critical"


def test_the_cache_limit_that_is_shown_is_the_one_that_holds() -> None:
    session = RecordedSession(LAST)
    view = View()

    def shown() -> tuple[int | None, str]:
        frame = gather(session, view, Own(), visible_columns(session, view, 80, LAST), LAST)
        return frame.cache_limit, held(frame, "cache")

    limit, active = session.state.limits["cache"].value, session.history.latest.active
    assert shown() == (limit, "")
    memory = session.state.limits["memory"]
    session.state.limits["memory"] = memory.replace(value=active + 3 * 2**20)
    session.state.facts = session.state.facts.replace(backend="Metal", working_set=2**40)
    assert shown() == (3 * 2**20, "of 20.0 MiB ")
