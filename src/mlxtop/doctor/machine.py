"""Tests the machine's readings of memory that the dashboard shows."""

import os
import sys
from collections.abc import Iterator

from mlxtop.core.machine import System
from mlxtop.core.units import format_size
from mlxtop.doctor.finding import Finding, Section
from mlxtop.system import footprint, machine, nvml


def check(section: Section) -> Iterator[Finding]:
    """Each reading once, for this process."""
    system = machine.reader(os.getpid(), unified=True)(True)
    charged = footprint.reader()()
    yield section.known(footprint.KIND, _size(charged), "The system does not report a process's footprint.")
    if sys.platform == "linux":
        yield section.known("PSS", _size(system.pss), "The kernel has no smaps_rollup. RSS is shown instead.")
        yield section.ok("cgroup limit", _size(system.cgroup_limit) or "none")
    yield section.known("swap", _swap(system), "The system does not report its swap.")
    yield section.known("pressure", system.pressure, "The system does not report its memory pressure.")
    if sys.platform == "linux":
        yield _gpu(section)
    else:
        yield from _mac(section, system)


def _swap(system: System) -> str | None:
    if system.swap_used is None or system.swap_total is None:
        return None
    return f"{_size(system.swap_used)} of {_size(system.swap_total)} used" if system.swap_total else "none"


def _mac(section: Section, system: System) -> Iterator[Finding]:
    yield section.ok("iogpu.wired_limit_mb", _size(system.wired_limit) or "not set")
    busy = None if system.gpu is None else f"{system.gpu:.0%}"
    for name, value, source in (
        ("wired", _size(system.wired), "host_statistics64"),
        ("compressed", _size(system.compressed), "host_statistics64"),
        ("GPU use", busy, "IOAccelerator's PerformanceStatistics"),
        ("thermal pressure", system.thermal, "com.apple.system.thermalpressurelevel"),
    ):
        yield section.known(name, value, f"{source} does not report it. The screen shows a dash.")


def _gpu(section: Section) -> Finding:
    read = nvml.reader()
    found = read() if read else None
    if found is None:
        return section.ok("GPU", "none, or several")
    return section.ok("GPU", f"{_size(found.used) or '—'} of {_size(found.total) or '—'} used")


def _size(size: int | None) -> str | None:
    return None if size is None else format_size(size)
