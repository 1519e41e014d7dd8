"""A frame of the fleet's screen: the data for one moment, gathered once for all panels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from mlxtop.core.machine import System
from mlxtop.core.room import Room, room
from mlxtop.core.sample import UNKNOWN, Sample, speed
from mlxtop.core.text import one_line
from mlxtop.core.units import Units, format_delta, format_size
from mlxtop.sessions.session import Member, UnattachedProcess
from mlxtop.tui.frame import SPEED_WINDOW, Own, View

MIB = 2**20
RATE = {"tokens": "tok/s", "evals": "evals/s"}
SLICE, SLICES, LEAST_SLICES = 10.0, 6, 4
"""Growth is measured on the lowest total in each of the last six slices of ten seconds."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One member, or the sum of all: present values and columns, in bytes. `None` is not known."""

    label: str
    title: str = ""
    pid: int | None = None
    phase: str = ""
    ended: str | None = None
    active: int | None = None
    cache: int | None = None
    peak: int | None = None
    footprint: int | None = None
    speed: float | None = None
    """Steps per second over the last two seconds."""
    actives: Sequence[int] = ()
    totals: Sequence[int] = ()

    @property
    def total(self) -> int | None:
        return None if self.active is None or self.cache is None else self.active + self.cache


@dataclass(frozen=True, slots=True)
class Outlier:
    """The member that differs most from the others, and its value."""

    pid: int
    label: str
    above: bool
    grows: bool
    """Whether it stands out by its growth per minute, not by the memory it holds."""
    value: int
    others: int
    """The median of the others."""

    def describe(self, units: Units) -> str:
        """The outlier as one line of text."""
        label = one_line(self.label)
        if self.grows:
            value, others = format_delta(self.value, units), format_delta(self.others, units)
            return f"{label} changes by {value} per minute; the median of the others is {others}"
        value, others = format_size(self.value, units), format_size(self.others, units)
        return f"{label} holds up to {value}; the median of the others is {others}"


@dataclass(frozen=True, slots=True)
class FleetFrame:
    """One moment of a fleet, for the view that a person chose."""

    title: str
    status: str
    rows: Sequence[SessionRow]
    unattached: Sequence[UnattachedProcess]
    view: View
    own: Own
    start: float
    """The fleet's time at the left edge of the first column."""
    rate: str
    """The unit of `speed`: `tok/s`, `evals/s`, or `steps/s` where members differ."""
    row_height: int
    """Rows per session."""
    width: int
    """Columns of the screen."""
    selected: int | None
    outlier: Outlier | None
    sum: SessionRow = field(default_factory=lambda: SessionRow("sum"))
    machine: System = System()  # noqa: RUF009 - it is immutable
    """The readings of this machine, if a member runs on it."""
    bound: Room = Room("memory")  # noqa: RUF009
    """The memory that the members on this machine share."""
    trouble: str = ""
    """What cannot be shown, and why."""

    def size(self, value: int | None) -> str:
        return format_size(value, self.view.units)


def together(members: Sequence[Member]) -> tuple[System, Room]:
    """The readings of this machine, and the memory left for its members."""
    here = [member for member in members if member.state.system is not None and member.ended is None]
    if not here:
        return System(), Room("memory")
    machine = here[-1].state.system or System()
    samples = [sample for member in here if (sample := member.history.latest) is not None]
    held, cache = sum(sample.total for sample in samples), sum(sample.cache for sample in samples)
    return machine, room(here[-1].state.facts, machine, held if samples else None, cache)


def known(value: int) -> int | None:
    return None if value == UNKNOWN else value


