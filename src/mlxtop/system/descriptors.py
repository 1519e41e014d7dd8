"""File descriptors: those that the agent keeps open in a watched program, and how many a viewer may have."""

import fcntl
import os

_HIGHEST, _ROOM = 1024, 64
"""The agent uses the first free numbers from `_ROOM` below the limit or below `_HIGHEST`, whichever is lower.
Higher numbers would enlarge the kernel's table."""


MANY = 10_240
"""Descriptors that a viewer may need: macOS gives no process more, and 256 to begin with."""


def allow_many() -> None:
    """Lets this process have `MANY` descriptors, or as many as the system lets it."""
    # Imported here: an agent has no use for it.
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < MANY:
        most = MANY if hard == resource.RLIM_INFINITY else min(MANY, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def out_of_the_way(fd: int) -> int:
    """Moves a descriptor to a high number, so that the program's files get their usual numbers.

    Returns the new number and closes the old one. If no number is free, returns `fd`.
    """
    limit = os.sysconf("SC_OPEN_MAX")
    floor = (min(limit, _HIGHEST) if limit > 0 else _HIGHEST) - _ROOM
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, max(3, floor))
    except OSError:
        return fd
    os.close(fd)
    return high
