"""A run without a screen: prints a summary at the end, or JSON lines while it runs."""

import contextlib
import json
import os
import queue
import signal
import sys
from datetime import UTC, datetime
from types import FrameType
from typing import Any, NoReturn

import click

from mlxtop.cli.hard_exit import hard_exit, show, tell, tell_traces
from mlxtop.cli.model_options import RunOptions
from mlxtop.cli.record import cause, end_recording, record_local, recorder
from mlxtop.cli.signals import catch
from mlxtop.cli.summary import describe, summarize
from mlxtop.core.commands import StopWorkload
from mlxtop.core.event_json import to_json
from mlxtop.core.events import KINDS, ErrorRaised, Event, WorkloadDone
from mlxtop.core.files import OutputError
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.core.text import block
from mlxtop.core.units import format_size
from mlxtop.sessions.budget_monitor import BudgetMonitor
from mlxtop.sessions.local import LocalSession
from mlxtop.sessions.session import Listener, Session

BROKEN_PIPE = 128 + signal.SIGPIPE
CLOSE_WITHIN = 0.8
LOOK_EVERY = 0.25
"""Seconds without an event after which the run's threads are checked."""


class _Ended(Exception):
    """The run is over, with this exit code."""

    def __init__(self, code: int, cause: str) -> None:
        self.code = code
        self.cause = cause


Line = Event | Sample | _Ended


def run_headless(run: RunOptions, as_json: bool) -> NoReturn:
    """Runs to the end of the workload, Ctrl-C, SIGTERM or a closed pipe, and ends the process."""
    lines: queue.SimpleQueue[Line] = queue.SimpleQueue()
    recording = recorder(run.record, run.record_text)
    session = LocalSession(run.options, run.interval)
    session.subscribe(_put(lines))
    if recording is not None:
        record_local(recording, session)

    def interrupt(number: int, _frame: FrameType | None) -> None:
        lines.put(_Ended(128 + number, cause(128 + number)))

    catch(interrupt)
    code, ended = 0, "the workload was done"

    def stop(session: Session) -> None:
        why = f"stopped at the budget of {format_size(session.state.budget and session.state.budget.bytes)}"
        tell(why)
        session.submit(StopWorkload())
        lines.put(_Ended(1, why))

    monitor = BudgetMonitor(lambda: (session,), run.ceiling.spec, run.ceiling.actions, stop)
    session.open()
    monitor.start()
    try:
        if as_json:
            print_json(_session_line(session, run))
        while True:
            item = _next(lines, session)
            if isinstance(item, _Ended):
                code, ended = item.code, item.cause
                break
            if isinstance(item, Event) and isinstance(item.data, ErrorRaised):
                tell(item.data.message)
                code, ended = session.failure.exit_code if session.failure else 1, "failed"
            if as_json:
                print_json(json_line(item, session))
            if isinstance(item, Event) and _is_last(item):
                break
        monitor.stop()
        session.finish()
        summary = summarize(session)
        if as_json:
            print_json({"type": "summary", "code": code, **summary})
        elif session.state.error is None or any(mark.name == "loaded" for mark in session.state.marks):
            # After a failed load there is nothing to summarize.
            click.echo(block(describe(summary)))
        sys.stdout.flush()
    except BrokenPipeError:
        code, ended = BROKEN_PIPE, "ended because its output was closed"
        # Standard output is closed: the summary goes to standard error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        with contextlib.suppress(OSError):
            show(describe(summarize(session)) + "\n")
    except OutputError as error:
        code, ended = error.exit_code, "ended because its output could not be written"
        tell(str(error))
    session.close(CLOSE_WITHIN)
    tell_traces((session,))
    end_recording(recording, ended)
    hard_exit(code)


def _put(lines: "queue.SimpleQueue[Line]") -> Listener:
    """A listener that puts samples and events into `lines`, except events that are not part of the stream."""

    def put(item: Event | Sample) -> None:
        if not isinstance(item, Event) or type(item.data) in KINDS:
            lines.put(item)

    return put


def _next(lines: "queue.SimpleQueue[Line]", session: LocalSession) -> "Line":
    """The next item. When a thread of the run has failed, an event with its error."""
    while True:
        with contextlib.suppress(queue.Empty):
            item = lines.get(timeout=LOOK_EVERY)
            if not isinstance(item, Sample) or session.failure is None:
                return item
        if session.failure is not None and lines.empty():
            return Event(session.now(), ErrorRaised(str(session.failure), "engine"))


def _is_last(event: Event) -> bool:
    """Whether the run is over: finished or failed. An error about a limit, a budget or a trace does not end
    it."""
    return isinstance(event.data, WorkloadDone) or (
        isinstance(event.data, ErrorRaised) and event.data.phase not in ("limit", "budget", "trace")
    )


def print_json(line: dict[str, Any]) -> None:
    """Writes one line of the stream at once."""
    sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def _session_line(session: LocalSession, run: RunOptions) -> dict[str, Any]:
    return {
        "type": "session",
        "started": datetime.fromtimestamp(session.started, UTC).isoformat(),
        "model": run.options.name,
        "workload": run.options.workload,
        "interval": run.interval,
        "command": sys.argv,
        "footprint": session.footprint_kind,
    }


def json_line(item: Event | Sample, session: Session) -> dict[str, Any]:
    """One sample or event as a line of the stream. A number that is not known is null."""
    if isinstance(item, Event):
        # A census has a time of its own.
        said = to_json(item.data)
        return {**said, "type": "event", "time": round(item.time, 6), "kind": item.kind}
    sample = {name: None if value == UNKNOWN else value for name, value in item._asdict().items()}
    sample["time"] = round(item.time, 6)
    sample["phase"] = session.phases[item.phase]
    return {"type": "sample", **sample}
