"""pprof's profile: allocations by operation and stack, for `go tool pprof` and what else reads it.

A gzipped message of https://github.com/google/pprof/blob/main/proto/profile.proto. The innermost frame of a
sample is its operation; Python's frames follow.
"""

import gzip
from typing import BinaryIO

from mlxtop.trace.export.chosen import Chosen
from mlxtop.trace.export.protobuf import data, number, packed, text
from mlxtop.trace.moments import Moments
from mlxtop.trace.sites import Frame, Site

TYPES = (
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
)
SAMPLE_TYPE, SAMPLE, LOCATION, FUNCTION, STRING_TABLE, TIME_NANOS, DURATION_NANOS = 1, 2, 4, 5, 6, 9, 10
PERIOD_TYPE, PERIOD, COMMENT, DEFAULT_SAMPLE_TYPE = 11, 12, 13, 14
"""The fields of a profile."""


class _Tables:
    """Strings, functions and locations, each written once."""

    def __init__(self) -> None:
        self.strings = {"": 0}
        self.places: dict[Frame, int] = {}
        self.functions: dict[tuple[str, str], int] = {}

    def string(self, value: str) -> int:
        return self.strings.setdefault(value, len(self.strings))

    def location(self, frame: Frame) -> int:
        self.functions.setdefault((frame.function, frame.path), len(self.functions) + 1)
        return self.places.setdefault(frame, len(self.places) + 1)

    def messages(self) -> list[bytes]:
        parts = []
        for (name, path), index in self.functions.items():
            # What stands between angle brackets pprof takes for a template's, and drops: all of `<module>`.
            shown = name.replace("<", "").replace(">", "")
            called = number(2, self.string(shown)) + number(3, self.string(name))
            parts.append(data(FUNCTION, number(1, index) + called + number(4, self.string(path))))
        for frame, index in self.places.items():
            line = number(1, self.functions[frame.function, frame.path]) + number(2, frame.line)
            parts.append(data(LOCATION, number(1, index) + data(4, line)))
        return parts


def write(moments: Moments, chosen: Chosen, out: BinaryIO) -> None:
    """Writes what was alive at one moment, and what was allocated since the trace began."""
    tables, at = _Tables(), chosen.at
    parts = [data(SAMPLE_TYPE, _type(tables, name, unit)) for name, unit in TYPES]
    alive = (at.buffers.tolist(), at.bytes.tolist()) if at is not None else ([], [])
    sizes, counts = moments.allocated
    for site in moments.sites:
        index = site.index
        values = [each[index] if index < len(each) else 0 for each in alive]
        values += [int(counts[index]), int(sizes[index])]
        if any(values):
            places = [tables.location(frame) for frame in site.frames]
            parts.append(data(SAMPLE, packed(1, places) + packed(2, values) + _label(tables, site)))
    header = moments.header
    parts.append(number(TIME_NANOS, header.origin_wall_ns))
    parts.append(number(DURATION_NANOS, moments.last_ns - header.origin_monotonic_ns))
    parts.append(data(PERIOD_TYPE, _type(tables, "space", "bytes")) + number(PERIOD, 1))
    parts.append(number(DEFAULT_SAMPLE_TYPE, tables.string("inuse_space")))
    parts.append(number(COMMENT, tables.string(" ".join(header.command))))
    parts += tables.messages()
    parts += [text(STRING_TABLE, value) for value in tables.strings]
    # No name and no time: the same trace is the same file.
    with gzip.GzipFile("", "wb", fileobj=out, mtime=0) as packed_file:
        packed_file.write(b"".join(parts))


def _type(tables: _Tables, name: str, unit: str) -> bytes:
    return number(1, tables.string(name)) + number(2, tables.string(unit))


def _label(tables: _Tables, site: Site) -> bytes:
    """The phase, by which pprof filters: `-tagfocus=phase:prefill`."""
    if not site.phase:
        return b""
    return data(3, number(1, tables.string("phase")) + number(2, tables.string(site.phase)))
