"""The machine's memory as the system reports it. Each function returns `None` if it cannot be read.

Linux: cgroups(7) in both versions, proc_pid_smaps_rollup(5), proc_meminfo(5), `psi.py`. macOS: `sysctl.py`,
`mach.py`, `iokit.py`, `thermal.py`, not tested on a Mac yet. A GPU with its own memory: `nvml.py`.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mlxtop.core.machine import System

NO_LIMIT = 2**62
"""cgroup v1 represents "no limit" by the largest multiple of a page. Larger values mean no limit."""


class Cgroup:
    """The memory cgroup of one process: the files with its limits and its usage."""

    def __init__(
        self,
        limits: list[str],
        used: str,
        stat: str,
        reclaimable: bytes,
        path: str,
        pressure: str,
        events: str,
        hits: str,
    ) -> None:
        self._limits, self._used, self._stat, self._reclaimable = limits, used, stat, reclaimable
        self._events, self._hits = events, hits
        self.path = path
        self.pressure = pressure
        """The file with the group's pressure. Version 1 has none."""

    @property
    def limit(self) -> int | None:
        """The lowest limit of the group and its parents in bytes; `None` without a limit."""
        found = [int(text) for file in self._limits if (text := _text(file).strip()).isdecimal()]
        least = min(found, default=NO_LIMIT)
        return least if least < NO_LIMIT else None

    @property
    def used(self) -> int | None:
        """The bytes charged, without inactive file pages: the kernel frees those before it kills."""
        text = _text(self._used).strip()
        if not text.isdecimal():
            return None
        for line in _text(self._stat).encode().splitlines():
            if line.startswith(self._reclaimable):
                return max(0, int(text) - int(line.split()[1]))
        return int(text)

    @property
    def oom_kills(self) -> int | None:
        """How many of its processes the kernel's OOM killer has ended so far."""
        return _counter(self._events, "oom_kill")

    @property
    def limit_hits(self) -> int | None:
        """How often one of these limits left an allocation without memory; version 1 counts each time that
        something had to be given back first."""
        folders = [os.path.dirname(file) for file in self._limits]  # noqa: PTH120 - as below
        texts = [_text(f"{folder}/{self._hits}") for folder in folders]
        found = [int(text) if text.strip().isdecimal() else _field(text, "oom") for text in texts]
        return sum(known) if (known := [hits for hits in found if hits is not None]) else None


def cgroup(pid: int | str = "self", root: str = "") -> Cgroup | None:
    """Returns the memory cgroup of a process. `root` is a prefix for all paths, for tests."""
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
        # In a container the mount shows only the container's part of the tree.
        rest = path.removeprefix(inside.rstrip("/")) if path.startswith(inside) else "/"
        parts = [part for part in rest.split("/") if part and part != ".."]
        folders = [root + "/".join([mount, *parts[:n]]) for n in range(len(parts), -1, -1)]
        here = next((folder for folder in folders if os.path.isdir(folder)), None)  # noqa: PTH112
        if here is None:
            return None
        limit, used, reclaimable, events, hits = (
            ("memory.max", "memory.current", b"inactive_file ", "memory.events", "memory.events")
            if version == 2
            else (
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                b"total_inactive_file ",
                "memory.oom_control",
                "memory.failcnt",
            )
        )
        return Cgroup(
            [f"{folder}/{limit}" for folder in folders],
            f"{here}/{used}",
            f"{here}/memory.stat",
            reclaimable,
            path,
            f"{here}/memory.pressure",
            f"{here}/{events}",
            hits,
        )
    return None


def _group(text: str) -> tuple[int, str | None]:
    """Returns the version and the path of the group for memory; that of version 1 if there is one."""
    unified = None
    for line in text.splitlines():
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return 1, path
        if number == "0" and not controllers:
            unified = path
    return 2, unified


def cgroup_limit() -> int | None:
    """Returns the memory limit of this process's container in bytes; `None` without a limit."""
    found = cgroup()
    return found.limit if found else None


