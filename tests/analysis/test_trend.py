import random
from itertools import combinations
from math import exp, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.analysis.trend import floors, growth
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.stats import MOST, theil_sen

MIB = 2**20
TIMES = [50.0 * i for i in range(12)]


def test_the_slope_of_a_line_is_its_slope() -> None:
    slope = theil_sen(TIMES, [3.0 * t + 7 for t in TIMES])
    assert slope is not None
    assert slope == pytest.approx((3.0, 3.0, 3.0, 1.0))


def test_four_points_worked_by_hand() -> None:
    slope = theil_sen([0, 1, 2, 3], [1, 2, 4, 3], z=1.0)
    # The slopes of the six pairs: -1, 1/2, 2/3, 1, 3/2, 2; five rise and one falls.
    assert slope is not None
    assert (slope.value, slope.tau) == pytest.approx(((2 / 3 + 1) / 2, 4 / 6))
    # sqrt(4 * 3 * 13 / 18) = 2.94: from the (6 - 2.94) / 2 = 2nd to the (6 + 2.94) / 2 + 1 = 5th.
    assert (slope.low, slope.high) == (0.5, 1.5)


def test_a_quarter_of_outliers_moves_nothing() -> None:
    values = [10.0 * i for i in range(12)]
    values[2] = values[7] = 1e9
    values[5] = -1e9
    slope = theil_sen(range(12), values)
    assert slope is not None
    assert slope.value == pytest.approx(10, rel=0.3)


def test_the_interval_holds_the_slope_as_often_as_it_says() -> None:
    rng, held, runs = random.Random(3), 0, 600
    for _ in range(runs):
        slope = theil_sen(range(12), [0.5 * i + rng.gauss(0, 1) for i in range(12)])
        assert slope is not None
        held += slope.low <= 0.5 <= slope.high
    assert held / runs > 0.975


def test_no_slope_without_three_different_times() -> None:
    assert theil_sen([], []) is None
    assert theil_sen([1, 1, 1], [1, 2, 3]) is None
    assert theil_sen([1, 2], [1, 2]) is None


def test_many_points_cost_as_much_as_few() -> None:
    slope = theil_sen(range(100 * MOST), [2.0 * i for i in range(100 * MOST)])
    assert slope is not None
    assert slope.value == 2.0


def test_of_many_points_the_first_and_the_last_are_among_the_few() -> None:
    still = [0.0] * (100 * MOST - 1)
    for values, sign in (([*still, 1.0], 1), ([1.0, *still], -1)):
        slope = theil_sen(range(100 * MOST), values)
        assert slope is not None
        assert slope.tau * sign > 0


def test_what_is_equal_neither_rises_nor_falls() -> None:
    slope = theil_sen([1, 2, 3], [5, 5, 6])
    assert slope is not None
    assert slope.tau == pytest.approx(2 / 3)


@pytest.mark.parametrize("count", [3, 4, 5])
def test_few_points_have_no_interval(count: int) -> None:
    slope = theil_sen(range(count), [2**i for i in range(count)])
    assert slope is not None
    assert (slope.low, slope.high) == (-inf, inf)


@pytest.mark.parametrize(("count", "low", "high"), [(6, 0, 14), (12, 13, 52)])
def test_the_interval_is_gilberts(count: int, low: int, high: int) -> None:
    values = [2.0**i for i in range(count)]
    slope = theil_sen(range(count), values)
    slopes = sorted((values[j] - values[i]) / (j - i) for i, j in combinations(range(count), 2))
    # Twelve points: 2.576 * sqrt(12 * 11 * 29 / 18) = 37.6; the (66 - 37.6) / 2 = 14th to the
    # (66 + 37.6) / 2 + 1 = 53rd slope. Six points: just all 15.
    assert slope is not None
    assert (slope.low, slope.high) == (slopes[low], slopes[high])


def test_floors_are_the_lower_envelope() -> None:
    assert floors([3, 5, 9, 4, UNKNOWN, 8, UNKNOWN, UNKNOWN], 2) == [3, 4, 8, None]


