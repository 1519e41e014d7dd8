"""The page about a program that died, as plain text: why, its last two minutes, what held its memory."""

import time
from collections.abc import Iterator
from math import inf

from mlxtop.analysis.diagnosis import diagnose
from mlxtop.analysis.verdicts import Verdict
from mlxtop.core.census import Census
from mlxtop.core.census_diff import shape_text
from mlxtop.core.census_text import label
from mlxtop.core.events import (
    BudgetChanged,
    CacheCleared,
    ErrorRaised,
    Event,
    EventData,
    GarbageCollected,
    GenerationFinished,
    LimitChanged,
    MarkAdded,
    PeakReset,
    PhaseChanged,
)
from mlxtop.core.limits import LIMIT_NAMES
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.core.text import one_line
from mlxtop.core.units import format_size, format_span
from mlxtop.sessions.death import Death
from mlxtop.sessions.remote import RemoteSession

SECONDS, ROWS = 120.0, 12
"""The last seconds that the table covers, and its rows."""
GAUGES = ("active", "cache", "total", "footprint")
TOLD: tuple[type[EventData], ...] = (
    PhaseChanged, LimitChanged, CacheCleared, PeakReset, GarbageCollected, MarkAdded, GenerationFinished,
    BudgetChanged, ErrorRaised,
)  # fmt: skip
MOST_EVENTS, MOST_HOLDINGS, MOST_LINES = 20, 10, 40


def page(session: RemoteSession, death: Death) -> str:
    """The page about a session whose process died. All text in it is safe to show."""
    return "\n\n".join("\n".join(part) for part in _parts(session, death) if len(part) > 1) + "\n"


def _parts(session: RemoteSession, death: Death) -> Iterator[list[str]]:
    last = session.history.latest
    yield list(_head(session, death))
    yield ["Cause", *_indented(_cause(death))]
    yield ["At the end", *_indented(_end(session, last))]
    if last is not None:
        first = session.history.first or last
        span = min(SECONDS, max(last.time - first.time, 1.0))
        title = f"The last {format_span(round(span))}, the most of each {format_span(round(span / ROWS, 1))}"
        yield [title, *_indented(_table(session, last.time, span))]
        yield ["What happened in it", *_indented(_events(session, last.time, span))]
    yield ["Limits", *_indented(_limits(session))]
    if session.state.census is not None:
        yield list(_holders(session.state.census, death))
    yield ["Its last lines of output", *(f"  | {one_line(line)}" for line in death.lines[-MOST_LINES:])]
    yield ["What to try", *(f"  - {line}" for line in advice(session, death))]
    yield ["Versions", *_indented(_versions(session))]


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _head(session: RemoteSession, death: Death) -> Iterator[str]:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(death.time))
    age = format_span(round(session.now()))
    yield f"{session.title} (process {session.pid}) died at {when}, watched for {age}."
    yield f"{death.how[:1].upper()}{death.how[1:]}."


def _cause(death: Death) -> Iterator[str]:
    cause = death.cause
    yield f"{cause.kind}: {one_line(cause.what)}"
    yield from (f"evidence: {one_line(line)}" for line in cause.evidence)
    if death.where is not None:
        yield f"raised in {death.where}"


def _end(session: RemoteSession, last: Sample | None) -> Iterator[str]:
    state = session.state
    if last is None:
        yield "no sample was taken: it ended too early"
        return
    yield f"phase {session.phases[last.phase]}, step {last.steps:,} ({session.steps_are})"
    if state.marks:
        mark = state.marks[-1]
        yield f"{format_span(round(max(0.0, last.time - mark.snapshot.time)))} after the mark “{mark.name}”"
    sizes = [(name, getattr(last, name)) for name in ("active", "cache", "footprint")]
    yield ", ".join(f"{name} {_size(size)}" for name, size in sizes) + f", peak {_size(state.run_peak)}"
    if state.system is not None and state.system.cgroup_limit is not None:
        used, limit = state.system.cgroup_used, state.system.cgroup_limit
        yield f"the container used {format_size(used)} of {format_size(limit)}"
    if state.system is not None and state.system.pressure is not None:
        yield f"memory pressure: {state.system.pressure}"
    yield from (verdict.line() for verdict in _verdicts(session, last))


