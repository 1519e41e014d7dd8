"""A session that stands still: what a real run told (`mlxtop --json`), for pictures that never change.

It takes wishes and remembers them. Real sessions are in tests/session and tests/e2e.
"""

import json
from pathlib import Path
from typing import Any, get_args

from mlxtop.core.events import Event, Kind
from mlxtop.core.history import History
from mlxtop.core.sample import GAUGES, UNKNOWN, Sample
from mlxtop.core.state import State
from mlxtop.core.timeline import Timeline
from mlxtop.core.transcript import Transcript
from mlxtop.sessions.session import Capability

TRACE = Path(__file__).with_name("trace.jsonl")


class RecordedSession:
    """The session of `TRACE` up to `until` seconds, with its clock stopped there."""

    title = "demo"
    process: int | None = None
    interval = 0.1
    footprint_kind = "RSS"
    steps_are = "tokens"
    agent_cost: float | None = None
    playhead = None
    capabilities = frozenset(get_args(Capability)) - {"play"}
    own_memory = 46 * 2**20

    def __init__(self, until: float = 26.0) -> None:
        self.history = History(self.interval)
        self.timeline = Timeline()
        self.transcript = Transcript()
        self.state = State()
        self.phases = ["start"]
        self.asked: list[tuple[Any, ...]] = []
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
                self.history.add(Sample(time, *(UNKNOWN if line[n] is None else line[n] for n in names)))
                self.state.run_peak = max(self.state.run_peak, line["peak"])
            case "event":
                self.record_event(Kind(line.pop("kind")), time, **line)

    def _phase(self, name: str) -> int:
        if name not in self.phases:
            self.phases.append(name)
        return self.phases.index(name)

    def record_event(self, kind: Kind, time: float | None = None, **data: Any) -> None:
        """Something happens, now or at `time`."""
        event = Event(self._now if time is None else time, kind, data)
        self.state.apply(event)
        self.timeline.add(event)

    def pass_time(self, seconds: float, **values: int) -> None:
        """The clock goes on, with samples like the last one but for `values`."""
        latest = self.history.latest
        assert latest is not None
        assert set(values) <= {*GAUGES, "tokens", "steps", "decode"}
        for i in range(1, round(seconds / self.interval) + 1):
            self.history.add(latest._replace(time=self._now + i * self.interval, **values))
        self._now += seconds

    def now(self) -> float:
        return self._now

    def set_limit(self, knob: Any, size: Any, who: str) -> None:
        self.asked.append(("limit", knob, size, who))
        limit = self.state.limits[knob]
        self.state.limits[knob] = limit.asked(limit.default if size == "default" else size)

    def clear_cache(self, who: str) -> None:
        self.asked.append(("clear", who))

    def reset_peak(self, who: str) -> None:
        self.asked.append(("reset", who))

    def mark(self, name: str, who: str) -> None:
        self.asked.append(("mark", name, who))
        sample = self.history.latest
        assert sample is not None
        self.record_event(
            Kind.MARK,
            name=name,
            who=who,
            active=sample.active,
            cache=sample.cache,
            peak=sample.peak,
            tokens=sample.tokens,
        )

    def collect(self) -> None:
        self.asked.append(("collect",))

    def census(self) -> None:
        self.asked.append(("census",))

    def warn(self, message: str | None) -> None:
        self.state.warning = message

    def send_input(self, text: str) -> None:
        self.asked.append(("say", text))

    def start(self) -> None:
        self.asked.append(("start",))

    def stop(self) -> None:
        self.asked.append(("stop",))

    def forget(self) -> None:
        self.asked.append(("forget",))