def oom_kills() -> int | None:
    """Linux: returns how many processes of the machine the kernel's OOM killer has ended so far."""
    return _counter("/proc/vmstat", "oom_kill")


def _counter(path: str, name: str) -> int | None:
    """Returns the value in a file with lines of a name and a number."""
    return _field(_text(path), name)


def _field(text: str, name: str) -> int | None:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdecimal():
            return int(value)
    return None


def available() -> int | None:
    """Linux: returns the memory that is available without swapping, in bytes."""
    return _meminfo().get("MemAvailable")


def _meminfo(text: str | None = None) -> dict[str, int]:
    """Linux: returns the sizes of proc_meminfo(5) in bytes."""
    lines = (_text("/proc/meminfo") if text is None else text).splitlines()
    words = [line.split() for line in lines if line.endswith(" kB")]
    return {name.rstrip(":"): int(value) * 1024 for name, value, *_ in words if value.isdigit()}


def pss(pid: int | str = "self") -> int | None:
    """Linux: returns the proportional set size of a process in bytes.

    The kernel visits all pages: it takes 0.1 ms for a small process, and 5 to 10 ms for each gigabyte in
    small pages.
    """
    for line in _text(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return None


def version() -> str:
    """Returns the operating system's name and version: `macOS 15.5 (24F74)`, `Linux 6.12.3`."""
    if sys.platform == "darwin":
        from mlxtop.system import sysctl

        if found := sysctl.version():
            return found
    return f"{os.uname().sysname} {os.uname().release}"


def reader(pid: int, unified: bool) -> Callable[[bool], System]:
    """Returns a function that reads everything for a process on this machine; with True also the slow PSS.

    `unified`: the device has no memory of its own.
    """
    group = cgroup(pid)
    machine = _mac if sys.platform == "darwin" else _linux(group)
    gpu = None
    if not unified:
        from mlxtop.system import nvml

        gpu = nvml.reader()

    def read(slow: bool) -> System:
        found = machine().replace(
            cgroup_limit=group.limit if group else None,
            cgroup_used=group.used if group else None,
            pss=pss(pid) if slow else None,
        )
        if gpu is None:
            return found
        device = gpu()
        return found.replace(
            device_used=device.used, device_total=device.total, gpu=device.busy, thermal=device.thermal
        )

    return read


def _mac() -> System:
    """Reads a Mac. A source that fails leaves only its own numbers unknown."""
    from mlxtop.core.machine import System
    from mlxtop.system import iokit, mach, sysctl, thermal

    swap_used, swap_total = sysctl.swap() or (None, None)
    pages = (mach.reader() or _nothing)()
    return System(
        pressure=sysctl.pressure(),
        available=pages and pages.available,
        swap_used=swap_used,
        swap_total=swap_total,
        compressed=pages and pages.compressed,
        wired=pages and pages.wired,
        wired_limit=sysctl.wired_limit(),
        gpu=(iokit.reader() or _nothing)(),
        thermal=(thermal.reader() or _nothing)(),
    )


def _nothing() -> None:
    """Stands for a reader that is not available."""


def _linux(group: Cgroup | None) -> Callable[[], System]:
    """Returns a reader of a Linux machine. The pressure is the container's if its memory is limited."""
    # Imported here: an agent asks for a few single numbers only.
    from mlxtop.core.machine import System
    from mlxtop.system import psi

    own = _text(group.pressure) if group is not None and group.limit is not None else ""
    pressure = group.pressure if group is not None and psi.parse(own) else "/proc/pressure/memory"

    def read() -> System:
        fields, stalls = _meminfo(), psi.parse(_text(pressure))
        total, free = fields.get("SwapTotal"), fields.get("SwapFree")
        return System(
            pressure=psi.level(*stalls) if stalls else None,
            stalled=stalls[0] if stalls else None,
            available=fields.get("MemAvailable"),
            swap_used=None if total is None or free is None else total - free,
            swap_total=total,
            compressed=fields.get("Zswap"),
        )

    return read


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - pathlib costs twice as much
            return file.read()
    except OSError:
        return ""
