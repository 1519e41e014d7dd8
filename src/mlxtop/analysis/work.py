"""Pieces of work under one cache limit, and their comparison with those under the first limit."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

from mlxtop.analysis.effect import LEAST, Effect, compare
from mlxtop.core.sample import UNKNOWN


class Highs(NamedTuple):
    """The largest cache and the largest total (active + cache), in bytes, or `UNKNOWN`."""

    cache: int = UNKNOWN
    total: int = UNKNOWN

    def join(self, other: "Highs") -> "Highs":
        return Highs(max(self.cache, other.cache), max(self.total, other.total))


class Work(NamedTuple):
    """One piece of work: a number for its kind (equal numbers, same kind), steps a second, largest sizes."""

    like: int
    speed: float
    highs: Highs


class Against(NamedTuple):
    """A limit compared with the first: the effect on speed, and the difference in bytes for the same kinds of
    work; `None` if unknown."""

    speed: Effect
    cache: int | None = None
    total: int | None = None


class Use(NamedTuple):
    """The use of one limit: its value in bytes, how long it held in seconds, and speeds in steps a second."""

    limit: int
    seconds: float
    present: bool
    """Whether it is the present limit."""
    pieces: int
    """The number of known pieces of work."""
    speed: float | None
    """The median speed."""
    low: float | None
    """The lower quartile of the speed."""
    high: float | None
    """The upper quartile of the speed."""
    highs: Highs
    """The largest sizes while work was done under this limit."""
    against: Against | None
    """The comparison with the first limit; `None` for the first, and for all while there is no work."""


def against(first: Sequence[Work], other: Sequence[Work]) -> Against:
    """Compares the work under a limit with the work under the first limit."""
    speed = compare(*([(work.like, work.speed) for work in works] for works in (first, other)))
    if speed.pieces < LEAST:
        return Against(speed)
    shared = {work.like for work in first} & {work.like for work in other}
    before, after = (_most(work.highs for work in works if work.like in shared) for works in (first, other))
    if UNKNOWN in (*before, *after):
        return Against(speed)
    return Against(speed, after.cache - before.cache, after.total - before.total)


def _most(highs: Iterable[Highs]) -> Highs:
    found = Highs()
    for each in highs:
        found = found.join(each)
    return found


def used(
    limit: int, works: Sequence[Work], highs: Highs, seconds: float, present: bool, against: Against | None
) -> Use:
    """Summarizes the use of one limit."""
    speeds = sorted(work.speed for work in works)
    low = middle = high = None
    if speeds:
        middle, quarter = median(speeds), (len(speeds) - 1) // 4
        low, high = speeds[quarter], speeds[len(speeds) - 1 - quarter]
    return Use(limit, seconds, present, len(speeds), middle, low, high, highs, against)
