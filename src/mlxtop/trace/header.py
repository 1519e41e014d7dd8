"""The header of a trace file."""

from dataclasses import dataclass

import numpy as np

from mlxtop.trace import layout


class Damage(ValueError):
    """What is wrong with a header: the end of a sentence that begins with the file's name."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a trace file's header says. Sizes and offsets in bytes, times in ns of `CLOCK_MONOTONIC`."""

    version: int
    header_size: int
    file_size: int
    flags: int
    pid: int
    origin_monotonic_ns: int
    """Read together with `origin_wall_ns`, Unix time."""
    origin_wall_ns: int
    min_size: int
    """Smaller allocations are counted, but the ring does not hold them."""
    strings_offset: int
    strings_capacity: int
    strings_used: int
    sites_offset: int
    sites_capacity: int
    sites_used: int
    live_offset: int
    live_capacity: int
    peaks_offset: int
    peaks_capacity: int
    peaks_written: int
    peak_size: int
    """Bytes of one slot."""
    ring_offset: int
    ring_capacity: int
    ring_written: int
    """Events ever written."""
    active: int
    peak: int
    before: int
    """Of `active`: allocated before the trace began."""
    allocations: int
    allocated_bytes: int
    frees: int
    lost: int
    """Allocations for which the live table had no room."""
    peak_time_ns: int
    most_buffers: int
    """The most live buffers that there were at any moment; 0 where an older mlxtop did not count them."""
    backend: str
    """MLX's version and backend. Foreign text, as is the command."""
    command: tuple[str, ...]

    @property
    def closed(self) -> bool:
        """Whether the program closed the file; otherwise it still writes, or was killed."""
        return bool(self.flags & layout.CLOSED)

    def wall(self, time_ns: int) -> float:
        """Unix time in seconds of a moment of the trace."""
        return (self.origin_wall_ns + time_ns - self.origin_monotonic_ns) / 1e9

    def since_origin(self, time_ns: int) -> float:
        """Seconds from the beginning of the trace to a moment of it."""
        return (time_ns - self.origin_monotonic_ns) / 1e9


def parse(raw: bytes, size: int) -> Header:
    """The header in the first bytes of a file of `size` bytes. Raises `Damage`."""
    if raw[: len(layout.MAGIC)] != layout.MAGIC:
        raise Damage("is not an mlxtop trace")
    if len(raw) < layout.HEADER_SIZE:
        raise Damage(f"is cut short: it has {size:,} bytes and no whole header")
    record = np.frombuffer(raw, layout.HEADER, count=1)[0]
    version = int(record["version"])
    if version > layout.VERSION:
        raise Damage(f"was written by a newer mlxtop (format {version}): open it with that one")
    if version != layout.VERSION:
        raise Damage(f"is damaged: there is no format {version}")
    header = Header(
        **{name: int(record[name]) for name in layout.NUMBERS},
        backend=_texts(bytes(record["backend"]))[0],
        command=_texts(bytes(record["command"])),
    )
    if size < header.file_size:
        raise Damage(f"is cut short: it has {size:,} of {header.file_size:,} bytes")
    _check(header)
    return header


def _texts(raw: bytes) -> tuple[str, ...]:
    """Zero-terminated texts; an empty one ends them, but for the first."""
    first, *others = raw.split(b"\0")
    end = others.index(b"") if b"" in others else len(others)
    return tuple(text.decode(errors="replace") for text in (first, *others[:end]))


def _check(header: Header) -> None:
    """Every section lies behind the header and within the file. Raises `Damage`."""
    share = header.sites_capacity * layout.SHARE.itemsize
    sections = (
        ("strings", header.strings_offset, header.strings_capacity),
        ("sites", header.sites_offset, header.sites_capacity * layout.SITE.itemsize),
        ("live table", header.live_offset, header.live_capacity * layout.LIVE.itemsize),
        ("peaks", header.peaks_offset, header.peaks_capacity * header.peak_size),
        ("ring", header.ring_offset, header.ring_capacity * layout.EVENT.itemsize),
    )
    for name, offset, length in sections:
        if offset < header.header_size or offset + length > header.file_size:
            raise Damage(f"is damaged: its {name} would lie outside of it")
    capacity = header.ring_capacity
    if header.header_size < layout.HEADER_SIZE or not capacity or capacity & (capacity - 1):
        raise Damage("is damaged: its header contradicts itself")
    if header.peaks_capacity and header.peak_size < layout.PEAK.itemsize + share:
        raise Damage("is damaged: its peaks have no room for its sites")
