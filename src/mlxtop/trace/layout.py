"""The layout of a trace file, version 1, as NumPy types: see docs/reference/trace-file.md. Little-endian."""

import numpy as np

MAGIC = b"MLXTRACE"
VERSION = 1
HEADER_SIZE = 4096
CLOSED = 1
"""The flag of a file that was closed by its program."""

NUMBERS = {
    "version": (8, "<u4"),
    "header_size": (12, "<u4"),
    "file_size": (16, "<u8"),
    "flags": (24, "<u8"),
    "pid": (32, "<u8"),
    "origin_monotonic_ns": (40, "<u8"),
    "origin_wall_ns": (48, "<u8"),
    "min_size": (56, "<u8"),
    "strings_offset": (64, "<u8"),
    "strings_capacity": (72, "<u8"),
    "strings_used": (80, "<u8"),
    "sites_offset": (88, "<u8"),
    "sites_capacity": (96, "<u8"),
    "sites_used": (104, "<u8"),
    "live_offset": (112, "<u8"),
    "live_capacity": (120, "<u8"),
    "peaks_offset": (128, "<u8"),
    "peaks_capacity": (136, "<u8"),
    "peaks_written": (144, "<u8"),
    "peak_size": (152, "<u8"),
    "ring_offset": (160, "<u8"),
    "ring_capacity": (168, "<u8"),
    "ring_written": (176, "<u8"),
    "active": (184, "<i8"),
    "peak": (192, "<u8"),
    "before": (200, "<i8"),
    "allocations": (216, "<u8"),
    "allocated_bytes": (224, "<u8"),
    "frees": (232, "<u8"),
    "lost": (240, "<u8"),
    "peak_time_ns": (248, "<u8"),
    "most_buffers": (3384, "<i8"),
}
"""The numbers of the header: offset and type."""
TEXTS = {"backend": (256, "V128"), "command": (384, "V3000")}

HEADER = np.dtype(
    {
        "names": [*NUMBERS, *TEXTS],
        "offsets": [offset for offset, _ in (*NUMBERS.values(), *TEXTS.values())],
        "formats": [form for _, form in (*NUMBERS.values(), *TEXTS.values())],
        "itemsize": HEADER_SIZE,
    }
)
SITE = np.dtype(
    [
        ("operation", "<u4"),
        ("context", "<u4"),
        ("freed_bytes", "<i8"),
        ("freed_count", "<i8"),
        ("allocated_bytes", "<i8"),
        ("allocated_count", "<i8"),
        ("reserved", "<u8", 3),
    ]
)
LIVE = np.dtype([("address", "<u8"), ("size", "<u8"), ("time_ns", "<u8"), ("site", "<u4"), ("thread", "<u4")])
PEAK = np.dtype(
    [
        ("sequence", "<u8"),
        ("time_ns", "<u8"),
        ("bytes", "<u8"),
        ("ring_written", "<u8"),
        ("sites", "<u8"),
        ("step", "<u8"),
        ("reserved", "<u8", 2),
    ]
)
"""What a peak slot begins with; `SHARE` of each site follows."""
SHARE = np.dtype([("bytes", "<i8"), ("buffers", "<i8")])
EVENT = np.dtype(
    [
        ("time_ns", "<u8"),
        ("address", "<u8"),
        ("size", "<u8"),
        ("site", "<u4"),
        ("thread", "<u2"),
        ("kind", "u1"),
        ("lap", "u1"),
    ]
)

EMPTY, ALLOCATED, FREED, STEP_BEGINS, STEP_ENDS, PHASE = range(6)
"""The kinds of events."""
BEFORE, OTHERS = 0, 1
"""Sites with a meaning of their own: what was there before the trace; more sites than the table holds."""
NEWEST_PEAKS = 2
"""The first slots take turns as the peak; those behind them keep peaks."""
