"""What is counted of one session from the moment on at which it is watched.

An agent tells what happened before, but only the last of it: counted from there, a counter would fall at a
restart of the viewer, and Prometheus would take all that is left for new. So a counter starts at 0 when a
session is met, and `created` says when.
"""

import time
from collections import Counter

from mlxtop.core.events import (
    CacheCleared,
    Event,
    GenerationFinished,
    LimitChanged,
    PhaseChanged,
)
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.serve.histogram import Histogram
from mlxtop.serve.metrics import GENERATION, SOURCES, STEP_PEAK
from mlxtop.sessions.session import Session


class Tally:
    """Listens to `session`; its numbers may be read on any thread."""

    def __init__(self, session: Session) -> None:
        self.created = time.time()
        self.clears = 0
        self.limit_changes = Counter(dict.fromkeys(SOURCES, 0))
        self.step_peaks = Histogram(STEP_PEAK.buckets)
        self.generations = Histogram(GENERATION.buckets)
        self._since = session.now()
        self._steps: int | None = None
        self._high = UNKNOWN
        """The most that was active since the last step was counted."""
        self._pace = _Generation()
        session.subscribe(self._hear)

    def _hear(self, item: Event | Sample) -> None:
        if item.time < self._since:
            return
        if isinstance(item, Sample):
            self._add_sample(item)
        else:
            self._add_event(item)

    def _add_event(self, event: Event) -> None:
        match event.data:
            case CacheCleared(times=times):
                self.clears += times
            case LimitChanged(found=False, source=source, times=times):
                self.limit_changes[kind_of(source)] += times
            case PhaseChanged(phase):
                span = self._pace.enter(phase, event.time)
                if span is not None:
                    self.generations.add(span)
            case GenerationFinished() as done:
                self._pace.told = True
                self.generations.add(done.ttft + (done.tokens / done.tps if done.tps > 0 else 0.0))

    def _add_sample(self, sample: Sample) -> None:
        before, self._steps = self._steps, sample.steps
        self._high = max(self._high, sample.high)
        if before is None or sample.steps > before:
            # The steps of one sample are told apart by nobody: each counts with the highest of them.
            if before is not None and self._high != UNKNOWN:
                self.step_peaks.add(self._high, sample.steps - before)
            self._high = UNKNOWN


class _Generation:
    """Times generations by the phases that a program tells: from its prefill on, until it does not decode."""

    def __init__(self) -> None:
        self.told = False
        """Whether the session tells of generations itself."""
        self._began: float | None = None
        self._decodes = False

    def enter(self, phase: str, now: float) -> float | None:
        """Seconds that the generation took which this phase ends, if it ends one."""
        began, decoded = self._began, self._decodes
        if phase == "decode":
            self._began, self._decodes = now if began is None else began, True
            return None
        if phase == "prefill":
            self._began, self._decodes = now if decoded or began is None else began, False
        else:
            self._began, self._decodes = None, False
        return now - began if decoded and began is not None and not self.told else None


def kind_of(source: str) -> str:
    """One of `SOURCES` for who did something: labels are few, and code is named by file and line."""
    if source in SOURCES:
        return source
    return "mlx_lm" if source.startswith("mlx_lm/") else "program"
