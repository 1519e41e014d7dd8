"""Reads a recording, also while it is being written: any stretch of it, at the level that fits."""

import sqlite3
import stat
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from mlxtop.core.event_json import from_json
from mlxtop.core.events import Event
from mlxtop.core.facts import Facts
from mlxtop.core.facts import from_json as facts_from_json
from mlxtop.core.parsing import parse_json
from mlxtop.core.resample import WIDTHS, Level, Row
from mlxtop.core.sample import COUNTERS, GAUGES, Sample
from mlxtop.core.text import one_line
from mlxtop.core.units import format_clock
from mlxtop.recording import codec, schema
from mlxtop.recording.errors import RecordingError
from mlxtop.recording.journal import loses_commits
from mlxtop.recording.rollup import LEVELS, roll
from mlxtop.recording.table import BlockRow, Table

SAMPLE_COLUMNS = 1 + len(GAUGES) + len(COUNTERS)
BUCKET_COLUMNS = 1 + 2 * len(GAUGES) + len(COUNTERS)
BLOCKS_KEPT = 64
UNBOUNDED = 2**62
HOLES_TOLD = 5


class SessionInfo(NamedTuple):
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
    facts: Facts


SESSION = f"{', '.join(SessionInfo._fields[1:])}, until"
EVENT, TEXT = "session, time, kind, data", "session, time, who, text"


class Gap(NamedTuple):
    """Samples of a session that are in the file no more: from after `start` to before `end`, in seconds."""

    session: int
    start: float
    end: float
    """Infinite where nobody knows how far it went."""

    def describe(self) -> str:
        """When it is, in a few words."""
        if not isfinite(self.end):
            return f"after {format_clock(self.start)}"
        return f"between {format_clock(self.start)} and {format_clock(self.end)}"


class TranscriptLine(NamedTuple):
    """A line that was recorded as text."""

    time: float
    who: str
    text: str


