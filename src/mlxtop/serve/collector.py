"""Turns sessions into the families of metrics that `prometheus_client` writes."""

import time
from collections.abc import Iterator, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from mlxtop.core.facts import UNNAMED, Facts
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.core.units import UNLIMITED
from mlxtop.serve import metrics
from mlxtop.serve.histogram import Histogram
from mlxtop.serve.metrics import Metric
from mlxtop.serve.watch import Watched
from mlxtop.sessions.budget_monitor import usage
from mlxtop.sessions.remote import RemoteSession

INFINITE = float("inf")


class Gathered(Collector):
    """The families of `sessions` at this moment. `created`: counters say since when they count."""

    def __init__(self, sessions: Sequence[Watched], created: bool) -> None:
        self._created = created
        self._gauges = {
            m: GaugeMetricFamily(m.name, m.help, labels=m.labels, unit=m.unit) for m in _all("gauge")
        }
        self._counters = {m: CounterMetricFamily(m.name, m.help, labels=m.labels) for m in _all("counter")}
        self._histograms = {
            m: HistogramMetricFamily(m.name, m.help, labels=m.labels, unit=m.unit) for m in _all("histogram")
        }
        self._info = InfoMetricFamily(
            metrics.INFO.name.removesuffix("_info"), metrics.INFO.help, labels=("session",)
        )
        for one in sessions:
            self._add(one)

    def collect(self) -> Iterator[Family]:
        """All, in the order of their declaration; those of which nothing is known have no values."""
        families: dict[Metric, Family] = {
            **self._gauges,
            **self._counters,
            **self._histograms,
            metrics.INFO: self._info,
        }
        for metric in metrics.METRICS:
            yield families[metric]

    def _add(self, one: Watched) -> None:
        session, tally = one.session, one.tally
        sample, facts = session.history.latest, session.state.facts
        if sample is None:
            return
        self._add_sizes(one.label, session, sample)
        self._set(metrics.BUFFERS_LIMIT, facts.resource_limit, one.label)
        for name, limit in session.state.limits.items():
            size = INFINITE if limit.value is not None and limit.value >= UNLIMITED else limit.value
            self._set(metrics.LIMIT, size, one.label, name)
        for verdict in metrics.VERDICTS if one.verdicts is not None else ():
            self._set(metrics.DIAGNOSIS, int(verdict in (one.verdicts or ())), one.label, verdict)
        began = session.started or time.time() - session.now()
        self._count(metrics.STEPS, sample.steps, began, one.label)
        self._count(metrics.CLEARS, tally.clears, tally.created, one.label)
        for source in metrics.SOURCES:
            self._count(metrics.LIMIT_CHANGES, tally.limit_changes[source], tally.created, one.label, source)
        self._spread(metrics.STEP_PEAK, tally.step_peaks, one.label)
        self._spread(metrics.GENERATION, tally.generations, one.label)
        self._info.add_metric((one.label,), info(one, facts))

    def _add_sizes(self, label: str, session: RemoteSession, sample: Sample) -> None:
        self._set(metrics.ACTIVE, sample.active, label)
        self._set(metrics.CACHE, sample.cache, label)
        self._set(metrics.PEAK, sample.peak, label)
        self._set(metrics.FOOTPRINT, sample.footprint, label)
        self._set(metrics.BUFFERS, sample.buffers, label)
        self._set(metrics.SAMPLED, round(time.time() - session.now() + sample.time, 3), label)
        budget = session.state.budget
        if budget is not None:
            self._set(metrics.BUDGET, budget.bytes, label)
            self._set(metrics.BUDGET_USED, usage(session), label)

    def _set(self, metric: Metric, value: float | None, *labels: str) -> None:
        """Adds a gauge; what is not known has no line."""
        if value is not None and value != UNKNOWN:
            self._gauges[metric].add_metric(labels, value)

    def _count(self, metric: Metric, value: int, since: float, *labels: str) -> None:
        self._counters[metric].add_metric(labels, value, created=since if self._created else None)

    def _spread(self, metric: Metric, found: Histogram, label: str) -> None:
        buckets = [(floatToGoString(bound), count) for bound, count in found.cumulative()]  # type: ignore[no-untyped-call]  # it has no types
        if buckets:
            self._histograms[metric].add_metric((label,), buckets, found.sum)


def info(one: Watched, facts: Facts) -> dict[str, str]:
    """The labels of `mlx_session_info` beside `session`; empty for what is not known."""
    session = one.session
    return {
        "pid": str(session.pid),
        "rank": "" if session.rank is None else str(session.rank),
        "program": one.program,
        "model": facts.model or one.model,
        "device": "" if facts.device == UNNAMED else facts.device,
        "backend": "" if facts.backend == UNNAMED else facts.backend,
        "mlx": facts.mlx or "",
    }


def _all(kind: str) -> list[Metric]:
    return [metric for metric in metrics.METRICS if metric.kind == kind]
