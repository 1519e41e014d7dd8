"""What the machine says of its memory: the readings that the dashboard shows beside MLX's."""

import os
import sys
from collections.abc import Iterator

from mlxtop.core.system import System
from mlxtop.core.units import format_size
from mlxtop.doctor.finding import Finding, Section
from mlxtop.probe import footprint, nvml, system


def check(section: Section) -> Iterator[Finding]:
    """Each reading once, for this process."""
    machine = system.reader(os.getpid(), unified=True)(True)
    charged = footprint.reader()()
    yield section.known(footprint.KIND, _size(charged), "The system does not tell what it charges a process.")
    if sys.platform == "linux":
        yield section.known(
            "PSS", _size(machine.pss), "The kernel gives no smaps_rollup: RSS is shown instead."
        )
        yield section.ok("cgroup limit", _size(machine.cgroup_limit) or "none")
    yield section.known("swap", _swap(machine), "The system does not tell its swap.")
    yield section.known("pressure", machine.pressure, "The system does not tell its memory pressure.")
    if sys.platform == "linux":
        yield _gpu(section)
    else:
        yield from _mac(section, machine)


def _swap(machine: System) -> str | None:
    if machine.swap_used is None or machine.swap_total is None:
        return None
    return f"{_size(machine.swap_used)} of {_size(machine.swap_total)} used" if machine.swap_total else "none"


def _mac(section: Section, machine: System) -> Iterator[Finding]:
    yield section.ok("iogpu.wired_limit_mb", _size(machine.wired_limit) or "not set")
    busy = None if machine.gpu is None else f"{machine.gpu:.0%}"
    for name, value, source in (
        ("wired", _size(machine.wired), "host_statistics64"),
        ("compressed", _size(machine.compressed), "host_statistics64"),
        ("GPU use", busy, "IOAccelerator's PerformanceStatistics"),
        ("thermal pressure", machine.thermal, "com.apple.system.thermalpressurelevel"),
    ):
        yield section.known(name, value, f"{source} does not tell it: the screen shows a dash.")


def _gpu(section: Section) -> Finding:
    read = nvml.reader()
    found = read() if read else None
    if found is None:
        return section.ok("GPU", "none, or several")
    return section.ok("GPU", f"{_size(found.used) or '—'} of {_size(found.total) or '—'} used")


def _size(size: int | None) -> str | None:
    return None if size is None else format_size(size)
