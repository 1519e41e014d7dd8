"""Writes trace files as docs/reference/trace-file.md describes them, and keeps the truth beside: a simulation."""

import struct
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

BEGAN = 1_000_000_000_000
"""`CLOCK_MONOTONIC` of the beginning, in nanoseconds."""
WALL = 1_790_000_000_000_000_000
HEADER, SITE, LIVE, PEAK, SHARE, EVENT = 4096, 64, 32, 64, 16, 32
Sums = dict[int, tuple[int, int]]
"""Bytes and buffers by site."""


def context(phase: str, *frames: str) -> str:
    return "\n".join([phase, *frames])


@dataclass
class Writer:
    """A program that allocates: `allocate`, `free`, `begin` and the like write events, `save` the file."""

    capacity: int = 64
    sites_capacity: int = 16
    peaks_capacity: int = 6
    min_size: int = 0
    keep_above: int = 0
    """Bytes above the last kept peak from which a new one is kept."""
    command: tuple[str, ...] = ("python", "train.py")
    backend: str = "0.32.4 cpu"
    closed: bool = True
    time: int = BEGAN
    blocks: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """Size, time and site of each live address."""
    unseen: dict[int, int] = field(default_factory=dict)
    """Sizes of the live addresses that were there before the trace."""
    history: list[Sums] = field(default_factory=list)
    """What was alive before each event, and after the last."""

    def __post_init__(self) -> None:
        self.strings = bytearray(struct.pack("<I", 0))
        self.ids = {"": 0}
        self.places: list[tuple[str, str]] = [("", ""), ("", "")]
        self.allocated: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        self.ring = bytearray(EVENT * self.capacity)
        self.written = self.allocations = self.allocated_bytes = self.frees = self.lost = 0
        self.peak = self.peak_time = self.peaks = self.peaks_kept = self.last_kept = self.step = (
            self.before
        ) = 0
        self.slots: list[bytes] = [bytes(self.peak_size)] * self.peaks_capacity
        self.sums: Sums = {}
        self.history.append({})

    @property
    def peak_size(self) -> int:
        return PEAK + SHARE * self.sites_capacity

    @property
    def active(self) -> int:
        return sum(size for size, _ in self.sums.values())

    def string(self, text: str) -> int:
        if text not in self.ids:
            raw = text.encode()
            self.ids[text] = len(self.strings)
            self.strings += struct.pack("<I", len(raw)) + raw + bytes(-len(raw) % 4)
        return self.ids[text]

    def site(self, operation: str, where: str = "") -> int:
        self.string(operation), self.string(where)
        if (operation, where) not in self.places[2:]:
            self.places.append((operation, where))
        return self.places.index((operation, where), 2)

    def had(self, address: int, size: int) -> None:
        """A buffer that was there before the trace."""
        self.unseen[address] = size
        self.before += size
        self._add(0, size, 0)
        self.peak = max(self.peak, self.active)
        self.history[-1] = dict(self.sums)

    def allocate(self, address: int, size: int, site: int) -> None:
        self.blocks[address] = size, self.tick(), site
        self._add(site, size, 1)
        self.allocations += 1
        self.allocated_bytes += size
        self.allocated[site][0] += size
        self.allocated[site][1] += 1
        if size >= self.min_size:
            self.event(address, size, site, 1)
        if self.active > self.peak:
            self._new_peak()

    def free(self, address: int) -> None:
        self.tick()
        if address in self.unseen:
            size, site = self.unseen.pop(address), 0
            self._add(0, -size, 0)
        else:
            size, _, site = self.blocks.pop(address)
            self._add(site, -size, -1)
        self.frees += 1
        if size >= self.min_size:
            self.event(address, size, site, 2)

    def begin(self, where: str) -> None:
        self.step += 1
        self.tick()
        self.event(self.step, 0, self.string(where), 3)

    def end(self) -> None:
        self.tick()
        self.event(self.step, 0, 0, 4)

    def phase(self, name: str) -> None:
        self.tick()
        self.event(0, 0, self.string(name), 5)

    def tick(self, ns: int = 1_000_000) -> int:
        self.time += ns
        return self.time

    def event(self, address: int, size: int, site: int, kind: int, lap: int | None = None) -> None:
        place = self.written % self.capacity * EVENT
        lap = self.written // self.capacity & 255 if lap is None else lap
        struct.pack_into("<QQQIHBB", self.ring, place, self.time, address, size, site, 0, kind, lap)
        self.written += 1
        self.history.append(dict(self.sums))

    def _add(self, site: int, size: int, count: int) -> None:
        old = self.sums.get(site, (0, 0))
        self.sums[site] = old[0] + size, old[1] + count

    def _new_peak(self) -> None:
        self.peak, self.peak_time = self.active, self.time
        self.peaks += 1
        self.slots[self.peaks % 2] = self._slot(self.peaks)
        if self.peaks_capacity > 2 and self.active > self.last_kept + self.keep_above:
            self.last_kept = self.active
            self.slots[2 + self.peaks_kept % (self.peaks_capacity - 2)] = self._slot(self.peaks_kept + 1)
            self.peaks_kept += 1

    def _slot(self, sequence: int) -> bytes:
        begin = struct.pack(
            "<6Q16x", sequence, self.time, self.active, self.written, len(self.places), self.step
        )
        shares = b"".join(struct.pack("<qq", *self.sums.get(n, (0, 0))) for n in range(len(self.places)))
        return (begin + shares).ljust(self.peak_size, b"\0")

    def whole(self) -> bytes:
        """The file."""
        live_capacity = max(8, 2 * len(self.blocks))
        sections = [
            bytes(self.strings).ljust(len(self.strings) + 64, b"\0"),
            b"".join(map(self._site, range(len(self.places)))).ljust(SITE * self.sites_capacity, b"\0"),
            self._live(live_capacity),
            b"".join(self.slots),
            bytes(self.ring),
        ]
        offsets = [HEADER]
        for section in sections:
            offsets.append(offsets[-1] + len(section))
        strings, sites, live, peaks, ring, size = offsets
        numbers = struct.pack(
            "<8sII21QqQqq5Q",
            b"MLXTRACE", 1, HEADER,
            size, int(self.closed), 4242, BEGAN, WALL, self.min_size,
            strings, len(sections[0]), len(self.strings),
            sites, self.sites_capacity, len(self.places),
            live, live_capacity, peaks, self.peaks_capacity,
            self.peaks_kept, self.peak_size, ring, self.capacity, self.written,
            self.active, self.peak, self.before, 0,
            self.allocations, self.allocated_bytes, self.frees, self.lost, self.peak_time,
        )  # fmt: skip
        header = numbers.ljust(256, b"\0") + self.backend.encode().ljust(128, b"\0")
        header += "\0".join([*self.command, "", ""]).encode()
        return header.ljust(HEADER, b"\0") + b"".join(sections)

    def save(self, path: Path) -> Path:
        path.write_bytes(self.whole())
        return path

    def _site(self, number: int) -> bytes:
        operation, where = self.places[number]
        size, count = self.sums.get(number, (0, 0))
        allocated, allocations = self.allocated[number] if number else (self.before, 0)
        freed = allocated - size, allocations - count
        return struct.pack("<IIqqQQ24x", self.ids[operation], self.ids[where], *freed, allocated, allocations)

    def _live(self, capacity: int) -> bytes:
        """A hash table: most slots are empty, and some were used before."""
        slots = [
            struct.pack("<QQQII", address, size, time, site, 0)
            for address, (size, time, site) in self.blocks.items()
        ]
        table = [bytes(LIVE)] * capacity
        for place, slot in enumerate(slots):
            table[place * 2 % capacity] = slot
        for place in range(1, capacity, 4):
            table[place] = struct.pack("<QQQII", 1, 77, 77, 0, 0)
        return b"".join(table)
