"""Sessions of what was printed: samples, marks, clocks, new runs, several programs in one stream."""

import json
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from math import inf

import pytest

from mlxtop.cli.summary import describe, summarize
from mlxtop.core.budget import Budget
from mlxtop.core.commands import AddMark, RecordEvent
from mlxtop.core.events import BudgetChanged, CacheCleared, LimitChanged, MarkAdded, PeakReset, PhaseChanged
from mlxtop.core.sample import UNKNOWN
from mlxtop.follow.readings import Reading
from mlxtop.sessions.budget_monitor import BudgetMonitor
from mlxtop.sessions.follow_fleet import MOST, FollowFleet
from mlxtop.sessions.followed import LATE, TIMELESS, FollowedSession
from mlxtop.sessions.log_source import Chunk
from mlxtop.tui.fleet_frame import session_row
from mlxtop.tui.panels.breakdown import split

MIB, GIB = 2**20, 2**30


class Given:
    """A source of pieces that are given beforehand, each as if it arrived by itself."""

    title = "app"
    exit_code = 0

    def __init__(self, pieces: Sequence[str | Chunk]) -> None:
        self._pieces: Iterator[str | Chunk] = iter(pieces)
        self.over: str | None = None

    def read(self, timeout: float) -> list[Chunk]:
        piece = next(self._pieces, None)
        if piece is None:
            self.over = "the output ended"
            return []
        return [piece if isinstance(piece, Chunk) else Chunk(0, piece.encode())]

    def close(self) -> None:
        pass


def line(active: int = GIB, peak: int = 2 * GIB, cache: int = MIB, **more: object) -> str:
    return "mlxtop " + json.dumps({"active": active, "cache": cache, "peak": peak, **more}) + "\n"


def followed(*pieces: str | Chunk) -> FollowFleet:
    fleet = FollowFleet(Given(pieces), (), ["app"])
    fleet.start()
    fleet.join(30)
    assert fleet.failure is None
    return fleet


def alone(*pieces: str | Chunk) -> FollowedSession:
    (session,) = followed(*pieces).members()
    return session


def log(fleet: FollowFleet, who: str = "log") -> str:
    assert fleet.transcript is not None
    return "\n".join(each.text for each in fleet.transcript.since(0) if each.who == who)


def times(session: FollowedSession) -> list[float]:
    """When the program's marks were, from the first on."""
    found = [e.time for e in session.timeline.between(MarkAdded, 0, inf) if e.data.source == "program"]
    return [round(at - found[0], 6) for at in found]


def test_lines_become_samples_marks_phases_limits_and_text() -> None:
    session = alone(
        "starting\n",
        line(phase="load", t=10, cacheLimit=20 * MIB, device="iPhone17,1"),
        line(2 * GIB, phase="decode", t=11.5, cacheLimit=MIB, mark="loaded", footprint=3 * GIB),
        "bye\n",
    )
    latest = session.history.latest
    assert latest is not None
    assert latest[1:6] == (2 * GIB, MIB, 2 * GIB, 2 * GIB + MIB, 3 * GIB)
    assert session.history.first is not None
    assert round(latest.time - session.history.first.time, 6) == 1.5
    assert [session.phases[s.phase] for s in (session.history.first, latest)] == ["load", "decode"]
    assert session.state.facts.device == "iPhone17,1"
    assert session.state.limits["cache"].value == MIB
    assert [e.data.found for e in session.timeline.between(LimitChanged, 0, inf)] == [True, False]
    assert [m.name for m in session.state.marks] == ["start", "loaded"]
    assert session.state.marks[1].snapshot.active == 2 * GIB
    assert session.ended == "the output ended"
    assert session.state.most.footprint == 3 * GIB
    assert "starting\nbye" in "\n".join(
        each.text for each in session.transcript.since(0) if each.who == "out"
    )


def test_what_no_line_tells_is_unknown_and_what_one_leaves_out_is_that_of_the_line_before() -> None:
    session = alone("Peak memory: 1.000 GB\n")
    latest = session.history.latest
    assert latest is not None
    assert latest[1:6] == (UNKNOWN, UNKNOWN, 10**9, UNKNOWN, UNKNOWN)
    assert not session.state.marks, "there is nothing to measure from"
    session.submit(AddMark("mine", "keyboard"))
    assert not session.state.marks
    later = alone(line(footprint=3 * GIB, t=1), line(5, t=2)).history.latest
    assert later is not None
    assert (later.active, later.footprint) == (5, 3 * GIB)


def test_a_peak_below_what_was_active_is_another_run_and_one_above_it_was_reset() -> None:
    fleet = followed(line(GIB, 2 * GIB), line(GIB, GIB), line(100, 100))
    first, second = fleet.members()
    assert [e.data.peak for e in first.timeline.between(PeakReset, 0, inf)] == [2 * GIB]
    assert first.ended == "the program has started anew"
    assert second.history.latest is not None
    assert second.history.latest.peak == 100
    assert second.label != first.label
    assert "started anew: a new session" in log(fleet)


