"""What the machine says of its own memory. Each function returns `None` where there is nothing to read.

Linux: cgroups(7) in both versions, proc_pid_smaps_rollup(5), proc_meminfo(5). macOS: `sysctl.py`, never run
on a Mac. A GPU with memory of its own: `nvml.py`.
"""

import os
import sys
from collections.abc import Callable

from mlxtop.core.system import System

NO_LIMIT = 2**62
"""cgroup v1 writes no limit as the largest multiple of a page: anything near it is none."""


class Cgroup:
    """The memory group of one process: the files that tell its limit and what is charged to it."""

    def __init__(self, limits: list[str], used: str, stat: str, reclaimable: bytes, path: str) -> None:
        self._limits, self._used, self._stat, self._reclaimable = limits, used, stat, reclaimable
        self.path = path

    @property
    def limit(self) -> int | None:
        """The least limit of the group and those around it in bytes; `None` for no limit at all."""
        found = [int(text) for file in self._limits if (text := _text(file).strip()).isdigit()]
        least = min(found, default=NO_LIMIT)
        return least if least < NO_LIMIT else None

    @property
    def used(self) -> int | None:
        """Bytes charged, but for file pages nobody used lately, which the kernel drops before it kills."""
        text = _text(self._used).strip()
        if not text.isdigit():
            return None
        for line in _text(self._stat).encode().splitlines():
            if line.startswith(self._reclaimable):
                return max(0, int(text) - int(line.split()[1]))
        return int(text)


def cgroup(pid: int | str = "self", root: str = "") -> Cgroup | None:
    """The memory group of a process. `root` is put before every path, for a system kept in a folder."""
    version, path = _group(_text(f"{root}/proc/{pid}/cgroup"))
    if path is None:
        return None
    for line in _text(f"{root}/proc/{pid}/mountinfo").splitlines():
        head, _, tail = line.partition(" - ")
        fields, kinds = head.split(), tail.split()
        mine = kinds[:1] == ["cgroup2"] if version == 2 else "memory" in kinds[-1].split(",")
        if not mine or not kinds[0].startswith("cgroup"):
            continue
        inside, mount = fields[3], fields[4]
        # In a container the mount shows only our own part of the tree.
        rest = path.removeprefix(inside.rstrip("/")) if path.startswith(inside) else "/"
        parts = [part for part in rest.split("/") if part and part != ".."]
        folders = [root + "/".join([mount, *parts[:n]]) for n in range(len(parts), -1, -1)]
        here = next((folder for folder in folders if os.path.isdir(folder)), None)  # noqa: PTH112
        if here is None:
            return None
        limit, used, reclaimable = (
            ("memory.max", "memory.current", b"inactive_file ")
            if version == 2
            else ("memory.limit_in_bytes", "memory.usage_in_bytes", b"total_inactive_file ")
        )
        limits = [f"{folder}/{limit}" for folder in folders]
        return Cgroup(limits, f"{here}/{used}", f"{here}/memory.stat", reclaimable, path)
    return None


def _group(text: str) -> tuple[int, str | None]:
    """The version and the path of the group that memory is charged to: v1's own if there is one."""
    unified = None
    for line in text.splitlines():
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return 1, path
        if number == "0" and not controllers:
            unified = path
    return 2, unified


def cgroup_limit() -> int | None:
    """The memory limit of this process's container in bytes."""
    found = cgroup()
    return found.limit if found else None


def swap() -> tuple[int, int] | None:
    """Swap in use and swap there is, in bytes; `None` where there is none."""
    if sys.platform == "darwin":
        from mlxtop.probe import sysctl

        found = sysctl.swap()
    else:
        found = _linux_swap(_text("/proc/meminfo"))
    return found if found and found[1] else None


def _linux_swap(text: str) -> tuple[int, int] | None:
    fields = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name in ("SwapTotal", "SwapFree"):
            fields[name] = int(value.split()[0]) * 1024
    if len(fields) < 2:
        return None
    return fields["SwapTotal"] - fields["SwapFree"], fields["SwapTotal"]


def available() -> int | None:
    """Linux: what can be had without swapping, in bytes."""
    for line in _text("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def pressure() -> str | None:
    """macOS's memory pressure: `normal`, `warning` or `critical`, as Activity Monitor colours it."""
    if sys.platform != "darwin":
        return None
    from mlxtop.probe import sysctl

    return sysctl.pressure()


def pss(pid: int | str = "self") -> int | None:
    """Linux: the proportional set size of a process in bytes.

    Dear, because the kernel walks all its pages: 0.1 ms for a small process, and 5 to 10 ms for each gigabyte
    in small pages.
    """
    for line in _text(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return None


def reader(pid: int, unified: bool) -> Callable[[bool], System]:
    """A function that reads all of it for a process on this machine; given True, what is dear too.

    `unified` says that the device has no memory of its own.
    """
    group = cgroup(pid)
    device = None
    if not unified:
        from mlxtop.probe import nvml

        device = nvml.reader()

    def read(dear: bool) -> System:
        swap_used, swap_total = swap() or (None, None)
        device_used, device_total = (device() if device else None) or (None, None)
        return System(
            swap_used,
            swap_total,
            pressure(),
            group.limit if group else None,
            group.used if group else None,
            device_used,
            device_total,
            pss(pid) if dear else None,
        )

    return read


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - pathlib costs twice as much
            return file.read()
    except OSError:
        return ""
