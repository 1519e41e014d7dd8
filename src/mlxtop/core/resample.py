"""Rows of samples or of buckets in parallel arrays, and how they are cut into the columns of a chart."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from mlxtop.core.sample import COUNTERS, GAUGES, RISING, UNKNOWN, Sample


class Columns(NamedTuple):
    """A stretch of history cut into columns of equal width, ready to be drawn.

    Lists have one entry a column, `UNKNOWN` where the column has no sample.
    """

    start: float
    width: float
    lo: dict[str, list[int]]
    hi: dict[str, list[int]]
    last: dict[str, list[int]]


# Widths of the levels above 0, in seconds. Every width divides the next, and `tui/charts/timeaxis.py` chooses
# columns that they divide.
WIDTHS = (1.0, 10.0, 60.0, 600.0)


class Level:
    """Rows of one width in parallel arrays. Dropping old rows in bulk keeps appending cheap.

    Of samples (`raw`) `hi` is `lo` but for the gauges of `RISING`.
    """

    __slots__ = ("cap", "hi", "last", "lo", "time")

    def __init__(self, cap: int, raw: bool = False) -> None:
        self.cap = cap
        self.time = array("d")
        self.lo = [array("q") for _ in GAUGES]
        self.hi = [
            low if raw and name not in RISING else array("q")
            for name, low in zip(GAUGES, self.lo, strict=True)
        ]
        self.last = [array("q") for _ in COUNTERS]

    def append(self, row: "Row") -> None:
        self.time.append(row.time)
        columns, values = (*self.lo, *self.hi, *self.last), (*row.lo, *row.hi, *row.last)
        for column, value in zip(columns, values, strict=True):
            column.append(value)
        self.trim()

    def trim(self) -> None:
        if len(self.time) < 2 * self.cap:
            return
        del self.time[: self.cap]
        own = (high for low, high in zip(self.lo, self.hi, strict=True) if high is not low)
        for column in (*self.lo, *own, *self.last):
            del column[: self.cap]

    def slice(self, start: float, end: float) -> "Level":
        """A copy of the rows from `start` to `end`."""
        i, j = bisect_left(self.time, start), bisect_left(self.time, end)
        part = Level(self.cap)
        part.time = self.time[i:j]
        part.lo = [column[i:j] for column in self.lo]
        part.hi = [
            copy if high is low else high[i:j]
            for low, high, copy in zip(self.lo, self.hi, part.lo, strict=True)
        ]
        part.last = [column[i:j] for column in self.last]
        return part


def sample_at(level: Level, row: int) -> Sample:
    """A row of samples as the sample that it was."""
    active, high = level.lo[0][row], level.hi[0][row]
    *values, buffers = (column[row] for column in (*level.lo, *level.last))
    return Sample._make((level.time[row], *values, high if high > active else UNKNOWN, buffers))


class Row(NamedTuple):
    """A bucket: when it begins, the extremes of every gauge, the last of every counter."""

    time: float
    lo: Sequence[int]
    hi: Sequence[int]
    last: Sequence[int]


def merge(time: float, rows: Sequence[Row]) -> Row:
    """One bucket for those of `rows`, which are in order."""
    lows, highs = zip(*(row.lo for row in rows), strict=True), zip(*(row.hi for row in rows), strict=True)
    return Row(time, tuple(map(min, lows)), tuple(map(max, highs)), rows[-1].last)


def close(width: float, rows: Sequence[Row]) -> Row:
    """The bucket of `width` seconds that holds `rows`, of which there is one at least."""
    return merge(rows[0].time // width * width, rows)


def fold(width: float, begun: list[Row], rows: Iterable[Row]) -> list[Row]:
    """Takes `rows` into the bucket that is being filled, whose rows are in `begun`.

    Returns the buckets that are over.
    """
    over = []
    for row in rows:
        if begun and row.time // width != begun[0].time // width:
            over.append(close(width, begun))
            begun.clear()
        begun.append(row)
    return over


def pick_level(width: float, holds: Callable[[int], bool]) -> int:
    """The finest level that `holds` what is asked for, with at most ten rows a column of `width` seconds.

    Level 0 is the samples themselves. The coarsest is taken where no other will do.
    """
    finer = (level for level, widest in enumerate(WIDTHS) if width < widest and holds(level))
    return next(finer, len(WIDTHS))


def resample(
    rows: Level,
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