def test_a_clock_that_begins_anew_is_another_run() -> None:
    assert len(followed(line(t=100), line(t=101), line(t=0.5)).members()) == 2


def test_lines_out_of_order_do_not_turn_time_back() -> None:
    session = alone(
        line(t=10, mark="a"),
        line(t=12, mark="b"),
        line(3 * GIB, 4 * GIB, t=12 - LATE / 2),
        line(t=13, mark="c"),
    )
    assert times(session) == [0, 2, 3]
    assert session.state.run_peak == 4 * GIB, "what it had seen counts"
    assert session.history.latest is not None
    assert session.history.latest.active == GIB


def test_without_t_a_line_has_the_time_of_its_arrival() -> None:
    before = time.monotonic()
    session = alone(line(mark="a"), line(mark="b"))
    between = times(session)
    assert 0 <= between[1] <= time.monotonic() - before


def test_a_log_of_an_hour_read_at_once_is_an_hour_long() -> None:
    session = alone(*(line(t=second) for second in range(0, 3600, 60)))
    assert session.history.count == 60
    assert session.now() >= 3540


def stamped(at: float, text: str) -> str:
    return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M:%S.%f} App[7:8] {text}"


def test_an_old_log_has_the_times_before_its_lines() -> None:
    day = time.time() - 86_400
    block = "Peak:   0K           (9)\nActive: 0K           (7)\nCache:  0K           (8)\n"
    log_of_two_hours = "".join(stamped(day + second, block) for second in range(0, 7201, 60))
    fleet = followed(log_of_two_hours)
    (session,) = fleet.members()
    assert session.history.count == 121
    assert session.history.first is not None
    assert session.history.latest is not None
    assert session.history.latest.time - session.history.first.time == pytest.approx(7200)
    assert session.started + session.history.first.time == pytest.approx(day, abs=3600)
    assert "App: an older log, with its own times from" in log(fleet)
    # Its clock was set back; then the program's own comes, which is better.
    fleet = followed(
        stamped(day, line(mark="a"))
        + stamped(day + 60, line(mark="b"))
        + stamped(day - 3600, line(mark="c")),
        stamped(day - 3590, line(mark="d")) + line(mark="e", t=5) + stamped(day, line(mark="f", t=7)),
    )
    (session,) = fleet.members()
    assert times(session)[:4] == pytest.approx([0, 60, 60, 70], abs=1)
    assert times(session)[5] - times(session)[4] == pytest.approx(2)


def test_dates_that_stand_still_do_not_stop_the_clock() -> None:
    (session,) = FollowFleet(Given(()), (), ["app"]).members()
    session._begin -= 10
    for second in range(3):
        session.arrive(session._begin + second)
        session.take(Reading(active=1, cache=1, peak=1, stamp=1_700_000_000))
        session.settle()
    assert session.history.first is not None
    assert session.history.latest is not None
    assert session.history.latest.time - session.history.first.time == pytest.approx(2)


def test_a_line_of_now_has_the_time_of_its_arrival() -> None:
    # Its clock is an hour ahead, so that it is of now on a machine that is slow, too.
    before, now = time.time(), time.time() + 3600
    fleet = followed(stamped(now, line(mark="a")), stamped(now - 7200, line(mark="b")))
    (session,) = fleet.members()
    assert 0 <= times(session)[1] <= time.time() - before
    assert before <= session.started <= time.time()
    assert "older log" not in log(fleet)


def test_lines_that_come_at_once_without_a_time_are_told_of_once() -> None:
    fleet = followed(*["".join(line(n * 10**6, 2 * GIB, phase=f"p{n % 2}") for n in range(TIMELESS))] * 3)
    assert log(fleet).count("tell no time") == 1
    assert "tell no time" not in log(followed(*(line() for _ in range(TIMELESS))))
    assert "tell no time" not in log(followed("".join(line(t=n) for n in range(TIMELESS))))


def test_a_flood_is_gathered_and_loses_no_maximum() -> None:
    many = [line(MIB * (i % 1000), t=1 + i / 1e5) for i in range(5_000)]
    session = alone("".join(many))
    assert session.history.count <= 60
    columns = session.history.columns(0, 10, 1, ("active",), ())
    assert columns.hi["active"][0] == 999 * MIB


def test_several_sessions_in_one_stream_stand_side_by_side() -> None:
    fleet = followed("".join(line(n, session=name) for n in (1, 2, 3) for name in ("ipad", "iphone")))
    assert [m.label for m in fleet.members()] == ["ipad", "iphone"]
    assert [m.history.latest and m.history.latest.active for m in fleet.members()] == [3, 3]
    assert len({m.pid for m in fleet.members()}) == 2


