"""Runs that never were: programs of every kind, with noise, bursts, idle time and missing samples.

Each trace tells which verdicts are right at a moment, and by when one must have been found.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf

from mlxtop.analysis.verdicts import Verdict
from mlxtop.core.census import PARTS, Census, Holding
from mlxtop.core.events import (
    CacheCleared,
    CensusTaken,
    Event,
    EventData,
    GenerationFinished,
    LimitChanged,
    PhaseChanged,
)
from mlxtop.core.facts import Facts
from mlxtop.core.history import History
from mlxtop.core.limits import GIB, MIB, MLX_DEFAULT
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.core.state import State
from mlxtop.core.timeline import Timeline

PHASES = ["start", "load", "idle", "prefill", "decode"]
MINUTE = 60.0


@dataclass
class Trace:
    """One run, and what is true of it."""

    name: str
    steps_are: str = "evals"
    items: list[Sample | Event] = field(default_factory=list)
    right: set[str] = field(default_factory=set)
    """Verdicts that may be said."""
    since: float = 0.0
    """Before this moment they may not."""
    until: float = inf
    """Nor after this one."""
    always: set[str] = field(default_factory=set)
    """Verdicts that may be said at any time."""
    causes: set[str] = field(default_factory=lambda: {"unknown"})
    """What may be said to be the cause of swings."""
    due: float = inf
    """From this moment on `steady` is wrong."""

    def allows(self, verdict: Verdict, time: float) -> bool:
        """Whether a verdict at a moment is no error. Not to know is none."""
        kind = verdict.kind
        if kind == "swings" and verdict.words["cause"] not in self.causes:
            return False
        if kind == "not enough data":
            return True
        if kind == "idle cache":
            return self.rests(time)
        if kind == "steady":
            return time < self.due
        return kind in self.always or (kind in self.right and self.since <= time <= self.until)

    def rests(self, time: float) -> bool:
        """Whether at a moment there is a cache that nothing has used for two minutes, give or take a column."""
        samples = [item for item in self.items if isinstance(item, Sample) and item.time <= time]
        now = samples[-1]
        used = (
            s.time
            for s in reversed(samples)
            if (s.active, s.cache, s.steps) != (now.active, now.cache, now.steps)
        )
        return now.cache >= 2**16 and now.time - next(used, 0.0) >= 110


class Program:
    """A made-up program: change its numbers, then `run` it for a while."""

    def __init__(self, trace: Trace, rng: random.Random, interval: float = 0.5, missing: float = 0.0) -> None:
        self.trace, self.rng, self.interval, self.missing = trace, rng, interval, missing
        self.time = self.active = self.cache = self.other = 0.0
        self.peak = self.footprint = 0
        self.weights = self.kv = self.buffers = UNKNOWN
        self.swapped = 0.0
        self.steps = self.decode = 0
        self.speed = 50.0
        self.phase = "start"
        self.limit = float(80 * GIB)
        self._footprint_due = self._gap_until = 0.0
        self.event(LimitChanged("cache", 80 * GIB, 80 * GIB, MLX_DEFAULT))

    def census(self, unexplained: float, *holders: str) -> None:
        """Somebody counts the arrays: all of *active* but so much, and those that are not computed."""
        waits = [Holding("other", 4, (), "float32", holder, computed=False) for holder in holders]
        parts = {**dict.fromkeys(PARTS, 0), "other": max(0, int(self.active - unexplained))}
        self.event(CensusTaken(Census(int(self.active), parts, holdings=tuple(waits), lazy_count=len(waits))))

    def event(self, data: EventData) -> None:
        self.trace.items.append(Event(self.time, data))

    def enter(self, phase: str) -> None:
        self.phase = phase
        self.event(PhaseChanged(phase))

    def set_limit(self, size: int, who: str) -> None:
        self.event(LimitChanged("cache", int(self.limit), size, who))
        self.limit = float(size)
        self.cache = min(self.cache, self.limit)

    def clear(self, who: str) -> None:
        self.event(CacheCleared(who, int(self.cache)))
        self.cache = 0.0

    def tick(self, busy: bool = True, spike: float = 0.0) -> None:
        """One sample. `spike` is what *active* reached since the last one and has no more."""
        jitter = self.interval * self.rng.uniform(0.97, 1.03)
        self.time += jitter
        if busy:
            seconds = jitter * self.rng.uniform(0.8, 1.0)
            steps = max(1, round(self.speed * seconds * self.rng.uniform(0.97, 1.03)))
            self.steps += steps
            self.decode += int(seconds * 1e6)
        active = max(0, int(self.active))
        cache = max(0, int(min(self.cache, self.limit)))
        self.peak = max(self.peak, active + int(spike))
        if self.time >= self._footprint_due:
            self._footprint_due = self.time + 1.0
            self.footprint = int(400 * MIB + self.other + active + cache - self.swapped)
        if self.time < self._gap_until:
            return
        if self.rng.random() < self.missing * self.interval / 20:
            self._gap_until = self.time + self.rng.expovariate(1 / 20)
        self.trace.items.append(
            Sample(
                self.time, active, cache, self.peak, active + cache, self.footprint, self.steps, self.steps,
                self.decode, PHASES.index(self.phase), self.weights, int(self.kv),
                buffers=int(self.buffers),
            )
        )  # fmt: skip

    def run(self, seconds: float, each: Callable[[float], None], busy: bool = True) -> None:
        """Ticks for a while; `each` is told how long it has been, before each tick."""
        start = self.time
        while self.time - start < seconds:
            each(self.time - start)
            self.tick(busy)

    def wobble(self, level: float, size: float) -> float:
        """What a step takes beside what stays."""
        return level + abs(self.rng.gauss(0, size))


def replay(trace: Trace, every: float) -> Iterator[tuple[float, History, Timeline, State]]:
    """The session of a trace, looked at every so many seconds and at its end."""
    history, timeline, state = History(0.5), Timeline(), State()
    state.facts = Facts(memory=128 * GIB, unified=True)
    due = time = 0.0
    for item in trace.items:
        time = item.time
        if isinstance(item, Event):
            state.apply(item)
            timeline.add(item)
        else:
            history.add(item)
        if time >= due:
            due = time + every
            yield time, history, timeline, state
    yield time, history, timeline, state


Make = Callable[[random.Random, float], Trace]
MAKERS: dict[str, Make] = {}


def trace(make: Make) -> Make:
    MAKERS[make.__name__.replace("_", " ")] = make
    return make


def begin(
    name: str, rng: random.Random, missing: float, steps_are: str = "evals", weights: float | None = None
) -> Program:
    """A program that has loaded its weights."""
    p = Program(Trace(name, steps_are), rng, missing=missing)
    size = weights if weights is not None else rng.choice((0.5, 4, 16)) * GIB
    loading = rng.uniform(5, 40)
    if steps_are == "tokens":
        p.enter("load")
    start = p.active
    p.run(loading, lambda t: setattr(p, "active", start + size * t / loading), busy=False)
    p.active = start + size
    if steps_are == "tokens":
        p.weights = int(size)
        p.kv = 0
        p.enter("idle")
    return p


def generation(
    p: Program, base: float, prompt: int, tokens: int, per_token: float, spike: float = 0.0
) -> None:
    """One prompt and its answer by mlx-lm: its KV cache rises and goes, its cache is a saw."""
    if p.trace.steps_are == "tokens":
        p.enter("prefill")
    steps = max(1, int(prompt / 2000 / p.interval))
    for i in range(steps):
        kv = prompt * per_token * (i + 1) / steps
        p.kv = kv if p.trace.steps_are == "tokens" else UNKNOWN
        p.active = base + kv + spike * p.rng.uniform(0.5, 1)
        p.tick(busy=False, spike=spike * 0.1)
        p.cache = p.wobble(0, 30 * MIB)
    if p.trace.steps_are == "tokens":
        p.enter("decode")
    done = 0.0
    while done < tokens:
        done += p.speed * p.interval
        kv = (prompt + done) * per_token
        p.kv = kv if p.trace.steps_are == "tokens" else UNKNOWN
        p.active = p.wobble(base + kv, 5 * MIB)
        p.cache = (done % 256) / 256 * 80 * MIB
        p.tick()
    p.event(GenerationFinished(tokens, prompt, 0.5, p.speed, 2000.0, "length"))
    p.active, p.cache = base, p.cache + (prompt + tokens) * per_token * 0.1
    if p.trace.steps_are == "tokens":
        p.kv = 0
