"""Reads a trace file, also while its program writes it, and after the program was killed.

Everything is read by `pread`: a file that shrinks under a mapping would end mlxtop.
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mlxtop.core.errors import MlxtopError
from mlxtop.core.text import one_line
from mlxtop.trace import header as headers
from mlxtop.trace import layout
from mlxtop.trace.composition import Composition
from mlxtop.trace.header import Damage, Header
from mlxtop.trace.sites import Site, parse_site

Rows = NDArray[np.void]
"""Rows of one of the types in `layout`."""

LARGEST = 2**53
"""Bytes. No buffer is larger: what says so is half written."""


class TraceError(MlxtopError):
    """A file is no trace, or one that cannot be read."""


@dataclass(frozen=True, slots=True)
class Ring:
    """The last events, oldest first; what is torn is left out."""

    events: Rows
    index: NDArray[np.int64]
    """Which event each is, counted from the beginning of the trace."""
    begin: int
    """The first event that the ring could hold."""
    end: int
    """Behind the last."""

    @property
    def torn(self) -> int:
        """Events that were half written, or overwritten while they were read."""
        return self.end - self.begin - len(self.events)


class TraceFile:
    """An open trace file. `refresh` reads the header anew; everything else is as of the header.

    Raises `TraceError`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._strings: dict[int, str] = {}
        self._sites: list[Site] = []
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise TraceError(f"{_shown(path)} cannot be read: {error.strerror}.") from error
        try:
            self.header = self._header()
        except TraceError:
            self.close()
            raise

    def refresh(self) -> Header:
        """Reads the header anew, and returns it."""
        self.header = self._header()
        return self.header

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def sites(self) -> Sequence[Site]:
        """Every site, by its number. A site never changes; new ones are added."""
        used = min(self.header.sites_used, self.header.sites_capacity)
        if used > len(self._sites):
            self._add_sites(self._site_rows(used))
        return self._sites

    def allocated(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Bytes and allocations of each site since the trace began, freed ones included."""
        rows = self._site_rows(len(self.sites()))
        sizes, counts = rows["allocated_bytes"].copy(), rows["allocated_count"].copy()
        sizes[: layout.BEFORE + 1] -= self.header.before
        return sizes, counts

    def frees(self) -> int:
        """Buffers freed since the trace began, those from before it included."""
        return int(self._site_rows(len(self.sites()))["freed_count"].sum())

    def now(self) -> Composition:
        """What is alive now, or was when the program ended."""
        rows = self._site_rows(len(self.sites()))
        newest = self.header.ring_written
        return Composition(
            time_ns=0,
            index=newest,
            step=0,
            bytes=rows["allocated_bytes"] - rows["freed_bytes"],
            buffers=_counts(rows["allocated_count"] - rows["freed_count"]),
        )

    def peak(self) -> Composition | None:
        """What was alive at the peak. None before the first."""
        slots = [self._peak(slot) for slot in range(min(layout.NEWEST_PEAKS, self.header.peaks_capacity))]
        whole = [slot for slot in slots if slot is not None]
        return max(whole, key=lambda slot: slot[0])[1] if whole else None

    def kept_peaks(self) -> tuple[Composition, ...]:
        """What was alive at the peaks that were kept, oldest first: each well above the one before."""
        slots = [self._peak(slot) for slot in range(layout.NEWEST_PEAKS, self.header.peaks_capacity)]
        return tuple(peak for _, peak in sorted(filter(None, slots), key=lambda slot: slot[0]))

    def live(self) -> Rows:
        """The buffers that are alive now, or were when the program ended: rows of `layout.LIVE`."""
        rows = self._rows(layout.LIVE, self.header.live_offset, self.header.live_capacity)
        known = rows["site"] < max(len(self.sites()), 1)
        found = rows[(rows["address"] > 1) & (rows["size"] < LARGEST) & known]
        # A table that just grew has its buffers in two places for a moment.
        return found[np.sort(np.unique(found["address"], return_index=True)[1])]

    def ring(self) -> Ring:
        """The last events."""
        capacity, end = self.header.ring_capacity, self.header.ring_written
        begin = max(0, end - capacity)
        rows = self._rows(layout.EVENT, self.header.ring_offset, end - begin)
        turn = begin % capacity
        events = np.concatenate([rows[turn:], rows[:turn]]) if turn else rows
        index = np.arange(begin, end, dtype=np.int64)
        good = events["lap"] == (index // capacity).astype(np.uint8)
        good &= (events["kind"] > layout.EMPTY) & (events["kind"] <= layout.PHASE)
        memory = (events["site"] < max(len(self.sites()), 1)) & (events["size"] < LARGEST)
        good &= memory | (events["kind"] > layout.FREED)
        if not good.all():
            events, index = events[good], index[good]
            # The oldest may have been overwritten since the header was read.
            begin = int(index[0]) if len(index) else end
        return Ring(events, index, begin, end)

    def text(self, number: int) -> str:
        """The string with this id: empty where there is none. Foreign text."""
        if number not in self._strings:
            self._strings[number] = self._string(number)
        return self._strings[number]

    def _string(self, number: int) -> str:
        offset, end = self.header.strings_offset, self.header.strings_capacity
        if not number or number + 4 > end:
            return ""
        (length,) = struct.unpack("<I", self._read(offset + number, 4))
        if number + 4 + length > end:
            return ""
        return self._read(offset + number + 4, length).decode(errors="replace")

    def _add_sites(self, rows: Rows) -> None:
        known = len(self._sites)
        for index, (operation, context) in enumerate(rows[["operation", "context"]][known:].tolist(), known):
            self._sites.append(parse_site(index, self.text(operation), self.text(context)))

    def _site_rows(self, count: int) -> Rows:
        return self._rows(layout.SITE, self.header.sites_offset, count)

    def _peak(self, slot: int) -> tuple[int, Composition] | None:
        """A slot's sequence and what it holds; None where it is not whole."""
        offset = self.header.peaks_offset + slot * self.header.peak_size
        size = layout.PEAK.itemsize
        raw = self._read(offset, size)
        first = np.frombuffer(raw, layout.PEAK)[0]
        shares = self._rows(layout.SHARE, offset + size, min(int(first["sites"]), len(self.sites())))
        if not first["sequence"] or self._read(offset, size) != raw:
            return None
        return int(first["sequence"]), Composition(
            time_ns=int(first["time_ns"]),
            index=int(first["ring_written"]),
            step=int(first["step"]),
            bytes=shares["bytes"].astype(np.int64),
            buffers=_counts(shares["buffers"]),
        )

    def _header(self) -> Header:
        try:
            size = os.fstat(self._file).st_size
            return headers.parse(os.pread(self._file, layout.HEADER_SIZE, 0), size)
        except Damage as damage:
            raise TraceError(f"{_shown(self.path)} {damage}.") from damage
        except OSError as error:
            raise TraceError(f"{_shown(self.path)} cannot be read: {error.strerror}.") from error

    def _rows(self, form: "np.dtype[Any]", offset: int, count: int) -> Rows:
        return np.frombuffer(self._read(offset, count * form.itemsize), form) if count else np.empty(0, form)

    def _read(self, offset: int, size: int) -> bytes:
        parts = []
        while size:
            try:
                part = os.pread(self._file, min(size, 2**30), offset)
            except OSError as error:
                raise TraceError(f"{_shown(self.path)} cannot be read: {error.strerror}.") from error
            if not part:
                raise TraceError(f"{_shown(self.path)} became shorter while it was read.")
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _counts(buffers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Buffers of each site. Those from before the trace were never counted."""
    counts = buffers.astype(np.int64)
    counts[: layout.BEFORE + 1] = 0
    return counts


def _shown(path: Path) -> str:
    return one_line(str(path))
