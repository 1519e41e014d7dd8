"""Linux's pressure stall information: the share of time in which tasks waited for memory.

https://docs.kernel.org/accounting/psi.html, and `memory.pressure` of cgroup v2.
"""

from mlxtop.core.machine import LEVELS

WARNING, CRITICAL = 0.10, 0.10
"""Shares of the last 10 s in which some task waited, and in which all tasks waited. systemd-oomd kills at
0.60 of the latter."""


def parse(text: str) -> tuple[float, float] | None:
    """Returns the shares of the last 10 s in which some task, and all tasks, waited; `None` if disabled."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" avg10=")
        try:
            found[kind] = float(rest.partition(" ")[0]) / 100
        except ValueError:
            return None
    return (found["some"], found["full"]) if found.keys() >= {"some", "full"} else None


def level(some: float, full: float) -> str:
    """Returns the corresponding level of macOS."""
    return LEVELS[2 if full >= CRITICAL else 1 if some >= WARNING else 0]
