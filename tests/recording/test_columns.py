"""A recording as arrays: every sample and event, with the types that data frames want."""

import json
import math
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlxtop
from mlxtop.core.events import Event, LossReported, PhaseChanged
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.recording import codec
from mlxtop.recording.columns import DTYPES, WINDOW, RecordedData, _summed
from mlxtop.recording.errors import RecordingError
from mlxtop.recording.reader import Recording
from mlxtop.recording.recorder import Recorder
from tests.recording.source import Session, add, commit, end, real_run, record

OLD = Path(__file__).parents[1] / "data/recording-0.1.0.mlxtop"
EVENT_COLUMNS = ["session", "time_seconds", "timestamp", "kind", "text", "data"]


def rows(recorded: RecordedData) -> list[dict[str, Any]]:
    """The samples one by one, `None` for what is not known."""
    found = []
    for values in zip(*(column.tolist() for column in recorded.columns.values()), strict=True):
        plain = [None if isinstance(v, float) and math.isnan(v) else v for v in values]
        found.append(dict(zip(recorded.columns, plain, strict=True)))
    return found


def expected(sample: Sample, phases: list[str]) -> dict[str, Any]:
    """A sample of a recording as `rows` has it, without its session and clock."""
    sizes = ("active", "cache", "peak", "total", "footprint", "weights", "kv", "high")
    known = {name: None if (value := getattr(sample, name)) == UNKNOWN else value for name in sizes}
    return {
        "time_seconds": sample.time,
        "phase": phases[sample.phase] if sample.phase < len(phases) else "",
        **{f"{name}_bytes": value for name, value in known.items()},
        "tokens": sample.tokens,
        "steps": sample.steps,
        "decode_seconds": pytest.approx(sample.decode / 1e6),
        "buffers": None if sample.buffers == UNKNOWN else sample.buffers,
    }


def same(recorded: RecordedData, path: Path) -> None:
    """Whether they are the samples that the reader reads."""
    recording = Recording(path)
    wanted = [
        expected(sample, recording.phases(about.id))
        for about in recording.sessions
        for sample in recording.samples(about.id)
    ]
    found = [{k: v for k, v in row.items() if k not in ("session", "timestamp")} for row in rows(recorded)]
    assert found == wanted
    for name, column in recorded.columns.items():
        assert column.dtype == np.dtype(DTYPES[name])
        # What Polars takes for text: no object array may have anything else.
        assert DTYPES[name] != "O" or {*map(type, column)} == {str}
        assert len(column) == len(wanted)


def test_a_real_run_comes_as_the_reader_reads_it(tmp_path: Path) -> None:
    path, session = tmp_path / "run.mlxtop", Session()
    record(path, real_run(session), session=session)
    recorded = mlxtop.read_recording(path)
    same(recorded, path)
    assert recorded.damage is None
    assert set(recorded.columns["session"]) == {"demo"}
    assert recorded.sessions[0]["facts"]["mlx"]
    events = Recording(path).events(1)
    assert list(recorded.events) == EVENT_COLUMNS
    assert recorded.events["kind"].tolist() == [event.kind for event in events]
    assert recorded.events["text"].tolist() == [event.describe() for event in events]
    assert recorded.events["time_seconds"].tolist() == [event.time for event in events]
    assert all(isinstance(json.loads(data), dict) for data in recorded.events["data"])


def test_what_is_unknown_is_nan_and_a_clock_is_the_time_of_day(tmp_path: Path) -> None:
    path = tmp_path / "run.mlxtop"
    samples = [
        Sample(0.0, 1, 2, 3, 3, buffers=7),
        Sample(0.25, 10, 2, 30, 12, 77, weights=5, kv=0, high=30),
        Sample(0.5, 1, 2, 3, 3, phase=9),
    ]
    record(path, samples)
    recorded = mlxtop.read_recording(str(path))
    same(recorded, path)
    first, second, third = rows(recorded)
    assert (first["footprint_bytes"], first["high_bytes"], first["buffers"]) == (None, None, 7)
    assert (second["footprint_bytes"], second["high_bytes"], second["kv_bytes"]) == (77, 30, 0)
    assert third["phase"] == ""
    clock = recorded.columns["timestamp"]
    assert (clock[1] - clock[0]) / np.timedelta64(1, "us") == 250_000
    started = Recording(path).sessions[0].started
    assert clock[0].astype("int64") / 1e9 == pytest.approx(started, abs=1e-3)


