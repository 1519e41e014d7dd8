"""Compares the cache limits of one run with the first of them, from samples and events.

A piece of work is one whole generation or, in a program that mlxtop does not drive, five seconds in one
phase. It belongs to a limit if that limit held for all of it. It is compared with similar work only:
generations whose prompt lengths differ by at most an eighth, or blocks of the same phase.
"""

from collections import deque
from collections.abc import Sequence
from math import ceil, inf, nextafter
from typing import Final, NamedTuple, Protocol

from mlxtop.analysis.work import Against, Highs, Use, Work, against, used
from mlxtop.core.events import Event, GenerationFinished, LimitChanged
from mlxtop.core.resample import WIDTHS
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.sample_store import Samples
from mlxtop.core.timeline import D, Timeline

MOST_LIMITS: Final = 32
MOST_WORK: Final = 128
"""The number of most recent pieces of work kept for each limit."""
MOST_VISITS: Final = 64
"""The number of most recent periods under one limit that are kept."""
MOST_READ: Final = 16
"""Pieces of work read in one update. It bounds the time of a frame."""
PASSED: Final = 1.0
"""Seconds. A limit that held for less is ignored: it was a step to another one. Samples this soon after a
change are ignored too: the cache shrinks at the next allocation only."""
BLOCK: Final = 5.0
"""Seconds of one block of work."""
BUSY: Final = 0.2
"""The least busy share of a block. With less work its speed is not reliable."""
LEAST_TOKENS: Final = 16
"""The least tokens of a generation. The speed of a shorter one is not reliable."""
ALIKE: Final = 1 / 8
"""The relative difference up to which two prompts count as equally long."""
RESTING: Final = frozenset(("start", "load", "download", "idle", "failed"))
FINE: Final = 20.0
"""Periods up to this many seconds are read sample by sample."""
MOST_COLUMNS: Final = 600


class ComparedSession(Protocol):
    """The part of `sessions.session.Session` that a comparison needs."""

    @property
    def history(self) -> Samples: ...

    @property
    def timeline(self) -> Timeline: ...

    @property
    def phases(self) -> Sequence[str]: ...

    @property
    def steps_are(self) -> str: ...


