"""The events of a session in bounded memory."""

from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Callable
from itertools import islice
from threading import Lock
from typing import TypeVar, cast

from mlxtop.core.events import EVENT_TYPES, CensusTaken, Event, EventData

KEPT = 4_096
"""Events kept of each kind, so that a flood of one never drowns another."""


CENSUSES_KEPT = 200
"""A census is a hundred times as large as any other event."""

D = TypeVar("D", bound=EventData)


def most(kind: type[EventData], kept: int) -> int:
    """How many events of a kind are kept where `kept` are of the others."""
    return min(kept, CENSUSES_KEPT) if kind is CensusTaken else kept


class Timeline:
    """Events by kind, which is the type of their data, in order of time. Any thread adds, any thread asks."""

    def __init__(self, kept: int | None = KEPT) -> None:
        self._kinds: dict[type[object], deque[Event]] = {
            kind: deque(maxlen=kept and most(kind, kept)) for kind in EVENT_TYPES
        }
        self._lock = Lock()
        self.routine: Counter[type[object]] = Counter()
        """How many routine events there were of each kind: counted, not kept."""
        self._counts: Counter[type[object]] = Counter()
        self.late: Counter[type[object]] = Counter()
        """How many events of each kind came after later ones: whoever reads along must read again."""

    def add(self, event: Event) -> None:
        """Takes an event in, and counts it for as many as it stands for."""
        kind = type(event.data)
        with self._lock:
            self._counts[kind] += event.times
            if event.routine:
                self.routine[kind] += event.times
            else:
                self._put(event)

    def insert(self, event: Event) -> None:
        """Takes an event in that is not counted: a person's mark over a recording, or the start."""
        with self._lock:
            self._put(event)

    def _put(self, event: Event) -> None:
        """An agent tells what happened before we came after what it finds: each takes its place in time."""
        kind = type(event.data)
        events = self._kinds[kind]
        if not events or event.time >= events[-1].time:
            events.append(event)
            return
        self.late[kind] += 1
        if len(events) == events.maxlen:
            if event.time < events[0].time:
                return
            events.popleft()
        events.insert(bisect_right(events, event.time, key=_time), event)

    def between(self, kind: type[D], start: float, end: float) -> list[Event[D]]:
        """The events of one kind with `start <= time < end`."""
        with self._lock:
            events = self._kinds[kind]
            first = bisect_left(events, start, key=_time)
            last = bisect_left(events, end, key=_time)
            return cast(list[Event[D]], list(islice(events, first, last)))

    def count(self, kind: type[EventData]) -> int:
        """How many events of a kind there were, routine or not."""
        return self._counts[kind]

    def latest(self, kind: type[D], where: Callable[[Event[D]], bool] | None = None) -> Event[D] | None:
        """The last event of a kind, or the last of those that `where` takes."""
        with self._lock:
            events = cast("deque[Event[D]]", self._kinds[kind])
            return next((e for e in reversed(events) if where is None or where(e)), None)


def _time(event: Event) -> float:
    return event.time
