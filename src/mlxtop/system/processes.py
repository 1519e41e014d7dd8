"""The state of other processes."""

import os
import sys
from contextlib import suppress

_EXITING = 4
"""PF_EXITING of Linux's <linux/sched.h>."""


def is_alive(pid: int) -> bool:
    """Returns whether process `pid` runs. A zombie does not, although `kill(pid, 0)` finds it."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        # It belongs to another user.
        return True
    if sys.platform != "linux":
        return not _is_zombie(pid)
    # An exiting process closes its sockets before it becomes a zombie.
    with suppress(OSError), open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        state, *fields = file.read().rpartition(")")[2].split()
        return state != "Z" and not int(fields[5]) & _EXITING
    return True


def _is_zombie(pid: int) -> bool:
    # Imported here because it takes 20 ms.
    import psutil

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False
