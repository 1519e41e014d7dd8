"""A recording as a session again: everything as it was at the moment the playhead stands at."""

import bisect
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any, cast

from mlxtop.core.errors import MlxtopError
from mlxtop.core.events import Event, Kind
from mlxtop.core.limits import LimitName
from mlxtop.core.playhead import Playhead
from mlxtop.core.snapshot import Snapshot
from mlxtop.core.state import Mark, State
from mlxtop.core.timeline import Timeline
from mlxtop.core.transcript import Transcript, Who
from mlxtop.core.units import Size
from mlxtop.recording.history import LAST_WORDS, RecordedHistory
from mlxtop.recording.reader import Recording, SessionInfo, TranscriptLine
from mlxtop.sessions.session import Capability, UnattachedProcess
from mlxtop.system import self_usage


class Clock:
    """One session's time at the playhead: its clock began at `begin` seconds of the recording."""

    def __init__(self, playhead: Playhead, begin: float) -> None:
        self.playhead = playhead
        self.begin = begin

    def __call__(self) -> float:
        return self.playhead.now() - self.begin


class ReplayTimeline(Timeline):
    """The events of a recording, as if those after the playhead had not happened yet."""

    def __init__(self, events: list[Event], now: Clock) -> None:
        super().__init__(kept=None)
        for event in events:
            self.add(event)
        self._now = now

    def latest(self, kind: Kind, where: Callable[[Event], bool] | None = None) -> Event | None:
        before = self.between(kind, -inf, self._now() + 1e-6)
        return next((event for event in reversed(before) if where is None or where(event)), None)


class ReplaySession:
    """One session of a recording. Commands that change a program do nothing: it is over."""

    process: int | None = None
    agent_cost: float | None = None
    own_memory: int | None = None
    ended: str | None = None
    capabilities: frozenset[Capability] = frozenset(("play",))

    def __init__(self, recording: Recording, about: SessionInfo, playhead: Playhead, begin: float) -> None:
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
        self._events = recording.events(about.id)
        self._warning: str | None = None
        self._marks: list[Mark] = []
        """Those of the person who looks."""
        self.timeline: Timeline = ReplayTimeline(self._events, self._clock)
        self._said = recording.transcript(about.id)
        self._transcript, self._lines = Transcript(), 0
        self._state, self._recorded, self._applied = State(facts=self._facts), 0, 0

    def now(self) -> float:
        return self._clock()

    @property
    def end(self) -> float:
        """Seconds to the last sample, or to what was told just after it: how it ended."""
        sampled = self.history.end.time if self.history.end is not None else 0.0
        told = self._events[-1].time if self._events else 0.0
        return max(sampled, min(told, sampled + LAST_WORDS))

    @property
    def state(self) -> State:
        """Where the session stood at the playhead: its events up to there, added up."""
        end = bisect.bisect_right(self._events, self.now() + 1e-6, key=lambda event: event.time)
        if end < self._applied:
            self._state, self._recorded, self._applied = State(facts=self._facts), 0, 0
        if end > self._applied:
            self._state.marks = self._state.marks[: self._recorded]
            for event in self._events[self._applied : end]:
                self._state.apply(event)
            self._recorded, self._applied = len(self._state.marks), end
        self._state.marks = [*self._state.marks[: self._recorded], *self._marks]
        self._state.warning = self._warning
        sample = self.history.latest
        if sample is not None:
            self._state.run_peak = max(self._state.run_peak, sample.peak)
        return self._state

    @property
    def transcript(self) -> Transcript:
        """What had been said at the playhead, where the recording holds it."""
        end = bisect.bisect_right(self._said, self.now(), key=_time)
        if end < self._lines:
            self._transcript, self._lines = Transcript(), 0
        for said in self._said[self._lines : end]:
            self._transcript.line(cast(Who, said.who), said.text)
        self._lines = end
        return self._transcript

    def mark(self, name: str, who: str) -> None:
        """A mark of the person who looks: it is not written into the recording."""
        sample = self.history.latest
        if sample is None:
            return
        now = Snapshot(sample.active, sample.cache, sample.peak, self.now())
        self._marks.append(Mark(name, now, sample.tokens))
        self.timeline.insert(Event(now.time, Kind.MARK, {"name": name, "who": who}))

    def record_event(self, kind: Kind, **data: Any) -> None:
        # A budget may be named over a recording too; it is the viewer's.
        event = Event(self.now(), kind, data)
        self._state.apply(event)
        self.timeline.insert(event)

    def set_limit(self, knob: LimitName, size: Size, who: str) -> None: ...

    def clear_cache(self, who: str) -> None: ...

    def reset_peak(self, who: str) -> None: ...

    def collect(self) -> None: ...

    def census(self) -> None: ...

    def warn(self, message: str | None) -> None:
        self._warning = message

    def control(self, on: bool) -> None: ...

    def send_input(self, text: str) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def forget(self) -> None: ...


class ReplayFleet:
    """All sessions of a recording, with one playhead."""

    transcript: Transcript | None = None

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
        """What of the recording cannot be read, once that is known."""
        self.checker = threading.Thread(target=self._check, name="mlxtop-check", daemon=True)

    def start_check(self) -> None:
        """Finds out what is damaged, on a thread: a long recording takes a while."""
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
                member.warn(f"Damaged: {damage}." if (damage := recording.damage()) else None)

    def members(self) -> list[ReplaySession]:
        return self._members

    def unattached(self) -> Sequence[UnattachedProcess]:
        return ()

    def status(self) -> str:
        return self.damage or ""

    def send_input(self, text: str) -> None: ...


def _time(said: TranscriptLine) -> float:
    return said.time
