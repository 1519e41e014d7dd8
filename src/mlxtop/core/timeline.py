"""The events of a session in bounded memory."""

from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Callable
from itertools import islice
from threading import Lock

from mlxtop.core.events import Event, Kind

KEPT = 4_096
"""Events kept of each kind, so that a flood of one never drowns another."""


CENSUSES_KEPT = 200
"""A census is a hundred times as large as any other event."""


def most(kind: Kind, kept: int) -> int:
    """How many events of a kind are kept where `kept` are of the others."""
    return min(kept, CENSUSES_KEPT) if kind is Kind.CENSUS else kept


class Timeline:
    """Events by kind, in order of time. Any thread adds, any thread asks."""

    def __init__(self, kept: int | None = KEPT) -> None:
        self._kinds: dict[Kind, deque[Event]] = {
            kind: deque(maxlen=kept and most(kind, kept)) for kind in Kind
        }
        self._lock = Lock()
        self.routine: Counter[Kind] = Counter()
        """How many routine events there were of each kind: counted, not kept."""
        self._counts: Counter[Kind] = Counter()
        self.late: Counter[Kind] = Counter()
        """How many events of each kind came after later ones: whoever reads along must read again."""

    def add(self, event: Event) -> None:
        # An agent tells of what happens often by one event for several.
        times = event.data.get("count", 1)
        with self._lock:
            self._counts[event.kind] += times
            if event.routine:
                self.routine[event.kind] += times
            else:
                self._put(event)

    def insert(self, event: Event) -> None:
        """Takes an event in that is not counted: a person's mark over a recording, or the start."""
        with self._lock:
            self._put(event)

    def _put(self, event: Event) -> None:
        """An agent tells what happened before we came after what it finds: each takes its place in time."""
        events = self._kinds[event.kind]
        if not events or event.time >= events[-1].time:
            events.append(event)
            return
        self.late[event.kind] += 1
        if len(events) == events.maxlen:
            if event.time < events[0].time:
                return
            events.popleft()
        events.insert(bisect_right(events, event.time, key=_time), event)

    def between(self, kind: Kind, start: float, end: float) -> list[Event]:
        """The events of one kind with `start <= time < end`."""
        with self._lock:
            events = self._kinds[kind]
            first = bisect_left(events, start, key=_time)
            last = bisect_left(events, end, key=_time)
            return list(islice(events, first, last))

    def count(self, kind: Kind) -> int:
        """How many events of a kind there were, routine or not."""
        return self._counts[kind]

    def latest(self, kind: Kind, where: Callable[[Event], bool] | None = None) -> Event | None:
        """The last event of a kind, or the last of those that `where` takes."""
        with self._lock:
            return next((e for e in reversed(self._kinds[kind]) if where is None or where(e)), None)


def _time(event: Event) -> float:
    return event.time
