"""What a recorded session comes to: where it stood at the end, its growth, and its phases in figures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import NamedTuple

from mlxtop.analysis.diagnosis import diagnose
from mlxtop.analysis.verdicts import Diagnosis
from mlxtop.core.events import Event, GenerationFinished, MarkAdded
from mlxtop.core.resample import Level
from mlxtop.core.sample import COUNTERS, GAUGES, UNKNOWN, Sample
from mlxtop.core.state import State
from mlxtop.core.timeline import Timeline
from mlxtop.recording.export import chunks
from mlxtop.recording.reader import Recording, SessionInfo
from mlxtop.report.series import Runs, Series, series
from mlxtop.sessions.replay import ReplaySession
from mlxtop.sessions.replay import ended as replayed

MOST_MARKS = 20
"""Marks that growth is shown between; of more, the first and the last."""
LOADED = "loaded"
"""The mark that mlxtop sets when a model is there: growth counts from it."""
LEAST_SPAN = 10.0
"""Seconds: a rate of a shorter stretch says nothing."""


class Point(NamedTuple):
    """The allocator at a named moment; bytes, `None` where nobody knows."""

    name: str
    time: float
    sizes: dict[str, int | None]
    steps: int


class Interval(NamedTuple):
    """Growth from one moment to another."""

    start: Point
    end: Point
    generations: int

    @property
    def span(self) -> float:
        return self.end.time - self.start.time

    def delta(self, name: str) -> int | None:
        """The growth of a gauge in bytes."""
        before, after = self.start.sizes[name], self.end.sizes[name]
        return None if before is None or after is None else after - before

    def per_minute(self, name: str) -> float | None:
        """Bytes a minute; `None` where the stretch is too short to tell."""
        delta = self.delta(name)
        return None if delta is None or self.span < LEAST_SPAN else delta / self.span * 60

    def per_generation(self, name: str) -> float | None:
        delta = self.delta(name)
        return None if delta is None or not self.generations else delta / self.generations


@dataclass
class PhaseStats:
    """One phase in figures: bytes, seconds."""

    times: int = 0
    seconds: float = 0.0
    peak: int = 0
    """The highest `active` in it, spikes between samples included."""
    high: dict[str, int] = field(default_factory=lambda: dict.fromkeys(GAUGES, UNKNOWN))
    steps: int = 0
    decode: int = 0
    """Microseconds."""


@dataclass
class SessionSummary:
    """One session, ready to be told. `offset` is the page's time when the session's clock stood at 0."""

    about: SessionInfo
    label: str
    offset: float
    phases: list[str]
    events: list[Event]
    timeline: Timeline
    state: State
    first: Sample | None
    last: Sample | None
    count: int
    end: float
    """The page's time of the last sample, or of what was told just after it: how it ended."""
    trace: Series
    runs: list[tuple[float, int]]
    phase_stats: dict[int, PhaseStats]
    whole: Interval | None
    between_marks: list[Interval]
    """Between marks that follow each other; empty where there is no mark in between."""
    diagnosis: Diagnosis | None

    @property
    def since(self) -> Interval | None:
        """From when the model was last loaded to the end; the whole where nothing tells of that."""
        for interval in reversed(self.between_marks):
            if interval.start.name == LOADED and self.whole:
                return Interval(interval.start, self.whole.end, self.whole.generations)
        return self.whole

    @property
    def span(self) -> float:
        """Seconds from the first sample to the last."""
        return self.last.time - self.first.time if self.first and self.last else 0.0


def summarize(
    recording: Recording, about: SessionInfo, label: str, offset: float, sessions: int
) -> SessionSummary:
    """Reads a session once from end to end: some 2 µs a sample."""
    replay = replayed(recording, about)
    events, first, last = replay.events, replay.history.first, replay.history.end
    trace = series(recording, about, sessions)
    runs = Runs(trace.times, trace.width)
    stats = phase_stats(chunks(recording, about.id), runs)
    points = checkpoints(recording, about, events, first, last)
    between = [_interval(a, b, events) for a, b in pairwise(points)]
    return SessionSummary(
        about, label, offset, replay.phases, events, replay.timeline, replay.state, first, last,
        replay.history.count, offset + replay.end, trace, runs.close(), stats,
        _interval(points[0], points[-1], events) if len(points) > 1 else None,
        between if len(between) > 1 else [], _verdict(replay),
    )  # fmt: skip


