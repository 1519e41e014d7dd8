"""A Mac's thermal pressure: the state of a notification, notify(3) and <libkern/OSThermalNotification.h>.

It is the "current pressure level" of `powermetrics`, but needs no root. Not tested on a Mac yet.
"""

import ctypes
from collections.abc import Callable
from functools import lru_cache

NAME = b"com.apple.system.thermalpressurelevel"
LEVELS = ("nominal", "moderate", "heavy", "trapping", "sleeping")
"""The values of `OSThermalPressureLevel` on macOS, from 0 on."""


@lru_cache(maxsize=1)
def reader() -> Callable[[], str | None] | None:
    """Returns a function that reads one of `LEVELS`; `None` if there is no such notification."""
    try:
        libc = ctypes.CDLL(None)
        register, state = libc.notify_register_check, libc.notify_get_state
    except (OSError, AttributeError):
        return None
    register.argtypes, register.restype = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_int)], ctypes.c_uint32
    state.argtypes, state.restype = [ctypes.c_int, ctypes.POINTER(ctypes.c_uint64)], ctypes.c_uint32
    # The registration is never cancelled.
    token = ctypes.c_int()
    if register(NAME, ctypes.byref(token)):
        return None

    def read() -> str | None:
        level = ctypes.c_uint64()
        if state(token, ctypes.byref(level)) or level.value >= len(LEVELS):
            return None
        return LEVELS[level.value]

    return read
