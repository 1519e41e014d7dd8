"""The session of a program that prints its memory: what its lines tell, as samples and events."""

import time
from datetime import datetime

from mlxtop import __version__
from mlxtop.core.budget import ENTITLEMENT, MOVING, Budget
from mlxtop.core.commands import AddMark, Command, RecordEvent, new_id
from mlxtop.core.events import (
    BudgetChanged,
    ErrorRaised,
    Event,
    EventData,
    FactsRead,
    LimitChanged,
    MarkAdded,
    PeakReset,
    PhaseChanged,
)
from mlxtop.core.facts import Facts
from mlxtop.core.history import History
from mlxtop.core.limits import LimitName
from mlxtop.core.playhead import Playhead
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.core.state import State
from mlxtop.core.timeline import Timeline
from mlxtop.core.transcript import Transcript
from mlxtop.core.units import format_size
from mlxtop.follow.readings import SPACING, Begun, Origin, Reading, Reported
from mlxtop.sessions.session import Capability, Publisher

LATE = 5.0
"""Seconds that a line may be out of order. A clock that goes back further has begun anew."""
LEAP = 86_400.0
"""Seconds: a clock that goes forward by more is another clock."""
ROUNDED = 10**7
"""Bytes that a peak may fall without active memory being known: mlx-lm prints megabytes."""
OLD = 10.0
"""Seconds after which a line with a date was not written just now: it is of a log that is read later."""
TIMELESS = 50
"""Readings without a time that come at once, from which on it is told."""
MOST_PHASES = 200
MOVES = 0.005
"""Share by which footprint + available must change for the budget to move: the two are not read at once."""
READS_ONLY = "set by the program"
_GAUGES = ("active", "cache", "peak", "footprint")
_COUNTERS = ("tokens", "steps", "decode", "weights", "kv", "buffers")


