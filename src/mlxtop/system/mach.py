"""Wired and compressed memory of a Mac: `host_statistics64` of <mach/mach_host.h>.

`struct vm_statistics64` of <mach/vm_statistics.h>, with the fields of every macOS that MLX supports. Not
tested on a Mac yet.
"""

import ctypes
import os
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

_HOST_VM_INFO64 = 4


class VmStatistics64(ctypes.Structure):
    """Numbers of pages and of events. `natural_t` has 4 bytes."""

    _fields_ = [
        ("free_count", ctypes.c_uint32),
        ("active_count", ctypes.c_uint32),
        ("inactive_count", ctypes.c_uint32),
        ("wire_count", ctypes.c_uint32),
        ("zero_fill_count", ctypes.c_uint64),
        ("reactivations", ctypes.c_uint64),
        ("pageins", ctypes.c_uint64),
        ("pageouts", ctypes.c_uint64),
        ("faults", ctypes.c_uint64),
        ("cow_faults", ctypes.c_uint64),
        ("lookups", ctypes.c_uint64),
        ("hits", ctypes.c_uint64),
        ("purges", ctypes.c_uint64),
        ("purgeable_count", ctypes.c_uint32),
        ("speculative_count", ctypes.c_uint32),
        ("decompressions", ctypes.c_uint64),
        ("compressions", ctypes.c_uint64),
        ("swapins", ctypes.c_uint64),
        ("swapouts", ctypes.c_uint64),
        ("compressor_page_count", ctypes.c_uint32),
        ("throttled_count", ctypes.c_uint32),
        ("external_page_count", ctypes.c_uint32),
        ("internal_page_count", ctypes.c_uint32),
        ("total_uncompressed_pages_in_compressor", ctypes.c_uint64),
    ]


_COUNT = ctypes.sizeof(VmStatistics64) // 4
"""HOST_VM_INFO64_REV1_COUNT: the structure in units of `integer_t`."""


class Pages(NamedTuple):
    """The machine's memory by state, in bytes."""

    wired: int
    compressed: int
    """The memory used by the compressor: Activity Monitor's "Compressed"."""
    available: int
    """Free and inactive memory, as in psutil."""


@lru_cache(maxsize=1)
def reader() -> Callable[[], Pages | None] | None:
    """Returns a function that reads them; `None` if the system lacks the calls."""
    try:
        libc = ctypes.CDLL(None)
        host_self, statistics = libc.mach_host_self, libc.host_statistics64
    except (OSError, AttributeError):
        return None
    host_self.argtypes, host_self.restype = [], ctypes.c_uint32
    statistics.argtypes = [
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.POINTER(VmStatistics64),
        ctypes.POINTER(ctypes.c_uint32),
    ]
    statistics.restype = ctypes.c_int
    # Each call returns a new port right, so it is called once and never released.
    host, page = host_self(), os.sysconf("SC_PAGE_SIZE")

    def read() -> Pages | None:
        found, count = VmStatistics64(), ctypes.c_uint32(_COUNT)
        if (
            statistics(host, _HOST_VM_INFO64, ctypes.byref(found), ctypes.byref(count))
            or count.value < _COUNT
        ):
            return None
        free = found.free_count + found.inactive_count
        return Pages(found.wire_count * page, found.compressor_page_count * page, free * page)

    return read
