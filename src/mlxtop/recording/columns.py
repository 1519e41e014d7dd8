"""A recording as columns of NumPy arrays, for pandas, Polars and Parquet."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlxtop.core.sample import COUNTERS, GAUGES, UNKNOWN
from mlxtop.recording import codec, export
from mlxtop.recording.reader import SAMPLE_COLUMNS, Recording, SessionInfo
from mlxtop.recording.table import BlockRow

Column = NDArray[Any]
Table = dict[str, Column]
STORED = ("time", *GAUGES, *COUNTERS[:-1], "high", "buffers")
"""The columns of a block, in its order; `high` is stored as how far it is above `active`."""
WINDOW = 64
"""Blocks that are unpacked at once."""
THREADS = 4
"""zlib lets other threads run meanwhile."""
DTYPES = {
    "session": "O", "time_seconds": "f8", "timestamp": "M8[ns]", "phase": "O",
    **{f"{name}_bytes": "f8" for name in export.SIZES},
    "tokens": "i8", "steps": "i8", "decode_seconds": "f8", "buffers": "f8",
}  # fmt: skip
TYPES: dict[str, str] = {"b": "<i1", "h": "<i2", "i": "<i4", "q": "<i8"}


@dataclass(frozen=True)
class RecordedData:
    """A recording in memory: tables of NumPy arrays, which pandas and Polars take as they are.

    `pandas.DataFrame(recorded.columns)` and `polars.DataFrame(recorded.columns)` are its samples.
    """

    columns: dict[str, NDArray[Any]]
    """One row a sample, one session after the other. The names are those of `mlxtop export`.

    - `session`: the session's label
    - `time_seconds`: since the session began, float64
    - `timestamp`: the time of day in UTC, datetime64[ns]
    - `phase`: its name; empty if unknown
    - `active_bytes`, `cache_bytes`, `peak_bytes`, `total_bytes`, `footprint_bytes`, `weights_bytes`,
      `kv_bytes`: float64, NaN if unknown; whole numbers, exact up to 8 PiB
    - `high_bytes`: the most that was active since the sample before, where that is more than
      `active_bytes`; float64, else NaN
    - `tokens`, `steps`: counted since the session began, int64
    - `decode_seconds`: how long these steps took, float64
    - `buffers`: live buffers while a trace counts them; float64, else NaN
    """
    events: dict[str, NDArray[Any]]
    """One row an event, in order of time within a session.

    `session`, `time_seconds` and `timestamp` are as above. `kind`, and `data` as JSON, are as in
    `mlxtop --json`; `text` is the event in one line.
    """
    sessions: list[dict[str, Any]]
    """Each session's label, start, command, device and versions: the `session` lines of `mlxtop export`."""
    damage: str | None
    """What cannot be read, in one sentence; `None` if nothing is damaged."""


def read_recording(path: str | os.PathLike[str]) -> RecordedData:
    """Reads a recording into memory, also one that is still being written, or what is left of a damaged one.

    Takes 140 bytes a sample. Raises `RecordingError` if `path` is no recording, or cannot be read.
    """
    recording = Recording(Path(path))
    try:
        sessions = export.each(recording)
        columns = _samples(recording, sessions)
        events = _joined([_events(recording, about, label) for about, label in sessions])
        recording.check()
        lines = [export.session_line(about, label) for about, label in sessions]
        return RecordedData(_typed(columns), _typed(events), lines, recording.damage_sentence())
    finally:
        recording.close()


def stored(recording: Recording, session: int) -> Iterator[Table]:
    """Yields a session's samples by blocks: int64 columns named by `STORED`, the time in microseconds."""
    rows = recording.blocks(session)
    with ThreadPoolExecutor(THREADS) as threads:
        while window := list(islice(rows, WINDOW)):
            for row, table in zip(window, threads.map(_unpacked, window), strict=True):
                if table is None:
                    recording.spoil_block(session, row)
                else:
                    yield table


