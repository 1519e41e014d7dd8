"""How soon the system lets a thread run that wakes up while every core is busy.

Linux 6.12 and later: the slice a thread asks for is how long it means to run at a time, and one that asks for
less is let in before one that runs already: sched_setattr(2), and Documentation/scheduler/sched-eevdf.rst of
the kernel. No privilege is needed for it. Earlier kernels take the call and do nothing; elsewhere there is
none.
"""

import ctypes
import os
import platform
import struct
import sys

SHORTEST = 100_000
"""Nanoseconds: the kernel takes no shorter slice."""
# The call's number in <asm/unistd.h>; 32-bit systems, which have others, are none that MLX runs on.
_NUMBERS = {"x86_64": 314, "aarch64": 274}
# struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period.
_ATTR = struct.Struct("=IIQiIQQQ")


def shorten() -> bool:
    """Asks for the shortest slice for the thread that calls; whether the system took it."""
    number = _NUMBERS.get(platform.machine())
    if sys.platform != "linux" or number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attr = _ATTR.pack(_ATTR.size, os.SCHED_OTHER, 0, nice, 0, SHORTEST, 0, 0)
    return bool(ctypes.CDLL(None).syscall(ctypes.c_long(number), 0, attr, 0) == 0)
