"""Files that are no recordings, or were: each is read as far as it goes, or refused in one sentence."""

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlxtop.core.events import KINDS
from mlxtop.core.sample import Sample
from mlxtop.core.state import State
from mlxtop.recording import schema
from mlxtop.recording.errors import RecordingError
from mlxtop.recording.reader import Recording
from mlxtop.recording.recorder import Recorder
from tests.recording.source import Session, add, busy_run, commit, end, real_run, record

NUMBERS: list[Any] = [0, -1, 2**63 - 1, -(2**63), 0.5, -1e300, 9e999, "", "abc", b"", b"\xff", None]
EVENTS: list[Any] = [
    None, 1, "x", [], {}, [[]], {"who": 1}, {"old": "x", "new": 1, "knob": 2, "who": 3},
    {"old": 1e400, "new": -1e400, "knob": "cache", "who": "me"}, {"ttft": 1e400, "tps": 1e400, "tokens": 1, "reason": 1},
    {"message": {}}, {"ticks": "x"}, {"phase": 7}, {"budget": 1e400, "level": "x", "was": 1, "used": 1, "source": 1, "against": 2},
    {"name": 1, "active": "x", "cache": None, "peak": 1, "tokens": 1}, {"peak": "x", "who": 1}, {"arrays": 1},
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small recording with something in every table."""
    path = tmp_path_factory.mktemp("whole") / "run.mlxtop"
    recorder, session = Recorder(path, text=True), Session()
    put = add(recorder, session, rank=0)
    session.transcript.write("prompt", "why?\nbecause")
    commit(recorder, real_run(session), put)
    commit(recorder, [s._replace(time=s.time + 30) for s in busy_run(10, 90)], put)
    end(recorder)
    return path


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small recording whose writer was killed: most of it is in the write-ahead log."""
    path = tmp_path_factory.mktemp("killed") / "run.mlxtop"
    recorder, session = Recorder(path), Session()
    put = add(recorder, session)
    items = real_run(session)
    for i in range(0, len(items), 50):
        commit(recorder, items[i : i + 50], put)
    copy = path.with_name("copy")
    for part in ("", "-wal"):
        shutil.copy(f"{path}{part}", f"{copy}{part}")
    end(recorder)
    return copy


@pytest.fixture
def path(tmp_path: Path, whole: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copy(whole, tmp_path / "run.mlxtop"))


def read_all(path: Path) -> Recording:
    """Asks a recording everything it can be asked."""
    read = Recording(path)
    try:
        for about in read.sessions:
            assert isinstance(about.title, str)
            assert about.started + about.interval > 0 or about.started <= 0
            number = about.id
            for sample in read.samples(number):
                assert isinstance(sample, Sample)
            for level in range(5):
                for start, stop in ((0.0, float("inf")), (3.0, 40.0), (50.0, 51.0)):
                    read.rows(number, level, start, stop)
            read.first(number), read.last(number), read.at(number, 20.0)
            assert read.count(number) >= 0
            assert all(isinstance(name, str) for name in read.phases(number))
            for event in read.events(number):
                event.describe()
                State().apply(event)
                assert event.routine in (True, False)
            for said in read.transcript(number):
                assert isinstance(said.time + 0.0, float)
    finally:
        read.close()
    return read


def refused(path: Path) -> str:
    """Why it cannot be read, in one sentence."""
    with pytest.raises(RecordingError) as error:
        read_all(path)
    text = str(error.value)
    assert text.endswith(".")
    assert "\n" not in text
    return text


def survives(path: Path) -> None:
    why = "."
    try:
        read_all(path)
    except RecordingError as error:
        why = str(error)
    assert why.endswith(".")
    assert "\n" not in why


def change(path: Path, *statements: str, values: tuple[Any, ...] = ()) -> None:
    with sqlite3.connect(path) as database:
        for statement in statements:
            database.execute(statement, values)
    database.close()


def test_the_one_they_are_made_of_is_read_whole(path: Path) -> None:
    assert read_all(path).damaged == 0


# Files of other kinds


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"hello\n", b"SQLite format 3\0", bytes(100_000), b"\xff" * 5_000, b"mlxt" * 999]
)
def test_a_file_of_another_kind_is_no_recording(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(data)
    assert f"{path} is not an mlxtop recording." == refused(path)


def test_a_database_of_something_else_is_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "cookies.sqlite"
    change(path, "CREATE TABLE session (a)", "INSERT INTO session VALUES (1)")
    before = path.read_bytes()
    assert "is not an mlxtop recording" in refused(path)
    assert path.read_bytes() == before


def test_a_pipe_is_no_recording_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is not an mlxtop recording" in refused(tmp_path / "pipe")


def test_a_recording_of_a_newer_mlxtop_is_said_to_be_one(path: Path) -> None:
    change(path, f"PRAGMA user_version = {schema.VERSION + 1}")
    assert "upgrade mlxtop" in refused(path)


# Our tables, and something else in them


@pytest.mark.parametrize("table", ["about", "session", "phase", "event", "block", "text"])
def test_a_recording_without_one_of_its_tables_is_damaged(path: Path, table: str) -> None:
    change(path, f"DROP TABLE {table}")
    assert "is damaged" in refused(path)


@pytest.mark.parametrize("table", ["about", "session", "phase", "event", "block", "text"])
def test_a_table_with_other_columns_is_damaged(path: Path, table: str) -> None:
    change(
        path,
        f"DROP TABLE {table}",
        f"CREATE TABLE {table} (id, name, session)",
        f"INSERT INTO {table} VALUES (1, 1, 1)",
    )
    assert "is damaged" in refused(path)


@pytest.mark.parametrize("table", ["about", "session", "phase", "event", "block", "text"])
def test_a_view_without_an_end_in_a_tables_place_is_not_asked(path: Path, table: str) -> None:
    with sqlite3.connect(path) as database:
        columns = [name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")]
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT " + ", ".join(
        f"{1 if name in ('session', 'id') else 'i'} AS {name}" for name in columns
    )
    change(path, f"DROP TABLE {table}", f"CREATE VIEW {table} AS {endless} FROM n")
    assert "is damaged" in refused(path)


def test_a_tool_that_adds_tables_of_its_own_does_no_harm(path: Path) -> None:
    change(path, "CREATE TABLE notes (text)", "CREATE VIEW v AS SELECT 1", "CREATE INDEX i ON event (time)")
    change(path, "ANALYZE")
    assert read_all(path).damaged == 0


COLUMNS = [
    ("session", ("started", "title", "label", "pid", "rank", "command", "interval", "steps_are", "footprint_kind", "facts")),
    ("phase", ("number", "name")),
    ("event", ("time", "kind", "data")),
    ("block", ("level", "start", "end", "rows", "data")),
    ("text", ("time", "who", "text")),
    ("about", ("name", "value")),
]  # fmt: skip


@pytest.mark.parametrize(("table", "column"), [(table, name) for table, names in COLUMNS for name in names])
def test_any_value_in_any_column_is_survived(path: Path, tmp_path: Path, table: str, column: str) -> None:
    for n, value in enumerate((*NUMBERS, "\0", "[" * 100_000, "{}", "[1]", '{"a": NaN}')):
        other = tmp_path / f"{n}.mlxtop"
        shutil.copy(path, other)
        try:
            # One row of each, so that keys stay unique.
            key = {"block": "start", "phase": "name", "about": "name"}.get(table, "id")
            change(
                other,
                f"UPDATE {table} SET {column} = ?1 WHERE {key} = (SELECT min({key}) FROM {table})",
                values=(value,),
            )
        except sqlite3.IntegrityError:
            continue
        survives(other)


@pytest.mark.parametrize("kind", KINDS.values())
def test_events_that_make_no_sense_are_passed_over_and_counted(path: Path, kind: str) -> None:
    change(path, "DELETE FROM event")
    rows = [(n, 1, float(n), kind, json.dumps(data)) for n, data in enumerate(EVENTS)]
    with sqlite3.connect(path) as database:
        database.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?, NULL)", rows)
    read = read_all(path)
    again = Recording(path)
    assert len(again.events(1)) + again.damaged == len(EVENTS)
    assert read.damaged == again.damaged > 0


