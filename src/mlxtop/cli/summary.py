"""The summary of a run, as numbers and as text."""

import statistics
from collections.abc import Mapping
from math import inf
from typing import Any

from mlxtop.core.course import course
from mlxtop.core.event import format_loss
from mlxtop.core.event_json import to_json
from mlxtop.core.events import GenerationFinished, SystemRead
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.snapshot import Snapshot
from mlxtop.core.state import State
from mlxtop.core.units import format_size, format_span
from mlxtop.sessions.session import Session

LONG_STEPS = 2.0
"""Steps a second below which it is told how long one takes."""
BEGINS = ("loaded", "start")
"""The marks that growth is measured from, if the run has them."""


def summarize(session: Session) -> dict[str, Any]:
    """The summary of a run. Sizes in bytes, times in seconds; `None` where nothing was measured."""
    latest, marks = session.history.latest, session.state.marks
    generations = [event.data for event in session.timeline.between(GenerationFinished, 0, inf)]
    end = latest and Snapshot(latest.active, latest.cache, latest.peak, latest.time)
    # The program may have set other marks since.
    start = next((mark.snapshot for mark in reversed(marks) if mark.name in BEGINS), end)
    limits, most = session.state.limits, session.state.most
    ttft = [g.ttft for g in generations]
    return {
        "limits": {name: {"bytes": limit.value, "source": limit.source} for name, limit in limits.items()},
        "start": _fields(start),
        "end": _fields(end),
        "growth": _fields(start.delta(end)) if start and end and _complete(end) else None,
        "run_peak": session.state.run_peak,
        "run_total": most.total,
        "run_footprint": _known(most.footprint),
        "most": most.describe(session.footprint_kind, session.state.facts.unified),
        "steps": [{"time": event.time, **to_json(event.data)} for event in session.state.peaks],
        "generations": session.state.generations,
        "steps_are": session.steps_are,
        "tokens": latest.tokens if latest else 0,
        "tokens_per_second": latest.steps / latest.decode * 1e6 if latest and latest.decode else None,
        "time_to_first_token": statistics.median(ttft) if ttft else None,
        "training": _training(session.state),
        "samples": session.history.count,
        "late": session.state.late,
        "machine": _machine(session),
        "seconds": session.now(),
    }  # fmt: skip


def _training(state: State) -> dict[str, Any] | None:
    """The last losses that a training reported; `None` without one."""
    told = {"loss": state.loss, "validation": state.validation_loss}
    found = {name: to_json(report) for name, report in told.items() if report is not None}
    return found or None


def _machine(session: Session) -> dict[str, Any] | None:
    """The machine's worst readings over the run, and its readings at the start and at the end."""
    readings = [event.data.system for event in session.timeline.between(SystemRead, 0, inf)]
    now = session.state.system
    found = course(readings if now is None else [*readings, now])
    if found is None:
        return None
    worst = {name: getattr(found, name) for name in ("pressure", "swap_used", "compressed", "thermal")}
    return {**worst, "start": found.first.to_json(), "end": found.last.to_json()}


def _known(size: int) -> int | None:
    return None if size == UNKNOWN else size


def _complete(snapshot: Snapshot) -> bool:
    """Whether all of it is known: a program whose output is followed may tell its peak alone."""
    return UNKNOWN not in (snapshot.active, snapshot.cache, snapshot.peak)


def _fields(snapshot: Snapshot | None) -> dict[str, int] | None:
    if snapshot is None or not _complete(snapshot):
        return None
    return {"active": snapshot.active, "cache": snapshot.cache, "peak": snapshot.peak}


def describe(summary: dict[str, Any]) -> str:
    """The summary as text, in the format of mlx-swift's guide, with the speed."""
    limits = {
        f"{name.capitalize()} limit": f"{_exact(limit['bytes'])} {limit['source']}"
        for name, limit in summary["limits"].items()
    }
    parts = [f"=======\n{_block(limits)}"]
    for title, key in (("Starting memory", "start"), ("Ending memory", "end"), ("Growth", "growth")):
        fields = summary[key]
        body = str(Snapshot(**fields)) if fields else "—"
        parts.append(f"=======\n{title}\n{body}")
    most = {name: _exact(summary[f"run_{name.lower()}"]) for name in ("Peak", "Total", "Footprint")}
    parts.append(f"=======\nAt most\n{_block(most)}\n{summary['most']}")
    parts.append(f"=======\nSpeed\n{_block(_speed(summary))}")
    if summary["training"] is not None:
        parts.append(f"=======\nTraining\n{_block(_losses(summary['training']))}")
    if summary["machine"] is not None:
        parts.append(f"=======\nMachine\n{_block(_worst(summary['machine']))}")
    return "\n\n".join(parts)


def _block(rows: Mapping[str, str]) -> str:
    """Names and values, one a line."""
    from mlxtop.tui.tables import aligned

    return "\n".join(aligned([(f"{name}:", value) for name, value in rows.items()], left=(0, 1)))


def _worst(machine: dict[str, Any]) -> dict[str, str]:
    swap, begin = machine["swap_used"], machine["start"].get("swap_used")
    rows = {
        "Pressure": f"{machine['pressure']} at worst" if machine["pressure"] else "—",
        "Swap": f"{format_size(swap)} at most, {format_size(begin)} at the start",
    }
    return rows if machine["thermal"] is None else {**rows, "Thermal": machine["thermal"]}


def _speed(summary: dict[str, Any]) -> dict[str, str]:
    tps, ttft, span = (
        summary["tokens_per_second"],
        summary["time_to_first_token"],
        format_span(summary["seconds"]),
    )
    rate = "—" if tps is None else f"{tps:.1f}"
    if summary["steps_are"] == "tokens":
        return {
            "Generations": f"{summary['generations']} ({summary['tokens']} tokens in {span})",
            "Tokens/s": rate,
            "Time to first token": "—" if ttft is None else f"{ttft:.3f} s",
        }
    if tps is not None and 0 < tps < LONG_STEPS:
        rate = f"{tps:.3g}, {format_span(1 / tps)} each,"
    word = summary["steps_are"].capitalize()
    return {
        word: f"{summary['tokens']:,} in {span} from start to end",
        f"{word}/s": f"{rate} while working (idle time excluded)",
    }


def _losses(training: dict[str, Any]) -> dict[str, str]:
    rows = {}
    for name, word in (("loss", "Loss"), ("validation", "Validation loss")):
        if name in training:
            report = training[name]
            rows[word] = f"{format_loss(report['loss'])} after {report['iteration']:,} steps"
    tps = training.get("loss", {}).get("tps")
    return rows if tps is None else {**rows, "Tokens/s": f"{tps:,.0f} at the last report"}


def _exact(size: int | None) -> str:
    return format_size(size) if size is None else f"{format_size(size)} ({size})"
