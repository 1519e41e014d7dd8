"""Reads a recording, also while it is being written: any stretch of it, at the level that fits."""

import json
import sqlite3
import stat
from array import array
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from mlxtop.core.columns import Level, Row
from mlxtop.core.event import Event, Kind
from mlxtop.core.history import WIDTHS
from mlxtop.core.sample import COUNTERS, GAUGES, Sample
from mlxtop.core.state import State
from mlxtop.core.text import one_line
from mlxtop.recording import codec, schema
from mlxtop.recording.errors import RecordingError
from mlxtop.recording.rollup import roll

SAMPLE_COLUMNS = 1 + len(GAUGES) + len(COUNTERS)
BUCKET_COLUMNS = 1 + 2 * len(GAUGES) + len(COUNTERS)
BLOCKS_KEPT = 64
UNBOUNDED = 2**62


class About(NamedTuple):
    """What a recording says of one session; see `schema.py`."""

    id: int
    started: float
    title: str
    label: str
    pid: int | None
    rank: int | None
    command: list[str]
    interval: float
    steps_are: str
    footprint_kind: str
    facts: dict[str, Any]


class Said(NamedTuple):
    """A line that was recorded as text."""

    time: float
    who: str
    text: str


class Recording:
    """A recording at `path`, open for reading. Raises `RecordingError` for a file that is none.

    Blocks that are damaged are passed over and counted in `damaged`. Used by one thread.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0
        self._blocks: OrderedDict[tuple[int, int, float], Level] = OrderedDict()
        self._database = _open(path)
        self.about = dict(self._ask("SELECT name, value FROM about"))
        try:
            self.sessions = [_about(line) for line in self._ask("SELECT * FROM session ORDER BY id")]
        except (ValueError, TypeError, RecursionError) as error:
            raise _damaged(path, error) from error
        if not self.sessions:
            raise RecordingError(f"{path} holds no session: mlxtop was stopped before anything happened.")

    def close(self) -> None:
        self._database.close()

    # Samples

    def count(self, session: int) -> int:
        """How many samples there are."""
        found = self._ask("SELECT sum(rows) FROM block WHERE session = ? AND level = 0", session)
        return _number(next(found, (0,))[0], int)

    def first(self, session: int) -> Sample | None:
        return next(self.samples(session), None)

    def last(self, session: int) -> Sample | None:
        """The last sample."""
        return self.at(session, float("inf"))

    def at(self, session: int, time: float) -> Sample | None:
        """The last sample at or before `time`."""
        # A float of the file is a rounded one: a hair later still counts.
        time += 5e-7
        where = "session = ? AND level = 0 AND start <= ? ORDER BY start DESC LIMIT 2"
        for start, rows, data in self._ask(
            f"SELECT start, rows, data FROM block WHERE {where}", session, time
        ):
            block = self._block(session, 0, start, rows, data)
            i = bisect_right(block.time, time) - 1 if block is not None else -1
            if block is not None and i >= 0:
                return _sample(block, i)
        return None

    def samples(self, session: int, start: float = 0.0, end: float = float("inf")) -> Iterator[Sample]:
        """All samples from `start` to `end`, in order."""
        for block in self._level(session, 0, start, end):
            for i, time in enumerate(block.time):
                if start <= time < end:
                    yield _sample(block, i)

    def rows(self, session: int, level: int, start: float, end: float) -> Level:
        """The samples (level 0) or buckets from `start` to `end`, with what no block holds yet."""
        with self._at_one_moment():
            return self._rows(session, level, start, end)

    def _rows(self, session: int, level: int, start: float, end: float) -> Level:
        found = Level(UNBOUNDED)
        if level == 0:
            found.hi = found.lo
        width = WIDTHS[level - 1] if level else 0.0
        for block in self._level(session, level, start - width, end):
            _extend(found, block.slice(start - width, end))
        if level > 0:
            self._complete(found, session, level, start - width, end)
        return found

    def _complete(self, found: Level, session: int, level: int, start: float, end: float) -> None:
        """The buckets after the last block of a level are made of the rows of the level below."""
        query = "SELECT max(end) FROM block WHERE session = ? AND level = ?"
        (last,) = next(self._ask(query, session, level), (None,))
        width = WIDTHS[level - 1]
        begin = start // width * width
        if isinstance(last, float):
            begin = max(begin, last + width)
        if begin >= end:
            return
        below = self._rows(session, level - 1, begin, end).slice(begin, end)
        done, begun = roll(level, None, _each(below))
        for each in [*done, *([begun] if begun else [])]:
            found.append(each)

    def _level(self, session: int, level: int, start: float, end: float) -> Iterator[Level]:
        before = "SELECT max(start) FROM block WHERE session = ?1 AND level = ?2 AND start <= ?3"
        query = (
            "SELECT start, rows, data FROM block WHERE session = ?1 AND level = ?2 AND end >= ?3 "
            f"AND start < ?4 AND start >= coalesce(({before}), 0) ORDER BY start"
        )
        for begin, rows, data in self._ask(query, session, level, start, end):
            block = self._block(session, level, begin, rows, data)
            if block is not None:
                yield block

    def _block(self, session: int, level: int, start: float, rows: int, data: bytes) -> Level | None:
        # A block may have been merged with others since it was read: its length tells.
        key = session, level, start
        kept = self._blocks.get(key)
        if kept is not None and len(kept.time) == rows:
            self._blocks.move_to_end(key)
            return kept
        try:
            columns = codec.unpack(data, BUCKET_COLUMNS if level else SAMPLE_COLUMNS, rows)
        except (codec.DamagedError, TypeError):
            self.damaged += 1
            return None
        block = _as_level(columns, level)
        self._blocks[key] = block
        if len(self._blocks) > BLOCKS_KEPT:
            self._blocks.popitem(last=False)
        return block

    # The rest

    def phases(self, session: int) -> list[str]:
        return [
            str(name)
            for (name,) in self._ask("SELECT name FROM phase WHERE session = ? ORDER BY number", session)
        ]

    def events(self, session: int) -> list[Event]:
        """All events in order of time; one that makes no sense is passed over."""
        found, state = [], State()
        for time, kind, data in self._ask(
            "SELECT time, kind, data FROM event WHERE session = ? ORDER BY time, id", session
        ):
            try:
                event = Event(_finite(time), Kind(kind), _mapping(json.loads(data)))
                event.describe()
                state.apply(event)
            except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError):
                self.damaged += 1
            else:
                found.append(event)
        return found

    def said(self, session: int) -> list[Said]:
        """What was recorded as text."""
        query = "SELECT time, who, text FROM text WHERE session = ? ORDER BY id"
        return [
            Said(_number(time, float), str(who), str(text)) for time, who, text in self._ask(query, session)
        ]

    @contextmanager
    def _at_one_moment(self) -> Iterator[None]:
        """What is asked meanwhile is answered from one state of the file, whatever is written beside it."""
        if self._database.in_transaction:
            yield
            return
        deque(self._ask("BEGIN"))
        try:
            yield
        finally:
            deque(self._ask("COMMIT"))

    def _ask(self, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._database.execute(query, values)
        except sqlite3.Error as error:
            raise _damaged(self.path, error) from error


def _open(path: Path) -> sqlite3.Connection:
    try:
        # Nobody waits for a pipe.
        if not stat.S_ISREG(path.stat().st_mode):
            raise RecordingError(f"{path} is no recording of mlxtop's.")
        path.open("rb").close()
    except FileNotFoundError as error:
        raise RecordingError(f"There is no recording {path}.") from error
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        # Read only; a recording whose writer was killed still brings its -wal file to be read.
        database = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0, isolation_level=None
        )
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
    except (sqlite3.Error, OSError) as error:
        if "not a database" in str(error):
            raise RecordingError(f"{path} is no recording of mlxtop's.") from error
        if "unable to open" in str(error):
            # Its writer was killed: SQLite then wants to make a file beside it.
            why = f"{path} cannot be read where it is: copy it and {path.name}-wal to a folder you may write."
            raise RecordingError(why) from error
        raise _damaged(path, error) from error
    if application != schema.APPLICATION:
        raise RecordingError(f"{path} is no recording of mlxtop's.")
    if version > schema.VERSION:
        raise RecordingError(f"{path} was made by a newer mlxtop: upgrade mlxtop to read it.")
    try:
        schema.check(database)
    except (sqlite3.Error, ValueError) as error:
        raise _damaged(path, error) from error
    return database


def _damaged(path: Path, error: Exception) -> RecordingError:
    # SQLite may quote a table's whole definition.
    why = one_line(" ".join(str(error).split()))
    return RecordingError(f"{path} is damaged and cannot be read ({why}).")


def _about(line: tuple[Any, ...]) -> About:
    """Raises `ValueError` or `TypeError` for what is no session."""
    about = About(*line)
    command = json.loads(about.command)  # type: ignore[arg-type]  # JSON still
    facts = _mapping(json.loads(about.facts))  # type: ignore[arg-type]
    texts = (about.title, about.label, about.steps_are, about.footprint_kind)
    if not isinstance(command, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("a session that is none")
    if _finite(about.interval) <= 0 or not isfinite(about.started):
        raise ValueError("a session at no time")
    return about._replace(command=command, facts=facts)


def _mapping(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError("no object")
    return data


def _finite(time: Any) -> float:
    if not isfinite(time):
        raise ValueError("no time")
    return float(time)


N = TypeVar("N", int, float)


def _number(value: Any, kind: type[N]) -> N:
    """What a column should hold; 0 where it holds something else, for SQLite keeps anything anywhere."""
    try:
        return kind(value)
    except (TypeError, ValueError, OverflowError):
        return kind(0)


def _as_level(columns: list["array[int]"], level: int) -> Level:
    gauges = len(GAUGES)
    block = Level(UNBOUNDED)
    block.time = array("d", (time / 1e6 for time in columns[0]))
    block.lo = columns[1 : 1 + gauges]
    block.hi = columns[1 + gauges : 1 + 2 * gauges] if level else block.lo
    block.last = columns[-len(COUNTERS) :]
    return block


def _extend(found: Level, part: Level) -> None:
    found.time.extend(part.time)
    groups = [(found.lo, part.lo), (found.last, part.last)]
    if found.hi is not found.lo:
        groups.append((found.hi, part.hi))
    for into, columns in groups:
        for column, more in zip(into, columns, strict=True):
            column.extend(more)


def _each(level: Level) -> Iterator[Row]:
    for i, time in enumerate(level.time):
        lo, hi = [c[i] for c in level.lo], [c[i] for c in level.hi]
        yield Row(time, lo, hi, [c[i] for c in level.last])


def _sample(block: Level, i: int) -> Sample:
    return Sample(block.time[i], *(c[i] for c in block.lo), *(c[i] for c in block.last))
