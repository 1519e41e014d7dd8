"""A frame: the data for one moment of the dashboard, gathered once for all panels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlxtop.analysis.verdicts import Diagnosis
from mlxtop.analysis.work import Use
from mlxtop.core.events import (
    BudgetChanged,
    CacheCleared,
    ErrorRaised,
    Event,
    GenerationFinished,
    LimitChanged,
    MarkAdded,
    PeakReset,
    SystemRead,
)
from mlxtop.core.limits import MLX_DEFAULT, cache_ceiling
from mlxtop.core.machine import System
from mlxtop.core.most import Most
from mlxtop.core.resample import Columns
from mlxtop.core.sample import UNKNOWN, Sample, speed
from mlxtop.core.state import Mark, State
from mlxtop.core.units import Units, format_delta, format_size
from mlxtop.sessions.session import Session
from mlxtop.tui.charts.timeaxis import TimeAxis

if TYPE_CHECKING:
    from mlxtop.tui.trace_reader import Shown

Tick = tuple[int, Event]

DRAWN = ("active", "cache", "peak")
COUNTED = ("steps", "decode", "phase")
BUFFERS = "buffers"
"""What is drawn where a trace counts it."""
TICKED = (CacheCleared, PeakReset, LimitChanged, MarkAdded, BudgetChanged, ErrorRaised)
SPEED_WINDOW = 2.0
EFFECT_WINDOW = (10.0, 120.0)
"""Least and most seconds before a limit change that its effect is compared with. Between these bounds it is
the time since the change, so that both sides are equally long."""


@dataclass(frozen=True, slots=True)
class View:
    """What a person chose to see: units, mark, time range, and whether the view is paused."""

    units: Units = "binary"
    mark: str | None = None
    """Name of the chosen mark; `None` for the latest."""
    axis: TimeAxis = field(default_factory=TimeAxis)
    paused: bool = False
    counting: bool = False
    """Whether a census was requested and has not arrived."""
    most: Most | None = None
    """The highest sizes of the run when the view was paused."""


@dataclass(frozen=True, slots=True)
class Own:
    """The cost of mlxtop itself: share of one core (1.0 = all of it) and memory in bytes."""

    cpu: float | None = None
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One moment of a session, for the view that a person chose."""

    session: Session
    state: State
    view: View
    own: Own
    now: float
    sample: Sample | None
    columns: Columns
    speed: float | None
    """Tokens per second while decoding: over the last two seconds, or in the last generation."""
    ticks: list[Tick]
    """Events on the time axis with their columns. More important ones come later."""
    diagnosis: Diagnosis | None = None
    """The verdicts on the run; `None` before the first diagnosis."""
    uses: Sequence[Use] = ()
    """The cache limits of the run, with their comparison."""
    machine: System = System()  # noqa: RUF009 - it is immutable
    """The machine's readings at the moment shown; empty for another machine."""
    trace: "Shown | None" = None
    """What a trace tells of the peak, or of the moment that was clicked; `None` without a trace."""

    def size(self, value: int | None) -> str:
        return format_size(None if value == UNKNOWN else value, self.view.units)

    def delta(self, value: int | None) -> str:
        return format_delta(value, self.view.units)

    @property
    def cache_limit(self) -> int | None:
        """Bytes that bound the cache: its limit, or what MLX leaves beside active, if that is less."""
        limits = self.state.limits
        limit = limits["cache"].value
        if limit is None or self.sample is None:
            return limit
        most = cache_ceiling(self.state.facts, limits["memory"].value, self.sample.active)
        return limit if most is None else min(limit, most)

    @property
    def per_second(self) -> str:
        """The unit of speed: tokens per second, or evals per second in a watched program."""
        steps = self.session.steps_are
        return "tok/s" if steps == "tokens" else f"{steps}/s"

    @property
    def most(self) -> Most:
        """The highest sizes of the run up to the moment shown."""
        return self.state.most if self.view.most is None else self.view.most

    @property
    def used(self) -> int | None:
        """Bytes that are compared with the budget at the moment shown; `None` if not known."""
        budget, usage = self.state.budget, self.state.budget_usage
        if budget is None or (budget.against == "footprint" and self.sample is None):
            return None
        if budget.against == "footprint" and self.sample is not None:
            return None if self.sample.footprint == UNKNOWN else self.sample.footprint
        return usage.used if usage is not None else None

    @property
    def headroom(self) -> int | None:
        """Bytes left of the budget; negative when it is exceeded."""
        used, budget = self.used, self.state.budget
        return None if used is None or budget is None else budget.bytes - used

    @property
    def reach(self) -> float | None:
        """Seconds until the budget is reached at the present slope; `None` if not known."""
        usage = self.state.budget_usage
        return None if usage is None or self.view.paused else usage.reach

    @property
    def mark(self) -> Mark | None:
        """The mark that deltas are measured from."""
        marks = self.state.marks
        named = [mark for mark in marks if mark.name == self.view.mark]
        return named[-1] if named else marks[-1] if marks else None


