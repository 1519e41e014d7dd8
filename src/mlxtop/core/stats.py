"""Robust statistics of small samples.

Slope: the median of the slopes of all pairs (Theil 1950; Sen, "Estimates of the regression coefficient based
on Kendall's tau", JASA 63 (1968) 1379-1389). Interval: Sen's, by the variance of Kendall's S under no trend
(Gilbert, "Statistical Methods for Environmental Pollution Monitoring" (1987), section 16.5). Up to 29 % of
the points may be anything without moving the slope at will.
"""

from collections.abc import Sequence
from itertools import combinations
from math import sqrt
from statistics import median
from typing import NamedTuple

Z99 = 2.576
"""The normal quantile of a two-sided interval of 99 %."""
MOST = 60
"""Points a slope is taken from; more are thinned out, for the work grows with their square."""


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
