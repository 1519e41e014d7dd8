"""Reads a recording, also while it is written: any time range, at any level of detail."""

import sqlite3
import stat
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from math import isfinite
from operator import add, truediv
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from mlxtop.core.event_json import from_json
from mlxtop.core.events import Event
from mlxtop.core.facts import Facts
from mlxtop.core.parsing import parse_json
from mlxtop.core.resample import WIDTHS, Level, Row, sample_at
from mlxtop.core.sample import COUNTERS, GAUGES, RISING, UNKNOWN, Sample
from mlxtop.core.text import one_line
from mlxtop.core.units import format_clock
from mlxtop.recording import codec, schema
from mlxtop.recording.errors import RecordingError
from mlxtop.recording.journal import loses_commits
from mlxtop.recording.rollup import LEVELS, roll
from mlxtop.recording.table import BEGIN, BlockRow, Table

SAMPLE_COLUMNS = 1 + len(GAUGES) + len(COUNTERS) + 1
"""The last two, how far it rose and the buffers, are not there in recordings of earlier versions."""
BUCKET_COLUMNS = 1 + 2 * len(GAUGES) + len(COUNTERS)
"""The last, the buffers, is not there in recordings of earlier versions."""
BLOCKS_KEPT = 64
UNBOUNDED = 2**62
HOLES_TOLD = 5
"""The most gaps that a message names."""


class SessionInfo(NamedTuple):
    """The description of one session in a recording; see `schema.py`."""

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
    """Lost samples of a session: those after `start` and before `end`, in seconds."""

    session: int
    start: float
    end: float
    """Infinite if unknown."""

    def describe(self) -> str:
        """Returns the time range in words."""
        if not isfinite(self.end):
            return f"after {format_clock(self.start)}"
        return f"between {format_clock(self.start)} and {format_clock(self.end)}"


class TranscriptLine(NamedTuple):
    """A recorded line of text: a prompt, a reply or output."""

    time: float
    who: str
    text: str


