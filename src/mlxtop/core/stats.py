"""Statistics of small samples: a robust slope, a straight line, and the quantiles of Student's t.

Robust slope: the median of the slopes of all pairs (Theil 1950; Sen, "Estimates of the regression
coefficient based on Kendall's tau", JASA 63 (1968) 1379-1389). Its interval is Sen's, by the variance of
Kendall's S under no trend (Gilbert, "Statistical Methods for Environmental Pollution Monitoring" (1987),
section 16.5). Up to 29 % of the points may be anything without moving the slope at will.
"""

from collections.abc import Sequence
from itertools import combinations
from math import pi, sqrt, tan
from statistics import NormalDist, median
from typing import NamedTuple

Z99 = 2.576
"""The normal quantile of a two-sided interval of 99 %."""
MOST = 60
"""Points a slope is taken from; more are thinned out, for the work grows with their square."""
LEAST_POINTS = 3
"""Points that a line is drawn through: with fewer nothing tells how straight they lie."""


class Slope(NamedTuple):
    """Change per second, the ends of its interval, and Kendall's tau (1: every later point is higher)."""

    value: float
    low: float
    high: float
    tau: float


def theil_sen(times: Sequence[float], values: Sequence[float], z: float = Z99) -> Slope | None:
    """The robust slope of `values` over `times` (rising); `None` for fewer than three different times.

    `z` is the quantile of the interval: 2.576 for 99 %.
    """
    points = list(zip(times, values, strict=True))
    if len(points) > MOST:
        points = [points[round(i * (len(points) - 1) / (MOST - 1))] for i in range(MOST)]
    slopes, score = [], 0
    for (t, v), (u, w) in combinations(points, 2):
        if u > t:
            slopes.append((w - v) / (u - t))
            score += (w > v) - (w < v)
    if len(slopes) < 3:
        return None
    slopes.sort()
    pairs, n = len(slopes), len(points)
    # Ties are not taken out of the variance: the interval is the wider for it.
    reach = z * sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low, high = round((pairs - reach) / 2) - 1, round((pairs + reach) / 2)
    return Slope(
        median(slopes),
        slopes[low] if low >= 0 else float("-inf"),
        slopes[high] if high < pairs else float("inf"),
        score / pairs,
    )


class Line(NamedTuple):
    """Least squares: `value = level + slope * (x - middle)`."""

    middle: float
    level: float
    slope: float
    residual: float
    """The standard error of a point about the line."""
    spread: float
    """The sum of squares of the points' distances from the middle."""
    points: int

    def at(self, x: float) -> float:
        """The value of the line at `x`."""
        return self.level + self.slope * (x - self.middle)

    def margin(self, x: float) -> float:
        """Half the 95 % prediction interval at `x`."""
        far = 1 + 1 / self.points + (x - self.middle) ** 2 / self.spread
        return student(0.975, self.points - 2) * self.residual * sqrt(far)


def least_squares(xs: Sequence[float], ys: Sequence[float]) -> Line:
    """The line through at least `LEAST_POINTS` points with distinct `xs`."""
    count = len(xs)
    middle, level = sum(xs) / count, sum(ys) / count
    spread = sum((x - middle) ** 2 for x in xs)
    slope = sum((x - middle) * (y - level) for x, y in zip(xs, ys, strict=True)) / spread
    rest = sum((y - level - slope * (x - middle)) ** 2 for x, y in zip(xs, ys, strict=True))
    return Line(middle, level, slope, sqrt(rest / (count - 2)), spread, count)


def student(probability: float, freedom: float) -> float:
    """The quantile of Student's t; `freedom` is 1, 2, or any number of degrees of freedom from 3.

    Exact for 1 and 2; else the expansion of Abramowitz and Stegun, "Handbook of Mathematical Functions",
    26.7.5. It is off by 0.1 % at 97.5 % and three degrees of freedom, by 0.3 % at 99.5 % and four; more
    further out.
    """
    if freedom == 1:
        return tan(pi * (probability - 0.5))
    if freedom == 2:
        return (2 * probability - 1) / sqrt(2 * probability * (1 - probability))
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, 1))
