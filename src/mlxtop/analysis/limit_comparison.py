"""The cache limits of one run against the first of them, from its samples and events.

A piece of work is one whole generation, or, where mlxtop drives no model, five seconds in one phase. It
belongs to a limit if that limit held from its beginning to its end, and it is compared with work like it
only: decoding after a prompt as long, give or take an eighth; or the same phase.
"""

from collections import deque
from collections.abc import Sequence
from math import ceil, inf, nextafter
from typing import Final, NamedTuple, Protocol

from mlxtop.analysis.work import Against, Highs, Use, Work, against, used
from mlxtop.core.events import Event, GenerationFinished, LimitChanged
from mlxtop.core.history import WIDTHS
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.sample_store import Samples
from mlxtop.core.timeline import D, Timeline

MOST_LIMITS: Final = 32
MOST_WORK: Final = 128
"""Pieces of work that are kept for a limit: the last ones."""
MOST_VISITS: Final = 64
"""Stretches under one limit in which work is still looked up."""
MOST_READ: Final = 16
"""Pieces of work whose sizes are read in one look: a frame's time is bounded."""
PASSED: Final = 1.0
"""Seconds: a limit that held no longer was passed through on the way to another. So long after a change
nothing counts as the new limit's: the cache gives way at the next allocation."""
BLOCK: Final = 5.0
BUSY: Final = 0.2
"""Of a block: with less work in it, it says little of speed."""
LEAST_TOKENS: Final = 16
"""A shorter answer has no speed worth the name."""
ALIKE: Final = 1 / 8
RESTING: Final = frozenset(("start", "load", "download", "idle", "failed"))
FINE: Final = 20.0
"""Stretches up to so many seconds are read sample by sample."""
MOST_COLUMNS: Final = 600


class ComparedSession(Protocol):
    """What a comparison needs of a session; see `sessions.session.Session`."""

    @property
    def history(self) -> Samples: ...

    @property
    def timeline(self) -> Timeline: ...

    @property
    def phases(self) -> Sequence[str]: ...

    @property
    def steps_are(self) -> str: ...


