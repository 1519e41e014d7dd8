"""What `mlxtop --json` and `mlxtop export --format jsonl` write, as a run; or the summary alone."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlxtop.core import parsing
from mlxtop.core.errors import MlxtopError
from mlxtop.core.event_json import from_json
from mlxtop.core.events import Event, TraceStarted
from mlxtop.core.facts import Facts
from mlxtop.core.limits import LIMIT_NAMES
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.state import State
from mlxtop.core.text import one_line
from mlxtop.core.units import format_size
from mlxtop.diff.facts import of_facts
from mlxtop.diff.recorded import several
from mlxtop.diff.run import WHOLE, Part, Run, Value
from mlxtop.diff.sampled import own, parts
from mlxtop.diff.series import NAMES, Sampled, of_rows

TYPES = ("session", "sample", "event", "summary")
IN_SUMMARY = {
    "peak": ("run_peak", "true"),
    "total": ("run_total", "polled"),
    "footprint": ("run_footprint", "system"),
}
ONLY_SUMMARY = "a summary does not tell it"


class StreamError(MlxtopError):
    """A file of JSON lines that tells of no run."""


def is_stream(head: bytes) -> bool:
    """Whether a file that begins so has one of our objects on each line."""
    line, _, _ = head.partition(b"\n")
    return any(f'"type":"{name}"'.encode() in line.replace(b" ", b"") for name in TYPES) and line.rstrip(
        b"\r"
    ).endswith(b"}")


@dataclass
class _Session:
    """The lines of one session."""

    about: dict[str, Any] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    rows: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in NAMES})
    phases: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    summary: dict[str, Any] | None = None

    def take(self, line: dict[str, Any]) -> None:
        """Takes a line in. Raises `ValueError` or `TypeError` for one that is damaged."""
        match line.get("type"):
            case "session":
                self.about = line
            case "summary":
                self.summary = line
            case "sample":
                self._sample(line)
            case "event":
                data = from_json(str(line.get("kind")), line)
                if data is not None:
                    self.events.append(Event(parsing.seconds(line.get("time")), data))

    def _sample(self, line: dict[str, Any]) -> None:
        time, phase = parsing.seconds(line.get("time")), parsing.text(line.get("phase"), 80)
        numbers = {
            name: UNKNOWN if line.get(name) is None else parsing.size(line[name])
            for name in NAMES
            if name != "phase"
        }
        if phase not in self.phases:
            self.phases.append(phase)
        self.times.append(time)
        numbers["phase"] = self.phases.index(phase)
        for name, column in self.rows.items():
            column.append(numbers[name])


def read(path: Path, lines: Iterable[bytes]) -> Run:
    """Reads the lines. Those that are damaged, as the last of a program that was killed, are left out.

    Raises `StreamError` where no line tells of memory.
    """
    runs = [_run(path, session) for session in _sessions(path, lines)]
    return several(runs, ["" for _ in runs])


def sampled(path: Path, lines: Iterable[bytes]) -> Sampled:
    """The samples of the first session. Raises `StreamError`."""
    first = _sessions(path, lines)[0]
    return Sampled(of_rows(first.times, first.rows, first.phases), first.events)


def _sessions(path: Path, lines: Iterable[bytes]) -> list[_Session]:
    """The sessions that tell of memory, one at least."""
    sessions: dict[str, _Session] = {}
    for text in lines:
        try:
            line = parsing.parse_json(text)
            label = line.get("session", "") if isinstance(line, dict) else None
            if isinstance(label, str):
                sessions.setdefault(label, _Session()).take(line)
        except (ValueError, TypeError):
            continue
    found = [session for session in sessions.values() if session.times or session.summary]
    if not found:
        raise StreamError(f"{one_line(str(path))} tells of no run: it has neither samples nor a summary.")
    used = [session for session in found if session.summary or max(session.rows["peak"], default=0) > 0]
    return used or found


def _run(path: Path, session: _Session) -> Run:
    if not session.times and session.summary is not None:
        return of_summary(path, session.summary)
    about = session.about
    series = of_rows(session.times, session.rows, session.phases)
    state = State()
    for event in session.events:
        state.apply(event)
    facts = state.facts if state.facts.known else Facts.from_json(_object(about.get("facts")))
    command = about.get("command")
    return Run(
        path,
        "stream",
        one_line(str(about.get("title") or about.get("model") or about.get("workload") or "")),
        session.times[-1] - session.times[0],
        tuple(parts(series, session.events)),
        of_facts(facts, state.limits, command if isinstance(command, list) else ()),
        str(about.get("steps_are") or (session.summary or {}).get("steps_are") or "tokens"),
        str(about.get("footprint") or ""),
        any(isinstance(event.data, TraceStarted) for event in session.events),
    )


def of_summary(path: Path, summary: dict[str, Any]) -> Run:
    """The summary at the end of a run, where only that was kept."""
    values: dict[str, Value] = {}
    for name, (key, kind) in IN_SUMMARY.items():
        if type(size := summary.get(key)) is int and size >= 0:
            values[name] = Value(size, own(kind, size))
    steps = [step.get("peak") for step in summary.get("steps") or () if isinstance(step, dict)]
    peaks = [peak for peak in steps if type(peak) is int]
    if peaks:
        values["true-peak"] = Value(max(peaks), own("true", max(peaks)))
    speed = summary.get("tokens_per_second")
    if isinstance(speed, int | float) and speed > 0:
        values["steps"] = Value(float(speed))
    missing = dict.fromkeys(("floor", "cache", "buffers"), ONLY_SUMMARY)
    limits = _object(summary.get("limits"))
    facts = {
        f"{name} limit": format_size(size)
        for name in LIMIT_NAMES
        if type(size := _object(limits.get(name)).get("bytes")) is int
    }
    seconds = summary.get("seconds")
    return Run(
        path,
        "summary",
        "",
        float(seconds) if isinstance(seconds, int | float) else None,
        (Part(WHOLE, "whole", values, missing),),
        facts,
        str(summary.get("steps_are") or ""),
    )


def _object(data: object) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}