def test_sessions_follow_each_other_and_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "run.mlxtop"
    recorder = Recorder(path)
    for title in ("a", "b"):
        session = Session(title)
        session.phases = ["start", f"train {title}"]
        put = add(recorder, session, label="rank 0")
        commit(recorder, [Sample(n / 10, n, 0, n, n, phase=1) for n in range(1, 4)], put)
        commit(recorder, [Event(0.3, LossReported(3, 1.5)), Event(0.4, PhaseChanged(title))], put)
    growing = mlxtop.read_recording(path)
    end(recorder)
    for recorded in (growing, mlxtop.read_recording(path)):
        same(recorded, path)
        assert recorded.columns["session"].tolist() == ["rank 0"] * 3 + ["rank 0 (2)"] * 3
        assert recorded.columns["phase"].tolist() == ["train a"] * 3 + ["train b"] * 3
        told = zip(*(recorded.events[name] for name in ("session", "kind", "text")), strict=True)
        assert [row for row in told if row[1] != "facts"][:2] == [
            ("rank 0", "loss", "train 3 · loss 1.5"),
            ("rank 0", "phase", "a"),
        ]


def test_a_damaged_recording_gives_the_rest_and_says_what_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "run.mlxtop"
    record(path, [Sample(n / 10, n, 0, n, n) for n in range(1_000)], every=100)
    with sqlite3.connect(path) as database:
        (starts,) = zip(*database.execute("SELECT start FROM block WHERE level = 0"), strict=True)
        database.execute("UPDATE block SET data = x'00' WHERE level = 0 AND start = ?", (starts[1],))
    recorded = mlxtop.read_recording(path)
    same(recorded, path)
    assert 0 < len(recorded.columns["tokens"]) < 1_000
    assert recorded.damage is not None
    assert recorded.damage.startswith(f"{path} is damaged: samples between ")


def test_more_blocks_than_are_unpacked_at_once(tmp_path: Path) -> None:
    path = tmp_path / "run.mlxtop"
    recorder = Recorder(path)
    put = add(recorder, Session())
    for n in range(WINDOW + 3):
        commit(recorder, [Sample(n + i / 10, n, i, n, n + i) for i in range(3)], put)
    recorded = mlxtop.read_recording(path)
    end(recorder)
    assert recorded.columns["active_bytes"].tolist() == [n for n in range(WINDOW + 3) for _ in range(3)]


def test_a_recording_of_mlxtop_0_1_is_read() -> None:
    recorded = mlxtop.read_recording(OLD)
    same(recorded, OLD)
    assert len(recorded.columns["tokens"]) > 0
    assert np.isnan(recorded.columns["buffers"]).all()


def test_without_samples_and_events_the_columns_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "run.mlxtop"
    record(path, [])
    recorded = mlxtop.read_recording(path)
    assert [len(column) for column in recorded.columns.values()] == [0] * len(DTYPES)
    assert list(recorded.events) == EVENT_COLUMNS
    texts = [recorded.columns["session"], recorded.columns["phase"], recorded.events["kind"]]
    assert {column.dtype.kind for column in texts} == {"U"}


def test_what_is_no_recording_is_refused_in_one_sentence(tmp_path: Path) -> None:
    other = tmp_path / "run.mlxtop"
    other.write_text("no recording")
    with pytest.raises(RecordingError, match=r"run\.mlxtop is not an mlxtop recording\.$"):
        mlxtop.read_recording(other)


@given(st.lists(st.one_of(*(st.integers(-n, n - 1) for n in (2**6, 2**14, 2**30, 2**63))), min_size=1))
def test_numpy_sums_as_the_codec_does(column: list[int]) -> None:
    (part,) = codec.parts(codec.pack([column]), 1, len(column))
    assert _summed(part, len(column)).tolist() == column
