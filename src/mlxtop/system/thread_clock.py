"""The processor time of another thread of this process.

Linux: clock_gettime(2) with the clock of a kernel thread id, computed as in <linux/posix-timers.h>. For a
thread that has ended it fails, where pthread_getcpuclockid(3) is undefined. macOS: `thread_info` of
<mach/thread_act.h> with THREAD_BASIC_INFO; not tested on a Mac yet.
"""

import ctypes
import sys
import time

_THREAD_BASIC_INFO = 3
_PER_THREAD_SCHED = 4 | 2
"""CPUCLOCK_PERTHREAD_MASK and CPUCLOCK_SCHED."""


class ThreadBasicInfo(ctypes.Structure):
    """The structure of <mach/thread_info.h>. Only the two times, in seconds and microseconds, are used."""

    _fields_ = [
        ("user_seconds", ctypes.c_int),
        ("user_microseconds", ctypes.c_int),
        ("system_seconds", ctypes.c_int),
        ("system_microseconds", ctypes.c_int),
        ("cpu_usage", ctypes.c_int),
        ("policy", ctypes.c_int),
        ("run_state", ctypes.c_int),
        ("flags", ctypes.c_int),
        ("suspend_count", ctypes.c_int),
        ("sleep_time", ctypes.c_int),
    ]


def seconds(ident: int, native_id: int) -> float | None:
    """Returns a thread's processor time in seconds; `None` if it has ended or the time is unknown."""
    if sys.platform == "darwin":
        return _mach(ident)
    try:
        return time.clock_gettime((~native_id << 3) | _PER_THREAD_SCHED)
    except OSError:
        return None


def _mach(ident: int) -> float | None:
    try:
        libc = ctypes.CDLL(None)
        port_of, thread_info = libc.pthread_mach_thread_np, libc.thread_info
    except (OSError, AttributeError):
        return None
    port_of.argtypes, port_of.restype = [ctypes.c_void_p], ctypes.c_uint32
    thread_info.argtypes = [
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.POINTER(ThreadBasicInfo),
        ctypes.POINTER(ctypes.c_uint32),
    ]
    thread_info.restype = ctypes.c_int
    # It finds only running threads. The returned port right need not be released.
    port = port_of(ident)
    found, count = ThreadBasicInfo(), ctypes.c_uint32(ctypes.sizeof(ThreadBasicInfo) // 4)
    if not port or thread_info(port, _THREAD_BASIC_INFO, ctypes.byref(found), ctypes.byref(count)):
        return None
    whole = found.user_seconds + found.system_seconds
    return float(whole + (found.user_microseconds + found.system_microseconds) / 1e6)