def checkpoints(
    recording: Recording,
    about: SessionInfo,
    events: Sequence[Event],
    first: Sample | None,
    last: Sample | None,
) -> list[Point]:
    """The first sample, the marks, the last sample; the mark that mlxtop sets at the start is the first."""
    if first is None or last is None:
        return []
    marks = [(event.time, event.data) for event in events if isinstance(event.data, MarkAdded)]
    if len(marks) > MOST_MARKS:
        marks = marks[: MOST_MARKS // 2] + marks[-MOST_MARKS // 2 :]
    points = []
    for time, mark in marks:
        sample = recording.at(about.id, time) or first
        exact = {
            "active": mark.active, "cache": mark.cache, "peak": mark.peak, "total": mark.active + mark.cache,
        }  # fmt: skip
        points.append(_point(mark.name, sample, time, exact))
    if not points or points[0].name != "start":
        points.insert(0, _point("start", first, first.time, {}))
    if last.time > points[-1].time:
        points.append(_point("end", last, last.time, {}))
    return points


def _point(name: str, sample: Sample, time: float, exact: dict[str, int]) -> Point:
    sizes = dict(zip(GAUGES, sample.gauges, strict=True)) | exact
    known = {key: None if value == UNKNOWN else value for key, value in sizes.items()}
    return Point(name, time, known, sample.steps)


def _interval(start: Point, end: Point, events: Iterable[Event]) -> Interval:
    done = (e for e in events if isinstance(e.data, GenerationFinished) and start.time < e.time <= end.time)
    return Interval(start, end, sum(1 for _ in done))


def phase_stats(samples: Iterable[Level], runs: Runs) -> dict[int, PhaseStats]:
    """Every phase in figures, over all samples, and its runs into `runs`."""
    found: dict[int, PhaseStats] = {}
    now, since, before = -1, 0.0, (0, 0, 0)
    for chunk in samples:
        gauges = dict(zip(GAUGES, chunk.hi, strict=True))
        last = dict(zip(COUNTERS, chunk.last, strict=True))
        start = 0
        for phase, run in groupby(last["phase"]):
            end = start + sum(1 for _ in run)
            stats = found.setdefault(phase, PhaseStats())
            if phase != now:
                _leave(found, runs, now, since, chunk.time[start])
                now, since, stats.times = phase, chunk.time[start], stats.times + 1
            for name, column in gauges.items():
                stats.high[name] = max(stats.high[name], max(column[start:end]))
            # The peak between two samples belongs to where it rose.
            peak = max(gauges["peak"][start:end])
            stats.peak = max(stats.peak, stats.high["active"], peak if peak > before[0] else 0)
            steps, decode = last["steps"][end - 1], last["decode"][end - 1]
            stats.steps += steps - before[1]
            stats.decode += decode - before[2]
            before, start = (gauges["peak"][end - 1], steps, decode), end
        over = chunk.time[-1]
        _leave(found, runs, now, since, over)
        since = over
    return found


def _leave(found: dict[int, PhaseStats], runs: Runs, phase: int, since: float, over: float) -> None:
    if phase in found:
        found[phase].seconds += over - since
        runs.add(since, over, phase)


def _verdict(replay: ReplaySession) -> Diagnosis | None:
    """What there is to say at the end of a session; `None` without a sample."""
    last, state = replay.history.end, replay.state
    if last is None:
        return None
    budget = state.budget.bytes if state.budget else None
    return diagnose(
        replay.history, replay.timeline, state, replay.phases, last.time, replay.steps_are, budget
    )