class Recording:
    """A recording at `path`, open for reading. Raises `RecordingError` for a file that is none.

    What is damaged is passed over and counted in `damaged`; `check` says which samples are missing. Used by
    one thread.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0
        self.holes: list[Gap] = []
        """What `check` found to be missing."""
        self.broken: frozenset[tuple[Any, ...]] = frozenset()
        """Sessions and levels whose blocks are not all there."""
        self._spoiled: set[tuple[Any, ...]] = set()
        self._blocks: OrderedDict[tuple[int, int, float], Level] = OrderedDict()
        self._database, self._version = _open(path)
        self._table = Table(self._database, self._version, self._spoil, lambda e: _damaged(path, e))
        self.about = dict(self._table.all("about", "name, value"))
        self.sessions: list[SessionInfo] = []
        problem: Exception | None = None
        for *line, _until in self._table.by_id("session", SESSION):
            try:
                self.sessions.append(_about(tuple(line)))
            except (ValueError, TypeError, RecursionError) as error:
                problem = error
                self._spoil("session", line[0])
        if problem is not None and not self.sessions:
            raise _damaged(path, problem) from problem
        if not self.sessions and loses_commits(path):
            raise RecordingError(
                f"{path} cannot be read: {path.name}-wal, which holds all of it, is damaged."
            )
        if not self.sessions:
            raise RecordingError(f"{path} holds no session: mlxtop was stopped before anything happened.")

    def close(self) -> None:
        self._database.close()

    # Samples

    def count(self, session: int) -> int:
        """How many samples there are."""
        return _number(self._table.count(session), int)

    def first(self, session: int) -> Sample | None:
        return next(self.samples(session), None)

    def last(self, session: int) -> Sample | None:
        """The last sample."""
        return self.at(session, float("inf"))

    def at(self, session: int, time: float) -> Sample | None:
        """The last sample at or before `time`."""
        # A float of the file is a rounded one: a hair later still counts.
        time += 5e-7
        for row in self._table.blocks_before(session, time):
            block = self._block(session, 0, row)
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
        start -= width
        for block in self._level(session, level, start, end):
            _extend(found, block.slice(start, end))
        if (session, level) in self.broken and level > 0:
            # What is lost here may be there in full below.
            found = Level(UNBOUNDED)
            self._complete(found, session, level, start, end, None)
        elif level > 0:
            self._complete(found, session, level, start, end, self._table.last_end(session, level))
        return found

    def _complete(
        self, found: Level, session: int, level: int, start: float, end: float, last: float | None
    ) -> None:
        """The buckets after `last`, which no block holds, are made of the rows of the level below."""
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
        for row in self._table.blocks(session, level, start, end):
            block = self._block(session, level, row)
            if block is not None:
                yield block

    def _block(self, session: int, level: int, row: BlockRow) -> Level | None:
        # A block may have been merged with others since it was read: its length tells.
        key = session, level, row.start
        kept = self._blocks.get(key)
        if kept is not None and len(kept.time) == row.rows:
            self._blocks.move_to_end(key)
            return kept
        try:
            if not row.is_whole(session, level):
                raise codec.DamagedError("another checksum")
            columns = codec.unpack(row.data, BUCKET_COLUMNS if level else SAMPLE_COLUMNS, row.rows)
        except (codec.DamagedError, TypeError):
            self._spoil("block", *key)
            return None
        block = _as_level(columns, level)
        self._blocks[key] = block
        if len(self._blocks) > BLOCKS_KEPT:
            self._blocks.popitem(last=False)
        return block

    # Damage

    def _spoil(self, *what: Any) -> None:
        if what not in self._spoiled:
            self._spoiled.add(what)
            self.damaged += 1
            if "block" in what[:2]:
                at = what.index("block")
                self.broken |= {what[at + 1 : at + 3]}

    def check(self) -> None:
        """Looks at all blocks of samples and notes in `holes` which are missing. Reads the file once."""
        with self._at_one_moment():
            until = {line[0]: line[-1] for line in self._table.by_id("session", SESSION)}
            if self._version >= 2:
                for about in self.sessions:
                    self._check_buckets(about.id)
            for _ in (*self._table.by_id("event", EVENT), *self._table.by_id("text", TEXT)):
                pass
            self.holes = [
                hole for about in self.sessions for hole in self._check(about.id, until.get(about.id))
            ]

    def _check(self, session: int, until: Any) -> Iterator[Gap]:
        before: float | None = None
        chained = self._version >= 2
        for row in self._table.blocks(session, 0, float("-inf"), float("inf")):
            if not self._is_readable(session, row):
                self._spoil("block", session, 0, row.start)
                if not chained:
                    yield Gap(session, _number(row.start, float), _number(row.end, float))
                continue
            if chained and row.after != before:
                yield Gap(session, before or 0.0, row.start)
            before = row.end
        if isinstance(until, float) and isfinite(until) and (before is None or before < until):
            yield Gap(session, before or 0.0, until)
            before = until
        if loses_commits(self.path):
            yield Gap(session, before or 0.0, float("inf"))

    def _check_buckets(self, session: int) -> None:
        for level in LEVELS:
            before = None
            for row in self._table.blocks(session, level, float("-inf"), float("inf")):
                if not row.is_whole(session, level) or row.after != before:
                    self._spoil("block", session, level, row.start)
                before = row.end

    def _is_readable(self, session: int, row: BlockRow) -> bool:
        if not all(isinstance(time, float) and isfinite(time) for time in (row.start, row.end)):
            return False
        if row.crc is not None:
            return row.is_whole(session, 0)
        try:
            codec.unpack(row.data, SAMPLE_COLUMNS, row.rows)
        except (codec.DamagedError, TypeError):
            return False
        return True

    def damage(self) -> str | None:
        """What cannot be read of it, once it was checked, in a few words; `None` when it is whole."""
        if not self.holes and not self.damaged:
            return None
        several = len(self.sessions) > 1
        names = {about.id: f" of {one_line(about.label)}" if several else "" for about in self.sessions}
        told = [f"samples{names[hole.session]} {hole.describe()}" for hole in self.holes[:HOLES_TOLD]]
        if len(self.holes) > len(told):
            told.append(f"{len(self.holes) - len(told)} more stretches")
        for table, word in (("event", "events"), ("text", "lines of text")):
            count = sum(table in what[:2] for what in self._spoiled)
            told += [f"{word} in {count} places"] if count else []
        if not told:
            return f"{self.damaged} parts cannot be read, none of them samples or events"
        return f"{', '.join(told)} are lost; the rest was read"

    def damage_sentence(self) -> str | None:
        """The same as a sentence that names the file."""
        damage = self.damage()
        return f"{self.path} is damaged: {damage}." if damage else None

    # The rest

    def phases(self, session: int) -> list[str]:
        return [
            str(name) for of, _, name in self._table.all("phase", "session, number, name") if of == session
        ]

    def events(self, session: int) -> list[Event]:
        """All events in order of time; one that makes no sense is passed over."""
        found = []
        lines = [line for line in self._table.by_id("event", EVENT) if line[1] == session]
        lines.sort(key=_when)
        for number, _, time, kind, data in lines:
            try:
                event = _event(time, kind, data)
            except (ValueError, TypeError):
                self._spoil("event", number)
            else:
                found.append(event)
        return found

    def transcript(self, session: int) -> list[TranscriptLine]:
        """What was recorded as text."""
        return [
            TranscriptLine(_number(time, float), str(who), str(text))
            for _, of, time, who, text in self._table.by_id("text", TEXT)
            if of == session
        ]

    @contextmanager
    def _at_one_moment(self) -> Iterator[None]:
        """What is asked meanwhile is answered from one state of the file, whatever is written beside it."""
        if self._database.in_transaction:
            yield
            return
        self._table.begin()
        try:
            yield
        finally:
            self._table.end()


def _open(path: Path) -> tuple[sqlite3.Connection, int]:
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
        schema.check(database, version)
    except (sqlite3.Error, ValueError) as error:
        raise _damaged(path, error) from error
    return database, version


def _damaged(path: Path, error: Exception) -> RecordingError:
    # SQLite may quote a table's whole definition.
    why = one_line(" ".join(str(error).split()))
    return RecordingError(f"{path} is damaged and cannot be read ({why}).")


def _about(line: tuple[Any, ...]) -> SessionInfo:
    """Raises `ValueError` or `TypeError` for what is no session."""
    about = SessionInfo(*line)
    command = parse_json(about.command)  # type: ignore[arg-type]  # JSON still
    facts = facts_from_json(_mapping(parse_json(about.facts)))  # type: ignore[arg-type]
    texts = (about.title, about.label, about.steps_are, about.footprint_kind)
    if not isinstance(command, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("a session that is none")
    if _finite(about.interval) <= 0 or not isfinite(about.started):
        raise ValueError("a session at no time")
    return about._replace(command=command, facts=facts)


def _event(time: Any, kind: Any, data: Any) -> Event:
    """Raises `ValueError` or `TypeError` for what is no event."""
    found = from_json(kind, parse_json(data))
    if found is None:
        raise ValueError("an event of no known kind")
    return Event(_finite(time), found)


def _when(line: tuple[Any, ...]) -> float:
    """The time of an event's line, for sorting."""
    return line[2] if isinstance(line[2], float) else float("inf")


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
