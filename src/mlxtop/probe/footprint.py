"""What the operating system charges this process, in bytes.

macOS: `phys_footprint`, what Activity Monitor and jetsam go by (`proc_pid_rusage`, <libproc.h>,
struct rusage_info_v0 in <sys/resource.h>). Never run by us on a Mac yet.
Linux: resident set size, which counts pages shared with other processes too.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache

KIND = "phys_footprint" if sys.platform == "darwin" else "RSS"
"""What `reader()` reads here."""

_RUSAGE_INFO_V0 = 0


class _RusageInfoV0(ctypes.Structure):
    _fields_ = [
        ("uuid", ctypes.c_uint8 * 16),
        ("user_time", ctypes.c_uint64),
        ("system_time", ctypes.c_uint64),
        ("pkg_idle_wkups", ctypes.c_uint64),
        ("interrupt_wkups", ctypes.c_uint64),
        ("pageins", ctypes.c_uint64),
        ("wired_size", ctypes.c_uint64),
        ("resident_size", ctypes.c_uint64),
        ("phys_footprint", ctypes.c_uint64),
        ("proc_start_abstime", ctypes.c_uint64),
        ("proc_exit_abstime", ctypes.c_uint64),
    ]


def reader() -> Callable[[], int | None]:
    """A function that returns the footprint of this process in bytes, `None` when it cannot be read.

    A read takes a few microseconds: meant for once a second.
    """
    return _phys_footprint_reader() if sys.platform == "darwin" else _rss_reader()


@cache
def _rss_reader() -> Callable[[], int | None]:
    # psutil reads the same file in 17 µs; kept open it takes 2, once a second for as long as a run lasts.
    statm, page = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC), os.sysconf("SC_PAGE_SIZE")

    def read() -> int | None:
        try:
            # The second field of proc_pid_statm(5): resident pages.
            return int(os.pread(statm, 128, 0).split()[1]) * page
        except OSError:
            return None

    return read


def _phys_footprint_reader() -> Callable[[], int | None]:
    rusage = ctypes.CDLL(None).proc_pid_rusage
    rusage.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.POINTER(_RusageInfoV0)]
    rusage.restype = ctypes.c_int
    info, pid = _RusageInfoV0(), os.getpid()

    def read() -> int | None:
        return int(info.phys_footprint) if rusage(pid, _RUSAGE_INFO_V0, ctypes.byref(info)) == 0 else None

    return read
