"""What a recording says of any stretch at any zoom, beside the samples themselves."""

import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, pairwise
from math import floor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.core.history import History
from mlxtop.core.resample import WIDTHS, Level, Row, resample
from mlxtop.core.resample import merge as merge_rows
from mlxtop.core.sample import COUNTERS, GAUGES, UNKNOWN, Sample
from mlxtop.recording import recorder as module
from mlxtop.recording.errors import RecordingError
from mlxtop.recording.history import RecordedHistory
from mlxtop.recording.reader import Recording
from mlxtop.recording.recorder import Recorder
from mlxtop.recording.rollup import LEVELS, roll, row
from mlxtop.recording.table import BlockRow, Table
from mlxtop.tui.charts.timeaxis import WIDTHS as ZOOMS
from mlxtop.tui.charts.timeaxis import TimeAxis
from tests.recording.source import Session, add, commit, end, let_go, record, recording, until

# Microseconds from one sample to the next: 1,000 and 100 a second, 10 a second, a slow one.
paces = st.sampled_from([(900, 1_100), (10_000, 10_000), (90_000, 110_000), (400_000, 3_000_000)])
gap = st.integers(5_000_000, 4_000_000_000)
size = st.one_of(st.integers(0, 2**20), st.integers(-1, 2**50))
rows_of_values = st.lists(st.tuples(size, size, size), min_size=1, max_size=8)
stretches = st.lists(st.tuples(gap, paces, st.integers(0, 150)), min_size=1, max_size=3)


@st.composite
def runs(draw: st.DrawFn) -> list[Sample]:
    """Stretches of one pace each, a gap or a night before every one."""
    chance, values = random.Random(draw(st.integers(0, 2**16))), draw(rows_of_values)
    steps: list[int] = []
    for gap, pace, count in draw(stretches):
        steps += [gap, *(chance.randint(*pace) for _ in range(count))]
    return [sample(n, us / 1e6, *chance.choice(values)) for n, us in enumerate(accumulate(steps))]


