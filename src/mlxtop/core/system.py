"""What the machine says of its own memory: not MLX's, and not of this process alone."""

from typing import NamedTuple


class System(NamedTuple):
    """One reading. Sizes are bytes; `None` is what this machine does not have, or does not tell."""

    swap_used: int | None = None
    swap_total: int | None = None
    pressure: str | None = None
    """macOS: `normal`, `warning` or `critical`."""
    cgroup_limit: int | None = None
    """Linux: the least memory limit of the process's container and those around it."""
    cgroup_used: int | None = None
    """What counts against it: charged pages but for file pages that can be dropped."""
    device_used: int | None = None
    """A GPU's own memory that is not free, whoever uses it."""
    device_total: int | None = None
    pss: int | None = None
    """Linux: the process's proportional set size: shared pages count in shares. Read seldom: it is dear."""
    pss_age: float = 0.0
    """Seconds since it was read."""
