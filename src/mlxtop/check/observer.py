"""The highest of each gauge of a program, and when a bound on it was crossed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mlxtop.check.bounds import Bound, Gauge, read
from mlxtop.core.events import CacheCleared, ErrorRaised, Event, PeakReset, StepPeaked
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.sessions.session import Member


class Moment(NamedTuple):
    """A time in seconds since the session began, and the phase of the program then."""

    time: float
    phase: str


@dataclass(slots=True)
class Highest:
    """The highest of a gauge so far, and its bound."""

    bound: Bound
    value: int = UNKNOWN
    at: Moment = Moment(0.0, "")  # noqa: RUF009 - it is immutable
    crossed: Moment | None = None
    """When the bound was first seen to be crossed; `None` while it is kept."""

    def see(self, value: int, at: Moment) -> None:
        if value > self.value:
            self.value, self.at = value, at
        if value > self.bound.allowed and (self.crossed is None or at.time < self.crossed.time):
            self.crossed = at


@dataclass(slots=True)
class Observer:
    """Listens to one session. Each call takes the same short time."""

    bounds: Sequence[Bound]
    session: Member
    highest: dict[Gauge, Highest] = field(default_factory=dict)
    first: float | None = None
    """The time of the first sample with an array."""
    worked: float | None = None
    """The time of the last sample before the last step ended: later ones tell of the program's end."""
    refusal: str = ""
    """Why the program is not traced, in a sentence."""
    _before: Sample | None = None

    def __post_init__(self) -> None:
        for bound in self.bounds:
            if bound.quantity != "growth":
                self.highest[bound.quantity] = Highest(bound)

    def __call__(self, item: Event | Sample) -> None:
        if isinstance(item, Sample):
            self._sample(item)
            return
        now = Moment(item.time, self._phase())
        match item.data:
            case PeakReset(peak=peak):
                self._see("peak", peak, now)
            case StepPeaked() as step:
                self._see("peak", step.peak, Moment(item.time, step.phase))
            case CacheCleared(freed=freed, times=times, total=total):
                self._see("total", UNKNOWN if total is None else total, now)
                if times == 1 and freed is not None:
                    self._see("cache", freed, now)
            case ErrorRaised(message, "trace"):
                self.refusal = message

    def count(self, buffers: int) -> None:
        """The most buffers that there were, as the trace says at the end."""
        before = self._before
        self._see("buffers", buffers, Moment(0.0 if before is None else before.time, self._phase()))

    def _sample(self, sample: Sample) -> None:
        before, self._before = self._before, sample
        now = Moment(sample.time, self._phase())
        for gauge, highest in self.highest.items():
            highest.see(read(gauge, sample), now)
        if sample.active > 0 and self.first is None:
            self.first = sample.time
        if before is not None and (sample.steps > before.steps or (not sample.steps and sample.active > 0)):
            self.worked = before.time

    def _see(self, gauge: Gauge, value: int, at: Moment) -> None:
        if gauge in self.highest:
            self.highest[gauge].see(value, at)

    def _phase(self) -> str:
        return self.session.phases[self._before.phase] if self._before is not None else ""