def test_a_line_is_a_growth() -> None:
    found = growth(TIMES, [100 * MIB + 4 * MIB * i for i in range(12)], 16 * MIB)
    assert (found.found, found.grown, found.span) == ("yes", 44 * MIB, 550)
    assert found.slope.value * 50 == pytest.approx(4 * MIB)


FLOORS = [
    ([0] * 12, "no", ""),
    ([1 * i for i in range(12)], "no", ""),  # less than the least
    ([40 - i for i in range(12)], "no", ""),
    ([0] * 6 + [500] * 6, "no", ""),  # a step
    ([0] * 11 + [500], "no", ""),
    ([1 * i for i in range(11)] + [100], "no", "it was one step"),
    ([2 * i + 60 * (i > 5) for i in range(12)], "unclear", "most of it was one step"),
    ([0] * 4 + [100] * 4 + [200] * 4, "no", ""),  # two steps, and it rests longer than between them
    ([50 * (i // 3) for i in range(12)], "unclear", "it rose in a few steps"),
    ([200 * (1 - exp(-i / 2)) for i in range(12)], "no", "it has stopped"),  # a warm-up
    ([20 * min(i, 7) + 3.2 * max(i - 7, 0) for i in range(12)], "no", "it levels off"),
    ([200 * (1 - exp(-i / 8)) for i in range(12)], "unclear", "it levels off"),  # one that is not over yet
    ([0, 90, 30, 120, 60, 150, 90, 180, 120, 210, 150, 240], "unclear", "it goes up and down"),
    ([4 * i for i in range(10)] + [36, 36], "unclear", "it has stopped"),  # a moment ago
    ([4 * i for i in range(8)] + [28] * 4, "no", "it has stopped"),
    ([1.3 * i for i in range(11)] + [17.3], "unclear", "it is small"),  # but for the last floor
    ([10 * (i // 2) for i in range(12)], "yes", ""),  # in steps, and going on
    ([6 * i + (i % 3) for i in range(12)], "yes", ""),
]


@pytest.mark.parametrize("later", [0.0, 7777.0])
@pytest.mark.parametrize("higher", [0, 5000])
@pytest.mark.parametrize(("values", "found", "why"), FLOORS)
def test_what_is_a_growth_and_what_is_not(
    values: list[float], found: str, why: str, higher: int, later: float
) -> None:
    result = growth([t + later for t in TIMES], [(v + higher) * MIB for v in values], 16 * MIB)
    assert (result.found, result.why) == (found, why)
    assert result.span == 550
    assert result.grown <= (values[-1] - values[0]) * MIB


@pytest.mark.parametrize(("share", "found"), [(0.265, "unclear"), (0.295, "yes")])
def test_a_growth_has_its_share_in_the_last_third(share: float, found: str) -> None:
    knee = TIMES[-1] * 2 / 3
    values = [(1 - share) * min(t / knee, 1) + share * max(t - knee, 0) / (TIMES[-1] - knee) for t in TIMES]
    assert growth(TIMES, [v * 100 * MIB for v in values], 16 * MIB).found == found


def test_missing_floors_leave_a_line_a_line_and_too_many_leave_doubt() -> None:
    line: list[float | None] = [8.0 * MIB * i for i in range(12)]
    line[3] = line[4] = line[9] = None
    assert growth(TIMES, line, 16 * MIB).found == "yes"
    line[6] = None
    doubt = growth(TIMES, line, 16 * MIB)
    assert (doubt.found, doubt.why) == ("unclear", "samples are missing")
    assert growth([7.0] * 12, [0.0] * 12, 16 * MIB) == doubt, "nor at one moment"


@given(st.lists(st.one_of(st.none(), st.integers(-(2**62), 2**62)), min_size=12, max_size=12))
def test_any_floors_have_an_answer(values: list[int | None]) -> None:
    found = growth(TIMES, values, 16 * MIB)
    assert found.found in ("no", "unclear", "yes")
    if found.found == "yes":
        assert found.grown >= 16 * MIB
        assert found.slope.low > 0
