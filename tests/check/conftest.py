"""A process as a check sees it: a session that is told of samples and events, and its observer."""

from collections.abc import Sequence

import pytest

from mlxtop.check.bounds import GAUGES, Bound
from mlxtop.check.observer import Observer
from mlxtop.core.events import Event, EventData
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.ipc import protocol
from mlxtop.sessions import messages
from mlxtop.sessions.remote import RemoteSession


class Watched:
    """A process that allows nothing more than `allowed` of each gauge."""

    def __init__(self, pid: int = 77, allowed: int = 100, rank: int | None = None) -> None:
        told = {
            "protocol": protocol.PROTOCOL, "pid": pid, "started": 1.8e9, "now": 0.0, "interval": 0.1,
            "argv": ["python", "train.py"], "rank": rank, "log": None, "watched": None, "footprint": "RSS",
            "counters": None,
        }  # fmt: skip
        self.sent: list[bytes] = []
        self.session = RemoteSession(messages.hello(told), self.sent.append)
        self.bounds = [Bound(gauge, allowed) for gauge in GAUGES]
        self.observer = Observer(self.bounds, self.session)
        self.session.subscribe(self.observer)

    def phases(self, *names: str) -> None:
        self.session.handle_message(messages.Phases(names))

    def sample(
        self, time: float, active: int, cache: int = 0, peak: int = 0, high: int = UNKNOWN,
        footprint: int = 50, steps: int = 0, phase: int = 0, buffers: int = UNKNOWN,
    ) -> None:  # fmt: skip
        row = Sample(
            time, active, cache, max(peak, active), active + cache, footprint, steps=steps, phase=phase,
            high=high, buffers=buffers,
        )  # fmt: skip
        self.session.handle_message(messages.Samples(0.0, (row,)))

    def event(self, time: float, data: EventData) -> None:
        self.session.handle_message(Event(time, data))

    def course(self, active: Sequence[int], every: float = 0.1, steps: int = 1) -> None:
        """So many samples, each after `steps` steps more."""
        for i, value in enumerate(active):
            self.sample(i * every, value, steps=i * steps)


@pytest.fixture
def watched() -> Watched:
    return Watched()
