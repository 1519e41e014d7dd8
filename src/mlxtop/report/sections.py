"""The parts of the page that are tables and sentences: they need no script, and they print."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mlxtop.core.census import PARTS
from mlxtop.core.events import (
    BudgetChanged,
    CacheCleared,
    CensusTaken,
    ErrorRaised,
    Event,
    EventData,
    FactsRead,
    GarbageCollected,
    GenerationFinished,
    LimitChanged,
    MarkAdded,
    PeakReset,
    PhaseChanged,
    ProgressMade,
    SessionEnded,
    SystemRead,
    TicksMissed,
    WorkloadDone,
)
from mlxtop.core.limits import LIMIT_NAMES, MLX_DEFAULT, cache_ceiling
from mlxtop.core.machine import System, course
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.units import format_clock, format_delta, format_size, format_span
from mlxtop.report.markup import Safe, delta, joined, moment, number, size, table, tag
from mlxtop.report.series import settled
from mlxtop.report.session_summary import LOADED, Interval, SessionSummary

GAINS = ("active", "cache", "total", "peak", "footprint")
MOST_EVENTS = 40
"""Of each kind in the table: the first quarter and the last three."""
UNLISTED = (PhaseChanged, ProgressMade, FactsRead, CensusTaken, SystemRead)
MOST_HOLDINGS = 10
PACKAGES = ("mlx", "mlx-lm", "mlxtop")
NAMES = {
    LimitChanged: "limit changed", CacheCleared: "cache cleared", PeakReset: "peak reset",
    GarbageCollected: "gc.collect()", MarkAdded: "mark", GenerationFinished: "generation",
    BudgetChanged: "budget",
    ErrorRaised: "error", TicksMissed: "samples late", WorkloadDone: "done", SessionEnded: "end",
}  # fmt: skip
CALM = {"steady": "calm", "not enough data": "open"}


def verdicts(story: SessionSummary) -> Safe:
    """What mlxtop makes of the session, the most important first."""
    if story.diagnosis is None:
        return tag("p", "Nothing was sampled.", class_="quiet")
    found = []
    for verdict in story.diagnosis.verdicts:
        # A line begins with its kind, in words.
        kind, _, line = verdict.line().partition(": ")
        advice = tag("p", verdict.advice, class_="advice") if verdict.advice else Safe()
        since = verdict.since + story.offset
        at = tag("button", f"since {format_clock(since)}", class_="at", data_at=f"{since:.3f}")
        found.append(
            tag(
                "article",
                tag("h3", kind if line else verdict.kind),
                tag("p", line or kind, class_="line"),
                advice,
                at if verdict.kind not in CALM else Safe(),
                class_=f"verdict {CALM.get(verdict.kind, '')}".strip(),
            )
        )
    return joined(found)


def key_figures(story: SessionSummary) -> Safe:
    """The counters at the end, as large figures."""
    if story.last is None:
        return Safe()
    tiles, begin = [], story.since.start.name if story.since else ""
    since = "since it was loaded" if begin == LOADED else "over the recording"
    for name in GAINS:
        value = getattr(story.last, name)
        known = None if value == UNKNOWN else value
        grown = story.since.delta(name) if story.since else None
        change = Safe() if grown is None else tag("small", f"{format_delta(grown)} {since}")
        tiles.append(
            tag("div", tag("dt", name), tag("dd", format_size(known)), change, class_=f"tile {name}")
        )
    return tag("dl", *tiles, class_="tiles")


def growth(story: SessionSummary) -> Safe:
    """Start, end, growth, in the form of mlx-swift's guide, for the whole and from mark to mark."""
    if story.whole is None:
        return tag("p", "There are too few samples to tell a growth.", class_="quiet")
    done = story.whole.generations > 0
    parts = [_stretch(story.whole, "The whole recording", story.about.steps_are, done)]
    if story.stretches:
        between = [_stretch(s, f"{s.start.name} → {s.end.name}", "", done) for s in story.stretches]
        parts.append(tag("details", tag("summary", "Between marks"), *between, open="open"))
    return joined(parts)


def _stretch(stretch: Interval, name: str, steps_are: str, done: bool) -> Safe:
    """`done`: there are generations in the recording."""
    heads = ["", stretch.start.name, stretch.end.name, "growth", "per minute"]
    if done:
        heads.append("per generation")
    rows = []
    for gauge in GAINS:
        before, after = stretch.start.sizes[gauge], stretch.end.sizes[gauge]
        row = [tag("th", gauge, scope="row"), size(before), size(after), delta(stretch.delta(gauge))]
        row.append(delta(stretch.per_minute(gauge)))
        if done:
            row.append(delta(stretch.per_generation(gauge)))
        rows.append(row)
    told = [f"{name}: {format_span(max(0.0, stretch.span))}"]
    if stretch.generations:
        told.append(f"{stretch.generations:,} generations")
    steps = stretch.end.steps - stretch.start.steps
    if steps and steps_are:
        told.append(f"{steps:,} {steps_are}")
    return tag("h3", ", ".join(told)) + table(heads, rows, "growth")


