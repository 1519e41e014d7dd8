"""Which bounds were kept, by which process of a program."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from mlxtop.analysis import thresholds as bar
from mlxtop.check import growth
from mlxtop.check.bounds import Bound, Gauge
from mlxtop.check.observer import Moment, Observer
from mlxtop.core.events import Event, StepPeaked
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.units import format_span
from mlxtop.sessions.session import Member

Verdict = Literal["kept", "crossed", "not measured"]
WORST: tuple[Verdict, ...] = ("crossed", "not measured", "kept")
NO_TRACE = "buffers are counted by a trace, and none was written"
NO_FOOTPRINT = "the system does not tell what it charges this process"


class Process(NamedTuple):
    """The process that a finding is about."""

    pid: int
    rank: int | None
    title: str
    label: str

    @classmethod
    def of(cls, session: Member) -> "Process":
        return cls(session.pid, session.rank, session.title, session.label)


class Finding(NamedTuple):
    """How one process stands to one bound."""

    bound: Bound
    verdict: Verdict
    process: Process | None = None
    """`None` where no process was watched."""
    measured: float | None = None
    """In the unit of the bound; `None` where nobody knows."""
    why: str = ""
    """Why it is not measured, or what else is to be known of it: a short clause."""
    crossed: Moment | None = None
    """When the bound was first seen to be crossed."""
    most: Moment | None = None
    """When the most was measured."""
    step: Event[StepPeaked] | None = None
    """The step that made the peak."""
    holders: tuple[str, ...] = ()
    """Who held most of it at some later time: short texts, the largest first."""
    held: str = ""
    """When they held it: `at the end`."""

    @property
    def share(self) -> float:
        """Measured over allowed."""
        if self.measured is None:
            return 0.0
        return self.measured / self.bound.allowed if self.bound.allowed else float("inf")


class Judgement(NamedTuple):
    """What was found of each bound in each process."""

    findings: tuple[Finding, ...]

    @property
    def worst(self) -> list[Finding]:
        """For each bound the process that stands worst to it."""
        bounds = dict.fromkeys(finding.bound for finding in self.findings)
        return [min((f for f in self.findings if f.bound == bound), key=_rank) for bound in bounds]

    @property
    def verdict(self) -> Verdict:
        return min((finding.verdict for finding in self.findings), key=WORST.index)

    @property
    def exit_code(self) -> int:
        """0 where all bounds are kept, 1 where one was crossed, 2 where one was not measured."""
        return {"kept": 0, "crossed": 1, "not measured": 2}[self.verdict]


def _rank(finding: Finding) -> tuple[int, float]:
    return WORST.index(finding.verdict), -finding.share


def judge(
    bounds: Sequence[Bound], observers: Sequence[Observer], warm_up: float | None = None, unseen: str = ""
) -> Judgement:
    """`observers` are those of the processes that used MLX, `warm_up` the seconds that no growth counts.

    `unseen` says why one of the processes was not watched, if any was not: no bound is then known to be kept.
    """
    findings: list[Finding] = []
    for bound in bounds:
        found = [_find(bound, observer, warm_up) for observer in observers]
        if bound.quantity == "growth":
            found = _long_enough(found)
        if unseen and all(finding.verdict == "kept" for finding in found):
            found.insert(0, Finding(bound, "not measured", why=unseen))
        findings += found
    return Judgement(tuple(findings))


def _find(bound: Bound, observer: Observer, warm_up: float | None) -> Finding:
    if bound.quantity == "growth":
        return _growth(bound, observer, warm_up)
    return _gauge(bound, bound.quantity, observer)


def _gauge(bound: Bound, gauge: Gauge, observer: Observer) -> Finding:
    process, highest = Process.of(observer.session), observer.highest[gauge]
    if highest.value == UNKNOWN:
        why = {"buffers": observer.refusal.rstrip(".") or NO_TRACE, "footprint": NO_FOOTPRINT}.get(
            gauge, "it is not told"
        )
        return Finding(bound, "not measured", process, why=why)
    verdict: Verdict = "kept" if highest.crossed is None else "crossed"
    step = _step(observer, highest.value) if gauge == "peak" else None
    return Finding(bound, verdict, process, highest.value, "", highest.crossed, highest.at, step)


def _step(observer: Observer, peak: int) -> Event[StepPeaked] | None:
    """The step that made the peak; `None` where it rose by other means."""
    highest = observer.session.state.peaks[:1]
    return next((step for step in highest if step.data.peak >= (1 - bar.SPIKE_NEAR) * peak), None)


def _growth(bound: Bound, observer: Observer, warm_up: float | None) -> Finding:
    process, history = Process.of(observer.session), observer.session.history
    rise = growth.measure(history, observer.first, observer.worked, bound.allowed, warm_up)
    if rise.doubt:
        return Finding(bound, "not measured", process, rise.rate, rise.doubt)
    if not rise.exceeds:
        return Finding(bound, "kept", process, rise.rate, rise.why)
    between = f"between {bound.format(rise.low)} and {bound.format(rise.high)} (99 %)"
    why = f"{between}, over {format_span(round(rise.span, 1))} after the warm-up"
    return Finding(bound, "crossed", process, rise.rate, why)


def _long_enough(found: list[Finding]) -> list[Finding]:
    """Without those processes that were over too soon, if any was not: a worker that ran for a moment does
    not grow."""
    long = [finding for finding in found if finding.measured is not None]
    return long or found
