"""What the agent tells: each thing that happens is a numbered message, kept for viewers who come later."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from mlxtop.core.events import Kind
from mlxtop.ipc import protocol, sockets

KEPT = 4_096
OFTEN = 1.0
"""Seconds within which the same call from the same line is told once, with a count."""


class EventLog:
    """The last `KEPT` events of this process. `wake` is called when there is a new one, on any thread."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self.begin()

    def begin(self) -> None:
        """Starts the clock at zero, with nothing told."""
        self.origin = time.monotonic()
        """The monotonic second from which the time of all that is told counts."""
        self._events: deque[tuple[int, bytes]] = deque(maxlen=KEPT)
        self._count = 0
        self._repeats: dict[tuple[Any, ...], _Repeat] = {}
        self._lock = threading.Lock()

    def now(self) -> float:
        """Seconds since the agent came: the time of all it tells."""
        return time.monotonic() - self.origin

    def emit(self, kind: Kind, **data: Any) -> None:
        """Something happened: viewers hear of it, those who come later too."""
        message = protocol.line("event", time=round(self.now(), 6), kind=kind, data=data)
        with self._lock:
            self._events.append((self._count, message))
            self._count += 1
        self._wake()

    def emit_often(self, key: tuple[Any, ...], kind: Kind, **data: Any) -> None:
        """Tells of a call; the same call from the same line within `OFTEN` is told later, by a count."""
        now, repeat = time.monotonic(), self._repeats.get(key)
        if repeat is None and len(self._repeats) < KEPT:
            self._repeats[key] = _Repeat(now, kind)
            self.emit(kind, **data, count=1)
        elif repeat is not None:
            repeat.add(data)

    def flush_repeats(self, now: float) -> None:
        """What was counted meanwhile; what has not come again is new when it comes next."""
        for key, repeat in list(self._repeats.items()):
            if now - repeat.since >= OFTEN:
                if repeat.count:
                    self.emit(repeat.kind, **repeat.data, count=repeat.count)
                    self._repeats[key] = _Repeat(now, repeat.kind)
                else:
                    del self._repeats[key]

    def fail(self, error: BaseException) -> None:
        """Something of ours went wrong. The program does not hear of it; viewers do."""
        try:
            text = f"mlxtop's agent failed: {type(error).__name__}: {error}"
            self.emit(Kind.ERROR, message=text, phase="agent")
            sockets.leave_message(text)
        except Exception:
            pass

    def since(self, number: int) -> list[tuple[int, bytes]]:
        """Up to a hundred messages from `number` on, with their numbers. Where some are no longer kept, the
        first message says how many."""
        if number >= self._count:
            return []
        events = self._events
        oldest = events[0][0]
        if number < oldest:
            return [(oldest - 1, self._gap(oldest - number))]
        first = number - oldest
        return [events[i] for i in range(first, min(len(events), first + 100))]

    def _gap(self, lost: int) -> bytes:
        text = f"{lost:,} events are missing here: the agent keeps the last {KEPT:,}."
        data = {"message": text, "phase": "agent"}
        return protocol.line("event", time=round(self.now(), 6), kind=Kind.ERROR, data=data)


class _Repeat:
    """Calls that were not told one by one: how many, and the last of them."""

    __slots__ = ("count", "data", "kind", "since")

    def __init__(self, since: float, kind: Kind) -> None:
        self.since = since
        self.kind = kind
        self.count = 0
        self.data: dict[str, Any] = {}

    def add(self, data: dict[str, Any]) -> None:
        if "freed" in self.data:
            data["freed"] += self.data["freed"]
        if "old" in self.data:
            data["old"] = self.data["old"]
        self.data = data
        self.count += 1
