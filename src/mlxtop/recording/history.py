"""The samples of a recorded session, with the interface of a live session's history."""

from collections.abc import Callable, Sequence
from functools import cached_property
from math import inf

from mlxtop.core.resample import WIDTHS, Columns, pick_level, resample
from mlxtop.core.sample import COUNTERS, GAUGES, UNKNOWN, Sample
from mlxtop.recording.reader import Recording, SessionInfo

MOST_RAW = 40_000
"""The most samples read for one chart. Beyond that, buckets of a second are read."""

LAST_WORDS = 10.0
"""Seconds. Events up to this long after the last sample are still on the time axis."""


class RecordedHistory:
    """The samples of one recorded session up to `now()` (the playhead or the end), like `core.history`."""

    def __init__(self, recording: Recording, about: SessionInfo, now: Callable[[], float]) -> None:
        self._recording = recording
        self._id = about.id
        self._interval = about.interval
        self._now = now
        self.end = recording.last(about.id)
        self._latest: Sample | None = None
        self._latest_at = -1.0
        self._seen, self._highest = 0.0, (UNKNOWN, UNKNOWN)

    @cached_property
    def first(self) -> Sample | None:
        """The first sample."""
        return self._recording.first(self._id)

    @property
    def count(self) -> int:
        """The number of samples, including those after `now()`."""
        return self._recording.count(self._id)

    @property
    def latest(self) -> Sample | None:
        """The last sample up to `now()`."""
        now = self._now()
        if now != self._latest_at:
            self._latest, self._latest_at = self.at(now), now
        return self._latest

    def highest(self) -> tuple[int, int]:
        """The highest total and footprint up to `now()`, in bytes; `UNKNOWN` where none is known."""
        now = self._now()
        if now + 1e-6 < self._seen:
            self._seen, self._highest = 0.0, (UNKNOWN, UNKNOWN)
        # Whole buckets first, the widest before the others: so few rows are read.
        for level in reversed(range(len(WIDTHS) + 1)):
            width = WIDTHS[level - 1] if level else 0.0
            end = now // width * width if level else now + 1e-6
            if end > self._seen:
                rows = self._recording.rows(self._id, level, self._seen, end)
                tops = (rows.hi[GAUGES.index(name)] for name in ("total", "footprint"))
                total, footprint = (max(top, default=UNKNOWN) for top in tops)
                self._highest = max(self._highest[0], total), max(self._highest[1], footprint)
                self._seen = end
        return self._highest

    def at(self, time: float) -> Sample | None:
        """The last sample at or before `time`."""
        return self._recording.at(self._id, time)

    def columns(
        self,
        start: float,
        width: float,
        count: int,
        gauges: Sequence[str] = GAUGES,
        counters: Sequence[str] = COUNTERS,
        until: float = inf,
    ) -> Columns:
        """See `History.columns`."""
        few = width * count / self._interval <= MOST_RAW
        level = pick_level(width, lambda level: level > 0 or few)
        hold = max(2.5 * self._interval, width, WIDTHS[level - 1] if level else 0.0)
        end = min(start + width * count, until + 1e-6)
        rows = self._recording.rows(self._id, level, start - hold, end)
        return resample(rows, start, width, count, hold=hold, gauges=gauges, counters=counters)
