"""One session at one moment, as the parts of a diagnosis look at it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from mlxtop.analysis import thresholds as bar
from mlxtop.analysis.window import WindowReader
from mlxtop.core.events import CacheCleared, Event, LimitChanged, PhaseChanged
from mlxtop.core.limits import cache_ceiling
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.core.sample_store import Samples
from mlxtop.core.state import State
from mlxtop.core.timeline import D, Timeline

PEOPLE = ("keyboard", "flag", "viewer")
"""Who a person is in a limit's event; a file and line is code."""
OURS = (*PEOPLE, "mlxtop")
LOADING = ("load", "download")


@dataclass(frozen=True, slots=True)
class DiagnosisContext:
    """What is known. Times are seconds since the session began, sizes bytes."""

    history: Samples
    timeline: Timeline
    state: State
    phases: Sequence[str]
    steps_are: str
    budget: int | None
    window: float
    end: float
    """The moment that is looked at: no sample after it counts."""
    first: float
    """The first sample."""
    now: Sample
    """The last one."""
    windows: WindowReader

    @property
    def unified(self) -> bool:
        """Whether the footprint has in it what MLX holds."""
        return bool(self.state.facts.get("unified", True))

    def events(self, kind: type[D], start: float = -inf) -> list[Event[D]]:
        """The events of a kind from `start` to the moment that is looked at."""
        return self.timeline.between(kind, start, self.end + 1e-6)

    def cache_held_at(self, cache: int | None, memory: int | None) -> int | None:
        """Where these two limits hold the cache beside what is active now, in bytes."""
        held = (cache, cache_ceiling(self.state.facts, memory, self.now.active))
        return min((size for size in held if size is not None), default=None)

    def fact(self, name: str) -> int | None:
        """A size among the session's facts."""
        value = self.state.facts.get(name)
        return value if isinstance(value, int) and value > 0 else None


def begin(case: DiagnosisContext) -> float:
    """From when on the run counts: after the warm-up, and after weights were last loaded or changed."""
    age = case.end - case.first
    return max(case.first + bar.WARM_UP * max(age, case.window), _loaded(case), _weighed(case))


def _loaded(case: DiagnosisContext) -> float:
    """When the last load was over."""
    over = case.end
    for event in reversed(case.events(PhaseChanged, case.end - bar.LONGER[-1] * case.window)):
        if event.data.phase in LOADING:
            return over
        over = event.time
    return case.first


def _weighed(case: DiagnosisContext) -> float:
    """When the weights last changed. A watched program's are known from a census only, which says nothing."""
    if case.steps_are != "tokens":
        return case.first
    count, start = 144, max(case.first, case.end - bar.LONGER[-1] * case.window)
    width = max((case.end - start) / count, 1e-3)
    weights = case.history.columns(start, width, count, (), ("weights",), until=case.end).last["weights"]
    for i in range(count - 1, 0, -1):
        if weights[i] != weights[i - 1] and UNKNOWN not in (weights[i], weights[i - 1]):
            return start + width * (i + 1)
    return case.first


def cache_begin(case: DiagnosisContext, start: float) -> float:
    """From when on the cache counts: people change limits and clear it, and it starts anew."""
    changed = [
        event.time
        for event in case.events(LimitChanged, start)
        if event.data.name == "cache" and event.data.old != event.data.new and event.source in OURS
    ]
    cleared = [event.time for event in case.events(CacheCleared, start) if event.source in OURS]
    return max([start, *changed[-1:], *cleared[-1:]])
