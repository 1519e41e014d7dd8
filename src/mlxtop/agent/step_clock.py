"""How many steps a program did, and how long it worked on them."""

WAITED = 0.25
"""Seconds between two steps from which a program waits: for a request, a person, a file."""


class StepClock:
    """Counts steps. Those of several threads that overlap take the time of their union.

    The time inside a step is work, however long it takes. The time between two steps is work if it is short.
    After a step that only queues its work the device goes on: there it is work unless it is far longer than
    usual.
    """

    def __init__(self) -> None:
        self.count = 0
        self.busy = 0
        """Microseconds of work."""
        self._last, self._usual, self._queued = 0.0, 0.0, False

    def enter(self, now: float) -> None:
        """A step begins at `now`, in seconds."""
        gap = now - self._last
        if 0 < gap < WAITED or (self._queued and 0 < gap < 8 * self._usual):
            self.busy += int(gap * 1e6)
        self._usual += (min(gap, 60.0) - self._usual) / 8

    def leave(self, began: float, now: float, queued: bool) -> None:
        """The step that began at `began` is over at `now`; `queued`: it only queued its work."""
        self.busy += int((now - max(began, self._last)) * 1e6)
        self.count += 1
        self._last, self._queued = now, queued
