"""The events of a session for the page: how often each kind happened, and a bounded number of each."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from mlxtop.core.events import (
    BudgetChanged,
    CacheCleared,
    ErrorRaised,
    Event,
    EventData,
    GarbageCollected,
    GenerationFinished,
    LimitChanged,
    LossReported,
    MarkAdded,
    PeakReset,
    SessionEnded,
    TicksMissed,
    TraceStarted,
    TraceStopped,
    WorkloadDone,
)
from mlxtop.report.series import settled
from mlxtop.report.session_summary import SessionSummary

MOST_EVENTS = 40
"""Of each kind in the table: the first quarter and the last three."""
NAMES: dict[type[EventData], str] = {
    LimitChanged: "limit changed",
    CacheCleared: "cache cleared",
    PeakReset: "peak reset",
    GarbageCollected: "gc.collect()",
    TraceStarted: "trace begins",
    TraceStopped: "trace ends",
    MarkAdded: "mark",
    GenerationFinished: "generation",
    LossReported: "loss",
    BudgetChanged: "budget",
    ErrorRaised: "error",
    TicksMissed: "samples late",
    WorkloadDone: "done",
    SessionEnded: "end",
}
"""What is told, and what it is called."""
APART = (GenerationFinished, LossReported)
"""What stands in a table of its own."""


class EventCount(NamedTuple):
    """How often something happened."""

    name: str
    times: int
    routine: int
    """Those among them that mlx-lm does all the time."""


class EventRow(NamedTuple):
    at: float
    """The page's time."""
    time: float
    """The session's."""
    kind: str
    name: str
    text: str
    times: int


class EventTable(NamedTuple):
    rows: list[EventRow]
    left_out: int


class EventList(NamedTuple):
    """What happened."""

    counts: list[EventCount]
    table: EventTable
    generations: EventTable
    losses: EventTable


def event_list(summary: SessionSummary) -> EventList:
    """What happened in a session; generations and losses stand in tables of their own."""
    counts = Counter({kind: summary.timeline.count(kind) for kind in NAMES})
    counts[LimitChanged] -= sum(event.times for event in summary.events if settled(event))
    told = [EventCount(NAMES[kind], n, summary.timeline.routine[kind]) for kind, n in counts.items() if n]
    shown = [e for e in summary.events if type(e.data) in NAMES and not e.routine and not settled(e)]
    others = [e for e in shown if not isinstance(e.data, APART)]
    tables = [others, *([e for e in shown if isinstance(e.data, kind)] for kind in APART)]
    return EventList(told, *(_table(table, summary.offset) for table in tables))


def _table(events: Sequence[Event], offset: float) -> EventTable:
    listed = _bounded(events)
    rows = [
        EventRow(e.time + offset, e.time, e.kind, NAMES[type(e.data)], e.describe(), e.times) for e in listed
    ]
    return EventTable(rows, len(events) - len(listed))


def _bounded(events: Sequence[Event]) -> list[Event]:
    kinds: dict[str, list[Event]] = {}
    for event in events:
        kinds.setdefault(event.kind, []).append(event)
    found = []
    for those in kinds.values():
        if len(those) > MOST_EVENTS:
            those = those[: MOST_EVENTS // 4] + those[-MOST_EVENTS * 3 // 4 :]
        found += those
    return sorted(found, key=lambda event: event.time)
