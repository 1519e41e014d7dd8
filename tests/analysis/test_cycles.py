"""Cycles of a gauge, in columns written down by hand."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.analysis.cycles import cycles
from mlxtop.core.limits import MIB
from mlxtop.core.sample import UNKNOWN

COLUMNS = 120


def columns(values: list[float], each: int = 10) -> tuple[list[int], list[int]]:
    """Extremes of columns of so many values, in MiB."""
    parts = [values[i : i + each] for i in range(0, len(values), each)]
    return [int(min(part) * MIB) for part in parts], [int(max(part) * MIB) for part in parts]


def saw(period: int, low: float = 10, high: float = 1000, count: int = 1200) -> list[float]:
    return [low + (high - low) * (i % period) / period for i in range(count)]


def square(period: int, share: float, low: float = 30, high: float = 1000, count: int = 1200) -> list[float]:
    return [high if i % period < share * period else low for i in range(count)]


@pytest.mark.parametrize("period", [45, 100, 200])
def test_a_sawtooth_has_its_range_its_period_and_its_trough(period: int) -> None:
    found = cycles(100.0, 5.0, *columns(saw(period)))
    assert found is not None
    assert found.low == found.trough == 10 * MIB
    assert 950 * MIB < found.high <= 1000 * MIB
    assert found.period == pytest.approx(period / 2, rel=0.1)
    assert found.regular
    assert found.sure
    assert not found.plateau
    # One value stands for half a second.
    assert found.falls[0] == pytest.approx(100 + period / 2, abs=5)


def test_a_plateau_tells_how_long_it_lasts() -> None:
    found = cycles(0.0, 5.0, *columns(square(120, 35 / 60)))
    assert found is not None
    assert found.plateau
    assert (found.low, found.high) == (30 * MIB, 1000 * MIB)
    assert found.period == 60
    assert found.above == pytest.approx(35, abs=3)


def test_what_comes_at_odd_times_is_not_regular() -> None:
    rng, values = random.Random(1), list[float]()
    while len(values) < 1200:
        values += saw(rng.choice((40, 90, 200)), count=1) * rng.choice((20, 60, 150))
        values += [1000.0] * rng.choice((20, 90))
    found = cycles(0.0, 5.0, *columns(values[:1200]))
    assert found is not None
    assert not found.regular


@pytest.mark.parametrize(
    "values",
    [
        [500.0] * 1200,
        saw(300, low=970),  # little of what there is
        saw(100, low=10, high=60),  # little
        saw(1200),  # one tooth
        saw(600),  # two
        saw(20),  # faster than the columns
        saw(60)[:600] + [10.0] * 600,  # it has stopped
        [10.0] * 600 + [1000.0] * 20 + [10.0] * 580,  # once
        [],
    ],
    ids=["flat", "a small share", "small", "one", "two", "fast", "stopped", "once", "nothing"],
)
def test_what_has_no_cycles(values: list[float]) -> None:
    assert cycles(0.0, 5.0, *columns(values)) is None


def test_columns_that_are_missing_change_little() -> None:
    lows, highs = columns(saw(100))
    for i in range(0, COLUMNS, 7):
        lows[i] = highs[i] = UNKNOWN
    found = cycles(0.0, 5.0, lows, highs)
    assert found is not None
    assert found.period == pytest.approx(50, rel=0.1)


sizes = st.one_of(st.just(UNKNOWN), st.integers(0, 2**45))


@given(st.lists(st.tuples(sizes, sizes), max_size=130))
def test_any_columns_have_an_answer(rows: list[tuple[int, int]]) -> None:
    pairs = [(UNKNOWN, UNKNOWN) if UNKNOWN in row else (min(row), max(row)) for row in rows]
    found = cycles(0.0, 5.0, [lo for lo, _ in pairs], [hi for _, hi in pairs])
    if found is not None:
        assert found.low <= found.trough <= found.high
        assert 0 <= found.above <= found.period
        assert found.falls == sorted(found.falls)