class FollowedSession(Publisher):
    """A member of a fleet of followed programs. `take` receives what its lines tell; `settle` ends a batch.

    See `sessions.session.Member`. A number that no line has told is `UNKNOWN`; one that a line leaves out is
    that of the line before.
    """

    process: int | None = None
    agent_cost: float | None = None
    own_memory: int | None = None
    playhead: Playhead | None = None
    rank: int | None = None
    worker: str | None = None
    steps_are = "tokens"
    interval = 0.1
    footprint_kind = "footprint"
    capabilities: frozenset[Capability] = frozenset((AddMark, RecordEvent))
    reads_only = READS_ONLY
    """Why there are no keys for the limits, in few words."""

    def __init__(
        self, number: int, title: str, origin: Origin, transcript: Transcript, command: list[str]
    ) -> None:
        super().__init__()
        self.pid = number
        self.title = title
        self.label = origin.name or title
        self.origin = origin
        self.command = command
        self.started = time.time()
        self.ended: str | None = None
        self.transcript = transcript
        self.history = History(self.interval)
        self.timeline = Timeline()
        self.state = State()
        self.phases = ["run"]
        self.spoke = False
        """Whether any line was about this session yet."""
        self._begin = time.monotonic()
        self._arrival = 0.0
        """Seconds from the beginning to the batch that is read now."""
        self._ahead = 0.0
        """Seconds that the program's clock is ahead of ours, as when a log of an hour is read in a second."""
        self._clock: tuple[float, float] | None = None
        """The program's time at a moment of the session, and that moment."""
        self._told: float | None = None
        """The latest time by the program's clock."""
        self._by_stamps: bool | None = None
        """Whether the clock is the date and time before each line; `None` until that is known."""
        self._timeless = 0
        """Readings without a time in the batch that is read now; -1 after it was told of."""
        self._time = 0.0
        """The time of what is read now."""
        self._values = dict.fromkeys((*_GAUGES, *_COUNTERS), UNKNOWN)
        self._high = UNKNOWN
        self._counted_at = 0.0
        """When the tokens were last told."""
        self._phase = 0
        self._unsaved = self._started = False
        self._ended_at = 0.0
        self._ceiling: Budget | None = None
        self._near = False
        """Whether the entitlement for more memory was told of."""
        self._record(FactsRead(Facts(mlxtop=__version__)))

    def now(self) -> float:
        return self._ended_at if self.ended is not None else time.monotonic() - self._begin + self._ahead

    def arrive(self, moment: float) -> None:
        """What is taken from now on arrived at `moment`, by `time.monotonic()`."""
        self._arrival = max(0.0, moment - self._begin)
        self._timeless = min(self._timeless, 0)

    def greet(self, item: Reading | Reported | Begun) -> None:
        """The first thing told tells when the session began: now, or long ago if it is of an old log."""
        stamp = item.stamp if isinstance(item, Reading) else None
        if stamp is not None and time.time() - stamp > OLD:
            self.started = stamp - (time.monotonic() - self._begin)

    # What comes in

    def is_new_run(self, reading: Reading) -> bool:
        """Whether a reading cannot be of the run until now: the program has started anew.

        Its clock begins anew, or its peak falls below what was active; one that falls no further was reset.
        """
        told = None if self._by_stamps else self._told
        if reading.time is not None and told is not None and reading.time < told - LATE:
            return True
        peak, active = self._values["peak"], self._values["active"]
        if reading.peak == UNKNOWN or peak == UNKNOWN or not self._in_order(reading):
            return False
        return reading.peak < peak - ROUNDED if active == UNKNOWN else reading.peak < min(peak, active)

    def take(self, reading: Reading) -> None:
        """Takes one reading in."""
        self._revive()
        self._choose_clock(reading)
        if not self._in_order(reading):
            # A late line says nothing of now, but its sizes were there.
            self._high = max(self._high, reading.active)
            with self._lock:
                self.state.run_peak = max(self.state.run_peak, reading.peak)
                self.state.saw_before(_sum(reading.active, reading.cache), reading.footprint)
            if reading.mark:
                self._mark(reading.mark, "program")
            return
        self._tick(self._time_of(reading))
        if reading.phase is not None and reading.phase != self.phases[self._phase]:
            self._change_phase(reading.phase)
        self._take_values(reading)
        if reading.cache_limit is not None:
            self._limit("cache", reading.cache_limit)
        if reading.memory_limit is not None:
            self._limit("memory", reading.memory_limit)
        if reading.device is not None and reading.device != self.state.facts.device:
            self._record(FactsRead(self.state.facts.replace(device=reading.device)))
        if reading.available != UNKNOWN and self._values["footprint"] != UNKNOWN:
            self._move_budget(self._values["footprint"] + reading.available)
        if reading.mark is not None:
            self.settle()
            self._mark(reading.mark, "program")

    def take_event(self, reported: Reported) -> None:
        """Takes an event in that the program told in mlxtop's own JSON."""
        self._revive()
        event = reported.event
        self._tick(event.time)
        self.settle()
        if isinstance(event.data, PhaseChanged):
            self._change_phase(event.data.phase)
        else:
            self._record(event.data)

    def begin(self, begun: Begun) -> None:
        """The program told what it runs."""
        self.title = begun.title or self.title

    def settle(self) -> None:
        """Makes a sample of what was taken since the last one, if that was anything."""
        if not self._unsaved:
            return
        self._unsaved = False
        v = self._values
        high = self._high if self._high > v["active"] else UNKNOWN
        self._high = UNKNOWN
        counters = (max(v["tokens"], 0), max(v["steps"], 0), max(v["decode"], 0), self._phase)
        sample = Sample(
            self._time,
            *(v["active"], v["cache"], v["peak"], _sum(v["active"], v["cache"]), v["footprint"]),
            *(*counters, v["weights"], v["kv"], high, v["buffers"]),
        )
        self.history.add(sample)
        self.record_sample(sample, self.state)
        if not self._started and UNKNOWN not in (v["active"], v["cache"], v["peak"]):
            self._started = True
            self._mark("start", "mlxtop")
            with self._lock:
                self.state.put_last_mark_first()

    def end(self, how: str) -> None:
        """Records that nothing more comes. `how` says why."""
        self.settle()
        self._ended_at = max(self.now(), self._time)
        self.ended = how
        self._time = self._ended_at
        self._record(PhaseChanged("ended"))
        self._record(ErrorRaised(how, "ended"))

    def _revive(self) -> None:
        if self.ended is not None:
            # Another process of its name spoke meanwhile, and both live.
            self.ended = None
            self._record(PhaseChanged(self.phases[self._phase]))

    def _choose_clock(self, reading: Reading) -> None:
        """A clock of the program's own is the best; a date tells when a line of an old log was written."""
        if reading.time is not None and self._by_stamps is not False:
            if self._by_stamps:
                self._told = None
            self._by_stamps = False
        elif reading.time is None and reading.stamp is not None and self._by_stamps is None:
            self._by_stamps = time.time() - reading.stamp > OLD
            if self._by_stamps:
                since = datetime.fromtimestamp(reading.stamp).strftime("%Y-%m-%d %H:%M:%S")
                self.transcript.write(
                    "log", f"{self.label}: an older log, with its own times from {since} on"
                )

    def _time_of(self, reading: Reading) -> float | None:
        """What a reading says of its time, by the clock of this session."""
        return reading.stamp if self._by_stamps else reading.time

    def _in_order(self, reading: Reading) -> bool:
        told = self._time_of(reading)
        if told is None or self._told is None or told >= self._told:
            return True
        # A date that goes back is that of a clock that was set.
        return bool(self._by_stamps) and told < self._told - LATE

    def _tick(self, told: float | None) -> None:
        """Goes to the time of a line: by its own clock, or by when it arrived."""
        if told is None:
            at = self._arrival + self._ahead
            self._count_timeless()
        else:
            if self._clock is None or self._told is None or not 0 <= told - self._told <= LEAP:
                self._clock = told, max(self._arrival, self._time)
            self._told = told
            at = self._clock[1] + told - self._clock[0]
            if self._by_stamps:
                # Dates may be of whole seconds, or stand still; lines that come by and by do not.
                at = max(at, self._arrival + self._ahead)
        if self._unsaved and at - self._time >= SPACING:
            self.settle()
        latest = self.history.latest
        if self._unsaved or latest is None or at - latest.time >= SPACING:
            self._time = max(self._time, at)
        self._ahead = max(self._ahead, self._time - (time.monotonic() - self._begin))

    def _count_timeless(self) -> None:
        self._timeless += self._timeless >= 0
        if self._timeless == TIMELESS:
            self._timeless = -1
            self.transcript.write(
                "log",
                f"{self.label}: lines that came at once tell no time, so they are one moment here. "
                "A line may say t, or have a date and time before it.",
            )

    def _take_values(self, reading: Reading) -> None:
        values = self._values
        if reading.peak != UNKNOWN and reading.peak < values["peak"] and values["active"] != UNKNOWN:
            self._record(PeakReset("program", values["peak"]))
        for name, value in zip(_GAUGES, reading[2:6], strict=True):
            if value != UNKNOWN:
                values[name] = value
                self._unsaved = True
        if reading.tokens != UNKNOWN and reading.steps == UNKNOWN:
            self._count(reading.tokens)
        for name in _COUNTERS:
            if (value := getattr(reading, name)) != UNKNOWN:
                values[name] = value
        self._high = max(self._high, reading.high, reading.active)

    def _count(self, tokens: int) -> None:
        """Tokens per second of a program that only says how many there were: while they become more."""
        before, at = self._values["tokens"], self._counted_at
        self._counted_at = self._time
        if 0 <= before < tokens and self._time > at:
            self._values["steps"] = max(self._values["steps"], 0) + tokens - before
            self._values["decode"] = max(self._values["decode"], 0) + round((self._time - at) * 1e6)

    def _change_phase(self, phase: str) -> None:
        self.settle()
        if phase in self.phases:
            self._phase = self.phases.index(phase)
        elif len(self.phases) < MOST_PHASES:
            self.phases = [*self.phases, phase]
            self._phase = len(self.phases) - 1
        self._record(PhaseChanged(phase))

    def _limit(self, name: LimitName, size: int) -> None:
        before = self.state.limits[name].value
        if before is None:
            self._record(LimitChanged(name, size, size, "program", found=True))
        elif before != size:
            self._record(LimitChanged(name, before, size, "program"))

    def _move_budget(self, ceiling: int) -> None:
        """The system's own ceiling is the budget, unless a person named one."""
        budget, known = self.state.budget, self._ceiling
        if budget != known or (known is not None and abs(ceiling - known.bytes) <= MOVES * known.bytes):
            return
        self._ceiling = Budget(ceiling, MOVING)
        self._record(BudgetChanged(self._ceiling))

    # What goes out

    def _mark(self, name: str, source: str) -> None:
        active, cache, peak = self._values["active"], self._values["cache"], self._values["peak"]
        if UNKNOWN in (active, cache, peak):
            self.transcript.write("log", f"mark “{name}” is not set: no snapshot to measure from yet")
            return
        self._record(MarkAdded(name, source, active, cache, peak, max(self._values["tokens"], 0)))

    def _record(self, data: EventData, at: float | None = None, answers: int | None = None) -> None:
        self.record(Event(self._time if at is None else at, data, answers), self.state, self.timeline)

    def submit(self, command: Command) -> int:
        """See `Session.submit`."""
        command_id = new_id()
        match command:
            case AddMark(name, source):
                latest = self.history.latest
                if latest is not None and UNKNOWN not in (latest.active, latest.cache, latest.peak):
                    mark = MarkAdded(name, source, latest.active, latest.cache, latest.peak, latest.tokens)
                    self._record(mark, self.now(), command_id)
                else:
                    self.transcript.write("log", f"mark “{name}” is not set: no snapshot to measure from yet")
            case RecordEvent(data):
                self._record(data, self.now(), command_id)
                if isinstance(data, BudgetChanged):
                    self._tell_entitlement(data)
        return command_id

    def _tell_entitlement(self, changed: BudgetChanged) -> None:
        if self._near or not changed.level or changed.budget is None or changed.budget.source != MOVING:
            return
        self._near = True
        left = format_size(changed.budget.bytes - (changed.used or 0))
        self.transcript.write(
            "log",
            f"{left} until jetsam, as of the last line. On devices with more memory the entitlement "
            f"{ENTITLEMENT} raises the limit.",
        )


def _sum(active: int, cache: int) -> int:
    return UNKNOWN if UNKNOWN in (active, cache) else active + cache
