"""A sweep as a run: each choice that it measured, with its repeats."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median

from mlxtop.diff.facts import of_facts
from mlxtop.diff.measures import TIMED
from mlxtop.diff.run import Part, Run, Value
from mlxtop.diff.sampled import own
from mlxtop.sweep import store
from mlxtop.sweep.measurement import Measurement
from mlxtop.sweep.results import Row, Summary, is_disturbed, summarize

NAMES: Mapping[str, str] = {
    "active": "peak",
    "total": "total",
    "footprint": "footprint",
    "cache": "cache",
    "tps": "tokens",
    "prefill": "prefill",
    "value": "metric",
    "ttft": "first-token",
    "seconds": "seconds",
}
"""What a sweep's metrics are called here."""


def read(path: Path) -> Run:
    """Reads a sweep's file. Raises `SweepFileError`."""
    stored = store.read(path)
    summary = summarize(stored.plan, stored.measurements, stored.facts)
    target = stored.plan.target
    return Run(
        path,
        "sweep",
        target.name,
        sum(measurement.seconds for measurement in stored.measurements),
        tuple(_part(row, summary, stored.measurements) for row in summary.rows),
        {**of_facts(stored.facts, {}, ()), "target": target.name},
    )


def _part(row: Row, summary: Summary, measurements: list[Measurement]) -> Part:
    all_ = [
        each
        for each in measurements
        if (each.arm, each.length) == (row.cell.arm, row.cell.length) and each.error is None
    ]
    those = [each for each in all_ if not is_disturbed(each, summary.usual)] or all_
    values = {}
    for metric, name in NAMES.items():
        found = tuple(each.values[metric] for each in those if metric in each.values)
        if found:
            values[name] = _value(name, found)
    title = row.label if row.length is None else f"{row.label}, prompt {row.length:,}"
    return Part(title, "choice", values)


def _value(name: str, found: tuple[float, ...]) -> Value:
    middle = median(found)
    if name in TIMED:
        return Value(middle, blocks=found)
    kind = "system" if name == "footprint" else "polled"
    return Value(middle, max(own(kind, middle), max(found) - min(found)))