def phases(story: SessionSummary) -> Safe:
    """What each phase came to: where the peak was."""
    named = sorted(story.stays.items(), key=lambda pair: -pair[1].peak)[:20]
    rows = []
    for index, stay in named:
        name = story.phases[index] if 0 <= index < len(story.phases) else "—"
        speed = f"{stay.steps / stay.decode * 1e6:,.1f}" if stay.decode > 0 else "—"
        rows.append(
            [
                tag("th", tag("i", class_=f"swatch {phase_colour(name)}"), name, scope="row"),
                size(stay.peak),
                *(size(None if stay.high[g] == UNKNOWN else stay.high[g]) for g in ("cache", "total")),
                number(format_span(stay.seconds)),
                number(f"{stay.times:,}"),
                number(speed),
            ]
        )
    unit = "tok/s" if story.about.steps_are == "tokens" else f"{story.about.steps_are}/s"
    return table(["phase", "peak", "most cache", "most total", "time", "times", unit], rows)


def phase_colour(name: str) -> str:
    """The colour of a phase, by the screen's names; a program's own words share one."""
    if name in ("load", "prefill", "decode", "idle", "failed"):
        return name
    return "load" if name == "start" else "own"


def limits(story: SessionSummary) -> Safe:
    """MLX's limits as they stood at the end, who set each, and how often it was changed."""
    changes = Counter(
        e.data.name for e in story.events if isinstance(e.data, LimitChanged) and not settled(e)
    )
    rows = []
    for knob in LIMIT_NAMES:
        limit = story.state.limits[knob]
        default = size(limit.default)
        rows.append(
            [
                tag("th", knob, scope="row"),
                size(limit.value),
                limit.source or "—",
                default,
                number(f"{changes[knob]:,}"),
            ]
        )
    last, memory = story.last, story.state.limits["memory"].value
    most = None if last is None else cache_ceiling(story.state.facts, memory, last.active)
    if most is not None:
        rows.append(
            [
                tag("th", "cache at most", scope="row"),
                size(most),
                "what MLX leaves it beside active",
                tag("td", "—", class_="n"),
                tag("td"),
            ]
        )
    if story.state.budget is not None:
        budget = story.state.budget
        rows.append(
            [
                tag("th", "budget", scope="row"),
                size(budget.bytes),
                budget.source,
                tag("td", "—", class_="n"),
                tag("td"),
            ]
        )
    return table(["limit", "at the end", "set by", MLX_DEFAULT, "changes"], rows)


def census(story: SessionSummary) -> Safe:
    """The last count of live arrays, where somebody asked for one."""
    found = story.state.census
    if found is None:
        return Safe()
    parts = [
        [tag("th", part, scope="row"), size(found.parts[part]), number(f"{found.counts[part]:,}")]
        for part in PARTS
        if part != "garbage" or found.counts[part]
    ]
    if not found.lazy_known:
        parts.append(
            [
                tag("th", "not computed: not known before MLX 0.32.3, counted", scope="row"),
                *2 * [tag("td", "—", class_="n")],
            ]
        )
    if found.lazy_count:
        parts.append(
            [
                tag("th", "not computed yet, not counted", scope="row"),
                size(found.lazy),
                number(f"{found.lazy_count:,}"),
            ]
        )
    largest = [
        [
            size(h.nbytes),
            h.part if h.computed else f"{h.part}, not computed",
            "×".join(map(str, h.shape)) or "scalar",
            h.dtype,
            h.holder,
        ]
        for h in found.holdings[:MOST_HOLDINGS]
    ]
    note = "" if found.whole else " It ran out of time: the parts are a lower bound."
    return joined(
        [
            tag("h2", "Live arrays"),
            tag("p", f"As last counted, of {format_size(found.active)} active.{note}", class_="quiet"),
            table(["part", "size", "arrays"], parts),
            table(["size", "part", "shape", "type", "held by"], largest) if largest else Safe(),
        ]
    )


def events(story: SessionSummary) -> Safe:
    """How often what happened, and the events themselves, a bounded number of each kind."""
    counts = Counter({kind: story.timeline.count(kind) for kind in NAMES if kind not in UNLISTED})
    counts[LimitChanged] -= sum(event.times for event in story.events if settled(event))
    told = [tag("li", f"{n:,} × {NAMES[kind]}{_routine(story, kind)}") for kind, n in counts.items() if n]
    if not told:
        return tag("p", "Nothing happened that is told of.", class_="quiet")
    shown = [e for e in story.events if type(e.data) not in UNLISTED and not e.routine and not settled(e)]
    generations = [e for e in shown if isinstance(e.data, GenerationFinished)]
    parts = [tag("ul", *told, class_="counts")]
    parts.append(_listed(story, [e for e in shown if not isinstance(e.data, GenerationFinished)]))
    if generations:
        parts.append(tag("details", tag("summary", "Generations"), _listed(story, generations)))
    return joined(parts)


