import csv
import io
import json
import random
import sqlite3
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.cli.headless import json_line
from mlxtop.core.errors import MlxtopError
from mlxtop.core.events import Event
from mlxtop.core.files import writing
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.recording import export
from mlxtop.recording.export import HEADER, chunks, labels, write_csv, write_jsonl
from mlxtop.recording.parquet import COLUMNS, write_parquet
from mlxtop.recording.reader import Recording
from mlxtop.recording.recorder import Recorder
from tests.recording.source import Session, add, commit, end, real_run, record

STARTED = 1_700_000_000.5


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """A real run of the demo, as recorded."""
    path = tmp_path_factory.mktemp("real") / "run.mlxtop"
    session = Session()
    record(path, real_run(session), session=session)
    return Recording(path)


def two(path: Path) -> Recording:
    """Two sessions that call themselves the same."""
    recorder = Recorder(path)
    for title in ("a", "b"):
        session = Session(title)
        session.phases = ["start", "train"]
        put = add(recorder, session, label="rank 0")
        commit(recorder, [Sample(n / 10, n, 0, n, n, UNKNOWN, n, n, n * 1000, n % 2) for n in range(3)], put)
    end(recorder)
    return Recording(path)


def table(recording: Recording) -> list[dict[str, str]]:
    out = io.StringIO(newline="")
    write_csv(recording, out)
    return list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))


def lines(recording: Recording) -> list[dict[str, Any]]:
    out = io.StringIO()
    write_jsonl(recording, out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


# Chunks


@given(
    st.lists(
        st.sampled_from((0.001, 0.1, 0.5, 3.0, 61.0, 1e5)).flatmap(
            lambda step: st.integers(1, 40).map(lambda n: [step] * n)
        ),
        min_size=1, max_size=12,
    )
)  # fmt: skip
def test_chunks_hold_every_sample_once_and_in_order_whatever_the_rate(steps: list[list[float]]) -> None:
    times, now = [], 0.0
    for step in [one for some in steps for one in some]:
        now = round(now + step, 6)
        times.append(now)
    recording = cast(Recording, Held(times))
    found = [time for chunk in chunks(recording, 1) for time in chunk.time]
    assert found == times


class Held:
    """A recording of so many times, as far as `chunks` asks."""

    def __init__(self, times: Sequence[float]) -> None:
        self.times = times

    def first(self, _: int) -> Any:
        return SimpleNamespace(time=self.times[0])

    def last(self, _: int) -> Any:
        return SimpleNamespace(time=self.times[-1])

    def rows(self, _: int, level: int, start: float, end: float) -> Any:
        assert level == 0
        return SimpleNamespace(time=[time for time in self.times if start <= time < end])


def test_a_chunk_stays_small_however_long_the_recording_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "CHUNK_ROWS", 500)
    samples = [Sample(n / 10, n, 0, n, n) for n in range(20_000)]
    record(tmp_path / "long.mlxtop", samples, every=5_000)
    sizes = [len(chunk.time) for chunk in chunks(Recording(tmp_path / "long.mlxtop"), 1)]
    assert sum(sizes) == 20_000
    assert max(sizes) <= 2 * max(500, export.FIRST_CHUNK * 10)


# CSV


def test_csv_has_a_row_a_sample_with_the_phase_by_name_and_both_clocks(real: Recording) -> None:
    rows, samples, phases = table(real), list(real.samples(1)), real.phases(1)
    assert len(rows) == len(samples)
    assert tuple(rows[0]) == HEADER
    for row, sample in zip(rows, samples, strict=True):
        assert (row["session"], row["phase"]) == ("demo", phases[sample.phase])
        assert float(row["time_seconds"]) == sample.time
        assert float(row["unix_seconds"]) == pytest.approx(STARTED + sample.time, abs=1e-6)
        assert float(row["decode_seconds"]) == pytest.approx(sample.decode / 1e6, abs=1e-9)
        sizes = [getattr(sample, name) for name in ("active", "cache", "peak", "total", "tokens", "steps")]
        named = [
            row[name]
            for name in (*(f"{n}_bytes" for n in ("active", "cache", "peak", "total")), "tokens", "steps")
        ]
        assert list(map(int, named)) == sizes


def test_a_number_nobody_knows_is_an_empty_field_and_never_minus_one(tmp_path: Path) -> None:
    record(tmp_path / "run.mlxtop", [Sample(0.0, 1, 2, 3, 3), Sample(0.1, 1, 2, 3, 3, 77, phase=9)])
    first, second = table(Recording(tmp_path / "run.mlxtop"))
    assert (first["footprint_bytes"], first["weights_bytes"], first["kv_bytes"]) == ("", "", "")
    assert (second["footprint_bytes"], second["phase"]) == ("77", "")


def test_a_label_with_commas_quotes_and_line_ends_is_one_field(tmp_path: Path) -> None:
    session = Session('a "b", c\nd')
    record(tmp_path / "run.mlxtop", [Sample(0.0, 1, 2, 3, 3)], session=session)
    (row,) = table(Recording(tmp_path / "run.mlxtop"))
    assert row["session"] == 'a "b", c␊d'


