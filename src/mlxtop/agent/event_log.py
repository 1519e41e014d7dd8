"""What the agent tells: each thing that happens is a numbered message, kept for viewers who come later."""

from __future__ import annotations

import time
from _thread import allocate_lock
from collections import deque

from mlxtop.core.events import CacheCleared, ErrorRaised, LimitChanged, PeakReset
from mlxtop.ipc import protocol, sockets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from mlxtop.core.events import EventData

KEPT = 4_096
OFTEN = 1.0
"""Seconds within which the same call from the same line is told once, with a count."""

Repeatable = LimitChanged | CacheCleared | PeakReset
"""What a program may do again and again."""


class EventLog:
    """The last `KEPT` events of this process.

    `wake` is called when there is a new one, on any thread, with whether viewers are to hear of it at once.
    """

    def __init__(self, wake: Callable[[bool], None]) -> None:
        self._wake = wake
        self.begin()

    def begin(self) -> None:
        """Starts the clock at zero, with nothing told."""
        self.origin = time.monotonic()
        """The monotonic second from which the time of all that is told counts."""
        self._events: deque[tuple[int, bytes]] = deque(maxlen=KEPT)
        self._count = 0
        self.urgent = -1
        """The number of the last event of which viewers are to hear at once."""
        self._repeats: dict[tuple[Any, ...], _Repeat] = {}
        self._lock = allocate_lock()

    def now(self) -> float:
        """Seconds since the agent came: the time of all it tells."""
        return time.monotonic() - self.origin

    def emit(
        self, data: EventData, answers: int | None = None, at: float | None = None, soon: bool = True
    ) -> None:
        """Something happened, now or `at` a time: viewers hear of it, those who come later too;
        at once if `soon`, else with the next samples."""
        message = protocol.event_line(self.now() if at is None else at, data, answers)
        with self._lock:
            self._events.append((self._count, message))
            if soon:
                self.urgent = self._count
            self._count += 1
        self._wake(soon)

    def emit_often(self, data: Repeatable) -> None:
        """Tells of a call; the same call from the same line within `OFTEN` is told later, by a count."""
        key = type(data), getattr(data, "name", None), data.source
        now, repeat = time.monotonic(), self._repeats.get(key)
        if repeat is None and len(self._repeats) < KEPT:
            self._repeats[key] = _Repeat(now)
            self.emit(data, soon=False)
        elif repeat is not None:
            repeat.add(data)

    def flush_repeats(self, now: float) -> None:
        """What was counted meanwhile; what has not come again is new when it comes next."""
        for key, repeat in list(self._repeats.items()):
            if now - repeat.since >= OFTEN:
                if repeat.data is not None:
                    self.emit(repeat.data, soon=False)
                    self._repeats[key] = _Repeat(now)
                else:
                    del self._repeats[key]

    def fail(self, error: BaseException) -> None:
        """Something of ours went wrong. The program does not hear of it; viewers do."""
        try:
            text = f"mlxtop's agent failed: {type(error).__name__}: {error}"
            self.emit(ErrorRaised(text, "agent"))
            sockets.leave_message(text)
        except Exception:
            pass

    def since(self, number: int) -> list[tuple[int, bytes]]:
        """Up to a hundred messages from `number` on, with their numbers. Where some are no longer kept, the
        first message says how many."""
        if number >= self._count:
            return []
        with self._lock:
            events = self._events
            oldest = events[0][0]
            if number >= oldest:
                first = number - oldest
                return [events[i] for i in range(first, min(len(events), first + 100))]
        return [(oldest - 1, self._gap(oldest - number))]

    def _gap(self, lost: int) -> bytes:
        text = f"{lost:,} events are missing here: the agent keeps the last {KEPT:,}."
        return protocol.event_line(self.now(), ErrorRaised(text, "agent"))


class _Repeat:
    """Calls that were not told one by one: the last of them, which counts them."""

    __slots__ = ("data", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.data: Repeatable | None = None

    def add(self, data: Repeatable) -> None:
        before = self.data
        if before is not None:
            data = _joined(before, data)
        self.data = data


def _joined(before: Repeatable, data: Repeatable) -> Repeatable:
    """Two of a kind as one."""
    match before, data:
        case LimitChanged(), LimitChanged():
            return data.replace(old=before.old, times=before.times + 1)
        case CacheCleared(), CacheCleared():
            return data.replace(
                freed=(before.freed or 0) + (data.freed or 0),
                times=before.times + 1,
                total=max(before.total or 0, data.total or 0),
            )
        case PeakReset(), PeakReset():
            return data.replace(peak=max(before.peak, data.peak), times=before.times + 1)
    raise TypeError("two of a kind were expected")
