"""Shortens a thread's time slice, so that it runs sooner after it wakes up while every core is busy.

Linux 6.12 and later: a thread with a shorter slice preempts one with a longer slice; see sched_setattr(2) and
the kernel's Documentation/scheduler/sched-eevdf.rst. It needs no privilege. Earlier kernels ignore the call;
other systems have none.
"""

import ctypes
import os
import platform
import struct
import sys

SHORTEST = 100_000
"""Nanoseconds. The kernel accepts no shorter slice."""
# The number of the system call in <asm/unistd.h>. 32-bit systems differ, but MLX does not support them.
_NUMBERS = {"x86_64": 314, "aarch64": 274}
# struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period.
_ATTR = struct.Struct("=IIQiIQQQ")


def shorten() -> bool:
    """Requests the shortest slice for the calling thread. Returns whether the system accepted it."""
    number = _NUMBERS.get(platform.machine())
    if sys.platform != "linux" or number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attr = _ATTR.pack(_ATTR.size, os.SCHED_OTHER, 0, nice, 0, SHORTEST, 0, 0)
    return bool(ctypes.CDLL(None).syscall(ctypes.c_long(number), 0, attr, 0) == 0)
