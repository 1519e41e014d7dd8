"""A histogram as Prometheus wants it: how many values there were up to each bound, and their sum."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate


class Histogram:
    """Counts values by `bounds`, which rise; a value that is equal to one is below it."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float, times: int = 1) -> None:
        """Takes in `times` values that are alike."""
        self._counts[bisect_left(self._bounds, value)] += times
        self.sum += value * times

    def cumulative(self) -> list[tuple[float, int]]:
        """The bounds, infinity last, and how many values were not above each; empty without any value."""
        counts = list(accumulate(self._counts))
        return list(zip((*self._bounds, float("inf")), counts, strict=True)) if counts[-1] else []
