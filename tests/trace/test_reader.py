"""Trace files: what they hold is told as it was, and what is torn, cut short or foreign ends in a sentence."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.trace import layout
from mlxtop.trace.composition import by_line, by_operation
from mlxtop.trace.moments import Moments
from mlxtop.trace.reader import TraceError, TraceFile
from mlxtop.trace.sites import IMPLICIT, OUTSIDE, UNEVALUATED, Frame
from tests.trace.writer import BEGAN, EVENT, Sums, Writer, context


def alive(composition: Any) -> Sums:
    rows = zip(composition.bytes.tolist(), composition.buffers.tolist(), strict=True)
    return {site: sums for site, sums in enumerate(rows) if sums != (0, 0)}


def truth(sums: Sums) -> Sums:
    return {site: pair for site, pair in sums.items() if pair != (0, 0)}


def small(**given: Any) -> Writer:
    """Two sites, some buffers, a step."""
    writer = Writer(**given)
    train = context("train", "/home/me/train.py:12 step", "/home/me/train.py:30 main")
    product, soft = writer.site("Matmul", train), writer.site("Softmax", train)
    writer.had(0x10, 100)
    writer.begin(train)
    writer.allocate(0x20, 4000, product)
    writer.allocate(0x30, 2000, soft)
    writer.free(0x20)
    writer.end()
    writer.allocate(0x20, 10, writer.site("Add"))
    writer.allocate(0x40, 20, writer.site(""))
    return writer


def test_what_was_written_is_read(tmp_path: Path) -> None:
    with TraceFile(small().save(tmp_path / "a.mlxtrace")) as trace:
        header = trace.header
        assert (header.pid, header.active, header.peak, header.before) == (4242, 2130, 6100, 100)
        assert (header.backend, header.command) == ("0.32.4 cpu", ("python", "train.py"))
        assert (header.allocations, header.frees, header.closed) == (4, 1, True)
        assert header.since_origin(BEGAN + 2_500_000_000) == 2.5
        product = trace.sites()[2]
        assert (product.name, product.phase) == ("Matmul", "train")
        assert product.stack == (
            Frame("/home/me/train.py", 12, "step"),
            Frame("/home/me/train.py", 30, "main"),
        )
        assert [site.line for site in trace.sites()[4:]] == [IMPLICIT, UNEVALUATED]
        assert trace.sites()[5].name == OUTSIDE
        peak = trace.peak()
        assert peak is not None
        assert [tuple(part) for part in by_operation(peak, trace.sites())] == [
            ("Matmul", 4000, 1), ("Softmax", 2000, 1), ("before the trace", 100, 0),
        ]  # fmt: skip
        assert by_line(peak, trace.sites())[0] == ("/home/me/train.py:12 step", 6000, 2)
        assert peak.step == 1
        assert sorted(trace.live()["address"].tolist()) == [0x20, 0x30, 0x40]
        assert trace.allocated()[0].tolist() == [0, 0, 4000, 2000, 10, 20]


OPERATIONS = st.lists(
    st.tuples(st.sampled_from("aaafsep"), st.integers(0, 40), st.integers(0, 5000)), max_size=90
)


def run(writer: Writer, operations: list[tuple[str, int, int]]) -> Writer:
    """Does what a list of random words says."""
    places = [
        writer.site(name, context("train", f"/a.py:{n} f")) for n, name in enumerate(("Add", "Matmul", ""))
    ]
    for before in range(3):
        writer.had(0x1000 + before, 50 * before)
    for word, which, size in operations:
        if word == "a" and 0x2000 + which not in writer.blocks:
            writer.allocate(0x2000 + which, size, places[which % 3])
        elif word == "f" and (there := sorted([*writer.unseen, *writer.blocks])):
            writer.free(there[which % len(there)])
        elif word == "s":
            writer.begin(context("train", "/a.py:1 f"))
        elif word == "e" and writer.step:
            writer.end()
        elif word == "p":
            writer.phase(f"phase {which}")
    return writer


@given(OPERATIONS, st.sampled_from((4, 16, 128)), st.sampled_from((0, 0, 1000)))
def test_every_moment_of_the_ring_is_as_it_was(
    tmp_path_factory: pytest.TempPathFactory,
    operations: list[tuple[str, int, int]],
    capacity: int,
    min_size: int,
) -> None:
    writer = run(Writer(capacity=capacity, min_size=min_size), operations)
    with TraceFile(writer.save(tmp_path_factory.mktemp("t") / "t")) as trace:
        moments = Moments(trace)
    assert alive(moments.now) == truth(writer.sums)
    assert (moments.now.total, moments.header.active) == (writer.active, writer.active)
    begin = max(0, writer.written - capacity)
    assert (moments.ring.begin, moments.ring.end, moments.ring.torn) == (begin, writer.written, 0)
    times, active, _ = moments.curve
    for index in range(begin, writer.written + 1):
        found = moments.at_event(index, 0)
        if not min_size:
            assert found.exact
            assert alive(found) == truth(writer.history[index])
            blocks = moments.blocks(index)
            assert blocks is not None
            seen = blocks[blocks["site"] > 0]
            assert int(seen["size"].sum()) == found.total - int(found.bytes[0])
            assert len(seen) == found.count
    if not min_size:
        for place, time in enumerate(times.tolist()):
            known = moments.at(time)
            assert known is not None
            assert alive(known) == truth(writer.history[begin + place + 1])
            assert int(active[place]) == known.total
        if len(times):
            highest = moments.highest(int(times[0]), int(times[-1]))
            assert highest is not None
            assert highest.total >= int(active.max())
        assert moments.peak is not None or not writer.written
        if moments.peak is not None and writer.peak:
            assert moments.peak.total >= writer.peak
    assert moments.blocks(begin - 1) is None


def test_a_moment_older_than_the_ring_is_not_known(tmp_path: Path) -> None:
    writer = Writer(capacity=4, peaks_capacity=8)
    site = writer.site("Add")
    for number in range(10):
        writer.allocate(number + 8, 100, site)
    for number in range(10):
        writer.free(number + 8)
    with TraceFile(writer.save(tmp_path / "t")) as trace:
        moments = Moments(trace)
    assert moments.at(BEGAN + 5_000_000) is None
    assert moments.at(BEGAN - 1) is None
    # A peak that was kept is known although the ring has gone on.
    kept = moments.highest(BEGAN + 6_000_000, BEGAN + 9_000_000)
    assert kept is not None
    assert (kept.total, kept.time_ns) == (900, BEGAN + 9_000_000)
    assert moments.peak is not None
    assert moments.peak.total == 1000
    assert moments.highest(BEGAN + 12_000_000, BEGAN + 13_000_000) is None


def test_torn_events_are_left_out_and_told(tmp_path: Path) -> None:
    writer = small()
    raw = bytearray(writer.whole())
    ring = len(raw) - EVENT * writer.capacity
    # One is being written, one is a lap old.
    raw[ring + EVENT * 2 + 30] = 0
    raw[ring + EVENT * 3 + 31] = 9
    (tmp_path / "t").write_bytes(raw)
    with TraceFile(tmp_path / "t") as trace:
        moments = Moments(trace)
    assert moments.ring.torn == 2
    assert len(moments.ring.events) == writer.written - 2
    assert alive(moments.now) == truth(writer.sums)
    # The peak is known after three events; the fourth, a free, is torn.
    assert moments.at_event(3, 0).exact
    assert not moments.at_event(4, 0).exact


def test_a_peak_that_is_being_written_gives_way_to_the_one_before(tmp_path: Path) -> None:
    writer = small()
    peaks = bytearray(writer.whole())
    newest = writer.slots[writer.peaks % 2]
    place = peaks.index(newest)
    struct.pack_into("<Q", peaks, place, 0)
    (tmp_path / "t").write_bytes(peaks)
    with TraceFile(tmp_path / "t") as trace:
        peak = trace.peak()
    assert peak is not None
    assert peak.total == 4100


def test_a_trace_grows_while_it_is_read(tmp_path: Path) -> None:
    writer = small(closed=False)
    path = writer.save(tmp_path / "t")
    with TraceFile(path) as trace:
        first = trace.sites()[2]
        # Strings and sites are added; what was there stays where it was.
        writer.allocate(0x50, 9999, writer.site("Conv", "train"))
        fresh = writer.whole()
        if len(fresh) != path.stat().st_size:
            with path.open("r+b") as file:
                file.write(fresh)
        trace.refresh()
        assert trace.sites()[2] is first
        assert trace.sites()[-1].name == "Conv"
        peak = trace.peak()
        assert peak is not None
        assert peak.total == writer.active


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda raw: b"", "is not an mlxtop trace."),
        (lambda raw: b"SQLite format 3\0" * 900, "is not an mlxtop trace."),
        (lambda raw: raw[:100], "is cut short: it has 100 bytes and no whole header."),
        (lambda raw: raw[:-5], "is cut short: it has "),
        (lambda raw: raw[:8] + b"\x02" + raw[9:], "was written by a newer mlxtop (format 2): open it with that one."),
        (lambda raw: raw[:8] + b"\x00" + raw[9:], "is damaged: there is no format 0."),
        (lambda raw: raw[:160] + b"\xff" * 8 + raw[168:], "is damaged: its ring would lie outside of it."),
        (lambda raw: raw[:168] + b"\x03" + raw[169:], "is damaged: its header contradicts itself."),
    ],
)  # fmt: skip
def test_what_is_no_trace_is_refused_in_a_sentence(tmp_path: Path, change: Any, sentence: str) -> None:
    path = tmp_path / "t"
    path.write_bytes(change(small().whole()))
    with pytest.raises(TraceError) as refused:
        TraceFile(path)
    assert str(refused.value).startswith(f"{path} {sentence}")


def test_what_cannot_be_opened_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="cannot be read: No such file or directory"):
        TraceFile(tmp_path / "none")
    with pytest.raises(TraceError, match="cannot be read"):
        TraceFile(tmp_path)


WHOLE = small().whole()


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=40), st.integers(0, len(WHOLE)))
def test_garbage_raises_nothing_but_the_sentence(
    tmp_path_factory: pytest.TempPathFactory, place: int, garbage: bytes, length: int
) -> None:
    for raw in (
        WHOLE[:place] + garbage + WHOLE[place + len(garbage) :],
        # The header of all things: every number may lie.
        WHOLE[: 16 + place % 240] + garbage + WHOLE[16 + place % 240 + len(garbage) :],
        WHOLE[:length],
    ):
        path = tmp_path_factory.mktemp("t") / "t"
        path.write_bytes(raw)
        try:
            with TraceFile(path) as trace:
                moments = Moments(trace)
        except TraceError:
            continue
        moments.at(BEGAN + 3_000_000)
        moments.highest(0, 2**63 - 2)
        moments.blocks(moments.ring.begin)
        for composition in (moments.now, moments.peak, *trace_peaks(moments)):
            if composition is not None:
                by_line(composition, moments.sites)


def trace_peaks(moments: Moments) -> Any:
    return [moments.at_event(index, 0) for index in moments.ring.index.tolist()]


def test_layout_is_dense() -> None:
    """Every type has the size that the format names."""
    assert (layout.SITE.itemsize, layout.LIVE.itemsize, layout.EVENT.itemsize) == (64, 32, 32)
    assert (layout.PEAK.itemsize, layout.SHARE.itemsize, layout.HEADER.itemsize) == (64, 16, 4096)
    assert all(np.dtype(form).itemsize in (4, 8) for _, form in layout.NUMBERS.values())
