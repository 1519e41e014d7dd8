"""Where a replay stands in time."""

import time

SPEEDS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 600.0)


class Playhead:
    """Where a replay stands, in seconds since the recording began, and whether it moves."""

    def __init__(self, end: float) -> None:
        self.end = end
        self.speed = 1.0
        self.playing = False
        self._at = 0.0
        self._since = 0.0

    def now(self) -> float:
        if not self.playing:
            return self._at
        at = self._at + (time.monotonic() - self._since) * self.speed
        if at >= self.end:
            self.seek(self.end)
            self.playing = False
        return min(at, self.end)

    def seek(self, at: float) -> None:
        """Goes to a moment, the nearest there is."""
        self._at, self._since = min(max(at, 0.0), self.end), time.monotonic()

    def toggle(self) -> None:
        """Plays or pauses; at the end it plays from the beginning."""
        at = self.now()
        self.seek(0.0 if at >= self.end else at)
        self.playing = not self.playing

    def faster(self, steps: int) -> None:
        """So many steps faster, slower when negative."""
        self.seek(self.now())
        at = SPEEDS.index(self.speed) + steps
        self.speed = SPEEDS[max(0, min(len(SPEEDS) - 1, at))]
