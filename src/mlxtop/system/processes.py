"""Other processes, looked at from outside."""

import os
import sys
from contextlib import suppress

_EXITING = 4
"""PF_EXITING of Linux's <linux/sched.h>."""


def is_alive(pid: int) -> bool:
    """Whether process `pid` still runs. A zombie does not, although `kill(pid, 0)` finds it."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        # Another user's.
        return True
    if sys.platform != "linux":
        return not _is_zombie(pid)
    # One that is about to become a zombie has closed its sockets first.
    with suppress(OSError), open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        state, *fields = file.read().rpartition(")")[2].split()
        return state != "Z" and not int(fields[5]) & _EXITING
    return True


def _is_zombie(pid: int) -> bool:
    # Imported late: it takes 20 ms, and only here.
    import psutil

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False
