"""Every kind of file is recognised by its content, and compared with every other as far as that goes."""

import json
import os
from pathlib import Path

import pytest

from mlxtop.core.sample import Sample
from mlxtop.diff.comparison import compare
from mlxtop.diff.read import UnreadableError, read
from mlxtop.diff.story import sentence
from mlxtop.recording.recorder import Recorder
from mlxtop.sweep import store
from mlxtop.sweep.results import summarize
from tests.diff.made import compared, higher_peak, told, unchanged
from tests.recording.source import Session, add, commit, end, real_run
from tests.sweep.made import FACTS, measurements, plan
from tests.trace.writer import Writer, context

KIB = 1024
OLD = Path(__file__).parents[1] / "data/recording-0.1.0.mlxtop"
SUMMARY = {
    "type": "summary", "run_peak": 50_000_000, "run_total": 60_000_000, "run_footprint": 90_000_000,
    "tokens_per_second": 40.0, "steps_are": "tokens", "seconds": 12.0, "steps": [{"peak": 50_000_000}],
    "limits": {"cache": {"bytes": 2**25, "source": "flag"}},
}  # fmt: skip


def sweep(path: Path, speeds: list[float]) -> Path:
    made = measurements(plan(), speeds)
    path.write_text(store.text(summarize(plan(), made, FACTS), FACTS, made))
    return path


def trace(path: Path, more: int = 0) -> Path:
    """A program that keeps a matrix and makes another one in each of three steps, larger by `more` bytes."""
    made = Writer(peaks_capacity=6)
    kept = made.site("Matmul", context("run", "/home/a/work/train.py:7 main"))
    other = made.site("Softmax", context("run", "/home/a/work/train.py:9 main"))
    made.allocate(2**16, 512 * KIB, kept)
    for _ in range(3):
        made.begin("run")
        made.allocate(2**17, 256 * KIB + more, other)
        made.free(2**17)
        made.end()
    made.free(2**16)
    return made.save(path)


def test_sweeps(tmp_path: Path) -> None:
    a = sweep(tmp_path / "a.json", [70.0, 90.0, 100.0, 100.0])
    assert told(compared(a, sweep(tmp_path / "b.json", [70.0, 90.0, 100.0, 100.0]))) == {}
    slower = compared(a, sweep(tmp_path / "c.json", [70.0, 90.0, 90.0, 100.0]))
    assert told(slower) == {f"20.0 MiB, prompt {n}": {"tokens less"} for n in (128, 512)}
    assert sentence(slower).startswith("B's tokens/s with 20.0 MiB, prompt 128 is 10.")


def test_traces(tmp_path: Path) -> None:
    a = trace(tmp_path / "a.mlxtrace")
    assert told(compared(a, a)) == {}
    found = compared(a, trace(tmp_path / "b.mlxtrace", more=512 * KIB))
    assert told(found)["whole"] >= {"peak more", "churn more"}
    assert told(found)["Softmax"] >= {"live more", "churn more"}
    assert told(found)["work/train.py:9 main"] == {"live more"}
    assert "Matmul" not in told(found)
    assert "higher, of Softmax at work/train.py:9 main" in sentence(found)


def test_a_summary_alone(runs: Path, tmp_path: Path) -> None:
    for text in (json.dumps(SUMMARY), json.dumps(SUMMARY, indent=2)):
        (tmp_path / "s.json").write_text(text)
        assert read(tmp_path / "s.json").kind == "summary"
        found = compared(tmp_path / "s.json", tmp_path / "s.json")
        assert found.changed == ()
        steps = found.row("whole", "steps")
        assert steps is not None
        assert steps.why == "too few samples for an interval"
    mixed = compared(runs / "unchanged.mlxtop", tmp_path / "s.json")
    assert told(mixed).keys() == {"whole"}
    cache = mixed.row("whole", "cache")
    assert cache is not None
    assert cache.why == "B: a summary does not tell it"


