"""`phys_footprint` on macOS: `proc_pid_rusage` in <libproc.h>, struct rusage_info_v0 in <sys/resource.h>.

Not tested on a Mac yet.
"""

import ctypes
import os
from collections.abc import Callable

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


def reader(pid: int | None = None) -> Callable[[], int | None]:
    """Returns a function that reads `phys_footprint` in bytes, `None` if that fails.

    It is that of this process or of another process of this user, which needs no root.
    """
    rusage = ctypes.CDLL(None).proc_pid_rusage
    rusage.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.POINTER(_RusageInfoV0)]
    rusage.restype = ctypes.c_int
    info, of = _RusageInfoV0(), os.getpid() if pid is None else pid

    def read() -> int | None:
        found = rusage(of, _RUSAGE_INFO_V0, ctypes.byref(info)) == 0
        # A running process has some memory. Only a zombie has none.
        return int(info.phys_footprint) or None if found else None

    return read
