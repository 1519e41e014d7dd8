"""All samples of a session in bounded memory: fine for the last minutes, extremes for the rest.

Level 0 keeps samples as they came. Each level above keeps buckets of a fixed width: the lowest and
the highest of every gauge, the last of every counter. A query takes the finest level that still
reaches back far enough, so no extreme is ever lost and no query grows with the run.
"""

from bisect import bisect_right
from collections.abc import Sequence
from math import inf
from struct import Struct
from threading import Lock

from mlxtop.core.resample import WIDTHS, Columns, Level, Row, close, fold, pick_level, resample, sample_at
from mlxtop.core.sample import COUNTERS, GAUGES, RISING, Sample

_N = len(GAUGES)
_HIGH = Sample._fields.index("high") - 1
_RISING = [GAUGES.index(name) for name in RISING]

BUCKETS = 14_400
"""Buckets that each level above 0 keeps: 4 h, 40 h, 10 d, 100 d."""
RAW_SECONDS = 900.0
RAW_LEAST, RAW_MOST = 4_096, 120_000
UNLIMITED_ROWS = 2**62


class History:
    """The samples of one session. One thread adds, any thread asks.

    Memory is bounded by the levels' sizes whatever the length of the run: under 48 MB.
    """

    def __init__(self, interval: float = 0.1) -> None:
        self.interval = interval
        """Seconds between samples, at most."""
        self._raw = Level(min(max(round(RAW_SECONDS / interval), RAW_LEAST), RAW_MOST), raw=True)
        self._levels = [Level(BUCKETS) for _ in WIDTHS]
        # What the bucket of each level that is still being filled is made of. The first level's lies in
        # `_recent`: samples wait there until their second is over, so that a tick costs one append.
        self._open: list[list[Row]] = [[] for _ in WIDTHS]
        self._recent: list[Sample] = []
        self._second = -1
        self._lock = Lock()
        self.count = 0
        self.first: Sample | None = None
        self.latest: Sample | None = None

    def add(self, sample: Sample) -> None:
        """Takes one sample in. Times must not go backwards."""
        with self._lock:
            second = int(sample[0])
            if second != self._second:
                self._settle()
                self._second = second
            self._recent.append(sample)
            self.count += 1
            self.latest = sample
            if self.first is None:
                self.first = sample

    def _settle(self) -> None:
        """Moves a finished second from `_recent` into the levels."""
        if not self._recent:
            return
        values = self._unfold(self._raw)
        self._raw.trim()
        row = self._reduce(values)
        self._recent.clear()
        self._levels[0].append(row)
        self._fold(1, row)

    def _unfold(self, level: Level) -> list[tuple[int, ...]]:
        """Appends the recent samples to `level`, one row each; returns their gauges, column by column, and
        what rose highest."""
        time, *values, high, buffers = zip(*self._recent, strict=True)
        level.time.extend(time)
        # Packed first: half of what an array takes to look at one number after the other.
        pack = Struct(f"{len(time)}q").pack
        for column, part in zip((*level.lo, *level.last), (*values, buffers), strict=True):
            column.frombytes(pack(*part))
        for gauge in _RISING:
            level.hi[gauge].extend(map(max, values[gauge], high))
        return [*values[:_N], high]

    def _reduce(self, values: Sequence[Sequence[int]]) -> Row:
        """The recent samples, of which `_unfold` returned `values`, as one row of the first level."""
        *gauges, highest = values
        high = max(highest)
        highs = [*map(max, gauges)]
        for gauge in _RISING:
            highs[gauge] = max(highs[gauge], high)
        return Row(float(self._second), [*map(min, gauges)], highs, self._recent[-1].counters)

    def _fold(self, level: int, row: Row) -> None:
        """Adds `row` to the open bucket of `level`; a bucket that closes goes up one level."""
        if level == len(WIDTHS):
            return
        for bucket in fold(WIDTHS[level], self._open[level], [row]):
            self._levels[level].append(bucket)
            self._fold(level + 1, bucket)

    def columns(
        self,
        start: float,
        width: float,
        count: int,
        gauges: Sequence[str] = GAUGES,
        counters: Sequence[str] = COUNTERS,
        until: float = inf,
    ) -> Columns:
        """`count` columns of `width` seconds from `start`: extremes kept, held over short gaps.

        `gauges` and `counters` name those wanted. What happened after `until` is left out.
        """
        with self._lock:
            level = pick_level(width, lambda level: self._reaches(self._kept(level), start))
            # Where only coarser rows are left, each stands for all the columns it covers.
            margin = max(2.5 * self.interval, width, WIDTHS[level - 1] if level else 0.0)
            rows = self._rows(level, start - margin, min(start + width * count, until + 1e-9))
        return resample(rows, start, width, count, hold=margin, gauges=gauges, counters=counters)

    def at(self, time: float) -> Sample | None:
        """The last sample at or before `time`, if it is still kept as it came."""
        with self._lock:
            for sample in reversed(self._recent):
                if sample.time <= time:
                    return sample
            raw = self._raw
            i = bisect_right(raw.time, time) - 1
            if i < 0:
                return None
            return sample_at(raw, i)

    def _kept(self, level: int) -> Level:
        return self._levels[level - 1] if level else self._raw

    def _reaches(self, kept: Level, start: float) -> bool:
        """Whether nothing after `start` has been dropped from `kept`."""
        if not kept.time or self.first is None:
            return True
        return kept.time[0] <= max(start, self.first.time)

    def _rows(self, level: int, start: float, end: float) -> Level:
        """Rows of `level` between two moments, with what is still open at this level and below it."""
        rows = self._kept(level).slice(start, end)
        rows.cap = UNLIMITED_ROWS
        if level == 0:
            if self._recent and self._recent[0].time < end:
                self._unfold(rows)
                # Rows before `start` do no harm, and seldom is one after `end`.
                return rows if self._recent[-1].time < end else rows.slice(start, end)
            return rows
        pending = [close(WIDTHS[k], self._open[k]) for k in range(level - 1, 0, -1) if self._open[k]]
        if self._recent:
            _, *values = zip(*self._recent, strict=True)
            pending.append(self._reduce([*values[:_N], values[_HIGH]]))
        for row in pending:
            if start <= row.time < end:
                rows.append(row)
        return rows
