import gc
import sys
from collections.abc import Iterable
from itertools import accumulate, pairwise
from types import FunctionType, ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.core import history as module
from mlxtop.core.history import History
from mlxtop.core.resample import Columns, Level, Row
from mlxtop.core.sample import COUNTERS, GAUGES, UNKNOWN, Sample, speed
from mlxtop.tui.charts.timeaxis import WIDTHS, TimeAxis

# Milliseconds from one sample to the next: bursts, steady ticks, gaps, and nights.
gaps = st.one_of(
    st.integers(1, 20),
    st.integers(90, 110),
    st.integers(200, 5_000),
    st.integers(5_000, 2_000_000),
)
value = st.integers(0, 2**40)
rows = st.lists(st.tuples(gaps, value, value), min_size=1, max_size=150)


def samples(rows: Iterable[tuple[int, int, int]]) -> list[Sample]:
    """Rows of gap, gauge and counter, as the samples of a run."""
    rows = list(rows)
    times = accumulate(gap for gap, _, _ in rows)
    return [
        Sample(
            ms / 1000,
            a,
            b,
            a + b,
            a + 2 * b,
            b // 2,
            tokens=n,
            steps=a,
            decode=b,
            phase=n % 7,
            weights=a,
            kv=b,
            high=a + b if b and n % 3 == 0 else UNKNOWN,
        )
        for n, (ms, (_, a, b)) in enumerate(zip(times, rows, strict=True))
    ]


def filled(run: Iterable[Sample], interval: float = 0.1) -> History:
    history = History(interval)
    for sample in run:
        history.add(sample)
    return history


def columns_of(run: list[Sample], start: float, width: float, count: int) -> list[list[Sample]]:
    """The samples of each column, by looking at every one of them."""
    edges = [start + width * i - 5e-7 for i in range(count + 1)]
    return [[s for s in run if a <= s.time < b] for a, b in pairwise(edges)]


def values(columns: Columns, i: int) -> dict[str, tuple[int, int]]:
    return {name: (columns.lo[name][i], columns.hi[name][i]) for name in GAUGES}


def extremes(members: list[Sample]) -> dict[str, tuple[int, int]]:
    gauges = zip(*(s.gauges for s in members), strict=True)
    highs = zip(*(s.highs for s in members), strict=True)
    return dict(zip(GAUGES, zip(map(min, gauges), map(max, highs), strict=True), strict=True))


@given(rows, st.sampled_from(WIDTHS), st.integers(1, 60), st.integers(0, 100))
def test_every_extreme_is_in_its_column(rows, width: float, count: int, back: int) -> None:
    run = samples(rows)
    end = max(run[-1].time - back * width, 0)
    start = TimeAxis(width).start(count, end)
    columns = filled(run).columns(start, width, count)
    for i, members in enumerate(columns_of(run, start, width, count)):
        if members:
            assert values(columns, i) == extremes(members)
            assert {name: columns.last[name][i] for name in COUNTERS} == {
                name: getattr(members[-1], name) for name in COUNTERS
            }


@given(rows, st.sampled_from(WIDTHS), st.integers(1, 40))
def test_an_empty_column_repeats_the_past_for_a_short_gap_and_else_is_unknown(rows, width, count) -> None:
    run = samples(rows)
    start = TimeAxis(width).start(count, run[-1].time)
    columns = filled(run).columns(start, width, count)
    hold = max(0.25, width)
    for i, members in enumerate(columns_of(run, start, width, count)):
        if members:
            continue
        edge = start + i * width
        before = [s for s in run if s.time < edge - 5e-7]
        gap = edge - before[-1].time if before else float("inf")
        if gap > hold + width:
            assert set(values(columns, i).values()) == {(UNKNOWN, UNKNOWN)}
        elif width < 1 and gap <= hold:
            assert values(columns, i) == extremes(before[-1:])


