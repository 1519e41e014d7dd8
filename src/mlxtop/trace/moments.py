"""What was alive at any moment within the ring: a walk from the nearest moment that is known."""

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mlxtop.trace import layout
from mlxtop.trace.composition import Composition
from mlxtop.trace.reader import Ring, Rows, TraceFile

Numbers = NDArray[np.int64]
TRIES = 50
"""How often what is alive is read, until the program has written nothing meanwhile."""


class Moments:
    """A trace as it was when this was made. Times are `CLOCK_MONOTONIC` in ns. Raises `TraceError`."""

    def __init__(self, trace: TraceFile) -> None:
        now = _now(trace)
        # At once: a busy program soon writes over what was there.
        self.ring: Ring = trace.ring()
        self.header = trace.header
        self.sites = tuple(trace.sites())
        count = len(self.sites)
        self.now = replace(now, bytes=_padded(now.bytes, count), buffers=_padded(now.buffers, count))
        self.allocated, self.frees = trace.allocated(), trace.frees()
        peak, kept = trace.peak(), trace.kept_peaks()
        self.live: Rows = trace.live()
        self.kept = kept
        self._kept = [*([peak] if peak else []), *kept]
        self._known = [self.now, *self._kept]
        self._texts = {name: trace.text(name) for name in self._names()}

    def text(self, name: int) -> str:
        """The string with this id, of a step's context or a phase. Foreign text."""
        return self._texts.get(name, "")

    def _names(self) -> list[int]:
        events = self.ring.events
        named = (events["kind"] == layout.STEP_BEGINS) | (events["kind"] == layout.PHASE)
        names: list[int] = np.unique(events["site"][named]).tolist()
        return names

    @cached_property
    def peak(self) -> Composition | None:
        """What was alive at the peak. None before the first.

        A small rise is not always kept: the ring may know of more. What is above the peak was not: a free was
        written after another thread's allocation.
        """
        kept = max(self._kept, key=lambda one: one.total, default=None)
        times, active, _ = self.curve
        real = np.where(active <= self.header.peak, active, 0)
        if len(real) and int(real.max()) > (kept.total if kept else 0):
            place = int(np.argmax(real))
            return self.at_event(self._after(place + 1), int(times[place]))
        return kept if kept is None or kept.step else replace(kept, step=self._step(kept.index))

    @cached_property
    def curve(self) -> tuple[Numbers, Numbers, Numbers]:
        """Times, and the bytes and buffers alive after each event of the ring."""
        known = self._nearest(self.ring.end)
        sizes = np.cumsum(self._sizes)
        counts = np.cumsum(self._signs * (self._site != layout.BEFORE))
        place = int(np.searchsorted(self.ring.index, known.index)) - 1
        if place >= 0:
            return self._times, sizes - sizes[place] + known.total, counts - counts[place] + known.count
        return self._times, sizes + known.total, counts + known.count

    @cached_property
    def last_ns(self) -> int:
        """The last moment that the trace knows of."""
        times = (self.ring.events["time_ns"], self.live["time_ns"])
        last = [int(each.max()) for each in times if len(each)]
        return max(*last, self.header.peak_time_ns, self.header.origin_monotonic_ns, 0)

    def at(self, time_ns: int) -> Composition | None:
        """What was alive at this moment; None where it is older than the ring."""
        place = int(np.searchsorted(self._times, time_ns, side="right"))
        if place == 0 and (self.ring.begin > 0 or time_ns < self.header.origin_monotonic_ns):
            return None
        return self.at_event(self._after(place), time_ns)

    def highest(self, begin_ns: int, end_ns: int) -> Composition | None:
        """What was alive when most was, from `begin_ns` to `end_ns`; None where nothing is known of then."""
        found = [peak for peak in self._kept if begin_ns <= peak.time_ns <= end_ns]
        if (first := self.at(begin_ns)) is not None:
            found.append(first)
        first_event, end = np.searchsorted(self._times, (begin_ns, end_ns + 1))
        if first_event < end:
            place = int(first_event) + int(np.argmax(self.curve[1][first_event:end]))
            found.append(self.at_event(self._after(place + 1), int(self._times[place])))
        return max(found, key=lambda composition: composition.total, default=None)

    def at_event(self, index: int, time_ns: int) -> Composition:
        """What was alive before the event `index` of the trace, one of the ring or the next to come."""
        known = self._nearest(index)
        begin, end = sorted((known.index, index))
        way = slice(*np.searchsorted(self.ring.index, (begin, end)))
        count = len(self.sites)
        site, sign = self._site[way], 1 if known.index <= index else -1
        # Sums of float64, which are exact below 2⁵³ bytes.
        sizes = np.bincount(site, self._sizes[way], count).astype(np.int64) * sign
        counts = np.bincount(site, self._signs[way] * (site != layout.BEFORE), count).astype(np.int64) * sign
        return Composition(
            time_ns,
            index,
            self._step(index),
            _padded(known.bytes, count) + sizes,
            _padded(known.buffers, count) + counts,
            exact=known.exact
            and way.stop - way.start == end - begin
            and (begin == end or not self.header.min_size),
        )

    def _nearest(self, index: int) -> Composition:
        """The known moment within the ring that is nearest to an event, and consistent if one is."""
        within = [one for one in self._known if self.ring.begin <= one.index <= self.ring.end]
        return min(within, key=lambda one: (not one.exact, abs(one.index - index)))

    def blocks(self, index: int) -> Rows | None:
        """The buffers alive before the event `index`, as rows of `layout.LIVE`.

        What was freed since has no time. None where that is older than the ring.
        """
        if not self.ring.begin <= index <= self.ring.end:
            return None
        place = int(np.searchsorted(self.ring.index, index))
        since = self.ring.events[place:]
        since = since[(since["kind"] == layout.ALLOCATED) | (since["kind"] == layout.FREED)]
        touched, first = np.unique(since["address"], return_index=True)
        first_events = since[first]
        freed = first_events[first_events["kind"] == layout.FREED]
        kept = self.live[~np.isin(self.live["address"], touched)]
        blocks = np.zeros(len(kept) + len(freed), layout.LIVE)
        blocks[: len(kept)] = kept
        for name in ("address", "size", "site", "thread"):
            blocks[name][len(kept) :] = freed[name]
        return blocks

    def _step(self, index: int) -> int:
        """The step that began last before an event; 0 where none did within the ring."""
        numbers, steps = self._steps
        place = int(np.searchsorted(numbers, index))
        return int(steps[place - 1]) if place else 0

    @cached_property
    def _steps(self) -> tuple[Numbers, Numbers]:
        # Number 0 is a layer's call.
        begins = (self.ring.events["kind"] == layout.STEP_BEGINS) & (self.ring.events["address"] > 0)
        return self.ring.index[begins], self.ring.events["address"][begins].astype(np.int64)

    @cached_property
    def _times(self) -> Numbers:
        """Never falling: threads may write their events a little out of order."""
        times: Numbers = np.maximum.accumulate(self.ring.events["time_ns"].astype(np.int64))
        return times

    @cached_property
    def _signs(self) -> Numbers:
        kind = self.ring.events["kind"]
        signs: Numbers = (kind == layout.ALLOCATED).astype(np.int64) - (kind == layout.FREED)
        return signs

    @cached_property
    def _sizes(self) -> Numbers:
        sizes: Numbers = self.ring.events["size"].astype(np.int64) * self._signs
        return sizes

    @cached_property
    def _site(self) -> Numbers:
        """The site of each event. One that has none counts for nothing in any sum."""
        site: Numbers = np.where(self._signs != 0, self.ring.events["site"], 0).astype(np.int64)
        return site

    def _after(self, place: int) -> int:
        """The number of the event that follows the first `place` ones of the ring."""
        return int(self.ring.index[place - 1]) + 1 if place else self.ring.begin


def _now(trace: TraceFile) -> Composition:
    """What is alive now. Not exact where the program never rested for as long as it takes to read it."""
    for _ in range(TRIES):
        before = trace.refresh().ring_written
        now = trace.now()
        if trace.refresh().ring_written == before:
            return now
    return replace(trace.now(), exact=False)


def _padded(values: Numbers, count: int) -> Numbers:
    return np.pad(values, (0, count - len(values)))