def _unpacked(row: BlockRow) -> Table | None:
    """A block's columns; `None` if it is damaged."""
    try:
        parts = codec.parts(row.data, SAMPLE_COLUMNS, row.rows, least=SAMPLE_COLUMNS - 2)
    except (codec.DamagedError, TypeError):
        return None
    found = {name: _summed(part, row.rows) for name, part in zip(STORED, parts, strict=False)}
    # The last two came later: earlier recordings do not have them.
    for name in STORED[len(parts) :]:
        found[name] = np.full(row.rows, UNKNOWN, np.int64)
    rise = found["high"]
    found["high"] = np.where(rise > 0, found["active"] + rise, UNKNOWN)
    return found


def _summed(part: codec.Packed, rows: int) -> Column:
    column = np.empty(rows, np.int64)
    column[0] = part.first
    column[1:] = np.frombuffer(part.steps, TYPES[part.typecode])
    return np.cumsum(column, out=column)


def _samples(recording: Recording, sessions: Sequence[tuple[SessionInfo, str]]) -> Table:
    """All samples, each written to its place at once: half of the time would go into memory that is new."""
    with recording.at_one_moment():
        most = sum(_declared(row) for about, _ in sessions for row in recording.blocks(about.id))
        columns = {name: np.empty(most, dtype) for name, dtype in DTYPES.items()}
        end = 0
        for about, label in sessions:
            names = recording.phases(about.id)
            for block in stored(recording, about.id):
                start, end = end, end + len(block["time"])
                stretch = {name: column[start:end] for name, column in columns.items()}
                _fill(stretch, about, names, block)
                columns["session"][start:end] = label
    return columns if end == most else {name: column[:end] for name, column in columns.items()}


def _declared(row: BlockRow) -> int:
    """How many samples a block has, if it is not damaged: SQLite keeps anything in any column."""
    return row.rows if type(row.rows) is int and 0 < row.rows <= codec.MOST_ROWS else 0


def _fill(columns: Table, about: SessionInfo, names: Sequence[str], block: Table) -> None:
    """Writes a block's samples into a stretch of the columns."""
    columns["time_seconds"][:] = block["time"] / 1e6
    columns["timestamp"][:] = timestamps(about, block["time"])
    columns["phase"][:] = named(block["phase"], names, "")
    columns["tokens"][:], columns["steps"][:] = block["tokens"], block["steps"]
    columns["decode_seconds"][:] = block["decode"] / 1e6
    for name in (*export.SIZES, "buffers"):
        column = columns[name if name == "buffers" else f"{name}_bytes"]
        column[:] = block[name]
        column[block[name] == UNKNOWN] = np.nan


def _events(recording: Recording, about: SessionInfo, label: str) -> Table:
    found = recording.events(about.id)
    microseconds = np.array([round(event.time * 1e6) for event in found], np.int64)
    return {
        "session": _repeated(label, len(found)),
        **_clocks(about, microseconds),
        "kind": _objects(event.kind for event in found),
        "text": _objects(event.describe() for event in found),
        "data": _objects(export.event_data(event) for event in found),
    }


def _clocks(about: SessionInfo, microseconds: Column) -> Table:
    return {"time_seconds": microseconds / 1e6, "timestamp": timestamps(about, microseconds)}


def timestamps(about: SessionInfo, microseconds: Column) -> Column:
    """The time of day in UTC, datetime64[ns], of times since a session began."""
    return (microseconds * 1_000 + round(about.started * 1e6) * 1_000).astype("datetime64[ns]")


def named(phases: Column, names: Sequence[str], nothing: str | None) -> Column:
    """The names of phases; `nothing` for a number that has none."""
    known = np.where((phases >= 0) & (phases < len(names)), phases, len(names))
    return _objects([*names, nothing])[known]


def _repeated(text: str, count: int) -> Column:
    return np.full(count, text, dtype=object)


def _objects(values: Iterable[str | None]) -> Column:
    listed = list(values)
    found = np.empty(len(listed), dtype=object)
    found[:] = listed
    return found


def _joined(tables: Sequence[Table]) -> Table:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _typed(table: Table) -> Table:
    """Has text be text where there is none: Polars cannot know what an empty array of objects is made of."""
    return {
        name: column if len(column) or column.dtype != object else column.astype("U1")
        for name, column in table.items()
    }
