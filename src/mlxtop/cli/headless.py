"""A run without a screen: a summary at the end, or one JSON object a line while it goes."""

import contextlib
import json
import os
import queue
import signal
import statistics
import sys
from datetime import UTC, datetime
from types import FrameType
from typing import Any, NoReturn

import click

from mlxtop.cli.leave import leave
from mlxtop.cli.params import Run
from mlxtop.core.event import Event, Kind
from mlxtop.core.history import UNKNOWN, Sample
from mlxtop.core.snapshot import Snapshot
from mlxtop.core.units import format_size, format_span
from mlxtop.session.local import LocalSession

BROKEN_PIPE = 128 + signal.SIGPIPE
CLOSE_WITHIN = 0.8


class _Ended(Exception):
    """The run is over, with this exit code."""

    def __init__(self, code: int) -> None:
        self.code = code


def run_headless(run: Run, as_json: bool) -> NoReturn:
    """Runs to the end of the workload, Ctrl-C, SIGTERM or a closed pipe, and ends the process."""
    lines: queue.SimpleQueue[Event | Sample | _Ended] = queue.SimpleQueue()
    session = LocalSession(run.options, run.interval, sink=lines.put)

    def interrupt(number: int, _frame: FrameType | None) -> None:
        lines.put(_Ended(128 + number))

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    # Python would only notice a closed pipe as an exception in whatever print comes next; so do we.
    code, generations = 0, []
    session.open()
    try:
        if as_json:
            _print_json(_session_line(session, run))
        while True:
            item = lines.get()
            if isinstance(item, _Ended):
                code = item.code
                break
            if isinstance(item, Event):
                if item.kind is Kind.GENERATION:
                    generations.append(item.data)
                if item.kind is Kind.ERROR:
                    click.echo(f"mlxtop: {item.data['message']}", err=True)
                    code = session.failure.exit_code if session.failure else 1
            if as_json:
                _print_json(_line(item, session))
            if isinstance(item, Event) and _is_last(item):
                break
        session.finish()
        summary = summarize(session, generations)
        if as_json:
            _print_json({"type": "summary", "code": code, **summary})
        else:
            click.echo(describe(summary))
        sys.stdout.flush()
    except BrokenPipeError:
        code = BROKEN_PIPE
        # Nobody reads standard output any more: what is left to say goes to standard error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        with contextlib.suppress(OSError):
            click.echo(describe(summarize(session, generations)), err=True)
    session.close(CLOSE_WITHIN)
    leave(code)


def _is_last(event: Event) -> bool:
    """Whether the run is over: done, or failed. A limit that MLX refuses ends nothing."""
    return event.kind is Kind.DONE or (event.kind is Kind.ERROR and event.data["phase"] != "limit")


def _print_json(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def _session_line(session: LocalSession, run: Run) -> dict[str, Any]:
    return {
        "type": "session",
        "started": datetime.fromtimestamp(session.started, UTC).isoformat(),
        "model": run.options.name,
        "workload": run.options.workload,
        "interval": run.interval,
        "command": sys.argv,
        "footprint": session.footprint_kind,
    }


def _line(item: Event | Sample, session: LocalSession) -> dict[str, Any]:
    """One sample or event as the stream tells it; a number nobody knows is null."""
    if isinstance(item, Event):
        return {"type": "event", "time": round(item.time, 6), "kind": item.kind.value, **item.data}
    sample = {name: None if value == UNKNOWN else value for name, value in item._asdict().items()}
    sample["time"] = round(item.time, 6)
    sample["phase"] = session.phases[item.phase]
    return {"type": "sample", **sample}


def summarize(session: LocalSession, generations: list[Any]) -> dict[str, Any]:
    """What the run came to. Sizes in bytes, spans in seconds; `None` where nothing was measured."""
    latest, marks = session.history.latest, session.state.marks
    end = latest and Snapshot(latest.active, latest.cache, latest.peak, latest.time)
    # The program may have set marks of its own meanwhile.
    start = next((mark.snapshot for mark in reversed(marks) if mark.name == "loaded"), end)
    limits = session.state.limits
    ttft = [g["ttft"] for g in generations]
    return {
        "limits": {knob: {"bytes": limit.value, "who": limit.who} for knob, limit in limits.items()},
        "start": _fields(start),
        "end": _fields(end),
        "growth": _fields(start.delta(end)) if start and end else None,
        "run_peak": session.state.run_peak,
        "generations": len(generations),
        "tokens": latest.tokens if latest else 0,
        "tokens_per_second": latest.steps / latest.decode * 1e6 if latest and latest.decode else None,
        "time_to_first_token": statistics.median(ttft) if ttft else None,
        "samples": session.history.count,
        "late": session.state.late,
        "seconds": session.now(),
    }  # fmt: skip


def _fields(snapshot: Snapshot | None) -> dict[str, int] | None:
    if snapshot is None:
        return None
    return {"active": snapshot.active, "cache": snapshot.cache, "peak": snapshot.peak}


def describe(summary: dict[str, Any]) -> str:
    """The summary in the form of mlx-swift's guide, and the speed."""
    limits = [
        f"{knob.capitalize() + ' limit:':<14} {_exact(limit['bytes'])} {limit['who']}".rstrip()
        for knob, limit in summary["limits"].items()
    ]
    parts = ["\n".join(["=======", *limits])]
    for title, key in (("Starting memory", "start"), ("Ending memory", "end"), ("Growth", "growth")):
        fields = summary[key]
        body = str(Snapshot(**fields)) if fields else "—"
        parts.append(f"=======\n{title}\n{body}")
    tps, ttft = summary["tokens_per_second"], summary["time_to_first_token"]
    parts.append(
        "=======\nSpeed\n"
        f"Generations:         {summary['generations']}"
        f" ({summary['tokens']} tokens in {format_span(summary['seconds'])})\n"
        f"Tokens/s:            {'—' if tps is None else f'{tps:.1f}'}\n"
        f"Time to first token: {'—' if ttft is None else f'{ttft:.3f} s'}"
    )
    return "\n\n".join(parts)


def _exact(size: int | None) -> str:
    return format_size(size) if size is None else f"{format_size(size)} ({size})"
