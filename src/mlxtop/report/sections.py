"""What the tables and sentences of the page say, as values: the templates lay them out.

Sizes are bytes and spans seconds; `None` is what nobody knows.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from mlxtop.core.census import PARTS, Census, Holding
from mlxtop.core.census_text import reasons, rest_in_graphs
from mlxtop.core.course import course
from mlxtop.core.events import ErrorRaised, LimitChanged, SessionEnded, SystemRead
from mlxtop.core.facts import Facts
from mlxtop.core.limits import LIMIT_NAMES, cache_ceiling
from mlxtop.core.peaks import HOW
from mlxtop.core.phases import phase_colour
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.core.units import format_size, format_span
from mlxtop.report.event_list import EventList, event_list
from mlxtop.report.series import settled
from mlxtop.report.session_summary import LOADED, Interval, SessionSummary

GAINS = ("active", "cache", "total", "peak", "footprint")
MOST_PHASES = 20
MOST_HOLDINGS = 10
PACKAGES = ("mlx", "mlx-lm", "mlxtop")
CALM = {"steady": "calm", "not enough data": "open"}
READINGS = ("pressure", "swap_used", "available", "compressed", "wired", "thermal")


class VerdictText(NamedTuple):
    """A verdict in words."""

    kind: str
    line: str
    advice: str
    mood: str
    """`calm` or `open`; empty for what needs attention."""
    since: float | None
    """The page's time; `None` for what has no beginning."""


class TitledInterval(NamedTuple):
    """Growth from one moment to another, and what it is called."""

    title: str
    interval: Interval


class PhaseRow(NamedTuple):
    name: str
    colour: str
    peak: int
    cache: int | None
    total: int | None
    seconds: float
    times: int
    speed: float | None
    """Steps a second of work."""


class LimitRow(NamedTuple):
    name: str
    value: int | None
    source: str
    default: int | None = None
    changes: int | None = None
    """`None` for what is not set: it follows from others, or is no limit of MLX's."""


class CensusRow(NamedTuple):
    """Live arrays that belong together."""

    name: str
    size: int | None
    arrays: int | None


class StepRow(NamedTuple):
    """One of the steps in which the most was active; sizes are bytes."""

    at: float
    """The page's time."""
    time: float
    """The session's."""
    peak: int
    rise: int
    phase: str
    step: int | None
    tokens: int | None
    caller: str


class MachineRow(NamedTuple):
    """A reading of the machine's memory: words or bytes."""

    name: str
    first: str | int | None
    last: str | int | None
    worst: str | int | None


class SessionView(NamedTuple):
    """All that the page says of a session."""

    id: int
    label: str
    line: str
    """The most important verdict in one line."""
    last: Mapping[str, int | None] | None
    """The gauges at the end; `None` without a sample."""
    since: Interval | None
    """What the growth beside the gauges is measured over."""
    since_loaded: bool
    most: str
    """The highest sizes in one sentence; empty without a sample."""
    verdicts: list[VerdictText]
    whole: TitledInterval | None
    between_marks: list[TitledInterval]
    generations: bool
    """Whether any was finished."""
    unit: str
    """Of speed."""
    phases: list[PhaseRow]
    steps: list[StepRow]
    limits: list[LimitRow]
    census: Census | None
    census_rows: list[CensusRow]
    census_reasons: tuple[str, ...]
    largest: Sequence[Holding]
    events: EventList
    machine: list[MachineRow]
    facts: dict[str, str]


def session_view(summary: SessionSummary) -> SessionView:
    """A session as the page tells it."""
    steps, census, since = summary.about.steps_are, summary.state.census, summary.since
    return SessionView(
        id=summary.about.id,
        label=summary.label,
        line=summary.diagnosis.line() if summary.diagnosis else "—",
        last=gauges(summary.last) if summary.last else None,
        since=since,
        since_loaded=since is not None and since.start.name == LOADED,
        most=most(summary) if summary.last else "",
        verdicts=list(verdicts(summary)),
        whole=titled("The whole recording", summary.whole, steps) if summary.whole else None,
        between_marks=[titled(f"{s.start.name} → {s.end.name}", s, "") for s in summary.between_marks],
        generations=summary.whole is not None and summary.whole.generations > 0,
        unit="tok/s" if steps == "tokens" else f"{steps}/s",
        phases=list(phases(summary)),
        steps=list(highest_steps(summary)),
        limits=list(limits(summary)),
        census=census,
        census_rows=list(census_rows(census)) if census else [],
        census_reasons=reasons(census) if census else (),
        largest=census.holdings[:MOST_HOLDINGS] if census else [],
        events=event_list(summary),
        machine=machine(summary),
        facts=facts(summary),
    )


def most(summary: SessionSummary) -> str:
    """The highest sizes of a session, and how they go with what other tools show."""
    state = summary.state
    sentence = state.most.describe(summary.about.footprint_kind, state.facts.unified)
    return f"{sentence[0].upper()}{sentence[1:]}."


def gauges(sample: Sample) -> dict[str, int | None]:
    """The gauges of a sample."""
    return {name: _known(getattr(sample, name)) for name in GAINS}


def _known(value: int) -> int | None:
    return None if value == UNKNOWN else value


def verdicts(summary: SessionSummary) -> Iterator[VerdictText]:
    """What mlxtop makes of the session, the most important first."""
    for verdict in summary.diagnosis.verdicts if summary.diagnosis else ():
        # A line begins with its kind, in words.
        kind, _, line = verdict.line().partition(": ")
        mood = CALM.get(verdict.kind, "")
        since = None if mood else verdict.since + summary.offset
        yield VerdictText(kind if line else verdict.kind, line or kind, verdict.advice, mood, since)