def _verdicts(session: RemoteSession, last: Sample) -> tuple[Verdict, ...]:
    state = session.state
    budget = state.budget.bytes if state.budget else None
    return diagnose(
        session.history, session.timeline, state, session.phases, last.time, session.steps_are, budget
    ).verdicts


def _table(session: RemoteSession, end: float, span: float) -> Iterator[str]:
    width = span / ROWS
    # A column ends before its last moment: the last sample is to be in the last.
    start = end - span + 1e-3
    columns = session.history.columns(start, width, ROWS, GAUGES, ("steps",), until=end)
    yield f"{'':>7}" + "".join(f"{name:>12}" for name in (*GAUGES, "steps"))
    for i in range(ROWS):
        if columns.hi["active"][i] != UNKNOWN:
            sizes = "".join(f"{_size(columns.hi[name][i]):>12}" for name in GAUGES)
            yield f"{(i - ROWS) * width:>6.1f}s{sizes}{columns.last['steps'][i]:>12,}"


def _events(session: RemoteSession, end: float, span: float) -> Iterator[str]:
    found: list[Event] = [
        event for kind in TOLD for event in session.timeline.between(kind, end - span, inf) if _is_told(event)
    ]
    found.sort(key=lambda event: event.time)
    for event in found[-MOST_EVENTS:]:
        yield f"{event.time - end:>6.1f}s  {one_line(event.describe())}"


def _is_told(event: Event) -> bool:
    """Whether it is worth a line: not what the agent found, and not the end, which is told above."""
    match event.data:
        case LimitChanged(found=True) | MarkAdded(source="mlxtop"):
            return False
        case PhaseChanged(phase):
            return phase not in ("run", "ended")
        case ErrorRaised(_, phase):
            return phase != "ended"
    return True


def _limits(session: RemoteSession) -> Iterator[str]:
    for name in LIMIT_NAMES:
        limit = session.state.limits[name]
        yield f"{name:<6} {format_size(limit.value):>10}  {one_line(limit.source)}".rstrip()


def _holders(census: Census, death: Death) -> Iterator[str]:
    age = format_span(round(max(0.0, death.time - census.time)))
    yield f"What held the arrays, counted {age} before"
    for holding in census.holdings[:MOST_HOLDINGS]:
        size, what = format_size(holding.nbytes), one_line(f"{shape_text(holding.shape)} {holding.dtype}")
        yield f"  {size:>10}  {what:<24}  {one_line(label(holding))}"


def advice(session: RemoteSession, death: Death) -> list[str]:
    """What to try, one sentence each: about the cause first, then about the run."""
    found = list(death.cause.advice)
    last = session.history.latest
    if last is not None and death.cause.about_memory:
        found += [verdict.advice for verdict in _verdicts(session, last) if verdict.advice]
    if not death.lines:
        found.append("For its last lines of output run it with mlxtop run --log FILE.")
    if session.state.census is None and death.cause.about_memory:
        found.append("Press w while it runs: the page then lists what held the arrays.")
    return list(dict.fromkeys(found))


def _versions(session: RemoteSession) -> Iterator[str]:
    facts = session.state.facts
    yield f"command: {one_line(' '.join(session.command))}"
    yield f"device: {facts.device} ({facts.backend})"
    known = [("mlx", facts.mlx), ("Python", facts.python), ("", facts.os), ("mlxtop", facts.mlxtop)]
    yield ", ".join(f"{name} {value}".strip() for name, value in known if value)


def _size(value: int) -> str:
    return format_size(None if value == UNKNOWN else value)
