"""All samples of a session in bounded memory: fine for the last minutes, extremes for the rest.

Level 0 keeps samples as they came. Each level above keeps buckets of a fixed width: the lowest and
the highest of every gauge, the last of every counter. A query takes the finest level that still
reaches back far enough, so no extreme is ever lost and no query grows with the run.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from math import inf
from threading import Lock
from typing import NamedTuple

from mlxtop.core.sample import COUNTERS, GAUGES, UNKNOWN, Sample

_N = len(GAUGES)

# Widths of the levels above 0 in seconds, and how many buckets each keeps: 4 h, 40 h, 10 d, 100 d.
# Every width divides the next, and `tui/timeaxis.py` chooses columns that they divide.
WIDTHS = (1.0, 10.0, 60.0, 600.0)
BUCKETS = 14_400
RAW_SECONDS = 900.0
RAW_LEAST, RAW_MOST = 4_096, 120_000
UNLIMITED_ROWS = 2**62


class Columns(NamedTuple):
    """A stretch of history cut into columns of equal width, ready to be drawn.

    Lists have one entry a column, `UNKNOWN` where the column has no sample.
    """

    start: float
    width: float
    lo: dict[str, list[int]]
    hi: dict[str, list[int]]
    last: dict[str, list[int]]


class _Level:
    """Rows of one width in parallel arrays. Dropping old rows in bulk keeps appending cheap."""

    __slots__ = ("cap", "hi", "last", "lo", "time")

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.time = array("d")
        self.lo = [array("q") for _ in GAUGES]
        self.hi = [array("q") for _ in GAUGES]
        self.last = [array("q") for _ in COUNTERS]

    def append(self, row: "_Row") -> None:
        self.time.append(row.time)
        for columns, values in ((self.lo, row.lo), (self.hi, row.hi), (self.last, row.last)):
            for column, value in zip(columns, values, strict=True):
                column.append(value)
        self.trim()

    def trim(self) -> None:
        if len(self.time) < 2 * self.cap:
            return
        for column in (self.time, *self.lo, *(() if self.hi is self.lo else self.hi), *self.last):
            del column[: self.cap]

    def slice(self, start: float, end: float) -> "_Level":
        """A copy of the rows from `start` to `end`."""
        i, j = bisect_left(self.time, start), bisect_left(self.time, end)
        part = _Level(self.cap)
        part.time = self.time[i:j]
        part.lo = [column[i:j] for column in self.lo]
        part.hi = part.lo if self.hi is self.lo else [column[i:j] for column in self.hi]
        part.last = [column[i:j] for column in self.last]
        return part


class _Row(NamedTuple):
    """A bucket: when it begins, the extremes of every gauge, the last of every counter."""

    time: float
    lo: Sequence[int]
    hi: Sequence[int]
    last: Sequence[int]

    def merge(self, later: "_Row") -> "_Row":
        return _Row(
            self.time, tuple(map(min, self.lo, later.lo)), tuple(map(max, self.hi, later.hi)), later.last
        )


class History:
    """The samples of one session. One thread adds, any thread asks.

    Memory is bounded by the levels' sizes whatever the length of the run: under 48 MB.
    """

    def __init__(self, interval: float = 0.1) -> None:
        self._interval = interval
        self._raw = _Level(min(max(round(RAW_SECONDS / interval), RAW_LEAST), RAW_MOST))
        self._raw.hi = self._raw.lo
        self._levels = [_Level(BUCKETS) for _ in WIDTHS]
        # The bucket of each level that is still being filled. The first level's lies in `_recent`:
        # samples wait there until their second is over, so that a tick costs one append.
        self._open: list[_Row | None] = [None for _ in WIDTHS]
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
        row = self._reduce(values[:_N])
        self._recent.clear()
        self._levels[0].append(row)
        self._fold(1, row)

    def _unfold(self, level: _Level) -> list[tuple[int, ...]]:
        """Appends the recent samples to `level`, one row each; returns their values, column by column."""
        time, *values = zip(*self._recent, strict=True)
        level.time.extend(time)
        for column, part in zip((*level.lo, *level.last), values, strict=True):
            column.extend(part)
        return values

    def _reduce(self, gauges: Sequence[Sequence[int]]) -> _Row:
        """The recent samples, whose gauges are given column by column, as one row of the first level."""
        last = self._recent[-1].counters
        return _Row(float(self._second), [*map(min, gauges)], [*map(max, gauges)], last)

    def _fold(self, level: int, row: _Row) -> None:
        """Merges `row` into the open bucket of `level`; a bucket that closes goes up one level."""
        if level == len(WIDTHS):
            return
        start = row.time // WIDTHS[level] * WIDTHS[level]
        bucket = self._open[level]
        if bucket is not None and bucket.time == start:
            self._open[level] = bucket.merge(row)
            return
        if bucket is not None:
            self._levels[level].append(bucket)
            self._fold(level + 1, bucket)
        self._open[level] = row._replace(time=start)

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
            level = self._pick(start, width)
            # Where only coarser rows are left, each stands for all the columns it covers.
            margin = max(2.5 * self._interval, width, WIDTHS[level] if level >= 0 else 0.0)
            rows = self._rows(level, start - margin, min(start + width * count, until + 1e-9))
        return _cut(rows, start, width, count, hold=margin, gauges=gauges, counters=counters)

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
            return Sample(raw.time[i], *(c[i] for c in raw.lo), *(c[i] for c in raw.last))

    def _pick(self, start: float, width: float) -> int:
        """The finest level that reaches back to `start` with at most ten rows a column; -1 is raw."""
        if width < WIDTHS[0] and self._reaches(self._raw, start):
            return -1
        for level, kept in enumerate(self._levels[:-1]):
            if width < WIDTHS[level + 1] and self._reaches(kept, start):
                return level
        return len(WIDTHS) - 1

    def _reaches(self, kept: _Level, start: float) -> bool:
        """Whether nothing after `start` has been dropped from `kept`."""
        if not kept.time or self.first is None:
            return True
        return kept.time[0] <= max(start, self.first.time)

    def _rows(self, level: int, start: float, end: float) -> _Level:
        """Rows of `level` between two moments, with what is still open at this level and below it."""
        kept = self._raw if level < 0 else self._levels[level]
        rows = kept.slice(start, end)
        rows.cap = UNLIMITED_ROWS
        if level < 0:
            if self._recent and self._recent[0].time < end:
                self._unfold(rows)
                return rows.slice(start, end)
            return rows
        if rows.hi is rows.lo:
            rows.hi = [column[:] for column in rows.lo]
        pending = [self._open[k] for k in range(level, 0, -1)]
        if self._recent:
            _, *values = zip(*self._recent, strict=True)
            pending.append(self._reduce(values[:_N]))
        for row in pending:
            if row is not None and start <= row.time < end:
                rows.append(row)
        return rows


def _cut(
    rows: _Level,
    start: float,
    width: float,
    count: int,
    hold: float,
    gauges: Sequence[str],
    counters: Sequence[str],
) -> Columns:
    """Cuts rows into columns; an empty column repeats the row before it for at most `hold` seconds."""
    time = rows.time
    # Half a microsecond keeps rows that lie on a column's edge on the right side of rounding.
    edges = [bisect_left(time, start + width * i - 5e-7) for i in range(count + 1)]
    spans: list[tuple[int, int]] = []
    for i in range(count):
        a, b = edges[i], edges[i + 1]
        if a == b and a > 0 and start + width * i - time[a - 1] <= hold:
            a = b - 1
        spans.append((a, b))
    lo, hi, last = {}, {}, {}
    for name in gauges:
        low, high = rows.lo[GAUGES.index(name)], rows.hi[GAUGES.index(name)]
        lo[name] = _each(min, low, spans)
        hi[name] = _each(max, high, spans)
    for name in counters:
        column = rows.last[COUNTERS.index(name)]
        last[name] = [column[b - 1] if a < b else UNKNOWN for a, b in spans]
    return Columns(start, width, lo, hi, last)


def _each(
    extreme: Callable[["array[int]"], int], column: "array[int]", spans: list[tuple[int, int]]
) -> list[int]:
    return [UNKNOWN if a == b else column[a] if b - a == 1 else extreme(column[a:b]) for a, b in spans]