def session_row(
    member: Member, until: float | None, actives: Sequence[int], totals: Sequence[int]
) -> SessionRow:
    """A member's row now, or at `until` seconds of its clock."""
    sample = member.history.latest if until is None else member.history.at(until)
    found = SessionRow(
        member.label,
        member.title,
        member.pid,
        _phase(member, sample, until),
        member.ended,
        actives=actives,
        totals=totals,
    )
    if sample is None:
        return found
    rate = speed(member.history.at(sample.time - SPEED_WINDOW), sample) if member.ended is None else None
    return SessionRow(
        *(found.label, found.title, found.pid, found.phase, found.ended),
        *(known(sample.active), known(sample.cache), known(sample.peak), known(sample.footprint)),
        *(rate, actives, totals),
    )


def _phase(member: Member, sample: Sample | None, until: float | None) -> str:
    if until is not None and sample is not None and 0 <= sample.phase < len(member.phases):
        return member.phases[sample.phase]
    return member.state.phase


def add_up(rows: Sequence[SessionRow], actives: Sequence[int], totals: Sequence[int]) -> SessionRow:
    """The sum of all running sessions with data."""
    running = [row for row in rows if row.ended is None and row.active is not None]

    def total(field: Callable[[SessionRow], int | None]) -> int | None:
        values = [field(row) for row in running]
        return None if not values or None in values else sum(v for v in values if v is not None)

    return SessionRow(
        "sum",
        active=total(lambda row: row.active),
        cache=total(lambda row: row.cache),
        footprint=total(lambda row: row.footprint),
        actives=actives,
        totals=totals,
    )


# Outliers


class Candidate(NamedTuple):
    """The values of a member to compare, in bytes: its highest recent total, and its growth per minute."""

    pid: int
    label: str
    total: int
    growth: int | None


def lately(member: Member, until: float) -> int | None:
    """The highest total of the last ten seconds in bytes, so that members that peak in turn look alike."""
    columns = member.history.columns(until - SLICE, 1.0, round(SLICE), ("total",), (), until)
    most = max(columns.hi["total"])
    return None if most == UNKNOWN else most


def growth(member: Member, until: float) -> int | None:
    """Growth of a member's total in bytes per minute, over the last minute; `None` with too little data.

    It is the growth of the lowest value per slice: a step that comes and goes is not growth.
    """
    end = until // SLICE * SLICE
    columns = member.history.columns(end - SLICE * SLICES, SLICE, SLICES, ("total",), (), end)
    floors = [v for v in columns.lo["total"] if v != UNKNOWN]
    if len(floors) < LEAST_SLICES:
        return None
    return round((floors[-1] - floors[0]) / (len(floors) - 1) * (60 / SLICE))


def find_outlier(candidates: Sequence[Candidate]) -> Outlier | None:
    """The member that stands out by its memory or else by its growth; `None` without one."""
    held = _furthest([c.total for c in candidates])
    if held is not None:
        return _outlier(candidates[held[0]], candidates[held[0]].total, held[1], False)
    young = [c for c in candidates if c.growth is not None]
    gained = _furthest([c.growth for c in young if c.growth is not None])
    if gained is not None:
        value = young[gained[0]].growth
        assert value is not None
        return _outlier(young[gained[0]], value, gained[1], True)
    return None


def _outlier(candidate: Candidate, value: int, others: int, grows: bool) -> Outlier:
    return Outlier(candidate.pid, candidate.label, value > others, grows, value, others)


def _furthest(values: Sequence[int]) -> tuple[int, int] | None:
    """Index of the outlier and the median of the others; `None` without one. It is the lowest or highest."""
    if len(values) < 3:
        return None
    found: list[tuple[float, int, int]] = []
    for i in {values.index(min(values)), values.index(max(values))}:
        others = [*values[:i], *values[i + 1 :]]
        middle = median(others)
        away = abs(values[i] - middle)
        # 1.4826 median absolute deviations are one standard deviation of normal noise.
        chance = 3 * 1.4826 * median(abs(v - middle) for v in others)
        if away > chance and away >= MIB and away >= 0.2 * abs(middle):
            found.append((away, i, round(middle)))
    if not found:
        return None
    _, i, middle = max(found)
    return i, middle
