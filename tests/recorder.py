"""Hears all that a session or an engine tells, and waits for what a test wants to see."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import cast

from mlxtop.core.events import Event, EventData, PhaseChanged
from mlxtop.core.sample import Sample
from mlxtop.core.timeline import D

PATIENCE = 30.0


class Recorder:
    """The events and samples of one run, in the order in which they were told.

    `react`, if set, is called with every event on the thread that tells it: a command sent from there is
    surely sent before that thread's next safe point.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.samples: list[Sample] = []
        self.react: Callable[[Event], None] = lambda _: None
        self._changed = threading.Condition()

    def sink(self, item: Event | Sample) -> None:
        """For a session's `subscribe`."""
        with self._changed:
            (self.samples if isinstance(item, Sample) else self.events).append(item)
            self._changed.notify_all()
        if isinstance(item, Event):
            self.react(item)

    def emit(self, data: EventData, answers: int | None = None) -> None:
        """For an engine's `emit`."""
        self.sink(Event(time.monotonic(), data, answers))

    def each(self, kind: type[D], **said: object) -> list[Event[D]]:
        """The events of a kind whose data say so."""
        return [
            cast("Event[D]", e)
            for e in tuple(self.events)
            if isinstance(e.data, kind)
            and all(getattr(e.data, name) == value for name, value in said.items())
        ]

    def until(self, kind: type[D], nth: int = 1, **said: object) -> Event[D]:
        """Waits for such an event, the `nth` of the run."""
        self.wait(lambda: len(self.each(kind, **said)) >= nth, f"{nth} × {kind.__name__} {said}")
        return self.each(kind, **said)[nth - 1]

    def wait(self, condition: Callable[[], bool], what: str = "what was waited for") -> None:
        with self._changed:
            told = self._changed.wait_for(condition, PATIENCE)
        assert told, f"{what} did not come; heard {[e.data for e in self.events][-12:]}"

    @property
    def phases(self) -> list[str]:
        """The phases in order, each once for as long as it lasted."""
        return list(_once(e.data.phase for e in self.each(PhaseChanged)))

    def place(self, event: Event) -> int:
        """Which event it was, counted from the first."""
        return next(i for i, e in enumerate(self.events) if e is event)


def _once(names: Iterator[str]) -> Iterator[str]:
    last = None
    for name in names:
        if name != last:
            yield name
        last = name
