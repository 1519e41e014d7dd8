"""The format of a recording: a SQLite database in WAL mode, which any SQLite tool can open.

    about    name, value: `mlxtop` (version that wrote it), `created` (seconds since the epoch)
    session  one row for each process: its title, when its clock started, device and versions (`facts`, JSON);
             `until`: the time of its last sample
    phase    the names of a session's phases; a sample's phase is an index into them
    event    see `core/event_json.py`; `data` is JSON
    block    samples (level 0) and their extremes in buckets of 1, 10, 60 and 600 s (levels 1 to 4), packed
             by `codec.py`: at level 0 the columns are those of `core.sample.Sample`, and instead of `high`
             how far it is above `active`; above it the start of the bucket, the minimum and the maximum
             of each gauge, and the last value of each counter. The last of all is `buffers`. Earlier
             recordings lack it, and the oldest how far `high` is above `active`.
             `after`: the time of the row before the first one, which shows whether a block is missing
    text     prompts, replies and output, only if requested
    samples  for other tools: one plain row for each finished second, from the buckets of level 1. The
             maximum of each gauge, and the last tokens, phase, weights and KV; NULL if unknown. mlxtop does
             not read it, and a recording without it is complete

Every row except those of `samples` ends with `crc`, the `checksum` of its other values. Times are seconds
since the session began; sizes are bytes. `PRAGMA application_id` is 'mlxt', `PRAGMA user_version` the version
of this format. Version 1 had no `until`, `after` and `crc`, and can still be read.
"""

import sqlite3
import zlib
from collections.abc import Sequence
from contextlib import closing
from typing import Any

APPLICATION = int.from_bytes(b"mlxt")
VERSION = 2
SINCE_2 = ("until", "after", "crc")

TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT, crc INTEGER) WITHOUT ROWID;
CREATE TABLE session (
    id INTEGER PRIMARY KEY, started REAL NOT NULL, title TEXT NOT NULL, label TEXT NOT NULL, pid INTEGER,
    rank INTEGER, command TEXT NOT NULL, interval REAL NOT NULL, steps_are TEXT NOT NULL,
    footprint_kind TEXT NOT NULL, facts TEXT NOT NULL, until REAL, crc INTEGER
);
CREATE TABLE phase (
    session INTEGER NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, crc INTEGER,
    PRIMARY KEY (session, number)
) WITHOUT ROWID;
CREATE TABLE event (
    id INTEGER PRIMARY KEY, session INTEGER NOT NULL, time REAL NOT NULL,
    kind TEXT NOT NULL, data TEXT NOT NULL, crc INTEGER
);
CREATE TABLE block (
    session INTEGER NOT NULL, level INTEGER NOT NULL, start REAL NOT NULL, end REAL NOT NULL,
    rows INTEGER NOT NULL, data BLOB NOT NULL, after REAL, crc INTEGER, PRIMARY KEY (session, level, start)
) WITHOUT ROWID;
CREATE TABLE text (
    id INTEGER PRIMARY KEY, session INTEGER NOT NULL, time REAL NOT NULL,
    who TEXT NOT NULL, text TEXT NOT NULL, crc INTEGER
);
"""
"""The tables that mlxtop reads."""
SAMPLES = """
CREATE TABLE samples (
    session INTEGER NOT NULL, time REAL NOT NULL, active INTEGER, cache INTEGER, peak INTEGER, total INTEGER,
    footprint INTEGER, tokens INTEGER, phase INTEGER, weights INTEGER, kv INTEGER,
    PRIMARY KEY (session, time)
) WITHOUT ROWID;
"""


def create(database: sqlite3.Connection) -> None:
    """Creates the tables of a recording in an empty database."""
    database.execute("PRAGMA journal_mode = WAL")
    # Commits survive a kill of the process. Only a power failure may lose the last ones.
    database.execute("PRAGMA synchronous = NORMAL")
    numbers = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"
    database.executescript(f"BEGIN; {numbers} {TABLES} {SAMPLES} COMMIT;")


def checksum(values: Sequence[Any]) -> int:
    """Returns the CRC-32 of a row's values, as SQLite returns them."""
    crc = 0
    for value in values:
        crc = zlib.crc32(value if isinstance(value, bytes) else repr(value).encode(), crc)
    return crc


def check(database: sqlite3.Connection, version: int) -> None:
    """Raises `ValueError` if the tables are not those of `TABLES`. A view instead of one might not end."""
    with closing(sqlite3.connect(":memory:")) as model:
        model.executescript(TABLES)
        expected = _columns(model)
    if version < VERSION:
        expected = {
            table: [name for name in columns if name not in SINCE_2] for table, columns in expected.items()
        }
    found = _columns(database)
    wrong = [name for name, columns in expected.items() if found.get(name) != columns]
    if wrong:
        raise ValueError(f"the table {wrong[0]} is missing or has other columns")


def _columns(database: sqlite3.Connection) -> dict[str, list[str]]:
    query = "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table'"
    found: dict[str, list[str]] = {}
    for table, column in database.execute(f"{query} ORDER BY c.cid"):
        found.setdefault(table, []).append(column)
    return found