class Comparison:
    """Follows one run. `look` may be called at any pace: it takes in what is new, whatever the length of the
    run, and at a moment before the last one it begins again."""

    def __init__(self, run: ComparedSession) -> None:
        self._run = run
        self._whole = run.steps_are == "tokens"
        """Whether work comes in whole generations."""
        self._known: dict[tuple[float, float], Highs] = {}
        self._begin()

    def _begin(self) -> None:
        self._now = self._until = -inf
        self._late = self._told_late()
        self._seen: dict[type[object], float] = {LimitChanged: -inf, GenerationFinished: -inf}
        self._lengths: list[int] = []
        self._tallies: dict[int, _Tally] = {}
        self._visits: deque[_Visit] = deque(maxlen=MOST_VISITS)
        self._waiting: deque[_Waiting] = deque(maxlen=MOST_LIMITS * MOST_WORK)
        self._first: _Tally | None = None
        """The limit of the first work there was: no other ever takes its place."""
        self._against: dict[int, Against] = {}

    def _told_late(self) -> int:
        return sum(self._run.timeline.late[kind] for kind in (LimitChanged, GenerationFinished))

    def update(self, now: float) -> list[Use]:
        """The limits used up to `now`, in the order in which they were first used; in front the one under
        which there was work first: the others are compared with it. Without work there is none."""
        if now < self._now or self._told_late() != self._late:
            self._begin()
        latest = self._run.history.latest
        # Of what no sample tells yet nothing can be read: after an attach they come in for a while.
        self._now, self._until = now, max(self._until, min(now, latest.time if latest else -inf))
        # Generations first: whatever ended one of them, its limits are then on the timeline too.
        generations = self._news(GenerationFinished)
        for event in self._news(LimitChanged):
            if event.data.name == "cache" and event.data.new is not None:
                self._change(event.time, event.data.new)
        for done in generations:
            self._finish(done)
        if self._visits:
            self._read_on(self._visits[-1], self._until)
        for _ in range(min(MOST_READ, len(self._waiting))):
            self._work(self._waiting.popleft())
        self._trim()
        return self._uses()

    def _news(self, kind: type[D]) -> list[Event[D]]:
        found = self._run.timeline.between(kind, nextafter(self._seen[kind], inf), self._until + 1e-6)
        if found:
            self._seen[kind] = found[-1].time
        return found

    # Limits

    def _change(self, time: float, limit: int) -> None:
        """The cache limit is `limit` from `time` on."""
        if self._visits:
            last = self._visits[-1]
            if last.tally.limit == limit:
                return
            last.end = time
            self._read_on(last, time)
            last.tally.seconds += time - last.start
        self._visits.append(_Visit(self._tally(limit), time))

    def _tally(self, limit: int) -> "_Tally":
        if limit not in self._tallies:
            self._tallies[limit] = _Tally(limit)
        return self._tallies[limit]

    def _trim(self) -> None:
        """The first and the latest are what a person asks for. Which the first is, only work tells."""
        kept = (self._first, self._visits[-1].tally if self._visits else None)
        if not self._waiting:
            spare = [limit for limit, tally in self._tallies.items() if tally not in kept]
            for limit in spare[: max(0, len(self._tallies) - MOST_LIMITS)]:
                del self._tallies[limit]

    # Work

    def _finish(self, event: Event[GenerationFinished]) -> None:
        """A generation came to its end."""
        done = event.data
        if done.tokens < LEAST_TOKENS or done.tps <= 0 or not self._whole:
            return
        begin = event.time - done.ttft - (done.tokens - 1) / done.tps
        for visit in reversed(self._visits):
            if visit.start <= begin and event.time <= visit.end:
                length = done.prompt_tokens + done.context
                self._waiting.append(_Waiting(visit.tally, begin, event.time, length, done.tps))
                return

    def _read_on(self, visit: "_Visit", until: float) -> None:
        """Reads what happened under a limit since the last look."""
        start = max(visit.read, visit.start + PASSED)
        if until <= start:
            return
        if not self._whole:
            self._cut_blocks(visit, until)
        visit.tally.highs = visit.tally.highs.join(self._highs(start, until, resting=False))
        visit.read = until

    def _cut_blocks(self, visit: "_Visit", until: float) -> None:
        """The five-second blocks that are over, on whole seconds as history keeps them."""
        at = max(visit.cut, ceil(visit.start + PASSED), ceil(until) - MOST_WORK * BLOCK)
        while at + BLOCK <= until:
            self._waiting.append(_Waiting(visit.tally, at, at + BLOCK))
            at += BLOCK
        visit.cut = at

    def _work(self, found: "_Waiting") -> None:
        like, speed = found.length, found.speed
        if not self._whole:
            like, speed = self._block(found.start, found.end)
        if speed <= 0:
            return
        key = (found.start, found.end)
        if key not in self._known:
            if len(self._known) >= MOST_LIMITS * MOST_WORK:
                self._known.clear()
            self._known[key] = self._highs(*key)
        like = self._like(like) if self._whole else like
        self._first = self._first or found.tally
        found.tally.works.append(Work(like, speed, self._known[key]))
        found.tally.highs = found.tally.highs.join(self._known[key])
        self._against.clear()

    def _like(self, length: int) -> int:
        """The number of the first prompt that was about as long."""
        for number, known in enumerate(self._lengths):
            if abs(length - known) <= ALIKE * known:
                return number
        if len(self._lengths) < MOST_LIMITS * MOST_WORK:
            self._lengths.append(length)
        return len(self._lengths) - 1

    def _block(self, start: float, end: float) -> tuple[int, float]:
        """The phase of a block, and its speed: 0 if it had several phases or little work."""
        # One column more in front: a speed is the difference of two.
        columns = self._run.history.columns(
            start - 1, 1.0, round(end - start) + 1, (), ("steps", "decode", "phase"), until=end
        )
        steps, decode, phases = (columns.last[name] for name in ("steps", "decode", "phase"))
        if UNKNOWN in steps or len(set(phases)) > 1:
            return 0, 0.0
        busy = (decode[-1] - decode[0]) / 1e6
        return phases[0], (steps[-1] - steps[0]) / busy if busy >= BUSY * (end - start) else 0.0

    def _highs(self, start: float, end: float, resting: bool = True) -> Highs:
        """The most that was held between two moments, where wanted without those at which nothing ran."""
        if end - start <= FINE:
            # Narrow columns are cut from the samples themselves, to the moment.
            count = max(1, ceil((end - start) / 0.5))
            width = (end - start) / count
        else:
            width = next((w for w in WIDTHS if (end - start) / w <= MOST_COLUMNS), WIDTHS[-1])
            start = ceil(start / width) * width
            count = max(1, min(MOST_COLUMNS, int((end - start) / width)))
        columns = self._run.history.columns(
            start - width, width, count + 1, ("cache", "total"), ("phase",), until=end
        )
        works = [resting or _works(self._run.phases, phase) for phase in columns.last["phase"]]
        # A column in which work began holds what was there before it, too.
        at = [i for i in range(1, count + 1) if works[i - 1] and works[i]]
        cache, total = (max((columns.hi[name][i] for i in at), default=UNKNOWN) for name in Highs._fields)
        return Highs(cache, total)

    # Results

    def _uses(self) -> list[Use]:
        present = self._visits[-1] if self._visits else None
        shown = []
        for tally in self._tallies.values():
            seconds, held = tally.seconds, present is not None and tally is present.tally
            if present is not None and held:
                seconds += self._now - present.start
            if held or seconds >= PASSED or tally is self._first:
                shown.append((tally, seconds, held))
        first = self._first
        shown.sort(key=lambda use: use[0] is not first)
        return [
            used(
                t.limit,
                t.works,
                t.highs,
                seconds,
                held,
                None if first is None or t is first else self._told(first, t),
            )
            for t, seconds, held in shown
        ]

    def _told(self, first: "_Tally", other: "_Tally") -> Against:
        if other.limit not in self._against:
            self._against[other.limit] = against(first.works, other.works)
        return self._against[other.limit]


class _Tally:
    """What is known of one limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.seconds = 0.0
        self.highs = Highs()
        self.works: deque[Work] = deque(maxlen=MOST_WORK)


class _Visit:
    """A stretch under one limit: how far it has been read, and cut into blocks."""

    def __init__(self, tally: _Tally, start: float) -> None:
        self.tally = tally
        self.start = start
        self.end = inf
        self.read = self.cut = -inf


class _Waiting(NamedTuple):
    """A piece of work that is not read yet."""

    tally: _Tally
    start: float
    end: float
    length: int = 0
    speed: float = 0.0


def _works(names: Sequence[str], phase: int) -> bool:
    return 0 <= phase < len(names) and names[phase] not in RESTING