def titled(name: str, interval: Interval, steps_are: str) -> TitledInterval:
    """Growth in the form of mlx-swift's guide: how long it took, and how much work was done."""
    told = [f"{name}: {format_span(max(0.0, interval.span))}"]
    if interval.generations:
        told.append(f"{interval.generations:,} generations")
    steps = interval.end.steps - interval.start.steps
    if steps and steps_are:
        told.append(f"{steps:,} {steps_are}")
    return TitledInterval(", ".join(told), interval)


def phases(summary: SessionSummary) -> Iterator[PhaseRow]:
    """What each phase came to, the highest peak first."""
    for index, stats in sorted(summary.phase_stats.items(), key=lambda pair: -pair[1].peak)[:MOST_PHASES]:
        name = summary.phases[index] if 0 <= index < len(summary.phases) else "—"
        cache, total = (_known(stats.high[gauge]) for gauge in ("cache", "total"))
        speed = stats.steps / stats.decode * 1e6 if stats.decode > 0 else None
        yield PhaseRow(name, phase_colour(name), stats.peak, cache, total, stats.seconds, stats.times, speed)


def highest_steps(summary: SessionSummary) -> Iterator[StepRow]:
    """The steps in which the most was active, the highest first."""
    for event in summary.state.peaks:
        step = event.data
        caller = ", ".join(word for word in (step.caller, HOW.get(step.how, "")) if word)
        yield StepRow(
            event.time + summary.offset, event.time, step.peak, step.peak - step.floor, step.phase,
            step.step or None, step.tokens, caller or "—",
        )  # fmt: skip


def limits(summary: SessionSummary) -> Iterator[LimitRow]:
    """MLX's limits as they stood at the end, who set each, and how often it was changed."""
    state, last = summary.state, summary.last
    changes = Counter(
        e.data.name for e in summary.events if isinstance(e.data, LimitChanged) and not settled(e)
    )
    for name in LIMIT_NAMES:
        limit = state.limits[name]
        yield LimitRow(name, limit.value, limit.source or "—", limit.default, changes[name])
    if last is not None:
        most = cache_ceiling(state.facts, state.limits["memory"].value, last.active)
        if most is not None:
            yield LimitRow("cache at most", most, "what MLX leaves it beside active")
    if state.budget is not None:
        yield LimitRow("budget", state.budget.bytes, state.budget.source)


def census_rows(census: Census) -> Iterator[CensusRow]:
    """The last count of live arrays."""
    for name in PARTS:
        if name != "garbage" or census.counts[name]:
            yield CensusRow(name, census.parts[name], census.counts[name])
    if census.in_graphs:
        yield CensusRow("of that held by graphs of what is not computed", census.in_graphs, None)
    if census.in_flight:
        yield CensusRow("in flight", census.in_flight, None)
    if census.rest:
        yield CensusRow("in graphs" if rest_in_graphs(census) else "not accounted", census.rest, None)
    if not census.lazy_known:
        yield CensusRow("not computed: not known before MLX 0.32.3, counted", None, None)
    if census.lazy_count:
        yield CensusRow("not computed yet, not counted", census.lazy, census.lazy_count)


def machine(summary: SessionSummary) -> list[MachineRow]:
    """The machine's own memory over the recording, where it was told: first, last, worst."""
    found = course(event.data.system for event in summary.events if isinstance(event.data, SystemRead))
    if found is None:
        return []
    rows = (
        MachineRow(name.replace("_", " "), *(getattr(at, name) for at in (found.first, found.last, found)))
        for name in READINGS
    )
    return [row for row in rows if row.first is not None or row.last is not None]


# Who, where, when


def wall_clock(seconds: float) -> str:
    """A moment since the epoch as everybody reads it."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return "—"


def ended(summary: SessionSummary) -> str:
    """How the session ended, as far as the recording knows."""
    errors = [e.data for e in summary.events if isinstance(e.data, ErrorRaised) and e.data.phase == "ended"]
    if errors:
        return errors[-1].message
    if summary.state.error is not None and summary.state.phase == "failed":
        return f"failed: {summary.state.error}"
    if summary.state.done:
        return "the workload was done"
    if end := summary.timeline.latest(SessionEnded):
        return end.data.cause
    return "the recording ends while it runs"


def facts(summary: SessionSummary) -> dict[str, str]:
    """The program, the machine and the versions."""
    about, f, every = summary.about, summary.about.facts, format_span(summary.about.interval)
    parts: dict[str, Sequence[str | None]] = {
        "program": [" ".join(map(str, about.command)) or about.title],
        "process": [_with("pid ", about.pid), _with("rank ", about.rank)],
        "device": [f.device, f.backend],
        "memory": _memory(f),
        "system": [f.os],
        "platform": [f.platform, _with("Python ", f.python)],
        "versions": [_with(f"{name} ", getattr(f, name.replace("-", "_"))) for name in PACKAGES],
        "began": [wall_clock(about.started)],
        "recorded": [format_span(summary.span), f"{summary.count:,} samples", _with("every ", every)],
        "ended": [ended(summary)],
    }
    rows = {name: ", ".join(str(part) for part in those if part) for name, those in parts.items()}
    return {name: value for name, value in rows.items() if value}


def _with(word: str, value: Any) -> str | None:
    return None if value is None else f"{word}{value}"


def _memory(facts: Facts) -> list[str]:
    names = {"memory": "", "working_set": " recommended for the GPU", "cgroup_limit": " for the container"}
    found = [(getattr(facts, name), what) for name, what in names.items()]
    return [f"{format_size(n)}{what}" for n, what in found if isinstance(n, int)]