def visible_columns(session: Session, view: View, columns: int, now: float) -> Columns:
    """The part of the history that `view` shows, in `columns` columns. Takes about half a millisecond."""
    axis = view.axis
    start = axis.start(columns, now)
    # Only the large chart draws the footprint, and only with a budget.
    drawn = DRAWN if session.state.budget is None else (*DRAWN, "footprint")
    counted = (*COUNTED, BUFFERS) if counts_buffers(session) else COUNTED
    return session.history.columns(start, axis.width, columns, drawn, counted, until=now)


def counts_buffers(session: Session) -> bool:
    """Whether the session's samples have the number of live buffers, or had it."""
    latest = session.history.latest
    return session.state.trace is not None or (latest is not None and latest.buffers != UNKNOWN)


def gather(
    session: Session,
    view: View,
    own: Own,
    columns: Columns,
    now: float,
    diagnosis: Diagnosis | None = None,
    uses: Sequence[Use] = (),
    trace: "Shown | None" = None,
) -> Frame:
    """A frame of `session` at `now` over `columns` of its history."""
    sample = session.history.at(now) if view.paused else session.history.latest
    rate = _rate(session, sample, now)
    ticks = _ticks(session, columns, now)
    state, machine = session.state, _machine(session, view, now)
    return Frame(
        session, state, view, own, now, sample, columns, rate, ticks, diagnosis, uses, machine, trace
    )


def _machine(session: Session, view: View, now: float) -> System:
    if not view.paused:
        return session.state.system or System()
    reading = session.timeline.latest(SystemRead, lambda event: event.time <= now)
    return reading.data.system if reading is not None else System()


def _rate(session: Session, sample: Sample | None, now: float) -> float | None:
    """The speed at `now`. Later data does not change it, so a paused view stays as it is."""
    rate = speed(session.history.at(now - SPEED_WINDOW), sample)
    if rate is not None or sample is None or "prefill" not in session.phases[sample.phase : sample.phase + 1]:
        return rate
    last = session.timeline.latest(GenerationFinished, lambda event: event.time <= now)
    return last.data.tps if last is not None else None


def explain(session: Session, now: float) -> Diagnosis:
    """The verdicts on the run at `now`. Takes about 3 ms, however long the run."""
    # Imported late: other screens than the dashboard have no verdicts.
    from mlxtop.analysis.diagnosis import diagnose

    budget = session.state.budget
    return diagnose(
        session.history,
        session.timeline,
        session.state,
        session.phases,
        now,
        session.steps_are,
        budget.bytes if budget is not None and budget.against == "footprint" else None,
    )


def _ticks(session: Session, columns: Columns, now: float) -> list[Tick]:
    start, width = columns.start, columns.width
    end = min(start + width * len(columns.last["phase"]), now + 1e-9)
    return [
        (int((event.time - start) / width), event)
        for kind in TICKED
        for event in session.timeline.between(kind, start, end)
        if is_news(event)
    ]


def is_news(event: Event) -> bool:
    """Whether an event is worth showing. MLX's defaults and limits found at the start are not, nor is the end
    of an alarm."""
    if isinstance(event.data, BudgetChanged):
        return event.data.level > event.data.was
    return not (isinstance(event.data, LimitChanged) and (event.data.found or event.source == MLX_DEFAULT))


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of a limit change: steps per second before and after it; `None` where not measured."""

    event: Event[LimitChanged]
    before: float | None
    after: float | None


def effect(frame: Frame) -> Effect | None:
    """The effect of the last limit change; `None` without one."""
    event = frame.session.timeline.latest(LimitChanged, is_news)
    if event is None:
        return None
    history = frame.session.history
    least, most = EFFECT_WINDOW
    window = min(max(frame.now - event.time, least), most)
    at = history.at(event.time)
    before = speed(history.at(event.time - window) or history.first, at)
    after = speed(at, frame.sample)
    return Effect(event, before, after)