def test_two_kinds_that_share_nothing(runs: Path, tmp_path: Path) -> None:
    found = compared(runs / "unchanged.mlxtop", sweep(tmp_path / "a.json", [70.0, 90.0, 100.0, 100.0]))
    assert sentence(found) == "Nothing is comparable: A is a recording, B a sweep."
    assert all(row.why for row in found.rows)


def test_a_recording_and_a_trace_share_their_peak(runs: Path, tmp_path: Path) -> None:
    found = compared(runs / "unchanged.mlxtop", trace(tmp_path / "a.mlxtrace"))
    peak, total = found.row("whole", "peak"), found.row("whole", "total")
    assert peak is not None
    assert total is not None
    assert peak.found == "less"
    assert total.why == "B: a trace does not tell it"


def test_ranks_have_their_own_parts_and_the_whole_is_the_highest(runs: Path, tmp_path: Path) -> None:
    session = Session()
    recorder = Recorder(tmp_path / "r.mlxtop")
    for rank, change in ((0, unchanged), (1, higher_peak)):
        put = add(recorder, session, rank=rank, label=f"rank {rank}")
        commit(recorder, change(real_run(session)), put)
    # A launcher, which imports MLX and makes nothing.
    commit(recorder, [Sample(n / 10, 0, 0, 0, 0) for n in range(20)], add(recorder, session, label="77"))
    end(recorder)
    found = compared(runs / "unchanged.mlxtop", tmp_path / "r.mlxtop")
    assert told(found) == {"whole": {"peak more"}}
    assert sentence(found) == "B's peak is 4.6 MiB (10.0 %) higher; nothing else changed beyond noise."
    both = read(tmp_path / "r.mlxtop")
    assert {"whole", "rank 0", "rank 0 decode", "rank 1", "rank 1 decode"} <= {
        part.name for part in both.parts
    }
    assert not any(part.name.startswith(("77", "process")) for part in both.parts)
    speed = found.row("whole", "steps")
    assert speed is not None
    assert speed.why == "B: each process has its own"


def test_old_recordings_are_read() -> None:
    found = compare(read(OLD), read(OLD))
    assert found.changed == ()
    assert found.row("whole", "peak") is not None


def test_a_file_that_was_cut_tells_what_is_left(runs: Path, tmp_path: Path) -> None:
    text = (runs / "unchanged.jsonl").read_text()
    (tmp_path / "cut.jsonl").write_text(text[: len(text) // 2])
    assert read(tmp_path / "cut.jsonl").part("whole") is not None


def test_a_pipe_is_read(runs: Path) -> None:
    text = (runs / "unchanged.jsonl").read_bytes()[:50_000]
    out, into = os.pipe()
    os.write(into, text)
    os.close(into)
    try:
        assert read(Path(f"/dev/fd/{out}")).kind == "stream"
    finally:
        os.close(out)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"\x7fELF", "is not a recording, a trace"),
        (b"peak 12", "is not a recording, a trace"),
        (b"[1, 2]", "is not a recording, a trace"),
        (b'{"peak": 12}', "is JSON, but not a recording"),
        (b'{"peak": 12', "no whole JSON"),
        (b"[" * 100_000, "is not a recording"),
        (b'{"a":' * 100_000, "no whole JSON"),
        (b'{"type":"session","started":"x"}\n', "neither samples nor a summary"),
        (b'{"type":"sample","time":"x"}\n{"type":"sample"}\n', "neither samples nor a summary"),
        (b'{"type":"summary"', "no whole JSON"),
        (b"SQLite format 3\0" + bytes(100), "b.x"),
        (b"MLXTRACE" + bytes(100), "b.x"),
        (b'{"type": "mlxtop sweep"}', "another version"),
    ],
)
def test_anything_else_is_one_sentence(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "b.x"
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match=why) as error:
        read(path)
    assert error.value.exit_code == 2
    assert str(error.value).startswith(str(path))
    assert str(error.value).endswith(".")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="cannot be read: No such file"):
        read(tmp_path / "none")
