"""The form of a recording: a SQLite database in WAL mode, which any SQLite tool can open.

    about    name, value: `mlxtop` (version that wrote it), `created` (seconds since the epoch)
    session  one row for each process: who it was, when its clock began, device and versions (`facts`, JSON)
    phase    the names of a session's phases; a sample's phase is a number into them
    event    what happened: see `core.event.Kind`; `data` is JSON
    block    samples (level 0) and their extremes in buckets of 1, 10, 60 and 600 s (levels 1 to 4), packed
             by `codec.py`: at level 0 the columns are those of `core.sample.Sample`, above it the bucket's
             begin, the lowest and the highest of each gauge, and the last of each counter
    text     prompts, replies and output, only where the person asked for them

Times are seconds since the session began; sizes are bytes. `PRAGMA application_id` is 'mlxt',
`PRAGMA user_version` the number of this form.
"""

import sqlite3
from contextlib import closing

APPLICATION = int.from_bytes(b"mlxt")
VERSION = 1

TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE session (
    id INTEGER PRIMARY KEY, started REAL NOT NULL, title TEXT NOT NULL, label TEXT NOT NULL, pid INTEGER,
    rank INTEGER, command TEXT NOT NULL, interval REAL NOT NULL, steps_are TEXT NOT NULL,
    footprint_kind TEXT NOT NULL, facts TEXT NOT NULL
);
CREATE TABLE phase (
    session INTEGER NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (session, number)
) WITHOUT ROWID;
CREATE TABLE event (
    id INTEGER PRIMARY KEY, session INTEGER NOT NULL, time REAL NOT NULL,
    kind TEXT NOT NULL, data TEXT NOT NULL
);
CREATE TABLE block (
    session INTEGER NOT NULL, level INTEGER NOT NULL, start REAL NOT NULL, end REAL NOT NULL,
    rows INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (session, level, start)
) WITHOUT ROWID;
CREATE TABLE text (
    id INTEGER PRIMARY KEY, session INTEGER NOT NULL, time REAL NOT NULL,
    who TEXT NOT NULL, text TEXT NOT NULL
);
"""


def create(database: sqlite3.Connection) -> None:
    """Makes an empty recording of an empty file."""
    database.execute("PRAGMA journal_mode = WAL")
    # A kill loses nothing that was committed; only a power cut may lose the last commits.
    database.execute("PRAGMA synchronous = NORMAL")
    database.executescript(
        f"BEGIN; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; {TABLES} COMMIT;"
    )


def check(database: sqlite3.Connection) -> None:
    """Raises `ValueError` unless the tables are there: a view in their place might never end."""
    with closing(sqlite3.connect(":memory:")) as model:
        create(model)
        expected = _columns(model)
    found = _columns(database)
    wrong = [name for name, columns in expected.items() if found.get(name) != columns]
    if wrong:
        raise ValueError(f"no table {wrong[0]} as it should be")


def _columns(database: sqlite3.Connection) -> dict[str, list[str]]:
    query = "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table'"
    found: dict[str, list[str]] = {}
    for table, column in database.execute(f"{query} ORDER BY c.cid"):
        found.setdefault(table, []).append(column)
    return found
