"""The clock of another machine, as ours sees it."""

from math import inf

DRIFT = 1e-4
"""Seconds by which two clocks may part in a second. One that is being set parts faster: then the last answer
alone counts."""


class Clock:
    """Where the zero of another clock lies on ours. Times are seconds.

    Whoever asks it at one moment and hears a reading at another knows that it was read in between. Each
    answer narrows the bounds. Meanwhile they widen by what the clocks may drift.
    """

    def __init__(self) -> None:
        self._low, self._high, self._at = -inf, inf, 0.0
        self.origin: float | None = None
        """The moment of our clock at which the other's was zero. It stays as long as it is within the bounds.
        `None` before the first answer."""

    @property
    def uncertainty(self) -> float:
        """`origin` was right within so many seconds when last heard; infinite before."""
        return inf if self.origin is None else max(self.origin - self._low, self._high - self.origin)

    def hear(self, asked: float, heard: float, reading: float) -> None:
        """Takes an answer: the other clock said `reading` between the moments `asked` and `heard` of ours."""
        first, last = asked - reading, heard - reading
        drift = DRIFT * (heard - self._at)
        low, high = max(first, self._low - drift), min(last, self._high + drift)
        if low > high:
            # One of the machines was asleep, or its clock was set.
            low, high = first, last
        self._low, self._high, self._at = low, high, heard
        if self.origin is None or not low <= self.origin <= high:
            self.origin = (low + high) / 2
