"""What the operating system charges this process, in bytes.

macOS: `phys_footprint`, what Activity Monitor and jetsam go by: see `rusage.py`.
Linux: resident set size, which counts pages shared with other processes too. PSS, which counts those in
shares, is dear: see `system.py`.
With CUDA: the same, and none of it is MLX's. What is in use on the GPU itself: see `nvml.py`.
"""

import os
import sys
from collections.abc import Callable
from functools import lru_cache

from mlxtop.core.sample import UNKNOWN
from mlxtop.system.descriptors import out_of_the_way

KIND = "phys_footprint" if sys.platform == "darwin" else "RSS"
"""What `reader()` reads here."""


_PAGE = os.sysconf("SC_PAGE_SIZE")

EVERY = 0.25
"""Seconds: what is beyond MLX is a difference, and swings with whatever MLX does between two reads."""


class Recent:
    """The footprint as it was at most `EVERY` seconds ago, for whoever samples more often."""

    def __init__(self) -> None:
        self._read = reader()
        self.bytes = UNKNOWN
        self.due = 0.0
        """When `bytes` is too old."""

    def at(self, now: float) -> int:
        """Bytes, `UNKNOWN` when it cannot be read. `now` is `time.monotonic()`."""
        if now >= self.due:
            self.due = now + EVERY
            read = self._read()
            self.bytes = UNKNOWN if read is None else read
        return self.bytes


def reader() -> Callable[[], int | None]:
    """A function that returns the footprint of this process in bytes, `None` when it cannot be read.

    A read takes a few microseconds.
    """
    if sys.platform == "darwin":
        from mlxtop.system import rusage

        return rusage.reader()
    return _rss_reader(os.getpid())


def of(pid: int) -> int | None:
    """The footprint of another process of this user's in bytes, `None` when it cannot be read."""
    if sys.platform == "darwin":
        from mlxtop.system import rusage

        return rusage.reader(pid)()
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:  # noqa: PTH123 - pathlib costs twice as much
            return _resident(statm.read())
    except OSError:
        return None


@lru_cache(maxsize=1)
def _rss_reader(_pid: int) -> Callable[[], int | None]:
    # Once for each process: after a fork the open file is still the parent's.
    # psutil reads the same file in 17 µs; kept open it takes 2.
    try:
        statm = out_of_the_way(os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        return lambda: None

    def read() -> int | None:
        try:
            return _resident(os.pread(statm, 128, 0))
        except OSError:
            return None

    return read


def _resident(statm: bytes) -> int | None:
    """Bytes from proc_pid_statm(5), whose second field is resident pages. A zombie has none."""
    try:
        return int(statm.split()[1]) * _PAGE or None
    except (ValueError, IndexError):
        # A program that closes all descriptors may have opened another file in its place.
        return None
