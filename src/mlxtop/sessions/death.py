"""What is known of a watched process when it ends, and why it died."""

import os
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mlxtop.analysis.post_mortem import Cause
from mlxtop.core.text import block, plain
from mlxtop.core.transcript import Transcript
from mlxtop.system import machine

LINES = 60
"""The last lines of a program's output that are looked at."""
READ_MOST = 2**14
"""Bytes of a file with standard error that are read."""
REDUNDANT = ("killed", "exit code", "unknown")
"""Kinds of cause that say no more than how a process ended does."""


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a process that did not end as it should."""

    time: float
    """Seconds since the epoch."""
    how: str
    """How it ended, in a few words: `the program ended with exit code 1`."""
    cause: Cause
    where: str | None = None
    """File, line and function of the exception that ended it, if it is known."""
    lines: tuple[str, ...] = ()
    """The last lines of its output; empty where mlxtop does not have them."""

    @property
    def text(self) -> str:
        """How and why it ended, in one line."""
        return self.how if self.cause.kind in REDUNDANT else f"{self.how}: {self.cause.what}"


class Grown(NamedTuple):
    """By how much counters grew; `None` is what nobody knows."""

    kills: int | None = None
    """Processes of the container that the OOM killer ended."""
    hits: int | None = None
    """How often the container's limit was hit."""
    machine_kills: int | None = None
    """Processes of the machine that the OOM killer ended."""


class OomCounters:
    """The counters of the kernel's OOM killer for the container of process `pid`, and for the machine.

    `root` is a prefix for the paths of the container, for tests.
    """

    def __init__(self, pid: int, root: str = "") -> None:
        self._group = machine.cgroup(pid, root)
        self._before = self._read(machine.oom_kills())

    def look(self, machine_kills: int | None) -> None:
        """Reads them, from time to time, but the machine's, which is the same for all processes."""
        self._before = self._read(machine_kills)

    def grown(self) -> Grown:
        """By how much they grew since the last look."""
        return Grown(*map(_minus, self._read(machine.oom_kills()), self._before))

    def _read(self, machine_kills: int | None) -> Grown:
        group = self._group
        own = (group.oom_kills, group.limit_hits) if group else (None, None)
        return Grown(*own, machine_kills)


def _minus(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else now - before


def printed(transcript: Transcript | None) -> tuple[str, ...]:
    """The last lines that a program printed."""
    lines = transcript.since(0) if transcript is not None else []
    return tuple(line.text for line in lines if line.who == "out")[-LINES:]


class ErrorFile:
    """A regular file to which a program's standard error goes: what is written to it from now on."""

    def __init__(self, fd: int) -> None:
        self._file: tuple[int, int] | None = None
        # Where it cannot be read the program is watched without it.
        with suppress(OSError):
            found = os.fstat(fd)
            if stat.S_ISREG(found.st_mode):
                self._path, self._begin = _path(fd), found.st_size
                self._file = found.st_dev, found.st_ino

    def lines(self) -> tuple[str, ...]:
        """The last lines; empty if they cannot be read."""
        if self._file is None:
            return ()
        with suppress(OSError), Path(self._path).open("rb") as file:
            found = os.fstat(file.fileno())
            if (found.st_dev, found.st_ino) == self._file:
                begin = self._begin if self._begin <= found.st_size else 0
                file.seek(max(begin, found.st_size - READ_MOST))
                return tuple(block(plain(file.read(READ_MOST).decode(errors="replace"))).splitlines())[
                    -LINES:
                ]
        return ()


def _path(fd: int) -> str:
    """The path of an open file. It was opened for writing, so that reading needs the path."""
    if sys.platform == "darwin":
        import fcntl

        return os.fsdecode(fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
    return f"/proc/self/fd/{fd}"
