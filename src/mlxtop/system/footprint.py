"""The memory that the operating system charges to a process, in bytes.

macOS: `phys_footprint`, which Activity Monitor and jetsam use; see `rusage.py`.
Linux: resident set size, which includes pages shared with other processes. PSS, which divides shared pages,
takes longer to read; see `machine.py`.
CUDA: as on Linux, without MLX's memory. For the memory of the GPU see `nvml.py`.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache

from mlxtop.core.units import UNKNOWN
from mlxtop.system.descriptors import out_of_the_way

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

KIND = "phys_footprint" if sys.platform == "darwin" else "RSS"
"""What `reader()` reads on this system."""


_PAGE = os.sysconf("SC_PAGE_SIZE")

EVERY = 0.25
"""Seconds between reads."""


class Recent:
    """The footprint, read at most every `EVERY` seconds."""

    def __init__(self) -> None:
        self._read = reader()
        self.bytes = UNKNOWN
        self.due = 0.0
        """When `bytes` must be read again."""

    def at(self, now: float) -> int:
        """Returns bytes, `UNKNOWN` if it cannot be read. `now` is `time.monotonic()`."""
        if now >= self.due:
            self.due = now + EVERY
            read = self._read()
            self.bytes = UNKNOWN if read is None else read
        return self.bytes


def reader() -> Callable[[], int | None]:
    """Returns a function that reads this process's footprint in bytes, `None` if that fails.

    A read takes a few microseconds.
    """
    if sys.platform == "darwin":
        from mlxtop.system import rusage

        return rusage.reader()
    return _rss_reader(os.getpid())


def of(pid: int) -> int | None:
    """Returns the footprint of another process of this user in bytes, `None` if it cannot be read."""
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
    # Once for each process: after a fork the open file is the parent's.
    # psutil reads the same file in 17 µs; with the file kept open it takes 2.
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
    """Returns bytes from proc_pid_statm(5): its second field is the resident pages. A zombie has none."""
    try:
        return int(statm.split()[1]) * _PAGE or None
    except (ValueError, IndexError):
        # The program may have closed the descriptor and opened another file with its number.
        return None
