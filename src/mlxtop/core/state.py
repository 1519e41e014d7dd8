"""What a session's events add up to: where it stands now. Fed with the same events, it is the same."""

from dataclasses import dataclass, field
from typing import cast

from mlxtop.core.budget import Budget, BudgetUsage
from mlxtop.core.census import Census
from mlxtop.core.events import (
    BudgetChanged,
    BudgetRead,
    CacheCleared,
    CensusTaken,
    ErrorRaised,
    Event,
    FactsRead,
    GenerationFinished,
    LimitChanged,
    LimitRequested,
    LossReported,
    MarkAdded,
    PeakReset,
    PhaseChanged,
    ProgressMade,
    StepPeaked,
    SystemPolled,
    SystemRead,
    TicksMissed,
    TraceStarted,
    TraceStopped,
    WarningChanged,
    WorkloadDone,
)
from mlxtop.core.facts import Facts
from mlxtop.core.limits import LIMIT_NAMES, Limit, LimitName
from mlxtop.core.machine import System
from mlxtop.core.most import Most
from mlxtop.core.peaks import highest
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.core.snapshot import Snapshot

MARKS_KEPT = 4_096
"""Marks that can still be measured from, beside the first."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment a person chose to measure from."""

    name: str
    snapshot: Snapshot
    tokens: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a phase has come: bytes while loading, tokens while prefilling and decoding."""

    done: int
    total: int


@dataclass(slots=True)
class State:
    """Where a session stands. Only its own methods change it, which the session calls for one event or
    sample at a time; anyone may read a field."""

    facts: Facts = Facts()  # noqa: RUF009 - it is immutable
    phase: str = "start"
    phase_since: float = 0.0
    progress: Progress | None = None
    limits: dict[LimitName, Limit] = field(default_factory=lambda: {name: Limit() for name in LIMIT_NAMES})
    marks: list[Mark] = field(default_factory=list)
    error: str | None = None
    generations: int = 0
    generation: GenerationFinished | None = None
    """The last that finished."""
    loss: LossReported | None = None
    """The last of a training."""
    validation_loss: LossReported | None = None
    late: int = 0
    """Ticks the sampler had to skip."""
    run_peak: int = 0
    """The highest peak of the run, whatever was reset meanwhile."""
    run_total: int = 0
    """The most that MLX is known to have held: at a sample, in a step, or before its cache was cleared."""
    run_footprint: int = UNKNOWN
    """The most that the system charged at a sample."""
    peaks: list[Event[StepPeaked]] = field(default_factory=list)
    """The steps in which the most memory was active, the highest first."""
    done: bool = False
    warning: str | None = None
    """What is wrong with watching itself, a recording that cannot be written say, for as long as it is."""
    census: Census | None = None
    """The last count of live arrays that was asked for."""
    trace: str | None = None
    """The file of the last trace."""
    tracing: bool = False
    """Whether it is still being written."""
    budget: Budget | None = None
    alarm: int = 0
    """The percentage of the budget whose alarm holds: one of `core.budget.LEVELS`, or 0."""
    budget_usage: BudgetUsage | None = None
    """How it stands to its budget, as `sessions/budget_monitor.py` read it last."""
    system: System | None = None
    """The machine's own memory, as the budget monitor read it last, or as a recording tells; `None` where the
    machine is not this one."""

    def apply(self, event: Event) -> None:
        """Takes `event` in."""
        match event.data:
            case FactsRead(facts):
                self.facts = facts
            case PhaseChanged(phase):
                self.phase, self.phase_since, self.progress = phase, event.time, None
                if phase == "ended":
                    self.drop_requests()
                    self.tracing = False
                if phase not in ("idle", "failed"):
                    self.error, self.done = None, False
            case ProgressMade(_, done, total):
                self.progress = Progress(done, total)
            case LimitRequested(name, size):
                self.limits[name] = self.limits[name].asked(size, event.answers)
            case LimitChanged(found=True) as it:
                self.limits[it.name] = self.limits[it.name].found(it.new, it.source, it.default)
            case LimitChanged() as it:
                limit = self.limits[it.name]
                self.limits[it.name] = limit.changed(it.new, it.source, it.asked, event.answers)
            case PeakReset(peak=peak):
                self.run_peak = max(self.run_peak, peak)
            case CacheCleared(total=int(total)):
                self.run_total = max(self.run_total, total)
            case StepPeaked():
                self.peaks = highest([*self.peaks, cast("Event[StepPeaked]", event)])
            case MarkAdded() as mark:
                snapshot = Snapshot(mark.active, mark.cache, mark.peak, event.time)
                first, others = self.marks[:1], self.marks[1:][-MARKS_KEPT:]
                self.marks = [*first, *others, Mark(mark.name, snapshot, mark.tokens)]
            case GenerationFinished() as generation:
                self.generations += 1
                self.generation = generation
            case LossReported(validation=True) as loss:
                self.validation_loss = loss
            case LossReported() as loss:
                self.loss = loss
            case ErrorRaised(message):
                self.error = message
                if event.answers is not None:
                    self.drop_requests(event.answers)
            case TicksMissed(ticks):
                self.late += ticks
            case CensusTaken(census):
                self.census = census
            case TraceStarted(path):
                self.trace, self.tracing = path, True
            case TraceStopped():
                self.tracing = False
            case BudgetChanged(budget, level):
                if budget != self.budget:
                    self.budget_usage = None
                self.budget, self.alarm = budget, level
            case BudgetRead(usage):
                self.budget_usage = usage
            case SystemRead(system) | SystemPolled(system):
                self.system = system
            case WarningChanged(warning):
                self.warning = warning
            case WorkloadDone():
                self.done = True

    def drop_requests(self, answers: int | None = None) -> None:
        """No limit is pending any more, or not the one that the command of that number asked for."""
        for name, limit in self.limits.items():
            if answers is None or limit.command_id == answers:
                self.limits[name] = limit.replace(pending=None, command_id=None)

    def put_last_mark_first(self) -> None:
        """Has deltas measured from the last mark until another is chosen."""
        *others, last = self.marks
        self.marks = [last, *others]

    def apply_sample(self, sample: Sample) -> None:
        """Takes a sample in: its sizes may be the run's highest."""
        # A comparison takes a third of what `max` does.
        if sample.peak > self.run_peak:
            self.run_peak = sample.peak
        if sample.total > self.run_total:
            self.run_total = sample.total
        if sample.high > self.run_total:
            self.run_total = sample.high
        if sample.footprint > self.run_footprint:
            self.run_footprint = sample.footprint

    def saw_before(self, total: int, footprint: int) -> None:
        """Takes in the highest total and footprint of samples that were not applied one by one."""
        self.run_total = max(self.run_total, total)
        self.run_footprint = max(self.run_footprint, footprint)

    @property
    def most(self) -> Most:
        """The highest sizes of the run. MLX held at least what its arrays took between two samples."""
        return Most(self.run_peak, max(self.run_peak, self.run_total), self.run_footprint)
