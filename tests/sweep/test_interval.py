import random
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.sweep.interval import losses, quantiles, spread

# Student's t, upper points, from the usual tables.
TABLE = [
    (4, 0.975, 2.776), (4, 0.995, 4.604), (6, 0.99, 3.143), (10, 0.995, 3.169), (10, 0.9995, 4.587),
    (20, 0.975, 2.086), (30, 0.9995, 3.646), (60, 0.995, 2.660), (120, 0.975, 1.980),
]  # fmt: skip
numbers = st.floats(0.1, 1e6)


@pytest.mark.parametrize(("freedom", "probability", "value"), TABLE)
def test_student_against_the_table(freedom: int, probability: float, value: float) -> None:
    found = float(quantiles(probability, np.array(float(freedom))))
    assert found == pytest.approx(value, rel=0.03 if freedom < 10 else 0.005)


def test_student_knows_nothing_below_three_degrees_of_freedom() -> None:
    assert np.isinf(quantiles(0.975, np.array([0.0, 2.0]))).all()


@given(st.lists(numbers, min_size=1, max_size=40))
def test_a_median_lies_within_its_interval_and_that_within_the_values(values: list[float]) -> None:
    found = spread(tuple(values))
    assert found is not None
    assert found.median == pytest.approx(statistics.median(values))
    assert found.repeats == len(values)
    if len(values) < 3:
        assert np.isnan(found.low)
    else:
        assert min(values) <= found.low <= found.median * (1 + 1e-12)
        assert found.median <= found.high * (1 + 1e-12) <= max(values) * (1 + 1e-9)


def test_of_nothing_there_is_no_median() -> None:
    assert spread(()) is None


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    chance = random.Random(3)
    held = 0
    for _ in range(400):
        found = spread(tuple(chance.gauss(100, 5) for _ in range(15)))
        assert found is not None
        held += found.low <= 100 <= found.high
    assert held >= 0.9 * 400


@given(st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=3), min_size=5, max_size=9), st.floats(-9, 9))
def test_only_differences_within_a_round_count(rows: list[list[float]], shift: float) -> None:
    logs = np.array(rows)
    moved = logs + shift * np.arange(len(logs))[:, None]
    one, other = losses(logs), losses(moved)
    assert np.allclose(one.loss, other.loss, atol=1e-7)
    assert np.allclose(one.most, other.most, atol=1e-6)
    assert (one.most >= one.loss - 1e-12).all()
    assert (one.least <= one.loss + 1e-12).all()


@given(st.permutations(range(4)))
def test_the_order_of_the_choices_is_nothing(order: list[int]) -> None:
    logs = np.random.default_rng(1).normal(0, 0.1, (6, 4))
    assert np.allclose(losses(logs).most[order], losses(logs[:, order]).most)


def test_a_missing_cell_takes_only_its_own_pairs_away() -> None:
    logs = np.random.default_rng(2).normal(0, 0.01, (8, 3))
    whole = losses(logs)
    logs[3, 0] = np.nan
    part = losses(logs)
    assert part.rounds.tolist() == [7, 7, 7]
    assert np.isfinite(part.most).all()
    assert not np.allclose(whole.most, part.most)


def test_nothing_measured_is_nothing_known() -> None:
    for logs in (np.full((0, 3), 0.0), np.full((4, 3), np.nan), np.zeros((1, 3))):
        found = losses(logs)
        assert np.isinf(found.most).all()
        assert (found.least < 0).all()
        assert np.isinf(found.half).any()


def test_many_sweeps_at_once_are_each_what_they_are_alone() -> None:
    logs = np.random.default_rng(4).normal(0, 0.1, (5, 2, 7, 3))
    together = losses(logs)
    for i in range(5):
        for j in range(2):
            alone = losses(logs[i, j])
            assert np.allclose(alone.most, together.most[i, j])
            assert np.allclose(alone.half, together.half[i, j])
