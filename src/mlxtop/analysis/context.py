"""The input of a diagnosis: one session at one moment."""

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
"""Event sources that stand for a person. Code is named by file and line."""
OURS = (*PEOPLE, "mlxtop")
"""Event sources that are not the program's own code."""
LOADING = ("load", "download")


@dataclass(frozen=True, slots=True)
class DiagnosisContext:
    """What the rules of a diagnosis may read. Times are seconds since the session began, sizes bytes."""

    history: Samples
    timeline: Timeline
    state: State
    phases: Sequence[str]
    steps_are: str
    budget: int | None
    window: float
    """The length of the recent window."""
    end: float
    """The moment of the diagnosis. Later samples are ignored."""
    first: float
    """The time of the first sample."""
    now: Sample
    """The last sample up to `end`."""
    windows: WindowReader

    @property
    def unified(self) -> bool:
        """Whether the footprint includes MLX's memory."""
        return self.state.facts.unified

    def events(self, kind: type[D], start: float = -inf) -> list[Event[D]]:
        """The events of a kind from `start` to `end`."""
        return self.timeline.between(kind, start, self.end + 1e-6)

    def cache_held_at(self, cache: int | None, memory: int | None) -> int | None:
        """The largest cache that these two limits allow at the present *active*, in bytes."""
        held = (cache, cache_ceiling(self.state.facts, memory, self.now.active))
        return min((size for size in held if size is not None), default=None)


def begin(context: DiagnosisContext) -> float:
    """The time from which samples are evaluated: after the warm-up and the last change of the weights."""
    age, first = context.end - context.first, _held(context)
    return max(first + bar.WARM_UP * max(age, context.window), _loaded(context), _weighed(context))


def _held(context: DiagnosisContext) -> float:
    """The time at which the program had its first array: until then it imports, and holds nothing.

    It no longer matters once that is far less than the window.
    """
    count, span = 48, context.end - context.first
    if not 0 < span < 2 * context.window:
        return context.first
    columns = context.history.columns(context.first, span / count, count, ("active",), (), until=context.end)
    held = next((i for i, high in enumerate(columns.hi["active"]) if high > 0), 0)
    return context.first + span / count * held


def _loaded(context: DiagnosisContext) -> float:
    """The time at which the last load ended."""
    over = context.end
    for event in reversed(context.events(PhaseChanged, context.end - bar.LONGER[-1] * context.window)):
        if event.data.phase in LOADING:
            return over
        over = event.time
    return context.first


def _weighed(context: DiagnosisContext) -> float:
    """The time at which the weights last changed.

    Not used for watched programs: their weights are known from a census only, and a census is not a change.
    """
    if context.steps_are != "tokens":
        return context.first
    count, start = 144, max(context.first, context.end - bar.LONGER[-1] * context.window)
    width = max((context.end - start) / count, 1e-3)
    weights = context.history.columns(start, width, count, (), ("weights",), until=context.end).last[
        "weights"
    ]
    for i in range(count - 1, 0, -1):
        if weights[i] != weights[i - 1] and UNKNOWN not in (weights[i], weights[i - 1]):
            return start + width * (i + 1)
    return context.first


def cache_begin(context: DiagnosisContext, start: float) -> float:
    """The time from which the cache is evaluated: after a person last changed its limit or cleared it."""
    changed = [
        event.time
        for event in context.events(LimitChanged, start)
        if event.data.name == "cache" and event.data.old != event.data.new and event.source in OURS
    ]
    cleared = [event.time for event in context.events(CacheCleared, start) if event.source in OURS]
    return max([start, *changed[-1:], *cleared[-1:]])
