"""Pieces of work under one cache limit, and what they come to beside those under the first."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

from mlxtop.analysis.effect import LEAST, Effect, compare
from mlxtop.core.sample import UNKNOWN


class Highs(NamedTuple):
    """The most that the cache, and active + cache, were; bytes, or `UNKNOWN`."""

    cache: int = UNKNOWN
    total: int = UNKNOWN

    def join(self, other: "Highs") -> "Highs":
        return Highs(max(self.cache, other.cache), max(self.total, other.total))


class Work(NamedTuple):
    """One piece of work: what it is like, as a number that only says same or other; steps a second; what was
    held."""

    like: int
    speed: float
    highs: Highs


class Against(NamedTuple):
    """A limit against the first: the speed, and bytes more over the same work; `None` when not known."""

    speed: Effect
    cache: int | None = None
    total: int | None = None


class Use(NamedTuple):
    """One limit as it was used: bytes, seconds, and steps a second of its pieces of work."""

    limit: int
    seconds: float
    present: bool
    """Whether it is in force."""
    pieces: int
    """Pieces of work that are known."""
    speed: float | None
    low: float | None
    """The speed that a quarter of the work did not reach."""
    high: float | None
    """The speed that a quarter of the work went beyond."""
    highs: Highs
    """At any working moment under this limit."""
    against: Against | None
    """`None` for the first, which the others are compared with, and for all while no work is done."""


def against(first: Sequence[Work], other: Sequence[Work]) -> Against:
    """What came of a limit's work, beside the first limit's."""
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
    """What is to be said of a limit."""
    speeds = sorted(work.speed for work in works)
    low = middle = high = None
    if speeds:
        middle, quarter = median(speeds), (len(speeds) - 1) // 4
        low, high = speeds[quarter], speeds[len(speeds) - 1 - quarter]
    return Use(limit, seconds, present, len(speeds), middle, low, high, highs, against)
