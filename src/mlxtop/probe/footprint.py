"""What the operating system charges this process, in bytes.

macOS: `phys_footprint`, what Activity Monitor and jetsam go by (`proc_pid_rusage`, <libproc.h>,
struct rusage_info_v0 in <sys/resource.h>). Never run by us on a Mac yet.
Linux: resident set size, which counts pages shared with other processes too.
"""

import ctypes
import os
import sys
from collections.abc import Callable

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

    A read takes about 25 µs: meant for once a second.
    """
    return _phys_footprint_reader() if sys.platform == "darwin" else _rss_reader()


def _rss_reader() -> Callable[[], int | None]:
    # Imported late: the first frame does not wait for it.
    import psutil

    process = psutil.Process()

    def read() -> int | None:
        try:
            return int(process.memory_info().rss)
        except psutil.Error:
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
