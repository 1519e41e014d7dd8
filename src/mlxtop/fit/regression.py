"""A straight line through measured points, and how far off it may be where nothing was measured."""

import math
from collections.abc import Sequence
from typing import NamedTuple

# Student's t, two-sided 95 %, for 1, 2, 3… degrees of freedom.
T95 = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
LEAST = 3
"""Points that a line is drawn through: with fewer nothing tells how straight they lie."""


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
        return self.level + self.slope * (x - self.middle)

    def margin(self, x: float) -> float:
        """Half the 95 % prediction interval at `x`."""
        t = T95[self.points - 3] if self.points - 3 < len(T95) else 1.96 + 2.6 / (self.points - 2)
        far = 1 + 1 / self.points + (x - self.middle) ** 2 / self.spread
        return t * self.residual * math.sqrt(far)


def least_squares(xs: Sequence[float], ys: Sequence[float]) -> Line:
    """The line through at least `LEAST` points with distinct `xs`."""
    count = len(xs)
    middle, level = sum(xs) / count, sum(ys) / count
    spread = sum((x - middle) ** 2 for x in xs)
    slope = sum((x - middle) * (y - level) for x, y in zip(xs, ys, strict=True)) / spread
    rest = sum((y - level - slope * (x - middle)) ** 2 for x, y in zip(xs, ys, strict=True))
    return Line(middle, level, slope, math.sqrt(rest / (count - 2)), spread, count)