@given(
    st.lists(st.tuples(st.integers(50, 3000), value, value), min_size=1, max_size=300),
    st.sampled_from(WIDTHS),
    st.integers(1, 60),
    st.integers(0, 100),
)
def test_what_was_dropped_from_fine_levels_is_still_in_the_coarse(rows, width, count, back) -> None:
    run = samples(rows)
    with pytest.MonkeyPatch.context() as small:
        small.setattr(module, "RAW_LEAST", 16)
        small.setattr(module, "RAW_MOST", 16)
        small.setattr(module, "BUCKETS", 30)
        history = filled(run)
    start = TimeAxis(width).start(count, max(run[-1].time - back * width, 0))
    columns = history.columns(start, width, count)
    inside = [s for members in columns_of(run, start, width, count) for s in members]
    if inside:
        assert max(columns.hi["active"]) >= max(s.active for s in inside)
        assert min(v for v in columns.lo["active"] if v != UNKNOWN) <= min(s.active for s in inside)


@pytest.mark.parametrize("width", [0.1, 0.5])
@pytest.mark.parametrize("start", [302.0, 1972.0])
def test_a_narrow_view_of_the_past_has_no_holes(
    start: float, width: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RAW_LEAST", 16)
    monkeypatch.setattr(module, "RAW_MOST", 16)
    monkeypatch.setattr(module, "BUCKETS", 30)
    history = filled(Sample(n / 10, n, 0, 0, 0) for n in range(20_000))
    columns = history.columns(start, width, 50)
    assert UNKNOWN not in columns.hi["active"]


def test_the_oldest_rows_are_dropped_whole() -> None:
    level = Level(5)
    for n in range(100):
        level.append(Row(n, [n] * len(GAUGES), [n + 1] * len(GAUGES), [n + 2] * len(COUNTERS)))
    assert 5 <= len(level.time) < 10
    assert level.time[-1] == 99
    for columns, more in ((level.lo, 0), (level.hi, 1), (level.last, 2)):
        assert all(list(column) == [time + more for time in level.time] for column in columns)


def test_what_is_kept_is_still_right_when_the_oldest_were_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RAW_LEAST", 16)
    monkeypatch.setattr(module, "RAW_MOST", 16)
    run = [Sample(n / 10, n, 2 * n, 3 * n, 4 * n, 5 * n, tokens=6 * n) for n in range(100)]
    history = filled(run)
    assert [history.at(sample.time) for sample in run[-16:]] == run[-16:]
    assert history.at(run[0].time) is None
    columns = history.columns(8.4, 0.1, 16)
    assert columns.lo == columns.hi == {name: [getattr(s, name) for s in run[-16:]] for name in GAUGES}
    assert columns.last["tokens"] == [s.tokens for s in run[-16:]]


def test_samples_of_a_quarter_of_an_hour_are_kept_as_they_came() -> None:
    run = [Sample(n / 10, n, 0, n, n) for n in range(10_000)]
    history = filled(run)
    assert all(history.at(sample.time) == sample for sample in run[-9000::100])


def test_a_late_tick_leaves_no_hole_and_a_pause_does() -> None:
    history = filled(Sample(t, 7, 0, 7, 7) for t in (0.0, 0.1, 0.3, 0.4, 1.4, 1.5))
    columns = history.columns(0.0, 0.1, 16)
    assert [n for n, hi in enumerate(columns.hi["active"]) if hi == UNKNOWN] == [7, 8, 9, 10, 11, 12, 13]


@pytest.mark.parametrize("width", [0.5, 5.0, 30.0])
def test_a_value_holds_for_one_column_without_samples(width: float) -> None:
    history = filled([Sample(0.4 * width, 7, 0, 7, 7), Sample(2.2 * width, 9, 0, 9, 9)])
    assert history.columns(0.0, width, 3).hi["active"] == [7, 7, 9]


def test_what_happened_until_a_moment_is_in_and_what_came_after_is_out() -> None:
    history = filled(Sample(n / 10, n, 0, n, n) for n in range(20))
    assert history.columns(0.0, 0.1, 20, until=1.0).hi["active"][9:13] == [9, 10, 10, 10]


def test_a_query_reads_few_rows_a_column_whatever_the_length_of_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = []
    monkeypatch.setattr(module, "resample", lambda rows, *_, **__: read.append(len(rows.time)))
    history = filled(Sample(n / 4, n, 0, n, n) for n in range(4 * 8 * 3600))
    for width in WIDTHS:
        history.columns(8 * 3600 - 16 * width, width, 16)
        # A column in front, and what is still open of each level.
        assert read.pop() <= 10 * 17 + len(module.WIDTHS)


def test_what_is_not_known_stays_unknown() -> None:
    history = filled([Sample(0.05, 1, 2, 3, 3)])
    columns = history.columns(0.0, 0.1, 2)
    assert columns.hi["footprint"] == columns.last["kv"] == columns.last["weights"] == [UNKNOWN, UNKNOWN]


def test_only_the_gauges_asked_for_come_and_all_counters() -> None:
    columns = filled([Sample(0.0, 1, 2, 3, 3)]).columns(0.0, 1.0, 1, gauges=("cache",))
    assert (columns.lo, columns.hi, set(columns.last)) == ({"cache": [2]}, {"cache": [2]}, set(COUNTERS))


def test_an_empty_history_has_nothing_to_show() -> None:
    history = History()
    for width in (0.1, 1.0):
        assert history.columns(0.0, width, 3).hi["active"] == [UNKNOWN] * 3
    assert (history.first, history.latest, history.count, history.at(5.0)) == (None, None, 0, None)


def test_asking_changes_nothing() -> None:
    history = filled(samples([(130, n, n) for n in range(100)]))
    for width in WIDTHS:
        assert history.columns(0.0, width, 40) == history.columns(0.0, width, 40)


@given(rows, st.integers(0, 3_000))
def test_at_gives_the_last_sample_before_a_moment(rows, ms: int) -> None:
    run = samples(rows)
    time = ms / 1000 * run[-1].time / 2
    history = filled(run)
    assert history.at(time) == max((s for s in run if s.time <= time), default=None)
    assert [history.at(sample.time) for sample in run] == run


def test_first_latest_and_count_are_those_of_all_samples() -> None:
    run = samples([(100, n, n) for n in range(50)])
    history = filled(run)
    assert (history.first, history.latest, history.count) == (run[0], run[-1], 50)


def test_speed_is_steps_by_the_time_they_took() -> None:
    earlier = Sample(1.0, 0, 0, 0, 0, steps=100, decode=2_000_000)
    later = Sample(9.0, 0, 0, 0, 0, steps=150, decode=3_000_000)
    assert speed(earlier, later) == 50.0


def test_without_decoding_there_is_no_speed() -> None:
    sample = Sample(1.0, 0, 0, 0, 0, steps=100, decode=2_000_000)
    assert speed(sample, sample._replace(time=2.0)) is None
    assert speed(None, sample) is None
    assert speed(sample, None) is None


@pytest.mark.slow
def test_a_day_of_samples_fits_in_48_mb() -> None:
    history = History(0.1)
    for n in range(24 * 3600 * 10):
        history.add(Sample(n / 10, n, n, n, n, n, n, n, n, 1, n, n))
    assert history.count == 864_000
    assert size(history) < 48e6
    day = history.columns(0.0, 600.0, 144)
    assert day.lo["active"] == [6000 * i for i in range(144)]
    assert day.hi["active"] == day.last["tokens"] == [6000 * i + 5999 for i in range(144)]


def test_a_thousand_samples_a_second_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RAW_MOST", 1_000)
    monkeypatch.setattr(module, "RAW_LEAST", 1_000)
    few, many = History(0.001), History(0.001)
    for n in range(5_000):
        few.add(Sample(n / 1000, n, n, n, n))
    for n in range(50_000):
        many.add(Sample(n / 1000, n, n, n, n))
    assert size(many) < 1.5 * size(few)


def size(thing: object) -> int:
    """Bytes of everything that can be reached from `thing`."""
    seen: dict[int, object] = {}
    todo = [thing]
    while todo:
        found = todo.pop()
        if id(found) not in seen and not isinstance(found, (type, ModuleType, FunctionType)):
            seen[id(found)] = found
            todo += gc.get_referents(found)
    return sum(map(sys.getsizeof, seen.values()))
