import random

import pytest

from mlxtop.fit.regression import LEAST, least_squares


def test_a_straight_line_has_no_error() -> None:
    line = least_squares([1, 2, 4], [10, 13, 19])
    assert line.at(100) == pytest.approx(307)
    assert line.residual == pytest.approx(0, abs=1e-9)
    assert line.margin(100) == pytest.approx(0, abs=1e-9)


def test_the_further_out_the_larger_the_margin() -> None:
    line = least_squares([1, 2, 3, 4], [10, 13.2, 15.9, 19.1])
    assert line.margin(4) < line.margin(40) < line.margin(400)


@pytest.mark.parametrize("points", [LEAST, 5, 8, 30])
def test_the_margin_holds_in_95_of_100_worlds(points: int) -> None:
    luck = random.Random(points)
    xs = list(range(1, points + 1))
    held = 0
    for _ in range(2000):
        line = least_squares(xs, [3 * x + 7 + luck.gauss(0, 2) for x in xs])
        far = 3 * points
        held += abs(line.at(far) - (3 * far + 7 + luck.gauss(0, 2))) <= line.margin(far)
    assert 0.93 < held / 2000 < 0.97