class Comparison:
    """Compares the cache limits of one run while it goes on.

    `update` may be called at any rate. It reads only what is new; when time moved back, it starts again.
    """

    def __init__(self, run: ComparedSession) -> None:
        self._run = run
        self._whole = run.steps_are == "tokens"
        """Whether a piece of work is a whole generation."""
        self._known: dict[tuple[float, float], Highs] = {}
        self._begin()

    def _begin(self) -> None:
        self._now = self._until = -inf
        self._late = self._late_events()
        self._seen: dict[type[object], float] = {LimitChanged: -inf, GenerationFinished: -inf}
        self._lengths: list[int] = []
        self._tallies: dict[int, _Tally] = {}
        self._visits: deque[_Visit] = deque(maxlen=MOST_VISITS)
        self._waiting: deque[_Waiting] = deque(maxlen=MOST_LIMITS * MOST_WORK)
        self._first: _Tally | None = None
        """The limit of the first piece of work. It does not change."""
        self._against: dict[int, Against] = {}

    def _late_events(self) -> int:
        """The number of events that were added before the end of the timeline."""
        return sum(self._run.timeline.late[kind] for kind in (LimitChanged, GenerationFinished))

    def update(self, now: float) -> list[Use]:
        """Returns the limits used up to `now` (seconds since the session began), in order of first use.

        The limit of the first piece of work comes first: the others are compared with it.
        """
        if now < self._now or self._late_events() != self._late:
            self._begin()
        latest = self._run.history.latest
        # Samples may lag behind: after an attach the earlier ones arrive over some seconds.
        self._now, self._until = now, max(self._until, min(now, latest.time if latest else -inf))
        # Generations first: the limits that held in them are then on the timeline too.
        generations = self._new_events(GenerationFinished)
        for event in self._new_events(LimitChanged):
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

    def _new_events(self, kind: type[D]) -> list[Event[D]]:
        found = self._run.timeline.between(kind, nextafter(self._seen[kind], inf), self._until + 1e-6)
        if found:
            self._seen[kind] = found[-1].time
        return found

    # Limits

    def _change(self, time: float, limit: int) -> None:
        """Records that the cache limit is `limit` from `time` on."""
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
        """Drops the oldest limits beyond `MOST_LIMITS`, never the first or the present one.

        Which one is the first is known only when all waiting work has been read.
        """
        kept = (self._first, self._visits[-1].tally if self._visits else None)
        if not self._waiting:
            spare = [limit for limit, tally in self._tallies.items() if tally not in kept]
            for limit in spare[: max(0, len(self._tallies) - MOST_LIMITS)]:
                del self._tallies[limit]

    # Work

    def _finish(self, event: Event[GenerationFinished]) -> None:
        """Queues a finished generation if one limit held for all of it."""
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
        """Reads the samples under a limit since the last update, up to `until`."""
        start = max(visit.read, visit.start + PASSED)
        if until <= start:
            return
        if not self._whole:
            self._cut_blocks(visit, until)
        visit.tally.highs = visit.tally.highs.join(self._highs(start, until, resting=False))
        visit.read = until

    def _cut_blocks(self, visit: "_Visit", until: float) -> None:
        """Queues the finished five-second blocks. They begin at whole seconds, like the history's buckets."""
        at = max(visit.cut, ceil(visit.start + PASSED), ceil(until) - MOST_WORK * BLOCK)
        while at + BLOCK <= until:
            self._waiting.append(_Waiting(visit.tally, at, at + BLOCK))
            at += BLOCK
        visit.cut = at

    def _work(self, found: "_Waiting") -> None:
        """Reads the sizes and the speed of one piece of work."""
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
        """Returns the index of the first known length that is about equal; adds it if there is none."""
        for number, known in enumerate(self._lengths):
            if abs(length - known) <= ALIKE * known:
                return number
        if len(self._lengths) < MOST_LIMITS * MOST_WORK:
            self._lengths.append(length)
        return len(self._lengths) - 1

    def _block(self, start: float, end: float) -> tuple[int, float]:
        """Returns the phase of a block and its speed; speed 0 with several phases or little work."""
        # One extra column in front: a speed is the difference of two columns.
        columns = self._run.history.columns(
            start - 1, 1.0, round(end - start) + 1, (), ("steps", "decode", "phase"), until=end
        )
        steps, decode, phases = (columns.last[name] for name in ("steps", "decode", "phase"))
        if UNKNOWN in steps or len(set(phases)) > 1:
            return 0, 0.0
        busy = (decode[-1] - decode[0]) / 1e6
        return phases[0], (steps[-1] - steps[0]) / busy if busy >= BUSY * (end - start) else 0.0

    def _highs(self, start: float, end: float, resting: bool = True) -> Highs:
        """Returns the largest sizes between two moments, with `resting` also those at which nothing ran."""
        if end - start <= FINE:
            # Narrow columns are made from the samples, so their limits are exact.
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
        # The column in which work began also contains what was held before.
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
                None if first is None or t is first else self._compared(first, t),
            )
            for t, seconds, held in shown
        ]

    def _compared(self, first: "_Tally", other: "_Tally") -> Against:
        if other.limit not in self._against:
            self._against[other.limit] = against(first.works, other.works)
        return self._against[other.limit]


class _Tally:
    """The data collected for one limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.seconds = 0.0
        self.highs = Highs()
        self.works: deque[Work] = deque(maxlen=MOST_WORK)


class _Visit:
    """A period under one limit, how far it has been read, and how far it was divided into blocks."""

    def __init__(self, tally: _Tally, start: float) -> None:
        self.tally = tally
        self.start = start
        self.end = inf
        self.read = self.cut = -inf


class _Waiting(NamedTuple):
    """A piece of work that has not been read yet."""

    tally: _Tally
    start: float
    end: float
    length: int = 0
    speed: float = 0.0


def _works(names: Sequence[str], phase: int) -> bool:
    return 0 <= phase < len(names) and names[phase] not in RESTING