@pytest.mark.parametrize("label", ["=cmd|' /C calc'!A0", "\t@SUM(A1)", "-1+1", "\x1b[2J"])
def test_a_label_is_neither_a_formula_nor_a_terminal_s_order(tmp_path: Path, label: str) -> None:
    record(tmp_path / "run.mlxtop", [Sample(0.0, 1, 2, 3, 3)], session=Session(label))
    (row,) = table(Recording(tmp_path / "run.mlxtop"))
    assert row["session"].lstrip()[0] not in "=+-@\x1b"
    assert (row["active_bytes"], row["time_seconds"]) == ("1", "0.000000")


def test_sessions_that_share_a_label_are_told_apart(tmp_path: Path) -> None:
    recording = two(tmp_path / "run.mlxtop")
    assert labels(recording.sessions) == {1: "rank 0", 2: "rank 0 (2)"}
    assert [row["session"] for row in table(recording)] == ["rank 0"] * 3 + ["rank 0 (2)"] * 3


# JSON lines


def test_jsonl_samples_and_events_are_those_of_mlxtop_json(real: Recording) -> None:
    session: Any = SimpleNamespace(phases=real.phases(1))
    items = sorted([*real.events(1), *real.samples(1)], key=lambda item: item[0])
    expected = [json.loads(json.dumps(json_line(item, session))) for item in items]
    head, *rest = lines(real)
    assert all(line.pop("session") == "demo" for line in (head, *rest))
    assert rest == expected
    assert [line["time"] for line in rest] == sorted(line["time"] for line in rest)


def test_jsonl_begins_each_session_with_who_it_was(real: Recording) -> None:
    head = lines(real)[0]
    assert (head["type"], head["model"], head["interval"], head["footprint"]) == (
        "session",
        "demo",
        0.1,
        "RSS",
    )
    assert datetime.fromisoformat(head["started"]) == datetime.fromtimestamp(STARTED, UTC)
    assert head["command"] == ["mlxtop", "--model", "demo"]
    assert head["facts"]["mlx"]


def test_jsonl_of_several_sessions_says_on_every_line_whose_it_is(tmp_path: Path) -> None:
    found = lines(two(tmp_path / "run.mlxtop"))
    assert [(line["type"], line["session"]) for line in found] == [
        (kind, label)
        for label in ("rank 0", "rank 0 (2)")
        for kind in ("session", "sample", "sample", "sample")
    ]


def test_hostile_names_are_still_json(tmp_path: Path) -> None:
    session = Session('100 % "%s" \u2028 </script>')
    session.phases = ['%d "phase"\n']
    record(tmp_path / "run.mlxtop", [Sample(0.0, 1, 2, 3, 3)], session=session)
    _, sample = lines(Recording(tmp_path / "run.mlxtop"))
    assert (sample["session"], sample["phase"]) == (session.title, session.phases[0])


# Parquet


def parquet(recording: Recording, path: Path) -> None:
    with writing(path) as out:
        write_parquet(recording, out)


def test_parquet_holds_the_columns_of_csv_with_null_for_the_unknown(real: Recording, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    parquet(real, tmp_path / "run.parquet")
    found = pq.read_table(tmp_path / "run.parquet")
    assert tuple(found.column_names) == COLUMNS
    assert found.schema.field("active_bytes").metadata == {b"unit": b"byte"}
    for row, expected in zip(found.to_pylist(), table(real), strict=True):
        for name in HEADER:
            value = "" if row[name] is None else row[name]
            same = (
                float(value) == pytest.approx(float(expected[name]))
                if name.endswith("_seconds")
                else str(value) == expected[name]
            )
            assert same, name
        assert row["timestamp"].utcoffset().total_seconds() == 0
        assert row["timestamp"].timestamp() == pytest.approx(row["unix_seconds"], abs=1e-5)
    (session,) = json.loads(found.schema.metadata[b"mlxtop.sessions"])
    assert session["facts"]["mlx"]


def test_parquet_of_several_sessions_and_many_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("mlxtop.recording.parquet.GROUP_ROWS", 1)
    parquet(two(tmp_path / "run.mlxtop"), tmp_path / "run.parquet")
    found = pq.read_table(tmp_path / "run.parquet").to_pydict()
    assert found["session"] == ["rank 0"] * 3 + ["rank 0 (2)"] * 3
    assert found["footprint_bytes"] == [None] * 6


def test_without_pyarrow_one_sentence_names_the_extra(
    real: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MlxtopError, match=r"pip install 'mlxtop\[parquet\]'\.$"):
        parquet(real, tmp_path / "run.parquet")
    assert not (tmp_path / "run.parquet").exists()


# What is wrong with a file


def test_damaged_blocks_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "run.mlxtop"
    record(path, [Sample(n / 10, n, 0, n, n) for n in range(3_000)], every=100)
    with sqlite3.connect(path) as database:
        (starts,) = zip(*database.execute("SELECT start FROM block WHERE level = 0"), strict=True)
        hurt = random.Random(1).choice(starts[1:-1])
        (lost,) = database.execute("SELECT rows FROM block WHERE level = 0 AND start = ?", (hurt,)).fetchone()
        database.execute("UPDATE block SET data = x'00' WHERE level = 0 AND start = ?", (hurt,))
    recording = Recording(path)
    assert len(table(recording)) == 3_000 - lost
    assert recording.damaged > 0


def test_events_outlive_a_session_without_samples(tmp_path: Path) -> None:
    session = Session()
    events = [item for item in real_run(session) if isinstance(item, Event)]
    record(tmp_path / "run.mlxtop", events, session=session)
    recording = Recording(tmp_path / "run.mlxtop")
    assert table(recording) == []
    assert {line["type"] for line in lines(recording)} == {"session", "event"}
