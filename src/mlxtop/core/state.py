"""What a session's events add up to: where it stands now. Fed with the same events, it is the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlxtop.core.budget import Budget, BudgetUsage, from_event
from mlxtop.core.census import Census
from mlxtop.core.events import Event, Kind
from mlxtop.core.limits import LIMIT_NAMES, Limit, LimitName
from mlxtop.core.machine import System, from_told
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
    """Where a session stands. One thread at a time applies events; anyone may read a field."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    phase: str = "start"
    phase_since: float = 0.0
    progress: Progress | None = None
    limits: dict[LimitName, Limit] = field(default_factory=lambda: {knob: Limit() for knob in LIMIT_NAMES})
    marks: list[Mark] = field(default_factory=list)
    error: str | None = None
    generations: int = 0
    generation: Mapping[str, Any] = field(default_factory=dict)
    """The last finished generation, as its event told it."""
    late: int = 0
    """Ticks the sampler had to skip."""
    run_peak: int = 0
    """The highest peak of the run, whatever was reset meanwhile."""
    done: bool = False
    warning: str | None = None
    """What is wrong with watching itself, a recording that cannot be written say, for as long as it is."""
    census: Census | None = None
    """The last count of live arrays that was asked for."""
    budget: Budget | None = None
    alarm: int = 0
    """The percentage of the budget whose alarm holds: one of `core.budget.LEVELS`, or 0."""
    budget_usage: BudgetUsage | None = None
    """How it stands to its budget; no event tells it, `sessions/budget_monitor.py` does."""
    system: System | None = None
    """The machine's own memory, as the guard read it last, or as a recording tells; `None` where the machine
    is not this one."""

    def apply(self, event: Event) -> None:
        """Takes `event` in."""
        data = event.data
        match event.kind:
            case Kind.FACTS:
                self.facts = data
            case Kind.PHASE:
                self.phase, self.phase_since, self.progress = data["phase"], event.time, None
                if data["phase"] not in ("idle", "failed"):
                    self.error, self.done = None, False
            case Kind.PROGRESS:
                self.progress = Progress(data["done"], data["total"])
            case Kind.LIMIT:
                limit = self.limits[data["knob"]]
                self.limits[data["knob"]] = limit.changed(data["new"], data["who"], data.get("asked"))
            case Kind.RESET:
                self.run_peak = max(self.run_peak, data["peak"])
            case Kind.MARK:
                snapshot = Snapshot(data["active"], data["cache"], data["peak"], event.time)
                first, others = self.marks[:1], self.marks[1:][-MARKS_KEPT:]
                self.marks = [*first, *others, Mark(data["name"], snapshot, data["tokens"])]
            case Kind.GENERATION:
                self.generations += 1
                self.generation = data
            case Kind.ERROR:
                self.error = data["message"]
            case Kind.LATE:
                self.late += data["ticks"]
            case Kind.CENSUS:
                self.census = Census.from_json(data)
            case Kind.BUDGET:
                budget = from_event(data)
                if budget != self.budget:
                    self.budget_usage = None
                self.budget, self.alarm = budget, data["level"]
            case Kind.SYSTEM:
                self.system = from_told(data)
            case Kind.DONE:
                self.done = True
