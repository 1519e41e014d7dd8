import random

import pytest

from mlxtop.core.stats import LEAST_POINTS, least_squares, student

# Student's t, upper points, from the usual tables: degrees of freedom, probability, quantile.
TABLE = [
    (1, 0.975, 12.706), (2, 0.975, 4.303), (2, 0.995, 9.925), (3, 0.975, 3.182), (4, 0.975, 2.776),
    (4, 0.995, 4.604), (5, 0.995, 4.032), (10, 0.995, 3.169), (20, 0.975, 2.086), (30, 0.995, 2.750),
    (60, 0.995, 2.660), (120, 0.975, 1.980), (1000, 0.995, 2.581),
]  # fmt: skip


@pytest.mark.parametrize(("freedom", "probability", "value"), TABLE)
def test_students_t_is_that_of_the_tables(freedom: int, probability: float, value: float) -> None:
    assert student(probability, freedom) == pytest.approx(value, rel=0.003)


def test_a_straight_line_has_no_error() -> None:
    line = least_squares([1, 2, 4], [10, 13, 19])
    assert line.at(100) == pytest.approx(307)
    assert line.residual == pytest.approx(0, abs=1e-9)
    assert line.margin(100) == pytest.approx(0, abs=1e-9)


def test_the_further_out_the_larger_the_margin() -> None:
    line = least_squares([1, 2, 3, 4], [10, 13.2, 15.9, 19.1])
    assert line.margin(4) < line.margin(40) < line.margin(400)


@pytest.mark.parametrize("points", [LEAST_POINTS, 5, 8, 30])
def test_the_margin_holds_in_95_of_100_worlds(points: int) -> None:
    luck = random.Random(points)
    xs = list(range(1, points + 1))
    held = 0
    for _ in range(2000):
        line = least_squares(xs, [3 * x + 7 + luck.gauss(0, 2) for x in xs])
        far = 3 * points
        held += abs(line.at(far) - (3 * far + 7 + luck.gauss(0, 2))) <= line.margin(far)
    assert 0.93 < held / 2000 < 0.97