def test_another_process_of_the_same_name_is_a_new_session() -> None:
    fleet = followed(
        line(1, session="app", pid=7), line(2, session="app", pid=8), line(3, session="app", pid=7)
    )
    first, second = fleet.members()
    assert [(m.history.latest and m.history.latest.active) for m in fleet.members()] == [3, 2]
    assert "app has started anew as process 8" in log(fleet)
    phases = [e.data.phase for e in first.timeline.between(PhaseChanged, 0, inf)]
    assert phases == ["ended", "run", "ended"], "it spoke again: both live"
    assert second.ended == "the output ended"


def test_streams_that_are_mixed_in_the_middle_of_a_block_stay_apart() -> None:
    block = b"Peak:   0K           (9)\nActive: 0K           (7)\nCache:  0K           (8)\n"
    fleet = followed(Chunk(1, block[:30]), Chunk(2, block[:40]), Chunk(1, block[30:]), Chunk(2, block[40:]))
    samples = [m.history.latest for m in fleet.members()]
    assert [(s.active, s.cache, s.peak) for s in samples if s] == [(7, 8, 9)]


def test_sessions_without_number_are_not_told_apart_for_ever() -> None:
    fleet = followed("".join(line(session=f"s{n}") for n in range(MOST + 20)))
    assert len(fleet.members()) == MOST
    assert "further ones are not told apart" in log(fleet)


def test_what_the_system_leaves_an_app_is_its_budget_until_a_person_names_one() -> None:
    session = alone(line(footprint=3 * GIB, available=GIB), line(footprint=3 * GIB + MIB, available=GIB))
    assert session.state.budget is not None
    assert session.state.budget.bytes == 4 * GIB, (
        "two readings that are not of the same moment do not move it"
    )
    assert "last line" in session.state.budget.source
    session.ended = None
    BudgetMonitor(lambda: (session,)).check()
    assert session.state.alarm == 0


def test_the_entitlement_is_told_of_once_when_the_limit_is_near() -> None:
    session = alone(line(footprint=39 * GIB // 10, available=GIB // 10))
    session.ended = None
    monitor = BudgetMonitor(lambda: (session,))
    for _ in range(3):
        monitor.check()
    assert session.state.alarm == 95
    told = [each.text for each in session.transcript.since(0) if "increased-memory-limit" in each.text]
    assert len(told) == 1
    assert "as of the last line" in told[0]


def test_a_budget_of_ones_own_is_not_moved() -> None:
    pieces = [line(footprint=GIB, available=GIB, t=1)]
    fleet = FollowFleet(Given(pieces), (), ["app"])
    (session,) = fleet.members()
    session.submit(RecordEvent(BudgetChanged(Budget(5 * GIB, "flag"))))
    fleet.start()
    fleet.join(30)
    assert session.state.budget == Budget(5 * GIB, "flag")


def test_tokens_alone_give_a_speed_while_they_become_more() -> None:
    lines = [line(t=0, tokens=0), line(t=1, tokens=10), line(t=2, tokens=20), line(t=60, tokens=20)]
    latest = alone(*lines).history.latest
    assert latest is not None
    assert (latest.tokens, latest.steps, latest.decode) == (20, 20, 2_000_000)


def test_mlxtops_own_json_is_followed_with_its_events() -> None:
    rows = [
        {"type": "session", "model": "Qwen"},
        {
            "type": "sample",
            "time": 1.0,
            "active": 5,
            "cache": 6,
            "peak": 7,
            "phase": "decode",
            "steps": 3,
            "decode": 9,
        },
        {"type": "event", "time": 1.5, "kind": "clear", "source": "program", "freed": 6},
    ]
    session = alone("".join(json.dumps(row) + "\n" for row in rows))
    assert session.title == "Qwen"
    assert session.history.latest is not None
    assert session.history.latest[1:4] == (5, 6, 7)
    assert [event.data.freed for event in session.timeline.between(CacheCleared, 0, inf)] == [6]


def test_more_text_than_a_person_could_see_is_left_out_and_told() -> None:
    # At once: how much comes in a fifth of a second depends on no clock then.
    text = "a line of a log that says nothing about memory\n" * 20_000
    fleet = followed(text + line())
    assert fleet.transcript is not None
    (session,) = fleet.members()
    assert session.history.count == 1, "every line is looked at"
    assert fleet.transcript.left_out > 0
    assert "of output left out" in log(fleet)


def test_a_peak_alone_shows_no_number_that_nobody_told() -> None:
    session = alone("Peak mem 1.500 GB\n")
    summary = summarize(session)
    assert (summary["run_peak"], summary["end"], summary["growth"]) == (1_500_000_000, None, None)
    assert "-1" not in describe(summary)
    sample = session.history.latest
    assert sample is not None
    assert set(split(sample, True).values()) == {None}
    row = session_row(session, None, (), ())
    assert (row.active, row.cache, row.peak, row.total) == (None, None, 1_500_000_000, None)
