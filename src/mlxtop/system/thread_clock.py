"""The processor time of another thread of this process.

Linux: clock_gettime(2) on the clock of a kernel thread id, made as <linux/posix-timers.h> does: of a thread
that has ended it is an error, where pthread_getcpuclockid(3) is undefined. macOS: `thread_info` of
<mach/thread_act.h> with THREAD_BASIC_INFO; never run by us on a Mac yet.
"""

import ctypes
import sys
import time

_THREAD_BASIC_INFO = 3
_PER_THREAD_SCHED = 4 | 2
"""CPUCLOCK_PERTHREAD_MASK and CPUCLOCK_SCHED."""


class ThreadBasicInfo(ctypes.Structure):
    """<mach/thread_info.h>: two `time_value_t` in seconds and microseconds, then what is not of use here."""

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
    """Processor time of the thread with these ids, `None` when it has ended or the system does not tell."""
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
    # It looks the thread up among those that live, and hands out no right that had to be given back.
    port = port_of(ident)
    found, count = ThreadBasicInfo(), ctypes.c_uint32(ctypes.sizeof(ThreadBasicInfo) // 4)
    if not port or thread_info(port, _THREAD_BASIC_INFO, ctypes.byref(found), ctypes.byref(count)):
        return None
    whole = found.user_seconds + found.system_seconds
    return float(whole + (found.user_microseconds + found.system_microseconds) / 1e6)
