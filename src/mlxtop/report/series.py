"""What the timeline draws of a session: columns with their extremes, phases as runs, events as ticks."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from math import floor
from typing import NamedTuple

from mlxtop.core.events import (
    BudgetChanged,
    CacheCleared,
    ErrorRaised,
    Event,
    GarbageCollected,
    LimitChanged,
    MarkAdded,
    PeakReset,
)
from mlxtop.core.resample import WIDTHS, Level, resample
from mlxtop.core.sample import COUNTERS, GAUGES, UNKNOWN
from mlxtop.core.units import UNLIMITED
from mlxtop.recording.reader import Recording, SessionInfo

MOST_COLUMNS = 4_000
LEAST_COLUMNS = 600
MOST_RAW = 400_000
"""Samples that are looked at for one picture; of more, buckets of a second are."""
NICE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300)
"""Widths of columns in seconds that the widths of buckets divide; above, multiples of the widest."""
HOLD = 1.0
"""Seconds without a sample that are still drawn as if nothing had changed."""
MOST_TICKS = 200
"""Ticks of one kind; of more, those that are near each other become one."""
TICKED = (LimitChanged, CacheCleared, PeakReset, GarbageCollected, MarkAdded, BudgetChanged, ErrorRaised)


class Series(NamedTuple):
    """A session cut for the timeline. Times are seconds since the session began, sizes bytes."""

    width: float
    """Seconds of a column; 0 where each sample is one."""
    times: list[float]
    """The middle of each column."""
    lo: dict[str, list[int]]
    hi: dict[str, list[int]]
    speed: list[float | None]
    """Steps a second of work."""
    buffers: list[int]
    """Live buffers at the end of each column, where a trace counted them."""


def series(recording: Recording, about: SessionInfo, sessions: int) -> Series:
    """The whole session in at most `MOST_COLUMNS` columns, fewer where `sessions` share a page."""
    first, last = recording.first(about.id), recording.last(about.id)
    if first is None or last is None:
        return Series(0.0, [], {name: [] for name in GAUGES}, {name: [] for name in GAUGES}, [], [])
    count, most = recording.count(about.id), max(LEAST_COLUMNS, MOST_COLUMNS // sessions)
    end = last.time + 1e-6
    hold = max(2.5 * about.interval, HOLD)
    if count <= most:
        return _as_they_are(recording.rows(about.id, 0, first.time, end), hold)
    width = _width((last.time - first.time) / (most - 2), fine=count <= MOST_RAW)
    level = sum(width >= wide for wide in WIDTHS)
    start = floor(first.time / width) * width
    columns = int((last.time - start) // width) + 1
    rows = recording.rows(about.id, level, start, end)
    found = resample(rows, start, width, columns, max(hold, width), GAUGES, ("steps", "decode", "buffers"))
    times = [start + width * (i + 0.5) for i in range(columns)]
    speed = _speed(found.last["steps"], found.last["decode"])
    return Series(width, times, found.lo, found.hi, speed, found.last["buffers"])


def _width(least: float, fine: bool) -> float:
    for width in NICE:
        if width >= least and (fine or width >= WIDTHS[0]):
            return width
    widest = WIDTHS[-1]
    return -(-least // widest) * widest


def _as_they_are(rows: Level, hold: float) -> Series:
    """Each sample a column, with an empty one where samples are missing."""
    lo, hi = (
        {name: list(column) for name, column in zip(GAUGES, part, strict=True)} for part in (rows.lo, rows.hi)
    )
    last = dict(zip(COUNTERS, rows.last, strict=True))
    times, speed = list(rows.time), _speed(last["steps"], last["decode"])
    buffers = list(last["buffers"])
    for i in range(len(times) - 1, 0, -1):
        if times[i] - times[i - 1] > hold:
            times.insert(i, (times[i] + times[i - 1]) / 2)
            speed.insert(i, None)
            for column in (*lo.values(), *hi.values(), buffers):
                column.insert(i, UNKNOWN)
    return Series(0.0, times, lo, hi, speed, buffers)


def _speed(steps: Sequence[int], decode: Sequence[int]) -> list[float | None]:
    found: list[float | None] = []
    before: tuple[int, int] | None = None
    for n, time in zip(steps, decode, strict=True):
        known = before is not None and time > before[1]
        found.append((n - before[0]) / (time - before[1]) * 1e6 if known and before else None)
        if n != UNKNOWN:
            before = (n, time)
    return found


# Phases


class Runs:
    """Phases as runs of columns, each with the phase that took most of it; fed with runs in order of time."""

    def __init__(self, times: Sequence[float], width: float) -> None:
        self._edges = [time - width / 2 for time in times]
        self._column = -1
        self._shares: Counter[int] = Counter()
        self.found: list[tuple[float, int]] = []
        """When each began, and its number."""

    def add(self, start: float, end: float, phase: int) -> None:
        column = max(0, bisect_right(self._edges, start + 1e-6) - 1)
        while True:
            if column != self._column:
                self._settle()
                self._column = column
            edge = self._edges[column + 1] if column + 1 < len(self._edges) else end
            self._shares[phase] += max(1, round((min(end, edge) - start) * 1e6))
            if edge >= end:
                return
            start, column = edge, column + 1

    def close(self) -> list[tuple[float, int]]:
        self._settle()
        return self.found

    def _settle(self) -> None:
        if not self._shares:
            return
        phase = max(self._shares, key=lambda p: self._shares[p])
        self._shares.clear()
        if not self.found or self.found[-1][1] != phase:
            self.found.append((self._edges[self._column], phase))


# Events


class Tick(NamedTuple):
    """What happened at a moment, or several times from there on."""

    time: float
    kind: str
    text: str
    times: int
    up: bool
    """A limit that was raised."""


def ticks(events: Iterable[Event], span: float) -> list[Tick]:
    """What is ticked of a session of `span` seconds, in order of time, some `MOST_TICKS` of each kind."""
    found: list[Tick] = []
    told = [e for e in events if isinstance(e.data, TICKED) and not e.routine and not settled(e)]
    for kind in TICKED:
        those = [event for event in told if isinstance(event.data, kind)]
        width = span / MOST_TICKS if len(those) > MOST_TICKS else 0.0
        for _, near in groupby(enumerate(those), key=lambda p: p[1].time // width if width else p[0]):
            found.append(_tick([event for _, event in near]))
    return sorted(found, key=lambda tick: tick.time)


def settled(event: Event) -> bool:
    """Whether it tells of a limit as it was found, or set to what it was: nothing changed."""
    return isinstance(event.data, LimitChanged) and event.data.old == event.data.new


def _tick(events: Sequence[Event]) -> Tick:
    first, last = events[0], events[-1]
    up = isinstance(first.data, LimitChanged) and first.data.replace(new=_new(last)).rose
    return Tick(first.time, first.kind, first.describe(), sum(event.times for event in events), up)


def _new(event: Event) -> int | None:
    return event.data.new if isinstance(event.data, LimitChanged) else None


Step = tuple[float, int | None]
"""A moment, and the bytes from there on; `None` is no line."""


def limit_steps(events: Iterable[Event]) -> Iterator[Step]:
    """The cache limit as a line across the timeline."""
    for event in events:
        if isinstance(event.data, LimitChanged) and event.data.name == "cache":
            yield event.time, _below_unlimited(event.data.new)


def budget_steps(events: Iterable[Event]) -> Iterator[Step]:
    """The budget as a line across the timeline."""
    for event in events:
        if isinstance(event.data, BudgetChanged):
            budget = event.data.budget
            yield event.time, _below_unlimited(budget.bytes if budget is not None else None)


def _below_unlimited(size: int | None) -> int | None:
    return None if size is None or size >= UNLIMITED else size
