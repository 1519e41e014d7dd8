"""What the machine says of its memory: the readings that the dashboard shows beside MLX's."""

import os
import sys
from collections.abc import Iterator

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
    yield section.ok(
        "swap",
        f"{_size(machine.swap_used)} of {_size(machine.swap_total)} used" if machine.swap_total else "none",
    )
    yield section.known("pressure", machine.pressure, "This system does not tell its memory pressure.")
    if sys.platform == "linux":
        yield _gpu(section)


def _gpu(section: Section) -> Finding:
    read = nvml.reader()
    found = read() if read else None
    if found is None:
        return section.ok("GPU", "none, or several")
    return section.ok("GPU", f"{_size(found[0])} of {_size(found[1])} used")


def _size(size: int | None) -> str | None:
    return None if size is None else format_size(size)
