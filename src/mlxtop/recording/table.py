"""Reads the rows of a recording's tables, as many as a damaged file allows.

SQLite ends a query with an error at a page that cannot be read. The rows after it are found by querying for
larger and larger keys.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import ceil
from typing import Any, NamedTuple

from mlxtop.recording import schema

UNREADABLE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR)
BACK = 600.0
"""Seconds. In a damaged file, the block that contains a moment is searched this far before it."""
LATEST = 1e10
"""Seconds. No session is longer."""
LARGEST = 2**62
BEGIN = float("-inf")


class BlockRow(NamedTuple):
    """A row of the table `block`; see `schema.py`. `crc` is `None` in a file of version 1."""

    start: float
    end: float
    rows: int
    data: bytes
    after: float | None
    crc: int | None

    def is_whole(self, session: int, level: int) -> bool:
        """Returns whether the checksum is right or missing."""
        return self.crc is None or self.crc == schema.checksum((session, level, *self[:-1]))


class Table:
    """Queries `database`, a recording of format `version`.

    `spoil` is called for each damaged part. `refuse` turns any other SQLite error into the one to raise.
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        version: int,
        spoil: Callable[..., None],
        refuse: Callable[[sqlite3.Error], Exception],
    ) -> None:
        self._database = database
        self._old = version < 2
        self._spoil = spoil
        self._refuse = refuse
        self._found: dict[tuple[str, int, int], Any] = {}
        """What the last scans of a level found, and in which state of the file."""
        self._state: Any = None

    def begin(self) -> None:
        """Begins a transaction: queries see one state of the file until `end`."""
        try:
            self._database.execute("BEGIN")
        except sqlite3.Error as error:
            raise self._refuse(error) from error

    def end(self) -> None:
        # Nothing was written, and COMMIT fails in a damaged file.
        with suppress(sqlite3.Error):
            self._database.execute("ROLLBACK")

    # All rows of a table

    def all(self, table: str, columns: str) -> Iterator[tuple[Any, ...]]:
        """Yields the rows of a small table in order of its key, up to the first that cannot be read."""
        try:
            for *row, crc in self._database.execute(
                f"SELECT {self._named(columns)}, {self._crc} FROM {table}"
            ):
                if crc is not None and crc != schema.checksum(row):
                    self._spoil(table, *row)
                yield tuple(row)
        except sqlite3.Error as error:
            self._skip(error, table)

    def by_id(self, table: str, columns: str) -> Iterator[tuple[Any, ...]]:
        """Yields the rows of a table with the key `id`: the id, then `columns`.

        Missing rows and rows with a wrong checksum count as damaged. The latter are skipped, except sessions.
        """
        query = f"SELECT id, {self._named(columns)}, {self._crc} FROM {table} WHERE id >= ? ORDER BY id"
        last, at = 0, -LARGEST
        while True:
            try:
                for *row, crc in self._database.execute(query, (at,)):
                    number = row[0]
                    if number < at:
                        # Pages are swapped. Without this check, rows would be read twice.
                        self._spoil(table, "out of order", number)
                        continue
                    if not self._old and 0 <= last < number - 1:
                        self._spoil(table, "missing after", last)
                    last, at = number, number + 1
                    known = row if table == "session" else row[1:]
                    if crc is not None and crc != schema.checksum(known):
                        self._spoil(table, number)
                        if table != "session":
                            continue
                    yield tuple(row)
                return
            except sqlite3.Error as error:
                self._skip(error, table, "after", last)
                found = self._beyond(lambda id_: self._one(query, ceil(id_)), max(at, 0), LARGEST, 1, 1)
                if found is None or found[0] <= at:
                    return
                at = found[0]

    # Blocks

    def blocks(self, session: int, level: int, start: float, end: float) -> Iterator[BlockRow]:
        """Yields the blocks with rows from `start` to `end`, in order."""
        query = self._blocks("start >= ? AND end >= ? AND start < ? ORDER BY start")
        at, last = self._begin(session, level, start), BEGIN
        while True:
            try:
                for row in self._database.execute(query, (session, level, at, start, end)):
                    block = BlockRow(*row)
                    if isinstance(block.start, float):
                        if block.start <= last:
                            # Pages are swapped. Without this check, blocks would be read twice.
                            self._spoil("block", session, level, "out of order", block.start)
                            continue
                        at = last = block.start
                    yield block
                return
            except sqlite3.Error as error:
                self._skip(error, "block", session, level, at)
                found = self._next(session, level, max(at, 0.0))
                if found is None or not at < found.start < end:
                    return
                at = found.start

    def blocks_before(self, session: int, time: float) -> Iterator[BlockRow]:
        """Yields the blocks that may contain the last sample up to `time`, the later one first."""
        try:
            query = self._blocks("start <= ? ORDER BY start DESC LIMIT 2")
            yield from map(BlockRow._make, self._database.execute(query, (session, 0, time)))
            return
        except sqlite3.Error as error:
            self._skip(error, "block", session, 0, time)
        for start in (min(time, self._last(session)) - BACK, BEGIN):
            found = list(self.blocks(session, 0, start, time))
            if found:
                yield from reversed(found)
                return

    def count(self, session: int) -> Any:
        """Returns the number of samples that the blocks declare."""
        return self._scan(
            "sum(rows)", session, 0, lambda blocks: sum(b.rows for b in blocks if type(b.rows) is int)
        )

    def last_end(self, session: int, level: int) -> Any:
        """Returns the largest `end` of the blocks of a level; `None` without blocks."""
        return self._scan(
            "max(end)", session, level, lambda blocks: max((b.end for b in blocks), default=None)
        )

    def _scan(self, what: str, session: int, level: int, by_hand: Callable[[Iterator[BlockRow]], Any]) -> Any:
        """Returns what a query of all blocks of a level gives; of a damaged level what `by_hand` does.

        That takes 20 ms for ten million samples, so it is done once for each state of the file.
        """
        key = what, session, level
        try:
            (state,) = self._database.execute("PRAGMA data_version").fetchone()
            if state != self._state:
                self._state, self._found = state, {}
            if key not in self._found:
                query = f"SELECT {what} FROM block WHERE session = ? AND level = ?"
                (self._found[key],) = self._database.execute(query, (session, level)).fetchone()
        except sqlite3.Error as error:
            self._skip(error, "block", session, level)
            self._found[key] = by_hand(self.blocks(session, level, BEGIN, float("inf")))
        return self._found[key]

    def _begin(self, session: int, level: int, start: float) -> float:
        """Returns the start of the block that contains `start`."""
        query = "SELECT max(start) FROM block WHERE session = ? AND level = ? AND start <= ?"
        with suppress(sqlite3.Error):
            (found,) = self._database.execute(query, (session, level, start)).fetchone()
            return found if isinstance(found, float) else BEGIN
        return BEGIN

    def _next(self, session: int, level: int, at: float) -> BlockRow | None:
        """Returns the first readable block after `at`."""
        query = self._blocks("start >= ? ORDER BY start LIMIT 1")
        found = self._beyond(lambda time: self._one(query, session, level, time), at, LATEST, 1e-6, 1.0)
        return None if found is None else BlockRow._make(found)

    def _last(self, session: int) -> float:
        last = self.last_end(session, 0)
        return last if isinstance(last, float) else 0.0

    # After an unreadable page

    def _one(self, query: str, *values: Any) -> tuple[Any, ...] | None:
        """Returns the first row. Raises `sqlite3.Error` if it cannot be read."""
        row: tuple[Any, ...] | None = self._database.execute(query, values).fetchone()
        return row

    def _beyond(
        self,
        ask: Callable[[float], tuple[Any, ...] | None],
        at: float,
        most: float,
        step: float,
        least: float,
    ) -> tuple[Any, ...] | None:
        """Returns the first row after `at` that `ask` can read, to within `least`; `None` without one.

        It doubles the step from `at` until `ask` succeeds, then bisects.
        """
        low, high, found = at, at + step, None
        while high <= most:
            try:
                found = ask(high)
                break
            except sqlite3.Error:
                low, high = high, at + (high - at) * 2
        else:
            return None
        while high - low > least:
            middle = (low + high) / 2
            try:
                row = ask(middle)
            except sqlite3.Error:
                low = middle
                continue
            high, found = middle, row or found
        return found

    def _skip(self, error: sqlite3.Error, *what: Any) -> None:
        """Reports an unreadable part as damaged. Raises any other error."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in UNREADABLE:
            raise self._refuse(error) from error
        self._spoil("unreadable", *what)

    @property
    def _crc(self) -> str:
        return "NULL" if self._old else "crc"

    def _named(self, columns: str) -> str:
        return columns.replace("until", "NULL") if self._old else columns

    def _blocks(self, where: str) -> str:
        added = "NULL, NULL" if self._old else "after, crc"
        return (
            f"SELECT start, end, rows, data, {added} FROM block WHERE session = ? AND level = ? AND {where}"
        )
