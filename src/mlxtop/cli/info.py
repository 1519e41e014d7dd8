"""`mlxtop info`: device, versions, limits and counters, printed once."""

import json
import os
from typing import Any

import click

from mlxtop.cli import options
from mlxtop.core.limits import LIMIT_NAMES, LimitName, cache_ceiling
from mlxtop.core.units import format_size

_SYSTEM = {
    "pressure": "pressure",
    "stalled": "stalled",
    "available": "available",
    "swap_used": "swap used",
    "swap_total": "swap",
    "compressed": "compressed",
    "wired": "wired",
    "wired_limit": "GPU wired limit",
    "gpu": "GPU",
    "thermal": "thermal",
    "cgroup_limit": "cgroup limit",
    "cgroup_used": "cgroup used",
    "device_used": "device used",
    "device_total": "device total",
    "pss": "PSS",
}
_SIZES = ("memory", "working_set", "max_buffer", "system_memory")


@click.command(epilog="Try: mlxtop info --json | jq .limits")
@options.JSON("One object.")
def info(as_json: bool) -> None:
    """Print device, versions, limits and counters of MLX on this machine."""
    from mlxtop.mlx import backend

    backend.check()
    found = collect()
    click.echo(json.dumps(found, indent=2) if as_json else describe(found))


UNTOLD = ("argv", "pid", "cgroup_limit")
"""Facts that are of this process, not of the machine."""


def collect() -> dict[str, Any]:
    """Everything that `info` prints, sizes in bytes. Raises `NoBackendError` where MLX cannot run."""
    from mlxtop.mlx import allocator, device
    from mlxtop.mlx.hooks import AllocatorHooks
    from mlxtop.system import footprint, machine

    facts = device.facts()
    limits = AllocatorHooks(lambda _: None).read_limits(fresh=True)
    now = allocator.snapshot()
    system = machine.reader(os.getpid(), facts.unified)(True)
    return {
        **{name: value for name, value in facts.to_json().items() if name not in UNTOLD},
        "limits": limits,
        "cache_ceiling": cache_ceiling(facts, limits["memory"], now.active),
        "counters": {"active": now.active, "cache": now.cache, "peak": now.peak},
        "footprint": {"kind": footprint.KIND, "bytes": footprint.reader()()},
        "system": {name: getattr(system, name) for name in _SYSTEM},
    }


def describe(found: dict[str, Any]) -> str:
    """The result of `collect` as text, one name and value per line."""
    from mlxtop.tui.tables import aligned

    rows = [
        ("device", f"{found['device']} ({found['backend']})"),
        ("os", found["os"]),
        ("platform", f"{found['platform']}, Python {found['python']}"),
        ("versions", f"mlxtop {found['mlxtop']}, mlx {found['mlx']}, mlx-lm {found['mlx_lm'] or '—'}"),
    ]
    rows += [(name.replace("_", " "), _size(found[name])) for name in _SIZES if found[name] is not None]
    rows += [(f"{name} limit", _limit(found, name)) for name in LIMIT_NAMES]
    if found["cache_ceiling"] is not None:
        # Above this MLX frees cached buffers, whatever the cache limit.
        rows.append(("cache at most", _size(found["cache_ceiling"])))
    rows += [(name, _size(size)) for name, size in found["counters"].items()]
    rows.append((found["footprint"]["kind"], _size(found["footprint"]["bytes"])))
    # A reading that this machine does not have takes no row.
    rows += [(_SYSTEM[name], _reading(value)) for name, value in found["system"].items() if value is not None]
    return "\n".join(aligned(rows, left=(0, 1)))


def _reading(value: str | float | int) -> str:
    """A word, a share or a size, as text."""
    if isinstance(value, str):
        return value
    return f"{value:.0%}" if isinstance(value, float) else _size(value)


def _limit(found: dict[str, Any], name: LimitName) -> str:
    useless = found["no_wiring"] if name == "wired" else None
    return _size(found["limits"][name]) + (f"  {useless}" if useless else "")


def _size(size: int | None) -> str:
    return format_size(size) if size is None else f"{format_size(size):>9}  ({size})"
