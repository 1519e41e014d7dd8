"""A session written down by hand, sample by sample."""

from typing import Any

from mlxtop.analysis.diagnosis import diagnose
from mlxtop.analysis.verdicts import Diagnosis
from mlxtop.core.events import Event, EventData, LimitChanged
from mlxtop.core.facts import Facts
from mlxtop.core.history import History
from mlxtop.core.limits import GIB, MIB
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.core.state import State
from mlxtop.core.timeline import Timeline
from tests.analysis.traces import PHASES


class Run:
    """A session written down by hand: sizes in MiB, one sample every `step` seconds."""

    def __init__(self, steps_are: str = "evals", step: float = 1.0) -> None:
        self.history, self.timeline, self.state = History(step), Timeline(), State()
        self.steps_are, self.step, self.time, self.steps = steps_are, step, 0.0, 0
        self.state.facts = Facts(memory=64 * GIB, system_memory=64 * GIB, unified=True)
        self.peak = 0

    def event(self, data: EventData) -> "Run":
        event = Event(self.time, data)
        self.state.apply(event)
        # As a session does: what libraries do all the time is counted, not kept.
        self.timeline.add(event)
        return self

    def limit(self, new: int, who: str, old: int = 32 * MIB, knob: str = "cache") -> "Run":
        return self.event(LimitChanged(knob, old, new, who))

    def sample(
        self,
        active: float,
        cache: float = 0,
        footprint: float | None = -1,
        phase: int = 0,
        spike: float = 0,
        kv: float | None = None,
        weights: float | None = None,
        buffers: int = UNKNOWN,
    ) -> None:
        self.time += self.step
        self.steps += 10
        a, c = int(active * MIB), int(cache * MIB)
        self.peak = max(self.peak, a, int(spike * MIB))
        charged = (
            UNKNOWN if footprint is None else a + c + 300 * MIB if footprint < 0 else int(footprint * MIB)
        )
        self.history.add(
            Sample(
                self.time,
                a,
                c,
                self.peak,
                a + c,
                charged,
                self.steps,
                self.steps,
                self.steps * 10_000,
                phase,
                weights=UNKNOWN if weights is None else int(weights * MIB),
                kv=UNKNOWN if kv is None else int(kv * MIB),
                buffers=buffers,
            )
        )

    def rest(self, seconds: float, active: float = 1000, **more: Any) -> "Run":
        for _ in range(round(seconds / self.step)):
            self.sample(active, **more)
        return self

    def said(self, **more: Any) -> Diagnosis:
        return diagnose(self.history, self.timeline, self.state, PHASES, self.time, self.steps_are, **more)
