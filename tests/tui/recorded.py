"""A session that stands still: what a real run told (`mlxtop --json`), for pictures that never change.

It takes commands and remembers them. Real sessions are in tests/session and tests/e2e.
"""

import json
from pathlib import Path
from typing import Any, get_args

from mlxtop.core.commands import AddMark, Command, RecordEvent, SetLimit, new_id
from mlxtop.core.events import Event, EventData, LimitRequested, MarkAdded
from mlxtop.core.history import History
from mlxtop.core.sample import GAUGES, UNKNOWN, Sample
from mlxtop.core.state import State
from mlxtop.core.timeline import Timeline
from mlxtop.core.transcript import Transcript
from mlxtop.sessions.session import Capability, Publisher
from tests.recording.source import event_data

TRACE = Path(__file__).with_name("trace.jsonl")


class RecordedSession(Publisher):
    """The session of `TRACE` up to `until` seconds, with its clock stopped there."""

    title = "demo"
    process: int | None = None
    interval = 0.1
    footprint_kind = "RSS"
    steps_are = "tokens"
    agent_cost: float | None = None
    playhead = None
    capabilities: frozenset[Capability] = frozenset(get_args(Command))
    own_memory = 46 * 2**20

    def __init__(self, until: float = 26.0) -> None:
        super().__init__()
        self.history = History(self.interval)
        self.timeline = Timeline()
        self.transcript = Transcript()
        self.state = State()
        self.phases = ["start"]
        self.asked: list[Command] = []
        self._now = until
        for line in map(json.loads, TRACE.read_text().splitlines()):
            if line.get("time", 0) <= until:
                self._take(line)
        for n in (64, 192, 320):
            self.transcript.write("prompt", f"a prompt of {n} tokens")
            self.transcript.write("reply", "eeweed moe ar nnnyhewefeebooeea oeree")

    def _take(self, line: dict[str, Any]) -> None:
        time = line.pop("time", 0.0)
        match line.pop("type"):
            case "sample":
                line["phase"] = self._phase(line["phase"])
                names = Sample._fields[1:]
                self.history.add(Sample(time, *(UNKNOWN if line.get(n) is None else line[n] for n in names)))
                self.state.apply_sample(self.history.latest)
            case "event":
                self.record_event(event_data(line.pop("kind"), line), time)

    def _phase(self, name: str) -> int:
        if name not in self.phases:
            self.phases.append(name)
        return self.phases.index(name)

    def record_event(self, data: EventData, time: float | None = None, answers: int | None = None) -> None:
        """Something happens, now or at `time`."""
        self.record(Event(self._now if time is None else time, data, answers), self.state, self.timeline)

    def pass_time(self, seconds: float, **values: int) -> None:
        """The clock goes on, with samples like the last one but for `values`."""
        latest = self.history.latest
        assert latest is not None
        assert set(values) <= {*GAUGES, "tokens", "steps", "decode", "buffers"}
        for i in range(1, round(seconds / self.interval) + 1):
            self.history.add(latest._replace(time=self._now + i * self.interval, **values))
        self._now += seconds

    def now(self) -> float:
        return self._now

    def submit(self, command: Command) -> int:
        """Remembers the command; what a viewer's side does itself is done."""
        command_id = new_id()
        match command:
            case RecordEvent(data):
                self.record_event(data)
                return command_id
            case SetLimit(name, size):
                value = self.state.limits[name].default if size == "default" else size
                assert value is not None
                self.record_event(LimitRequested(name, value), answers=command_id)
            case AddMark(name, source):
                sample = self.history.latest
                assert sample is not None
                self.record_event(
                    MarkAdded(name, source, sample.active, sample.cache, sample.peak, sample.tokens)
                )
        self.asked.append(command)
        return command_id