class Recording:
    """The recording at `path`, open for reading. Raises `RecordingError` if it is not a recording.

    Damaged parts are skipped and counted in `damaged`; `check` finds out which samples are missing. To be
    used by one thread.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0
        self.holes: list[Gap] = []
        """The gaps that `check` found."""
        self.broken: frozenset[tuple[Any, ...]] = frozenset()
        """Pairs of session and level with missing blocks."""
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
            raise RecordingError(f"{path} cannot be read: its data is in {path.name}-wal, which is damaged.")
        if not self.sessions:
            raise RecordingError(f"{path} contains no session: mlxtop was stopped before it recorded one.")

    def close(self) -> None:
        self._database.close()

    # Samples

    def count(self, session: int) -> int:
        """Returns the number of samples."""
        return _number(self._table.count(session), int)

    def first(self, session: int) -> Sample | None:
        return next(self.samples(session), None)

    def last(self, session: int) -> Sample | None:
        """Returns the last sample."""
        return self.at(session, float("inf"))

    def at(self, session: int, time: float) -> Sample | None:
        """Returns the last sample at or before `time`, in seconds since the session began."""
        # Times in the file are rounded to microseconds.
        time += 5e-7
        for row in self._table.blocks_before(session, time):
            block = self._block(session, 0, row)
            i = bisect_right(block.time, time) - 1 if block is not None else -1
            if block is not None and i >= 0:
                return sample_at(block, i)
        return None

    def samples(self, session: int, start: float = 0.0, end: float = float("inf")) -> Iterator[Sample]:
        """Yields all samples from `start` up to `end`, in order."""
        for block in self._level(session, 0, start, end):
            for i, time in enumerate(block.time):
                if start <= time < end:
                    yield sample_at(block, i)

    def blocks(self, session: int) -> Iterator[BlockRow]:
        """Yields the rows of the table `block` with a session's samples, in order: those that are whole."""
        for row in self._table.blocks(session, 0, BEGIN, float("inf")):
            if row.is_whole(session, 0):
                yield row
            else:
                self.spoil_block(session, row)

    def spoil_block(self, session: int, row: BlockRow) -> None:
        """Counts a block of samples as damaged."""
        self._spoil("block", session, 0, row.start)

    def rows(self, session: int, level: int, start: float, end: float) -> Level:
        """Returns the samples (level 0) or buckets from `start` to `end`, also those not yet in a block."""
        with self.at_one_moment():
            return self._rows(session, level, start, end)

    def _rows(self, session: int, level: int, start: float, end: float) -> Level:
        found = Level(UNBOUNDED, raw=level == 0)
        width = WIDTHS[level - 1] if level else 0.0
        start -= width
        for block in self._level(session, level, start, end):
            _extend(found, block.slice(start, end))
        if (session, level) in self.broken and level > 0:
            # Buckets that are lost at this level can be computed from the level below.
            found = Level(UNBOUNDED)
            self._complete(found, session, level, start, end, None)
        elif level > 0:
            self._complete(found, session, level, start, end, self._table.last_end(session, level))
        return found

    def _complete(
        self, found: Level, session: int, level: int, start: float, end: float, last: float | None
    ) -> None:
        """Computes the buckets after `last`, which are in no block yet, from the level below."""
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
        # The block may have been merged with others since it was read. Its length shows that.
        key = session, level, row.start
        kept = self._blocks.get(key)
        if kept is not None and len(kept.time) == row.rows:
            self._blocks.move_to_end(key)
            return kept
        try:
            if not row.is_whole(session, level):
                raise codec.DamagedError("its checksum is wrong")
            columns = _unpack(row, level)
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
        """Checks all blocks of samples and stores the missing ones in `holes`. Reads the file once."""
        with self.at_one_moment():
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
            _unpack(row, 0)
        except (codec.DamagedError, TypeError):
            return False
        return True

    def damage(self) -> str | None:
        """Returns what cannot be read, in words; `None` if the file is undamaged. Call `check` first."""
        if not self.holes and not self.damaged:
            return None
        several = len(self.sessions) > 1
        names = {about.id: f" of {one_line(about.label)}" if several else "" for about in self.sessions}
        lost = [f"samples{names[hole.session]} {hole.describe()}" for hole in self.holes[:HOLES_TOLD]]
        if len(self.holes) > len(lost):
            lost.append(f"samples in {len(self.holes) - len(lost)} more gaps")
        for table, word in (("event", "events"), ("text", "lines of text")):
            count = sum(table in what[:2] for what in self._spoiled)
            lost += [f"{word} in {count} places"] if count else []
        if not lost:
            return f"{self.damaged} parts cannot be read, but no samples or events are lost"
        return f"{', '.join(lost)} are lost; the rest was read"

    def damage_sentence(self) -> str | None:
        """Returns `damage` as a sentence that names the file."""
        damage = self.damage()
        return f"{self.path} is damaged: {damage}." if damage else None

    # The rest

    def phases(self, session: int) -> list[str]:
        return [
            str(name) for of, _, name in self._table.all("phase", "session, number, name") if of == session
        ]

    def events(self, session: int) -> list[Event]:
        """Returns all valid events in order of time."""
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
        """Returns the recorded lines of text."""
        return [
            TranscriptLine(_number(time, float), str(who), str(text))
            for _, of, time, who, text in self._table.by_id("text", TEXT)
            if of == session
        ]

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Within the block all queries see the same state of the file, even while it is written."""
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
        # Opening a pipe would block.
        if not stat.S_ISREG(path.stat().st_mode):
            raise RecordingError(f"{path} is not an mlxtop recording.")
        path.open("rb").close()
    except FileNotFoundError as error:
        raise RecordingError(f"There is no recording {path}.") from error
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        # Read only. If the writer was killed, SQLite reads the -wal file too.
        database = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0, isolation_level=None
        )
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
    except (sqlite3.Error, OSError) as error:
        if "not a database" in str(error):
            raise RecordingError(f"{path} is not an mlxtop recording.") from error
        if "unable to open" in str(error):
            # Its writer was killed: SQLite then has to create a file beside it.
            why = f"{path} cannot be read in a read-only folder: copy it and {path.name}-wal to another one."
            raise RecordingError(why) from error
        raise _damaged(path, error) from error
    if application != schema.APPLICATION:
        raise RecordingError(f"{path} is not an mlxtop recording.")
    if version > schema.VERSION:
        raise RecordingError(f"{path} was made by a newer mlxtop: upgrade mlxtop to read it.")
    try:
        schema.check(database, version)
    except (sqlite3.Error, ValueError) as error:
        raise _damaged(path, error) from error
    return database, version


def _damaged(path: Path, error: Exception) -> RecordingError:
    # SQLite may quote the whole definition of a table, with line breaks.
    why = one_line(" ".join(str(error).split()))
    return RecordingError(f"{path} is damaged and cannot be read ({why}).")


def _about(line: tuple[Any, ...]) -> SessionInfo:
    """Returns a session's description from its row. Raises `ValueError` or `TypeError` if it is invalid."""
    about = SessionInfo(*line)
    command = parse_json(about.command)  # type: ignore[arg-type]  # JSON still
    facts = Facts.from_json(_mapping(parse_json(about.facts)))  # type: ignore[arg-type]
    texts = (about.title, about.label, about.steps_are, about.footprint_kind)
    if not isinstance(command, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("a session's fields have wrong types")
    if _finite(about.interval) <= 0 or not isfinite(about.started):
        raise ValueError("a session's times are invalid")
    return about._replace(command=command, facts=facts)


def _event(time: Any, kind: Any, data: Any) -> Event:
    """Returns an event from its row. Raises `ValueError` or `TypeError` if it is invalid."""
    found = from_json(kind, parse_json(data))
    if found is None:
        raise ValueError("an event's kind is unknown")
    return Event(_finite(time), found)


def _when(line: tuple[Any, ...]) -> float:
    """Returns the time of an event's row, for sorting."""
    return line[2] if isinstance(line[2], float) else float("inf")


def _mapping(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    return data


def _finite(time: Any) -> float:
    if not isfinite(time):
        raise ValueError("not a finite number")
    return float(time)


N = TypeVar("N", int, float)


def _number(value: Any, kind: type[N]) -> N:
    """Returns `value` as a number, or 0 if it is none: SQLite allows any type in any column."""
    try:
        return kind(value)
    except (TypeError, ValueError, OverflowError):
        return kind(0)


def _unpack(row: BlockRow, level: int) -> list["array[int]"]:
    if level:
        return codec.unpack(row.data, BUCKET_COLUMNS, row.rows, least=BUCKET_COLUMNS - 1)
    return codec.unpack(row.data, SAMPLE_COLUMNS, row.rows, least=SAMPLE_COLUMNS - 2)


def _as_level(columns: list["array[int]"], level: int) -> Level:
    block = Level(UNBOUNDED, raw=level == 0)
    block.time = array("d", map(truediv, columns[0], repeat(1e6)))
    gauges, end = len(GAUGES), 1 + len(GAUGES)
    block.lo = columns[1:end]
    if level:
        block.hi, end = columns[end : end + gauges], end + gauges
    else:
        block.hi = _highs(block.lo, columns[SAMPLE_COLUMNS - 2 : SAMPLE_COLUMNS - 1])
    buffers = columns[(BUCKET_COLUMNS if level else SAMPLE_COLUMNS) - 1 :]
    unknown = array("q", [UNKNOWN]) * len(block.time)
    block.last = [*columns[end : end + len(COUNTERS) - 1], *(buffers or [unknown])]
    return block


def _highs(gauges: list["array[int]"], rises: list["array[int]"]) -> list["array[int]"]:
    """The highest of each gauge, from how far `active` rose above the sample's."""
    highs = list(gauges)
    for rise in filter(any, rises):
        high = array("q", map(add, gauges[0], rise))
        for name in RISING:
            gauge = GAUGES.index(name)
            highs[gauge] = array("q", map(max, gauges[gauge], high))
    return highs


def _extend(found: Level, part: Level) -> None:
    found.time.extend(part.time)
    own = [pair for low, *pair in zip(found.lo, found.hi, part.hi, strict=True) if pair[0] is not low]
    for into, more in (
        *zip(found.lo, part.lo, strict=True),
        *zip(found.last, part.last, strict=True),
        *own,
    ):
        into.extend(more)


def _each(level: Level) -> Iterator[Row]:
    for i, time in enumerate(level.time):
        lo, hi = [c[i] for c in level.lo], [c[i] for c in level.hi]
        yield Row(time, lo, hi, [c[i] for c in level.last])