def _listed(story: SessionSummary, events: list[Event]) -> Safe:
    listed, left_out = _bounded(events)
    rows = [
        [
            moment(event.time + story.offset, format_clock(event.time)),
            tag("td", NAMES[type(event.data)], class_=f"kind {event.kind}"),
            event.describe() + _often(event),
        ]
        for event in listed
    ]
    note = tag("p", f"{left_out:,} more are counted above.", class_="quiet") if left_out else Safe()
    return table(["time", "event", ""], rows, "events") + note if rows else Safe()


def _routine(story: SessionSummary, kind: type[EventData]) -> str:
    count = story.timeline.routine[kind]
    return f" ({count:,} by mlx-lm, as it always does)" if count else ""


def _often(event: Event) -> str:
    return f" (× {event.times:,})" if event.times != 1 else ""


def _bounded(events: Sequence[Event]) -> tuple[list[Event], int]:
    kinds: dict[str, list[Event]] = {}
    for event in events:
        kinds.setdefault(event.kind, []).append(event)
    found, left_out = [], 0
    for those in kinds.values():
        if len(those) > MOST_EVENTS:
            left_out += len(those) - MOST_EVENTS
            those = those[: MOST_EVENTS // 4] + those[-MOST_EVENTS * 3 // 4 :]
        found += those
    return sorted(found, key=lambda event: event.time), left_out


# Who, where, when


def clock(seconds: float) -> str:
    """A moment since the epoch as everybody reads it."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return "—"


def ended(story: SessionSummary) -> str:
    """How the session ended, as far as the recording knows."""
    errors = [e.data for e in story.events if isinstance(e.data, ErrorRaised) and e.data.phase == "ended"]
    if errors:
        return errors[-1].message
    if story.state.error is not None and story.state.phase == "failed":
        return f"failed: {story.state.error}"
    if story.state.done:
        return "the workload was done"
    if end := story.timeline.latest(SessionEnded):
        return end.data.cause
    return "the recording ends while it runs"


def facts(story: SessionSummary) -> Safe:
    """The program, the machine and the versions, a name and a value each."""
    about, f, every = story.about, story.about.facts, format_span(story.about.interval)
    parts: dict[str, Sequence[str | None]] = {
        "program": [" ".join(map(str, about.command)) or about.title],
        "process": [_with("pid ", about.pid), _with("rank ", about.rank)],
        "device": [f.get("device"), f.get("backend")],
        "memory": _memory(f),
        "system": [f.get("os")],
        "platform": [f.get("platform"), _with("Python ", f.get("python"))],
        "versions": [_with(f"{name} ", f.get(name.replace("-", "_"))) for name in PACKAGES],
        "began": [clock(about.started)],
        "recorded": [format_span(story.span), f"{story.count:,} samples", _with("every ", every)],
        "ended": [ended(story)],
    }
    rows = {name: ", ".join(str(part) for part in those if part) for name, those in parts.items()}
    cells = (tag("dt", name) + tag("dd", value) for name, value in rows.items() if value)
    return tag("dl", *cells, class_="facts")


def machine(story: SessionSummary) -> Safe:
    """The machine's own memory over the recording, where it was told: first, last, worst."""
    found = course(event.data.system for event in story.events if isinstance(event.data, SystemRead))
    if found is None:
        return Safe()
    rows = [
        [tag("th", name.replace("_", " "), scope="row"), *(_told(each, name) for each in found[:2]), worst]
        for name, worst in (
            ("pressure", found.pressure or "—"),
            ("swap_used", size(found.swap_used)),
            ("available", size(found.available)),
            ("compressed", size(found.compressed)),
            ("wired", size(found.wired)),
            ("thermal", found.thermal or "—"),
        )
        if getattr(found.first, name) is not None or getattr(found.last, name) is not None
    ]
    return tag("h2", "Machine") + table(["", "first", "last", "worst"], rows) if rows else Safe()


def _told(reading: System, name: str) -> str | Safe:
    value = getattr(reading, name)
    return value if isinstance(value, str) else size(value)


def _with(word: str, value: Any) -> str | None:
    return None if value is None else f"{word}{value}"


def _memory(facts: Mapping[str, Any]) -> list[str]:
    names = {"memory": "", "working_set": " recommended for the GPU", "cgroup_limit": " for the container"}
    found = [(facts.get(name), what) for name, what in names.items()]
    return [f"{format_size(n)}{what}" for n, what in found if isinstance(n, int)]