def test_events_of_an_unknown_kind_are_passed_over(path: Path) -> None:
    before = len(Recording(path).events(1))
    change(path, "INSERT INTO event VALUES (NULL, 1, 1.0, 'surprise', '{}', NULL)")
    read = Recording(path)
    assert (len(read.events(1)), read.damaged) == (before, 1)


def test_damaged_blocks_are_passed_over_and_the_rest_is_there(tmp_path: Path) -> None:
    path, run = tmp_path / "run.mlxtop", list(busy_run(10, 180))
    record(path, run, every=10)
    change(path, "UPDATE block SET data = x'00' WHERE level = 0 AND start BETWEEN 1 AND 100")
    read = Recording(path)
    found = list(read.samples(1))
    assert read.damaged == 1
    assert 0 < len(run) - len(found) <= 610
    assert set(found) < set(run)
    assert read.first(1) == run[0]
    assert read.last(1) == run[-1]
    read.close()


def test_blocks_that_say_they_are_large_do_not_eat_memory_for_long(path: Path) -> None:
    change(path, "UPDATE block SET rows = 999999")
    read = read_all(path)
    assert read.damaged > 0


# Bytes


def damaged(folder: Path, data: bytes) -> None:
    path = folder / "damaged.mlxtop"
    path.write_bytes(data)
    survives(path)
    for part in ("-wal", "-shm"):
        path.with_name(path.name + part).unlink(missing_ok=True)


