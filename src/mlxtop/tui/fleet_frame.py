"""What the fleet's screen shows at one moment, gathered once and handed to every panel."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from mlxtop.core.machine import Room, System, room
from mlxtop.core.sample import UNKNOWN, Sample, speed
from mlxtop.core.text import one_line
from mlxtop.core.units import Units, format_delta, format_size
from mlxtop.sessions.session import Member, UnattachedProcess
from mlxtop.tui.frame import SPEED_WINDOW, Own, View

MIB = 2**20
RATE = {"tokens": "tok/s", "evals": "evals/s"}
SLICE, SLICES, LEAST_SLICES = 10.0, 6, 4
"""Growth is measured on the lowest total of each of the last six times ten seconds."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One member, or the sum of all: its present figures and its columns. `None` is a number nobody knows."""

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
    """The member that stands furthest from the others, and by what."""

    pid: int
    label: str
    above: bool
    grows: bool
    """Whether it stands out by what it gains a minute rather than by what it holds."""
    value: int
    others: int
    """The median of the others."""

    def describe(self, units: Units) -> str:
        """One line for a person."""
        label = one_line(self.label)
        if self.grows:
            value, others = format_delta(self.value, units), format_delta(self.others, units)
            return f"{label} changes by {value} a minute, the median of the others by {others}"
        value, others = format_size(self.value, units), format_size(self.others, units)
        return f"{label} holds up to {value}, the median of the others is {others}"


@dataclass(frozen=True, slots=True)
class FleetFrame:
    """One moment of a fleet as a person chose to see it."""

    title: str
    status: str
    rows: Sequence[SessionRow]
    unattached: Sequence[UnattachedProcess]
    view: View
    own: Own
    start: float
    """The fleet's time at the left edge of the first column."""
    rate: str
    """What `speed` counts: `tok/s`, `evals/s`, or `steps/s` where members differ."""
    row_height: int
    """Rows a lane has."""
    width: int
    """Columns of the screen."""
    selected: int | None
    outlier: Outlier | None
    sum: SessionRow = field(default_factory=lambda: SessionRow("sum"))
    machine: System = System()  # noqa: RUF009 - it is immutable
    """What the machine told of itself, where a member runs on this one."""
    bound: Room = Room("memory")  # noqa: RUF009
    """What bounds the members of this machine together."""

    def size(self, value: int | None) -> str:
        return format_size(value, self.view.units)


def together(members: Sequence[Member]) -> tuple[System, Room]:
    """How this machine stands, and what is left of what its members share."""
    here = [member for member in members if member.state.system is not None and member.ended is None]
    if not here:
        return System(), Room("memory")
    machine = here[-1].state.system or System()
    samples = [sample for member in here if (sample := member.history.latest) is not None]
    held, cache = sum(sample.total for sample in samples), sum(sample.cache for sample in samples)
    return machine, room(here[-1].state.facts, machine, held if samples else None, cache)


def known(value: int) -> int | None:
    return None if value == UNKNOWN else value


def lane(member: Member, until: float | None, actives: Sequence[int], totals: Sequence[int]) -> SessionRow:
    """A member's lane now, or at `until` seconds of its clock."""
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
        *(sample.active, sample.cache, sample.peak, known(sample.footprint)),
        *(rate, actives, totals),
    )


def _phase(member: Member, sample: Sample | None, until: float | None) -> str:
    if until is not None and sample is not None and 0 <= sample.phase < len(member.phases):
        return member.phases[sample.phase]
    return member.state.phase


def add_up(lanes: Sequence[SessionRow], actives: Sequence[int], totals: Sequence[int]) -> SessionRow:
    """The sum of all that run and have told something."""
    running = [lane for lane in lanes if lane.ended is None and lane.active is not None]

    def total(field: Callable[[SessionRow], int | None]) -> int | None:
        values = [field(lane) for lane in running]
        return None if not values or None in values else sum(v for v in values if v is not None)

    return SessionRow(
        "sum",
        active=total(lambda lane: lane.active),
        cache=total(lambda lane: lane.cache),
        footprint=total(lambda lane: lane.footprint),
        actives=actives,
        totals=totals,
    )


# Who stands out


class Candidate(NamedTuple):
    """What is compared: the most a running member held lately, and what it gains a minute where known."""

    pid: int
    label: str
    total: int
    growth: int | None


def lately(member: Member, until: float) -> int | None:
    """The highest total of the last ten seconds: members that take turns at a peak are all alike."""
    columns = member.history.columns(until - SLICE, 1.0, round(SLICE), ("total",), (), until)
    most = max(columns.hi["total"])
    return None if most == UNKNOWN else most


def growth(member: Member, until: float) -> int | None:
    """Bytes a minute by which the floor of a member's total rose in the last minute, `None` when too young.

    The floor of whole slices, not the present value: a step that comes and goes is no growth.
    """
    end = until // SLICE * SLICE
    columns = member.history.columns(end - SLICE * SLICES, SLICE, SLICES, ("total",), (), end)
    floors = [v for v in columns.lo["total"] if v != UNKNOWN]
    if len(floors) < LEAST_SLICES:
        return None
    return round((floors[-1] - floors[0]) / (len(floors) - 1) * (60 / SLICE))


def find_outlier(candidates: Sequence[Candidate]) -> Outlier | None:
    """Who stands out by what it holds or, when nobody does, by what it gains a minute."""
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


def _outlier(who: Candidate, value: int, others: int, grows: bool) -> Outlier:
    return Outlier(who.pid, who.label, value > others, grows, value, others)


def _furthest(values: Sequence[int]) -> tuple[int, int] | None:
    """Index of the value that stands out, and the median of the others; only an end of the range can."""
    if len(values) < 3:
        return None
    found: list[tuple[float, int, int]] = []
    for i in {values.index(min(values)), values.index(max(values))}:
        others = [*values[:i], *values[i + 1 :]]
        middle = median(others)
        away = abs(values[i] - middle)
        # 1.4826 median absolute deviations are one standard deviation where chance alone is at work.
        chance = 3 * 1.4826 * median(abs(v - middle) for v in others)
        if away > chance and away >= MIB and away >= 0.2 * abs(middle):
            found.append((away, i, round(middle)))
    if not found:
        return None
    _, i, middle = max(found)
    return i, middle
