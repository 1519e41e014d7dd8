"""The rows of a recording's tables, as many as a damaged file still gives.

Where a page of the file cannot be read, SQLite ends a query with an error. The rows behind such a page are
found by asking for later and later ones.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import ceil
from typing import Any, NamedTuple

from mlxtop.recording import schema

UNREADABLE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR)
BACK = 600.0
"""Seconds before a moment in which a block that holds it is looked for in a damaged file."""
LATEST = 1e10
"""Seconds: no session lasts longer."""
LARGEST = 2**62
BEGIN = float("-inf")


class BlockRow(NamedTuple):
    """A block as it is in the file; see `schema.py`. `crc` is `None` in a file of the first form."""

    start: float
    end: float
    rows: int
    data: bytes
    after: float | None
    crc: int | None

    def is_whole(self, session: int, level: int) -> bool:
        """Whether it is what was written, as far as that can be known."""
        return self.crc is None or self.crc == schema.checksum((session, level, *self[:-1]))


class Table:
    """Asks `database`, of the form `version`. `spoil` is told of what is damaged; `refuse` makes the error of
    anything else that goes wrong."""

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

    def begin(self) -> None:
        """From here on all is answered from one state of the file."""
        try:
            self._database.execute("BEGIN")
        except sqlite3.Error as error:
            raise self._refuse(error) from error

    def end(self) -> None:
        # Nothing was written; and a damaged file lets nobody commit that.
        with suppress(sqlite3.Error):
            self._database.execute("ROLLBACK")

    # All rows of a table

    def all(self, table: str, columns: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a small table, in its key's order, up to where it cannot be read."""
        try:
            for *row, crc in self._database.execute(
                f"SELECT {self._named(columns)}, {self._crc} FROM {table}"
            ):
                if crc is not None and crc != schema.checksum(row):
                    self._spoil(table, *row)
                yield tuple(row)
        except sqlite3.Error as error:
            self._pass_over(error, table)

    def by_id(self, table: str, columns: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a table that is kept by `id`, each with that before the columns. Those whose checksum
        is wrong or that are missing are counted as damaged; a session comes all the same."""
        query = f"SELECT id, {self._named(columns)}, {self._crc} FROM {table} WHERE id >= ? ORDER BY id"
        last, at = 0, -LARGEST
        while True:
            try:
                for *row, crc in self._database.execute(query, (at,)):
                    number = row[0]
                    if number < at:
                        # Pages are in each other's place: what was read would be read again.
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
                self._pass_over(error, table, "after", last)
                found = self._beyond(lambda id_: self._one(query, ceil(id_)), max(at, 0), LARGEST, 1, 1)
                if found is None or found[0] <= at:
                    return
                at = found[0]

    # Blocks

    def blocks(self, session: int, level: int, start: float, end: float) -> Iterator[BlockRow]:
        """The blocks with rows from `start` to `end`, in order."""
        query = self._blocks("start >= ? AND end >= ? AND start < ? ORDER BY start")
        at, last = self._begin(session, level, start), BEGIN
        while True:
            try:
                for row in self._database.execute(query, (session, level, at, start, end)):
                    block = BlockRow(*row)
                    if isinstance(block.start, float):
                        if block.start <= last:
                            # Pages are in each other's place: what was read would be read again.
                            self._spoil("block", session, level, "out of order", block.start)
                            continue
                        at = last = block.start
                    yield block
                return
            except sqlite3.Error as error:
                self._pass_over(error, "block", session, level, at)
                found = self._next(session, level, max(at, 0.0))
                if found is None or not at < found.start < end:
                    return
                at = found.start

    def blocks_before(self, session: int, time: float) -> Iterator[BlockRow]:
        """The blocks of samples that may hold the last one up to `time`, the later one first."""
        try:
            query = self._blocks("start <= ? ORDER BY start DESC LIMIT 2")
            yield from map(BlockRow._make, self._database.execute(query, (session, 0, time)))
            return
        except sqlite3.Error as error:
            self._pass_over(error, "block", session, 0, time)
        for start in (min(time, self._last(session)) - BACK, BEGIN):
            found = list(self.blocks(session, 0, start, time))
            if found:
                yield from reversed(found)
                return

    def count(self, session: int) -> Any:
        """How many samples the blocks say that they have."""
        query = "SELECT sum(rows) FROM block WHERE session = ? AND level = 0"
        try:
            (found,) = self._database.execute(query, (session,)).fetchone()
        except sqlite3.Error as error:
            self._pass_over(error, "block", session, 0)
            found = sum(b.rows for b in self.blocks(session, 0, BEGIN, float("inf")) if type(b.rows) is int)
        return found

    def last_end(self, session: int, level: int) -> Any:
        """The latest `end` of the blocks of a level; `None` where there is none."""
        query = "SELECT max(end) FROM block WHERE session = ? AND level = ?"
        try:
            (last,) = self._database.execute(query, (session, level)).fetchone()
        except sqlite3.Error as error:
            self._pass_over(error, "block", session, level)
            ends = [block.end for block in self.blocks(session, level, BEGIN, float("inf"))]
            last = max(ends, default=None)
        return last

    def _begin(self, session: int, level: int, start: float) -> float:
        """The beginning of the block that holds `start`."""
        query = "SELECT max(start) FROM block WHERE session = ? AND level = ? AND start <= ?"
        with suppress(sqlite3.Error):
            (found,) = self._database.execute(query, (session, level, start)).fetchone()
            return found if isinstance(found, float) else BEGIN
        return BEGIN

    def _next(self, session: int, level: int, at: float) -> BlockRow | None:
        """The first block after `at` that can be read."""
        query = self._blocks("start >= ? ORDER BY start LIMIT 1")
        found = self._beyond(lambda time: self._one(query, session, level, time), at, LATEST, 1e-6, 1.0)
        return None if found is None else BlockRow._make(found)

    def _last(self, session: int) -> float:
        last = self.last_end(session, 0)
        return last if isinstance(last, float) else 0.0

    # Behind what cannot be read

    def _one(self, query: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row; raises `sqlite3.Error` where that cannot be read."""
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
        """The first row after `at` that `ask` can read, to within `least`; `None` where none follows."""
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

    def _pass_over(self, error: sqlite3.Error, *what: Any) -> None:
        """Notes what cannot be read; whatever else is wrong is raised."""
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
