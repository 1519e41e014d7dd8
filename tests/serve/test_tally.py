"""What is counted of a session, and since when."""

import pytest

from mlxtop.core.events import CacheCleared, EventData, GenerationFinished, LimitChanged, PhaseChanged
from mlxtop.serve.histogram import Histogram
from mlxtop.serve.tally import kind_of
from tests.serve.simulated import LATER, sample, tell, watched

BEFORE = -LATER
"""Long before the session was met."""


def test_what_was_before_is_not_counted() -> None:
    """An agent tells it again to each viewer: counted, it would come twice."""
    clears, change = (
        CacheCleared("train.py:3", 7, times=5),
        LimitChanged("cache", 1, 2, "train.py:4", times=3),
    )
    found = LimitChanged("cache", 1, 1, "MLX's default", found=True)
    one = tell(watched(), (BEFORE, clears), (BEFORE, change), found)
    assert one.tally.clears == 0
    assert one.tally.limit_changes.total() == 0
    tell(one, clears, clears, change)
    assert one.tally.clears == 10
    assert one.tally.limit_changes["program"] == 3


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("keyboard", "keyboard"),
        ("budget", "budget"),
        ("mlxtop", "mlxtop"),
        ("mlx_lm/generate.py:463", "mlx_lm"),
        ("app/train.py:3", "program"),
        ('"\n', "program"),
    ],
)
def test_a_source_is_one_of_few(source: str, kind: str) -> None:
    assert kind_of(source) == kind


def test_a_step_counts_with_the_highest_since_the_one_before() -> None:
    one = tell(watched(), sample(1.0, steps=10), sample(1.1, steps=10, high=5000))
    tell(one, sample(1.2, steps=12, high=3000), sample(1.3, steps=13, high=2**26))
    assert one.tally.step_peaks.cumulative()[:2] == [(2.0**24, 2), (2.0**26, 3)]
    assert one.tally.step_peaks.sum == 2 * 5000 + 2**26


def test_a_step_of_which_nobody_knows_the_peak_is_not_counted() -> None:
    one = tell(watched(), sample(1.0, steps=1), sample(1.1, steps=2), sample(1.2, steps=1, high=9000))
    assert one.tally.step_peaks.cumulative() == []


GENERATION = [("prefill", 1.0), ("decode", 2.0), ("idle", 4.5)]


@pytest.mark.parametrize(
    ("phases", "spans"),
    [
        (GENERATION, [3.5]),
        (
            [*GENERATION, ("decode", 10.0), ("prefill", 11.0), ("decode", 12.0), ("run", 13.0)],
            [3.5, 1.0, 2.0],
        ),
        ([("prefill", 1.0), ("prefill", 2.0), ("idle", 3.0)], []),
        ([("decode", 1.0), ("decode", 2.0), ("load", 3.0)], [2.0]),
        ([("train", 1.0), ("idle", 2.0)], []),
    ],
)
def test_generations_are_timed_by_the_phases(phases: list[tuple[str, float]], spans: list[float]) -> None:
    one = tell(watched(), *((time, PhaseChanged(name)) for name, time in phases))
    assert one.tally.generations.sum == pytest.approx(sum(spans))
    assert [count for _, count in one.tally.generations.cumulative()[-1:]] == [len(spans)][: len(spans)]


def test_a_generation_that_is_told_counts_once() -> None:
    told: list[EventData] = [
        GenerationFinished(20, 5, 0.5, 10.0, 9.0, "stop"),
        *map(PhaseChanged, ("decode", "idle")),
    ]
    assert tell(watched(), *told).tally.generations.sum == pytest.approx(2.5)


def test_a_histogram_counts_what_is_not_above_each_bound() -> None:
    histogram = Histogram((1.0, 2.0))
    assert histogram.cumulative() == []
    for value, times in ((0.5, 1), (1.0, 1), (1.5, 3), (9.0, 2)):
        histogram.add(value, times)
    assert histogram.cumulative() == [(1.0, 2), (2.0, 5), (float("inf"), 7)]
    assert histogram.sum == 24.0
