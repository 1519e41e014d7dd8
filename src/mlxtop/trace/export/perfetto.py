"""Perfetto's own format: the memory as counters, phases and steps and the largest buffers as slices.

https://perfetto.dev/docs/reference/trace-packet-proto, for ui.perfetto.dev. Times are `CLOCK_MONOTONIC`.
"""

import heapq
from collections.abc import Iterator, Sequence
from itertools import count
from typing import BinaryIO, NamedTuple

import numpy as np

from mlxtop.trace import layout
from mlxtop.trace.churn import whole_steps
from mlxtop.trace.export.chosen import Chosen
from mlxtop.trace.export.protobuf import data, number, text
from mlxtop.trace.moments import Moments, Numbers
from mlxtop.trace.sites import Site

MONOTONIC, REALTIME = 3, 1
"""Perfetto's numbers of clocks."""
BEGIN, END, COUNTER = 1, 2, 4
"""Types of track events."""
BYTES, COUNT = 3, 2
"""Units of counters."""
POINTS = 100_000
"""A counter has about as many points at most, and its lowest and highest values are among them."""
BUFFERS = 20_000
"""The most buffers that are drawn: the largest."""
SEQUENCE = 1
STATE_CLEARED = 1


class Slice(NamedTuple):
    """A named stretch of time. `notes` are shown when it is selected."""

    name: str
    begin_ns: int
    end_ns: int
    notes: tuple[tuple[str, int | str], ...] = ()


def write(moments: Moments, chosen: Chosen, out: BinaryIO) -> None:
    """Writes what the ring holds."""
    header = moments.header
    clocks = [(MONOTONIC, header.origin_monotonic_ns), (REALTIME, header.origin_wall_ns)]
    snapshot = b"".join(data(1, number(1, clock) + number(2, time)) for clock, time in clocks)
    # Without a time of its own: what clock it would be of, is only said by it.
    head = number(10, SEQUENCE) + number(13, STATE_CLEARED)
    out.write(data(1, head + data(6, snapshot + number(2, MONOTONIC))))
    tracks = count(1)
    process = next(tracks)
    name = " ".join(header.command) or f"process {header.pid}"
    _track(out, process, data(3, number(1, header.pid) + text(6, name)))
    times, active, buffers = moments.curve
    for title, values, unit in (("active", active, BYTES), ("buffers", buffers, COUNT)):
        track = next(tracks)
        _track(out, track, number(5, process) + text(2, title) + data(8, number(3, unit)))
        for place in _points(values).tolist():
            value = number(9, COUNTER) + number(11, track) + number(30, int(values[place]))
            _packet(out, int(times[place]), data(11, value))
    for title, slices in (
        ("phase", _phases(moments)),
        ("step", _steps(moments)),
        ("buffer", _buffers(moments, chosen)),
    ):
        for lane in _lanes(slices):
            track = next(tracks)
            _track(out, track, number(5, process) + text(2, title))
            for one in lane:
                _slice(out, track, one)


def _packet(out: BinaryIO, time_ns: int, body: bytes) -> None:
    stamp = number(8, time_ns) + number(58, MONOTONIC)
    out.write(data(1, stamp + number(10, SEQUENCE) + body))


def _track(out: BinaryIO, track: int, body: bytes) -> None:
    out.write(data(1, number(10, SEQUENCE) + data(60, number(1, track) + body)))


def _slice(out: BinaryIO, track: int, one: Slice) -> None:
    notes = b"".join(
        data(4, text(10, name) + (text(6, value) if isinstance(value, str) else number(4, value)))
        for name, value in one.notes
    )
    body = number(9, BEGIN) + number(11, track) + text(22, "mlx") + text(23, one.name) + notes
    _packet(out, one.begin_ns, data(11, body))
    _packet(out, one.end_ns, data(11, number(9, END) + number(11, track)))


def _points(values: Numbers) -> Numbers:
    """Places of the curve: all, or the lowest and the highest of each of many equal parts."""
    if len(values) <= POINTS:
        return np.arange(len(values))
    parts = np.array_split(np.arange(len(values)), POINTS // 2)
    found = [part[0] + np.array([np.argmin(values[part]), np.argmax(values[part])]) for part in parts]
    return np.unique(np.concatenate(found))


def _lanes(slices: Sequence[Slice]) -> Iterator[list[Slice]]:
    """The slices spread over as few lanes as do: in a lane none begins before the last has ended."""
    lanes: list[list[Slice]] = []
    free: list[tuple[int, int]] = []
    for one in sorted(slices, key=lambda one: one.begin_ns):
        if free and free[0][0] <= one.begin_ns:
            lane = heapq.heappop(free)[1]
        else:
            lane = len(lanes)
            lanes.append([])
        lanes[lane].append(one)
        heapq.heappush(free, (one.end_ns, lane))
    yield from lanes


def _phases(moments: Moments) -> list[Slice]:
    """From each phase to the next one."""
    events = moments.ring.events
    found = events[events["kind"] == layout.PHASE]
    times = [*found["time_ns"].tolist(), moments.last_ns]
    names = [moments.text(name) or "phase" for name in found["site"].tolist()]
    return [Slice(name, begin, end) for name, begin, end in zip(names, times, times[1:], strict=False)]


def _steps(moments: Moments) -> list[Slice]:
    slices = []
    for step in whole_steps(moments):
        _, _, place = moments.text(step.context).partition("\n")
        notes = (("step", step.number), ("line", place.partition("\n")[0]))
        slices.append(Slice(f"step {step.number:,}", step.begin_ns, step.end_ns, notes))
    return slices


def _buffers(moments: Moments, chosen: Chosen) -> list[Slice]:
    """The largest buffers of the ring, from allocation to free or to the end."""
    events = moments.ring.events
    wanted = np.flatnonzero((events["kind"] == layout.ALLOCATED) & (events["size"] >= chosen.min_size))
    if len(wanted) > BUFFERS:
        largest = np.argpartition(events["size"][wanted], -BUFFERS)[-BUFFERS:]
        wanted = np.sort(wanted[largest])
    ends = _ends(moments)
    slices = []
    for place, (time, _, size, site, *_) in zip(wanted.tolist(), events[wanted].tolist(), strict=True):
        slices.append(_buffer(moments.sites[site], size, time, int(ends[place])))
    return slices


def _ends(moments: Moments) -> Numbers:
    """For each event the time of the next one of the same address: an allocation's is its free."""
    events = moments.ring.events
    order = np.lexsort((np.arange(len(events)), events["address"]))
    ends = np.full(len(events), moments.last_ns, np.int64)
    memory = events["kind"] <= layout.FREED
    order = order[memory[order]]
    same = events["address"][order][1:] == events["address"][order][:-1]
    ends[order[:-1][same]] = events["time_ns"][order[1:]][same]
    return ends


def _buffer(site: Site, size: int, begin_ns: int, end_ns: int) -> Slice:
    notes = (("bytes", size), ("line", site.line), ("phase", site.phase))
    return Slice(site.name, begin_ns, max(begin_ns, end_ns), notes)
