"""What counts as work, in a program whose steps and pauses are written down."""

import pytest

from mlxtop.agent.step_clock import StepClock


def clock(*steps: tuple[float, float], queued: bool = False) -> StepClock:
    """Steps, each with the pause before it and how long it takes, in seconds."""
    made, now = StepClock(), 1000.0
    for pause, takes in steps:
        began = now + pause
        now = began + takes
        made.add(began, now, queued)
    return made


def rate(made: StepClock) -> float:
    return made.count / made.busy * 1e6


def test_a_long_step_is_work_among_short_ones_too() -> None:
    made = clock(*[(0.01, 0.01)] * 20, (0.01, 90.0), *[(0.01, 0.01)] * 20)
    assert made.count == 41
    assert made.busy == pytest.approx(90.8e6, rel=0.01)


def test_the_first_step_counts() -> None:
    made = clock((0.0, 30.0))
    assert (made.count, made.busy) == (1, 30_000_000)


def test_a_program_that_sleeps_between_its_steps_works_only_in_them() -> None:
    assert rate(clock(*[(1.0, 0.02)] * 50)) == pytest.approx(50, rel=0.01)


def test_short_pauses_are_work_as_of_a_program_that_builds_its_graph() -> None:
    assert rate(clock(*[(0.1, 0.1)] * 50)) == pytest.approx(5, rel=0.02)


def test_the_device_works_after_a_step_that_was_queued() -> None:
    made = clock(*[(0.6, 0.001)] * 50, queued=True)
    assert rate(made) == pytest.approx(1 / 0.601, rel=0.1)
    # Then nobody asks for anything.
    busy, now = made.busy, 5000.0
    made.add(now, now + 0.001, True)
    assert made.busy - busy < 10_000


def test_steps_of_two_threads_take_the_time_of_their_union() -> None:
    made = StepClock()
    for n in range(40):
        began = 12.0 + n * 0.1
        made.add(began, began + 0.05, False)
    made.add(10.0, 20.0, False)
    assert made.count == 41
    assert made.busy <= 10e6
    assert made.busy == pytest.approx(8e6, rel=0.02)
