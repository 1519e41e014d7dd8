"""Ten million samples: how little of them is looked at, whatever is asked."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from mlxtop.core.sample import UNKNOWN
from mlxtop.recording import codec
from mlxtop.recording.history import RecordedHistory
from mlxtop.recording.reader import Recording
from tests.recording import big
from tests.recording.source import busy_run

SAMPLES = 10_002_000
END = SAMPLES / 100
COLUMNS = 160


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("big") / "big.mlxtop"
    big.write(path, SAMPLES)
    return path


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the blocks that were unpacked."""
    lengths: list[int] = []
    unpack = codec.unpack

    def counting(data: bytes, count: int, rows: int, **least: int) -> Any:
        lengths.append(rows)
        return unpack(data, count, rows, **least)

    monkeypatch.setattr(codec, "unpack", counting)
    return lengths


@pytest.fixture(scope="module")
def views(figure: Callable[[str], None]) -> Iterator[list[float]]:
    """Milliseconds that views took."""
    took: list[float] = []
    yield took
    figure(
        f"10 million samples: a view of 160 columns takes {median(took):.0f} ms, the slowest {max(took):.0f}"
    )


def test_its_blocks_are_those_a_recorder_writes(path: Path) -> None:
    read = Recording(path)
    run = list(busy_run(100, big.PERIOD / 100))
    assert list(read.samples(1, 0.0, 60.0)) == run
    assert [s[1:] for s in read.samples(1, 6_000.0, 6_060.0)] == [s[1:] for s in run]
    whole = read.rows(1, 4, 0.0, END)
    assert len(whole.time) == END // 600 + 1
    assert set(whole.hi[0]) == {max(s.active for s in run)}
    assert read.damaged == 0


@pytest.mark.parametrize(
    ("what", "most"),
    [
        (lambda read: len(read.sessions) == 1, 0),
        (lambda read: read.count(1) == SAMPLES, 0),
        (lambda read: read.first(1).time < 0.01, 1),
        (lambda read: END - 0.02 < read.last(1).time < END, 1),
        (lambda read: 50_000 - 0.02 < read.at(1, 50_000.0).time <= 50_000, 2),
        (lambda read: next(read.samples(1, 70_000.0)).time >= 70_000, 1),
    ],
    ids=["open", "count", "first", "last", "at", "samples"],
)
def test_what_is_asked_once_looks_at_one_block_or_none(
    path: Path, decoded: list[int], what: Callable[[Recording], bool], most: int
) -> None:
    read = Recording(path)
    assert what(read)
    assert len(decoded) <= most
    read.close()


@pytest.mark.parametrize(
    ("width", "most"),
    [(10 / COLUMNS, 3), (0.2, 3), (0.5, 4), (1.0, 5), (5.0, 16), (10.0, 5), (30.0, 10), (60.0, 5), (300.0, 15), (600.0, 5)],
)  # fmt: skip
@pytest.mark.parametrize("place", [0.1, 0.5, 1.0], ids=["begin", "middle", "end"])
def test_a_view_looks_at_few_blocks_at_every_zoom(
    path: Path, decoded: list[int], width: float, most: int, place: float, views: list[float]
) -> None:
    read = Recording(path)
    history = RecordedHistory(read, read.sessions[0], lambda: END)
    start = max(0.0, (END * place / width // 1 - COLUMNS) * width)
    decoded.clear()
    began = time.perf_counter()
    columns = history.columns(start, width, COLUMNS)
    views.append((time.perf_counter() - began) * 1e3)
    assert len(decoded) <= most
    assert columns.hi["active"].count(UNKNOWN) == 0 or start + width * COLUMNS > END
    read.close()


def test_a_step_aside_looks_at_one_more_block_at_most(path: Path, decoded: list[int]) -> None:
    read = Recording(path)
    history = RecordedHistory(read, read.sessions[0], lambda: END)
    for width in (0.5, 5.0, 30.0, 600.0):
        history.columns(36_000.0, width, COLUMNS)
        decoded.clear()
        history.columns(36_000.0 + 10 * width, width, COLUMNS)
        assert len(decoded) <= 2
    read.close()


def test_after_a_day_of_replay_few_blocks_are_kept(path: Path) -> None:
    read = Recording(path)
    for at in range(0, int(END), 500):
        read.at(1, float(at))
    assert sum(len(block.time) for block in read._blocks.values()) <= 500_000
    read.close()
