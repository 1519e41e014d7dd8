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

    def add(self, began: float, ended: float, queued: bool) -> None:
        """A step took from `began` to `ended`, in seconds; `queued`: it only queued its work."""
        pause = began - self._last
        if pause < WAITED or (self._queued and pause < 8 * self._usual):
            began = self._last
        self.busy += int((ended - began) * 1e6)
        self.count += 1
        self._usual += (min(pause, 60.0) - self._usual) / 8
        self._last, self._queued = ended, queued
