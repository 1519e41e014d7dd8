"""The highest steps of a run."""

from hypothesis import given
from hypothesis import strategies as st

from mlxtop.core.events import Event, StepPeaked
from mlxtop.core.peaks import MOST, NEAR, Candidate, HighestSteps, highest
from mlxtop.core.state import State

STEPS = st.lists(
    st.tuples(
        st.floats(0, 0.7), st.integers(1, 50), st.sampled_from(["prefill", "decode"]), st.integers(1, 3)
    )
)


def candidates(steps: list[tuple[float, int, str, int]]) -> list[Candidate]:
    found, time = [], 0.0
    for number, (gap, peak, phase, line) in enumerate(steps):
        time += gap
        found.append(Candidate(time, peak, 0, number, phase, ("train.py", line)))
    return found


@given(STEPS)
def test_the_highest_is_listed_and_nothing_above_the_least_is_missed(
    steps: list[tuple[float, int, str, int]],
) -> None:
    log, added = HighestSteps(), candidates(steps)
    for one in added:
        log.add(one)
    told = list(log.settled())
    assert max((one.peak for one in told), default=0) == max((one.peak for one in added), default=0)
    assert len(told) <= MOST
    for one in added:
        assert (
            one in told
            or one.peak <= log.least
            or any(
                other.place == one.place
                and other.phase == one.phase
                and abs(other.time - one.time) < NEAR
                and other.peak >= one.peak
                for other in told
            )
        )
    assert list(log.settled()) == []


@given(STEPS)
def test_told_as_they_settle_they_come_to_the_same_list(steps: list[tuple[float, int, str, int]]) -> None:
    log, state = HighestSteps(), State()
    for one in candidates(steps):
        log.add(one)
        for told in log.settled(one.time):
            state.apply(Event(told.time, StepPeaked(told.peak, 0, told.step, told.phase)))
    for told in log.settled():
        state.apply(Event(told.time, StepPeaked(told.peak, 0, told.step, told.phase)))
    assert [event.data.peak for event in state.peaks] == [one.peak for one in log._found]


def test_of_a_place_one_a_second_is_told() -> None:
    log = HighestSteps()
    times = [n / 100 for n in range(1000)]
    told = []
    for n, time in enumerate(times):
        log.add(Candidate(time, n + 1, 0, n, "decode", ("generate.py", 1)))
        told += list(log.settled(time))
    assert 9 <= len([*told, *log.settled()]) <= 11


def test_of_equal_peaks_the_earlier_is_kept() -> None:
    steps = [Event(float(n), StepPeaked(5, 0, n, "run")) for n in range(20)]
    assert highest(steps) == steps[:MOST]
