"""Hears all that a session or an engine tells, and waits for what a test wants to see."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from mlxtop.core.events import Event, Kind
from mlxtop.core.sample import Sample

PATIENCE = 30.0


class Recorder:
    """The events and samples of one run, in the order in which they were told.

    `react`, if set, is called with every event on the thread that tells it: a wish sent from there is
    surely sent before that thread's next safe point.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.samples: list[Sample] = []
        self.react: Callable[[Event], None] = lambda _: None
        self._changed = threading.Condition()

    def sink(self, item: Event | Sample) -> None:
        """For a session's `sink`."""
        with self._changed:
            (self.samples if isinstance(item, Sample) else self.events).append(item)
            self._changed.notify_all()
        if isinstance(item, Event):
            self.react(item)

    def emit(self, kind: Kind, **data: Any) -> None:
        """For an engine's `emit`."""
        self.sink(Event(time.monotonic(), kind, data))

    def each(self, kind: Kind, **data: Any) -> list[Event]:
        """The events of a kind whose data say so."""
        return [e for e in tuple(self.events) if e.kind is kind and data.items() <= e.data.items()]

    def until(self, kind: Kind, times: int = 1, **data: Any) -> Event:
        """Waits for such an event, the `times`-th of the run."""
        self.wait(lambda: len(self.each(kind, **data)) >= times, f"{times} × {kind.value} {data}")
        return self.each(kind, **data)[times - 1]

    def wait(self, condition: Callable[[], bool], what: str = "what was waited for") -> None:
        with self._changed:
            told = self._changed.wait_for(condition, PATIENCE)
        assert told, f"{what} did not come; heard {[(e.kind.value, dict(e.data)) for e in self.events][-12:]}"

    @property
    def phases(self) -> list[str]:
        """The phases in order, each once for as long as it lasted."""
        return list(_once(e.data["phase"] for e in self.each(Kind.PHASE)))

    def place(self, event: Event) -> int:
        """Which event it was, counted from the first."""
        return next(i for i, e in enumerate(self.events) if e is event)


def _once(names: Iterator[str]) -> Iterator[str]:
    last = None
    for name in names:
        if name != last:
            yield name
        last = name
