"""A recording as a session, with its state at the playhead's time."""

import bisect
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import cast

from mlxtop.core.commands import AddMark, Command, RecordEvent, new_id
from mlxtop.core.errors import MlxtopError
from mlxtop.core.events import PASSING, Event, EventData, MarkAdded, WarningChanged
from mlxtop.core.playhead import Playhead
from mlxtop.core.state import State
from mlxtop.core.timeline import D, Timeline
from mlxtop.core.transcript import Transcript, Who
from mlxtop.recording.history import LAST_WORDS, RecordedHistory
from mlxtop.recording.reader import Recording, SessionInfo, TranscriptLine
from mlxtop.sessions.session import Capability, Publisher, UnattachedProcess
from mlxtop.system import self_usage


class Clock:
    """One session's time at the playhead. The session began at `begin` seconds of the recording."""

    def __init__(self, playhead: Playhead, begin: float) -> None:
        self.playhead = playhead
        self.begin = begin

    def __call__(self) -> float:
        return self.playhead.now() - self.begin


class ReplayTimeline(Timeline):
    """The events of a recording. `latest` leaves out those after the playhead."""

    def __init__(self, events: list[Event], now: Clock) -> None:
        super().__init__(kept=None)
        for event in events:
            self.add(event)
        self._now = now

    def latest(self, kind: type[D], where: Callable[[Event[D]], bool] | None = None) -> Event[D] | None:
        before = self.between(kind, -inf, self._now() + 1e-6)
        return next((event for event in reversed(before) if where is None or where(event)), None)


class ReplaySession(Publisher):
    """One session of a recording. The program has ended, so only the viewer's own commands have an effect."""

    process: int | None = None
    agent_cost: float | None = None
    own_memory: int | None = None
    ended: str | None = None
    capabilities: frozenset[Capability] = frozenset((AddMark, RecordEvent))

    def __init__(self, recording: Recording, about: SessionInfo, playhead: Playhead, begin: float) -> None:
        super().__init__()
        self.playhead: Playhead | None = playhead
        self.title = about.title
        self.label = about.label
        self.pid = about.pid if about.pid is not None else about.id
        self.rank = about.rank
        self.started = about.started
        self.command = about.command
        self.interval = about.interval
        self.steps_are = about.steps_are
        self.footprint_kind = about.footprint_kind
        self.phases = recording.phases(about.id) or ["start"]
        self._facts = about.facts
        self.begin = begin
        self._clock = Clock(playhead, begin)
        self.history = RecordedHistory(recording, about, self._clock)
        self.events = recording.events(about.id)
        """All of them, in order of time."""
        self._own: list[Event] = []
        """The viewer's own events: marks, a budget and its alarms."""
        self._passing: dict[type[object], Event] = {}
        """The last of each kind of those that only say how things stand now."""
        self.timeline: Timeline = ReplayTimeline(self.events, self._clock)
        self._recorded_lines = recording.transcript(about.id)
        self._transcript, self._lines = Transcript(), 0
        self._recorded, self._applied = State(facts=self._facts), 0
        """What the first so many recorded events come to."""

    def now(self) -> float:
        return self._clock()

    @property
    def end(self) -> float:
        """Seconds to the last sample, or to the event just after it that says how the session ended."""
        sampled = self.history.end.time if self.history.end is not None else 0.0
        last = self.events[-1].time if self.events else 0.0
        return max(sampled, min(last, sampled + LAST_WORDS))

    @property
    def state(self) -> State:
        """The state at the playhead: the result of all events up to there, and of the viewer's own."""
        end = bisect.bisect_right(self.events, self.now() + 1e-6, key=lambda event: event.time)
        with self._lock:
            if end < self._applied:
                self._recorded, self._applied = State(facts=self._facts), 0
            for event in self.events[self._applied : end]:
                self._recorded.apply(event)
            self._applied = end
            state = replace(self._recorded, limits=dict(self._recorded.limits))
            for event in (*self._own, *self._passing.values()):
                state.apply(event)
        sample = self.history.latest
        if sample is not None:
            state.apply_sample(sample)
            state.saw_before(*self.history.highest())
        return state

    @property
    def transcript(self) -> Transcript:
        """The transcript up to the playhead, if the recording has it."""
        end = bisect.bisect_right(self._recorded_lines, self.now(), key=_time)
        if end < self._lines:
            self._transcript, self._lines = Transcript(), 0
        for line in self._recorded_lines[self._lines : end]:
            self._transcript.line(cast(Who, line.who), line.text)
        self._lines = end
        return self._transcript

    def submit(self, command: Command) -> int:
        """See `Session.submit`. Nothing is written to the recording."""
        command_id = new_id()
        match command:
            case AddMark(name, source):
                sample = self.history.latest
                if sample is not None:
                    read = sample.active, sample.cache, sample.peak
                    self._take(MarkAdded(name, source, *read, tokens=sample.tokens), command_id)
            case RecordEvent(data):
                self._take(data, command_id)
        return command_id

    def _take(self, data: EventData, answers: int) -> None:
        """An event of the viewer's: it holds wherever the playhead stands."""
        event = Event(self.now(), data, answers)
        with self._lock:
            if isinstance(data, PASSING):
                self._passing[type(data)] = event
            else:
                self._own.append(event)
                self.timeline.insert(event)
            self.publish(event)


def ended(recording: Recording, about: SessionInfo) -> ReplaySession:
    """A session as it was when all that is recorded of it had happened."""
    playhead = Playhead(inf)
    playhead.seek(inf)
    return ReplaySession(recording, about, playhead, 0.0)


class ReplayFleet:
    """All sessions of a recording, with one playhead."""

    transcript: Transcript | None = None
    send_input: Callable[[str], None] | None = None

    def __init__(self, path: Path) -> None:
        self.recording = Recording(path)
        self.title = path.name
        begin = min(about.started for about in self.recording.sessions)
        self.playhead = Playhead(0.0)
        self._members = [
            ReplaySession(self.recording, about, self.playhead, about.started - begin)
            for about in self.recording.sessions
        ]
        self.playhead.end = max(member.begin + member.end for member in self._members)
        self.playhead.seek(self.playhead.end)
        self.damage: str | None = None
        """Which part of the recording cannot be read, once that is known; `None` if all can be."""
        self.checker = threading.Thread(target=self._check, name="mlxtop-check", daemon=True)

    def start_check(self) -> None:
        """Checks the recording for damage, on a thread: that takes a while for a long recording."""
        self.checker.start()

    @self_usage.counted()
    def _check(self) -> None:
        with suppress(MlxtopError):
            recording = Recording(self.recording.path)
            recording.check()
            recording.close()
            self.recording.broken |= recording.broken
            self.damage = recording.damage_sentence()
            for member in self._members:
                warning = f"Damaged: {damage}." if (damage := recording.damage()) else None
                member.submit(RecordEvent(WarningChanged(warning)))

    def add(self, member: ReplaySession, event: Event) -> None:
        """Sets an event that another file tells of on the axis, and goes there."""
        bisect.insort(member.events, event, key=lambda each: each.time)
        member.timeline.insert(event)
        self.playhead.end = max(self.playhead.end, member.begin + event.time)
        self.playhead.seek(member.begin + event.time)

    def members(self) -> list[ReplaySession]:
        return self._members

    def unattached(self) -> Sequence[UnattachedProcess]:
        return ()

    def status(self) -> str:
        return self.damage or ""

    def trouble(self) -> str:
        return ""

    def look_at(self, pids: Collection[int]) -> None:
        pass


def _time(line: TranscriptLine) -> float:
    return line.time