def sample(n: int, time: float, a: int, b: int, c: int) -> Sample:
    high = a + 1 + c % 1_000 if n % 3 == 0 else UNKNOWN
    return Sample(time, a, b, c, a + b, c // 2, n, a, n * 7, n % 5, b, c, high)


Look = Callable[[Recording], None]
ENDS = ("running", "stopped", "killed")
MERGES = (30, 6_000)
"""Rows after which blocks are merged: never in a test, as it is."""


def look(run: list[Sample], every: int, how: str, each: Look) -> None:
    """Records `run`, and has `each` look at the recording in one of its `ENDS`."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "run.mlxtop")
        recorder = Recorder(path)
        put = add(recorder, Session())
        for i in range(0, len(run), every):
            commit(recorder, run[i : i + every], put)
        if how == "stopped":
            end(recorder)
        elif how == "killed":
            # What is on the disk at any moment is what a kill leaves there.
            path = killed(path)
        read = Recording(path)
        each(read)
        read.close()
        let_go(recorder)


def killed(path: Path) -> Path:
    (copy := path.parent / "copy").mkdir()
    for part in ("", "-wal"):
        shutil.copy(path.with_name(path.name + part), copy)
    return copy / path.name


@pytest.fixture(params=MERGES, ids=lambda rows: f"merged after {rows}")
def merge(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MERGE_ROWS", request.param)


def buckets(run: Iterable[Sample], width: float) -> list[Row]:
    """The buckets of `run`, by looking at every sample."""
    found: dict[float, list[Sample]] = {}
    for s in run:
        found.setdefault(floor(s.time / width) * width, []).append(s)
    return [
        Row(
            time,
            tuple(min(s.gauges[i] for s in inside) for i in range(len(GAUGES))),
            tuple(max(s.highs[i] for s in inside) for i in range(len(GAUGES))),
            inside[-1].counters,
        )
        for time, inside in sorted(found.items())
    ]


def rows(level: Level) -> list[Row]:
    return [
        Row(time, *(tuple(column[i] for column in part) for part in (level.lo, level.hi, level.last)))
        for i, time in enumerate(level.time)
    ]


def told(history: History, level: int) -> list[Row]:
    """What a live session's history holds at `level`, finished and open."""
    found: dict[float, list[Row]] = {}
    for each in rows(history._rows(level - 1, 0.0, float("inf"))):
        found.setdefault(each.time // WIDTHS[level - 1] * WIDTHS[level - 1], []).append(each)
    return [merge_rows(start, part) for start, part in found.items()]


merges = pytest.mark.usefixtures("merge")


@merges
@given(run=runs(), every=st.sampled_from([7, 60, 1_000]), how=st.sampled_from(ENDS))
def test_every_level_is_that_of_a_live_session(run: list[Sample], every: int, how: str) -> None:
    history = History(0.1)
    for s in run:
        history.add(s)

    def same(read: Recording) -> None:
        assert rows(read.rows(1, 0, 0.0, float("inf"))) == [row(s) for s in run]
        for level in LEVELS:
            found = rows(read.rows(1, level, 0.0, float("inf")))
            assert found == told(history, level) == buckets(run, WIDTHS[level - 1])

    look(run, every, how, same)


@merges
@given(
    run=runs(),
    every=st.sampled_from([7, 60, 1_000]),
    how=st.sampled_from(ENDS),
    level=st.integers(0, len(WIDTHS)),
    part=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_a_stretch_holds_each_bucket_that_reaches_into_it_once_and_whole(
    run: list[Sample], every: int, how: str, level: int, part: tuple[float, float]
) -> None:
    width = WIDTHS[level - 1] if level else 1.0
    first, last = sorted(run[0].time + share * (run[-1].time - run[0].time + 700) for share in part)
    last = floor(last / width + 1) * width

    def whole(read: Recording) -> None:
        found = rows(read.rows(1, level, first, last))
        if level == 0:
            assert found == [row(s) for s in run if first <= s.time < last]
            return
        expected = [b for b in buckets(run, width) if first < b.time + width and b.time < last]
        assert [b for b in found if first < b.time + width] == expected
        assert [b.time for b in found] == sorted({b.time for b in found})

    look(run, every, how, whole)


@merges
@given(
    run=runs(),
    every=st.sampled_from([7, 60, 1_000]),
    how=st.sampled_from(ENDS),
    width=st.sampled_from(ZOOMS),
    count=st.integers(1, 60),
    back=st.integers(0, 100),
)
def test_every_extreme_is_in_its_column_at_every_zoom(
    run: list[Sample], every: int, how: str, width: float, count: int, back: int
) -> None:
    start = TimeAxis(width).start(count, max(run[-1].time - back * width, 0.0))
    edges = [start + width * i - 5e-7 for i in range(count + 1)]
    inside = [[s for s in run if a <= s.time < b] for a, b in pairwise(edges)]

    def shown(read: Recording) -> None:
        for level in (0, *LEVELS):
            if level and WIDTHS[level - 1] > width:
                continue
            rows = read.rows(1, level, start, start + width * count)
            found = resample(rows, start, width, count, hold=0.0, gauges=GAUGES, counters=COUNTERS)
            for i, members in enumerate(inside):
                for n, name in enumerate(GAUGES):
                    low = min((s.gauges[n] for s in members), default=UNKNOWN)
                    high = max((s.highs[n] for s in members), default=UNKNOWN)
                    assert (found.lo[name][i], found.hi[name][i]) == (low, high)
                for name in COUNTERS:
                    assert found.last[name][i] == (getattr(members[-1], name) if members else UNKNOWN)

    look(run, every, how, shown)


@merges
@given(
    run=runs(),
    how=st.sampled_from(ENDS),
    width=st.sampled_from(ZOOMS),
    count=st.integers(1, 60),
    back=st.integers(0, 100),
)
def test_a_replay_draws_what_the_live_session_drew(
    run: list[Sample], how: str, width: float, count: int, back: int
) -> None:
    start = TimeAxis(width).start(count, max(run[-1].time - back * width, 0.0))
    live = History(0.1)
    for s in run:
        live.add(s)

    def drawn(read: Recording) -> None:
        replay = RecordedHistory(read, read.sessions[0], lambda: run[-1].time)
        assert replay.columns(start, width, count) == live.columns(start, width, count)

    look(run, 60, how, drawn)


@pytest.mark.parametrize("how", ENDS)
def test_a_long_run_keeps_its_one_spike_at_every_zoom(how: str) -> None:
    run, spike = [sample(n, n / 100, 7, n, 7) for n in range(80_000)], 2**45
    run[43_210] = run[43_210]._replace(high=spike)

    def spiked(read: Recording) -> None:
        for level in (0, *LEVELS):
            found = read.rows(1, level, 0.0, float("inf"))
            width = WIDTHS[level - 1] if level else 1.0
            at = [time for time, highest in zip(found.time, found.hi[0], strict=True) if highest == spike]
            assert at == [432.1 // width * width if level else 432.1]

    look(run, 100, how, spiked)


@given(runs(), st.sampled_from(LEVELS), st.lists(st.integers(0, 270), max_size=4))
def test_rows_rolled_up_in_pieces_make_the_buckets_of_all_at_once(
    run: list[Sample], level: int, places: list[int]
) -> None:
    found, begun = [], None
    for a, b in pairwise([0, *sorted(places), len(run)]):
        done, begun = roll(level, begun, map(row, run[a:b]))
        found += done
    assert begun is not None
    assert [*found, begun] == buckets(run, WIDTHS[level - 1])


def test_nothing_rolls_up_to_nothing() -> None:
    assert roll(1, None, []) == ([], None)


def test_a_commit_in_the_middle_of_a_question_leaves_no_hole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = [sample(n, n / 10, n, n, n) for n in range(1_300)]
    recorder = Recorder(tmp_path / "run.mlxtop")
    put = add(recorder, Session())
    commit(recorder, run[:599], put)

    def asked(self: Table, session: int, level: int, start: float, end: float) -> Iterator[BlockRow]:
        answer = list(ask(self, session, level, start, end))
        if recorder._tracks[0].written.samples[-1:] != run[-1:]:
            commit(recorder, run[599:], put)
        yield from answer

    read = Recording(tmp_path / "run.mlxtop")
    ask = Table.blocks
    monkeypatch.setattr(Table, "blocks", asked)
    found = rows(read.rows(1, 1, 0.0, float("inf")))
    assert found in (buckets(run[:599], 1.0), buckets(run, 1.0))
    read.close()
    end(recorder)


def test_a_question_may_be_asked_while_samples_are_being_read(tmp_path: Path) -> None:
    run = [sample(n, n / 10, n, n, n) for n in range(2_000)]
    record(tmp_path / "run.mlxtop", run, every=10)
    read, found = Recording(tmp_path / "run.mlxtop"), []
    for each in read.samples(1):
        found.append(each)
        if len(found) % 300 == 0:
            assert rows(read.rows(1, 2, 0.0, float("inf"))) == buckets(run, 10.0)
    assert found == run
    read.close()


def test_a_reader_beside_the_writer_sees_a_beginning_that_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMMIT_EVERY", 0.002)
    run = [sample(n, n / 10, n % 1_000, n, n) for n in range(3_000)]
    seen = []
    with recording(tmp_path / "run.mlxtop") as recorder:
        put = add(recorder, Session())
        put(run[0])
        until(lambda: recorder.size and readable(tmp_path / "run.mlxtop"))
        read = Recording(tmp_path / "run.mlxtop")

        def more(n: int) -> bool:
            put(run[n])
            found = list(read.samples(1))
            assert found == run[: len(found)]
            level = rows(read.rows(1, 2, 0.0, float("inf")))
            assert level[: len(found) // 100] == buckets(run, 10.0)[: len(found) // 100]
            seen.append(len(found))
            return len(found) == len(run)

        for n in range(1, len(run)):
            if n % 50 == 0:
                more(n)
            else:
                put(run[n])
        until(lambda: len(list(read.samples(1))) == len(run))
        read.close()
    assert seen == sorted(seen)
    assert len(set(seen)) > 3


def readable(path: Path) -> bool:
    try:
        Recording(path).close()
    except RecordingError:
        return False
    return True
