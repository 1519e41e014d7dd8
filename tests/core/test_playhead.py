"""Where a replay stands, on a clock that the test turns."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.core import playhead
from mlxtop.core.playhead import SPEEDS, Playhead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(playhead, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@given(st.floats(0, 1e6), st.floats(-1e9, 1e9))
def test_no_moment_outside_of_the_recording_is_reached(end: float, at: float) -> None:
    head = Playhead(end)
    head.seek(at)
    assert head.now() == sorted((0.0, at, end))[1]


@given(st.lists(st.integers(-3, 3)))
def test_a_speed_is_always_one_of_the_ladder(steps: list[int]) -> None:
    head = Playhead(10.0)
    for step in steps:
        before = SPEEDS.index(head.speed)
        head.faster(step)
        assert head.speed == SPEEDS[min(max(before + step, 0), len(SPEEDS) - 1)]


def test_time_passes_while_it_plays_at_its_speed_and_a_change_of_speed_is_no_jump(clock) -> None:
    head = Playhead(100.0)
    clock.now += 5
    assert head.now() == 0.0, "it begins paused"
    head.toggle()
    clock.now += 5
    assert head.now() == 5.0
    head.faster(1)
    assert head.now() == 5.0
    clock.now += 5
    assert head.now() == 15.0
    head.toggle()
    clock.now += 5
    assert head.now() == 15.0


def test_at_the_end_it_stops_and_then_plays_from_the_beginning(clock) -> None:
    head = Playhead(10.0)
    head.toggle()
    clock.now += 60
    assert (head.now(), head.playing) == (10.0, False)
    head.toggle()
    clock.now += 4
    assert (head.now(), head.playing) == (4.0, True)
