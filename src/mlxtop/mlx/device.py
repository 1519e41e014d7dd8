"""Reads the facts of this process: see `core/facts.py`."""

import os
import sys

from mlxtop import __version__
from mlxtop.core.facts import Facts, words
from mlxtop.core.parsing import whole
from mlxtop.mlx import backend
from mlxtop.system import footprint, machine

BUFFER_LIMIT = "MLXTOP_BUFFER_LIMIT"
"""Environment variable: the most buffers at once, where the device sets no such limit or a higher one."""


def facts(packages: bool = True) -> Facts:
    """The device, its ceilings and the versions, as they are here.

    Looking up `packages` that are not imported takes 10 ms. Raises `NoBackendError` when MLX cannot run here.
    """
    mx = backend.load()
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    info, name = backend.device_info(), backend.name()
    return Facts(
        device=str(info.get("device_name") or info.get("architecture") or os.uname().machine),
        backend=name,
        unified=name != "CUDA",
        no_wiring=backend.no_wiring(),
        architecture=info.get("architecture"),
        memory=info.get("memory_size") or info.get("total_memory") or installed,
        working_set=info.get("max_recommended_working_set_size"),
        max_buffer=info.get("max_buffer_length"),
        resource_limit=_resource_limit(info.get("resource_limit")),
        system_memory=installed,
        cgroup_limit=machine.cgroup_limit(),
        os=machine.version(),
        platform=f"{os.uname().sysname} {os.uname().machine}",
        python=sys.version.split()[0],
        mlx=mx.__version__,
        mlx_lm=version("mlx-lm") if packages else getattr(sys.modules.get("mlx_lm"), "__version__", None),
        mlxtop=__version__,
        pid=os.getpid(),
        argv=words(sys.argv),
    )


def _resource_limit(device: int | None) -> int | None:
    """The most buffers at once: the lower of the device's and of the one in the environment."""
    given = whole(os.environ.get(BUFFER_LIMIT, ""))
    return min((limit for limit in (device, given) if limit), default=None)


def ceiling(facts: Facts) -> tuple[int, str]:
    """The most that MLX's memory here can come to, in bytes, and what that number is."""
    found = [
        (facts.working_set, "the working set this device recommends"),
        (facts.memory, "the memory of this machine" if facts.unified else "the memory of this device"),
        (facts.cgroup_limit if facts.unified else None, "the container's limit"),
    ]
    return min((size, what) for size, what in found if size is not None)


def room(facts: Facts) -> int:
    """How much MLX may hold in this process now without pushing anybody else out, in bytes.

    On a Mac that is the ceiling: what others hold is compressed and swapped there as a matter of course.
    """
    most, _ = ceiling(facts)
    if facts.unified:
        free = machine.available()
        return most if free is None else min(most, free + (footprint.reader()() or 0))
    mx = backend.load()
    free = backend.device_info().get("free_memory")
    return most if free is None else min(most, int(free) + mx.get_active_memory() + mx.get_cache_memory())


def version(package: str) -> str | None:
    """The installed version of `package`, or `None`."""
    # Imported late: the first frame is on the screen before anybody asks for facts.
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
