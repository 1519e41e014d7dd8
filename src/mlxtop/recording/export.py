"""Exports a recording as CSV or JSON lines. Memory use does not depend on its length."""

import csv
import json
from array import array
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from heapq import merge
from operator import itemgetter
from typing import IO, Any

from mlxtop.core.event_json import to_json
from mlxtop.core.events import Event
from mlxtop.core.resample import Level
from mlxtop.core.sample import COUNTERS, GAUGES, UNKNOWN, Sample
from mlxtop.core.text import cell
from mlxtop.recording.reader import Recording, SessionInfo

CHUNK_ROWS = 25_000
FIRST_CHUNK = 60.0
SIZES = (*GAUGES, "weights", "kv", "high")
HEADER = (
    "session", "time_seconds", "unix_seconds", "phase", *(f"{name}_bytes" for name in SIZES),
    "tokens", "steps", "decode_seconds", "buffers",
)  # fmt: skip
"""`time_seconds` is since the session began; `unix_seconds` is comparable between sessions."""


def chunks(recording: Recording, session: int) -> Iterator[Level]:
    """Yields all samples of a session in order, as columns of about `CHUNK_ROWS` rows.

    This takes a quarter of the time of `Recording.samples`.
    """
    first, last = recording.first(session), recording.last(session)
    if first is None or last is None:
        return
    start, span = first.time, FIRST_CHUNK
    while start <= last.time:
        found = recording.rows(session, 0, start, start + span)
        start += span
        if found.time:
            yield found
        # Sampling rates differ and change, and the machine may have slept for days.
        span = span * 2 if len(found.time) < CHUNK_ROWS else max(FIRST_CHUNK, span / 2)


def labels(sessions: Sequence[SessionInfo]) -> dict[int, str]:
    """Returns a short unique label for each session, by id. A second `rank 0` becomes `rank 0 (2)`."""
    found: dict[int, str] = {}
    for about in sessions:
        label = base = about.label or about.title or str(about.id)
        number = 1
        while label in found.values():
            number += 1
            label = f"{base} ({number})"
        found[about.id] = label
    return found


def write_csv(recording: Recording, out: IO[str]) -> None:
    """Writes `HEADER` and one row for each sample. An unknown number is an empty field."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    for about, name in each(recording):
        # Phases and labels may be any text. A spreadsheet must not read one as a formula.
        names, label = list(map(cell, recording.phases(about.id))), cell(name)
        for chunk in chunks(recording, about.id):
            table = _table(chunk)
            writer.writerows(
                zip(
                    [label] * len(chunk.time),
                    map("{:.6f}".format, chunk.time),
                    [f"{about.started + time:.6f}" for time in chunk.time],
                    _named(table["phase"], names, ""),
                    *(_known(table[name], "") for name in SIZES),
                    table["tokens"],
                    table["steps"],
                    [f"{time / 1e6:.6f}" for time in table["decode"]],
                    _known(table["buffers"], ""),
                    strict=True,
                )
            )


def write_jsonl(recording: Recording, out: IO[str]) -> None:
    """Writes lines in the format of `mlxtop --json`, each with its session's label: a `session` line, then
    `sample` and `event` lines in order of time."""
    for about, label in each(recording):
        out.write(as_json(session_line(about, label)) + "\n")
        out.writelines(f"{line}\n" for _, line in _lines(recording, about, label))


def each(recording: Recording) -> list[tuple[SessionInfo, str]]:
    """Returns the sessions with their labels."""
    found = labels(recording.sessions)
    return [(about, found[about.id]) for about in recording.sessions]


def _table(chunk: Level) -> dict[str, "array[int]"]:
    found = dict(zip((*GAUGES, *COUNTERS), (*chunk.lo, *chunk.last), strict=True))
    rises = zip(chunk.lo[0], chunk.hi[0], strict=True)
    return {**found, "high": array("q", (high if high > active else UNKNOWN for active, high in rises))}


def _known(column: "array[int]", nothing: Any) -> Sequence[Any]:
    """Returns the column with unknown numbers replaced by `nothing`."""
    if UNKNOWN not in column:
        return column
    return [nothing if value == UNKNOWN else value for value in column]


def _named(column: "array[int]", names: Sequence[str], nothing: Any) -> list[Any]:
    count = len(names)
    return [names[phase] if 0 <= phase < count else nothing for phase in column]


# JSON lines


def session_line(about: SessionInfo, label: str) -> dict[str, Any]:
    """The line of a session: who it was, when it began, device and versions."""
    return {
        "type": "session",
        "session": label,
        "started": datetime.fromtimestamp(about.started, UTC).isoformat(),
        "model": about.facts.model,
        "title": about.title,
        "pid": about.pid,
        "rank": about.rank,
        "interval": about.interval,
        "command": about.command,
        "steps_are": about.steps_are,
        "footprint": about.footprint_kind,
        "facts": about.facts.to_json(),
    }


def _lines(recording: Recording, about: SessionInfo, label: str) -> Iterator[tuple[float, str]]:
    """Yields the time and the line of each sample and event, in order of time."""
    events = ((event.time, as_json(_event_line(event, label))) for event in recording.events(about.id))
    return merge(events, _samples(recording, about, label), key=itemgetter(0))


def event_data(event: Event) -> str:
    """An event's data as JSON."""
    return as_json(to_json(event.data))


def _event_line(event: Event, label: str) -> dict[str, Any]:
    fields = to_json(event.data)
    # A census has a time of its own.
    return {**fields, "type": "event", "session": label, "time": round(event.time, 6), "kind": event.kind}


def _samples(recording: Recording, about: SessionInfo, label: str) -> Iterator[tuple[float, str]]:
    # One format for all: `json.dumps` of ten million objects takes minutes.
    fields = ",".join(f'"{name}":%s' for name in Sample._fields)
    form = '{"type":"sample","session":' + as_json(label).replace("%", "%%") + "," + fields + "}"
    names = list(map(as_json, recording.phases(about.id)))
    for chunk in chunks(recording, about.id):
        columns: dict[str, Sequence[Any]] = {
            name: _known(column, "null") for name, column in _table(chunk).items()
        }
        columns["phase"] = _named(_table(chunk)["phase"], names, "null")
        rows = zip(chunk.time, *(columns[name] for name in Sample._fields[1:]), strict=True)
        yield from zip(chunk.time, map(form.__mod__, rows), strict=True)


def as_json(data: Any) -> str:
    """Returns compact JSON."""
    return json.dumps(data, separators=(",", ":"), default=dict)


WRITERS: dict[str, Callable[[Recording, IO[str]], None]] = {"csv": write_csv, "jsonl": write_jsonl}
"""The writers of text formats."""