fuzz = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_a_file_cut_short_anywhere_is_survived(tmp_path: Path, whole: Path) -> None:
    data = whole.read_bytes()
    lengths = {*range(0, 300, 7), *range(0, len(data), 1_024), *range(4_095, len(data), 4_096), len(data) - 1}
    for length in sorted(lengths):
        damaged(tmp_path, data[:length])


@fuzz
@given(flips=st.lists(st.tuples(st.integers(0, 2**24), st.integers(0, 7)), min_size=1, max_size=30))
def test_flipped_bits_are_survived(tmp_path: Path, whole: Path, flips: list[tuple[int, int]]) -> None:
    data = bytearray(whole.read_bytes())
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    damaged(tmp_path, bytes(data))


@fuzz
@given(seed=st.integers(0, 2**32), page=st.integers(0, 100), count=st.integers(1, 60))
def test_pages_with_noise_in_them_are_survived(
    tmp_path: Path, whole: Path, seed: int, page: int, count: int
) -> None:
    chance, data = random.Random(seed), bytearray(whole.read_bytes())
    begin = page % (len(data) // 4_096) * 4_096
    # The beginnings of pages say what is where: half of the noise goes there.
    for _ in range(count):
        data[begin + chance.choice((chance.randrange(16), chance.randrange(4_096)))] = chance.randrange(256)
    damaged(tmp_path, bytes(data))


@fuzz
@given(st.integers(0, 100), st.integers(0, 100), st.integers(1, 5))
def test_pages_in_each_others_place_are_survived(tmp_path: Path, whole: Path, a: int, b: int, n: int) -> None:
    data = whole.read_bytes()
    pages = [data[i : i + 4_096] for i in range(0, len(data), 4_096)]
    for i in range(n):
        pages[(a + i) % len(pages)] = pages[(b + 2 * i) % len(pages)]
    damaged(tmp_path, b"".join(pages))


@fuzz
@given(
    flips=st.lists(st.tuples(st.integers(0, 2**24), st.integers(0, 7)), min_size=1, max_size=10),
    cut=st.integers(0, 2**24),
)
def test_a_damaged_journal_of_a_killed_writer_is_survived(
    tmp_path: Path, killed: Path, flips: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(Path(f"{killed}-wal").read_bytes())
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    (tmp_path / "damaged.mlxtop-wal").write_bytes(data[: cut % len(data)] if cut % 2 else data)
    damaged(tmp_path, killed.read_bytes())


@pytest.mark.parametrize(
    "make", [lambda p: p.touch(), lambda p: p.write_bytes(b"x" * 5_000), lambda p: p.mkdir()]
)
def test_a_journal_of_something_else_beside_it_is_survived(path: Path, make: Callable[[Path], None]) -> None:
    make(Path(f"{path}-wal"))
    survives(path)
