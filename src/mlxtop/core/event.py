"""An event: its time and its data. The kinds of data are in `core/events.py`."""

from typing import TYPE_CHECKING, Generic, NamedTuple

from mlxtop.core.events import (
    COLLECTOR,
    KINDS,
    BudgetChanged,
    CacheCleared,
    ErrorRaised,
    EventData,
    GarbageCollected,
    GenerationFinished,
    LimitChanged,
    LossReported,
    MarkAdded,
    PeakReset,
    PhaseChanged,
    SessionEnded,
    StepPeaked,
    TraceStarted,
    TraceStopped,
)
from mlxtop.core.units import Units, format_size, format_span

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    D = TypeVar("D", bound=EventData, covariant=True, default=EventData)
else:
    from typing import TypeVar

    D = TypeVar("D")


class Event(NamedTuple, Generic[D]):
    """One event. `time` is seconds since the session began."""

    time: float
    data: D
    answers: int | None = None
    """The number of the command that this answers."""

    @property
    def kind(self) -> str:
        """The word for its kind; of one that is never told, the name of its type."""
        return KINDS.get(type(self.data), type(self.data).__name__)

    @property
    def source(self) -> str | None:
        """Who did it, where somebody did."""
        return getattr(self.data, "source", None)

    @property
    def times(self) -> int:
        """How many events this stands for: an agent tells of what happens often by one."""
        match self.data:
            case LimitChanged(times=times) | CacheCleared(times=times) | PeakReset(times=times):
                return times
        return 1

    @property
    def routine(self) -> bool:
        """Whether a library did what it does all the time: mlx-lm clears the cache after every prompt, and
        sets the wired limit for it. A cache limit is never that."""
        if isinstance(self.data, LimitChanged) and self.data.name == "cache":
            return False
        return (self.source or "").startswith("mlx_lm/")

    def describe(self, units: Units = "binary") -> str:
        """One plain line for a person."""
        match self.data:
            case LimitChanged(name, old, new, source):
                return f"{name} limit {format_size(old, units)} → {format_size(new, units)} by {source}"
            case CacheCleared(source, freed):
                return f"cache cleared by {source}, {format_size(freed, units)} returned"
            case PeakReset(source, peak):
                return f"peak reset by {source}, it was {format_size(peak, units)}"
            case StepPeaked(peak, floor, _, phase, caller):
                rise = format_size(peak - floor, units)
                return f"{phase} reached {format_size(peak, units)}, {rise} above {caller or 'the rest'}"
            case GarbageCollected(source, objects, freed):
                what = "Python's garbage collector" if source == COLLECTOR else f"gc.collect() by {source}"
                return f"{what}: {objects:,} objects, {format_size(freed, units)} freed"
            case TraceStarted(path):
                return f"trace of every allocation into {path}"
            case TraceStopped(path):
                return f"trace complete: mlxtop trace show {path}"
            case MarkAdded(name):
                return f"mark “{name}”"
            case GenerationFinished() as done:
                first = format_span(done.ttft)
                return f"{done.tokens} tokens at {done.tps:.1f} tok/s, first after {first}, {done.reason}"
            case LossReported() as report:
                return f"{'validate' if report.validation else 'train'} {describe_loss(report)}"
            case BudgetChanged() as changed:
                return _budget(changed, units)
            case ErrorRaised(message):
                return message
            case PhaseChanged(phase):
                return phase
            case SessionEnded(cause):
                return cause
        return self.kind


def describe_loss(report: LossReported) -> str:
    """The iteration, its loss and the speed: `120 · loss 2.31 · 540 tok/s`."""
    rate = "" if report.tps is None else f" · {report.tps:,.0f} tok/s"
    return f"{report.iteration:,} · loss {format_loss(report.loss)}{rate}"


def format_loss(loss: float | None) -> str:
    """Three digits; `None` is what is not a finite number."""
    return "not a number" if loss is None else f"{loss:.3g}"


def _budget(changed: BudgetChanged, units: Units) -> str:
    budget, level, used = changed.budget, changed.level, changed.used
    if budget is None:
        return "no budget any more"
    size = format_size(budget.bytes, units)
    if used is None:
        return f"budget {size} ({budget.source})"
    told = f"{budget.against} {format_size(used, units)} of {size}"
    if level < changed.was:
        return f"below {changed.was} % of the budget again: {told}"
    return f"{'budget reached' if level >= 100 else f'{level} % of the budget'}: {told}"
