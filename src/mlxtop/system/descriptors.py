"""Descriptors that stay open in somebody else's program."""

import fcntl
import os

_HIGHEST, _ROOM = 1024, 64
"""Ours are the first free ones from `_ROOM` below the limit, or below `_HIGHEST`: a higher number would have
the system keep a larger table."""


def out_of_the_way(fd: int) -> int:
    """Moves what `fd` leads to to a high number: the program's own files get the numbers they get without us.

    Returns the new number; the old one is closed. Where there is no room it stays what it is.
    """
    limit = os.sysconf("SC_OPEN_MAX")
    floor = (min(limit, _HIGHEST) if limit > 0 else _HIGHEST) - _ROOM
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, max(3, floor))
    except OSError:
        return fd
    os.close(fd)
    return high
