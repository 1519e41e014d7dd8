"""What the machine says of its own memory: not MLX's, and not of this process alone."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mlxtop.core.facts import Facts

LEVELS = ("normal", "warning", "critical")
"""Of pressure, the worst last."""
TIGHT, SHORT = 0.10, 0.05
"""Shares of what there is: with less than these left, room is at the level `warning`, `critical`."""


class System(NamedTuple):
    """One reading. Sizes are bytes; `None` is what this machine does not have, or does not tell."""

    pressure: str | None = None
    """One of `LEVELS`. macOS: as Activity Monitor colours it. Linux: from `stalled`."""
    stalled: float | None = None
    """Linux: share of the last 10 s in which some task waited for memory (PSI), from 0 to 1."""
    available: int | None = None
    """What can be had without swapping."""
    swap_used: int | None = None
    swap_total: int | None = None
    """Swap there is at this moment: macOS makes more when it needs it."""
    compressed: int | None = None
    """What the compressor takes up; Linux: zswap."""
    wired: int | None = None
    """macOS: memory that cannot be paged out, the GPU's among it."""
    wired_limit: int | None = None
    """macOS: `iogpu.wired_limit_mb`, where somebody set it: the GPU's working set then."""
    gpu: float | None = None
    """How busy the GPU is, from 0 to 1."""
    thermal: str | None = None
    """macOS: thermal pressure, `nominal` to `sleeping`. NVIDIA: `nominal`, or `slowed` by heat."""
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

    def to_json(self) -> dict[str, object]:
        """The data of a `system` event: what is known, by its field's name."""
        return {name: value for name, value in self._asdict().items() if value is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "System":
        """The reading that a `system` event tells. Raises `ValueError` for what is none."""
        return cls._make(_checked(name, data.get(name)) for name in cls._fields)


_TEXTS = {"pressure": LEVELS, "thermal": None}
_NUMBERS = {"stalled": 1.0, "gpu": 1.0, "pss_age": 1e12}
"""The most that each can be."""


def _checked(name: str, value: object) -> object:
    if value is None:
        return System._field_defaults[name]
    if name in _TEXTS:
        right = isinstance(value, str) and value in (_TEXTS[name] or (value,))
    elif name in _NUMBERS:
        right = isinstance(value, int | float) and value is not True and 0 <= value <= _NUMBERS[name]
    else:
        right = value == 0 or _size(value) is not None
    if not right:
        raise ValueError(f"{name} of a machine cannot be {str(value)[:20]!r}")
    return value


class Room(NamedTuple):
    """What bounds the program's memory first, and how much of it is left."""

    what: str
    size: int | None = None
    left: int | None = None
    """Less than nothing beyond it."""
    level: str | None = None
    """One of `LEVELS`; MLX's cache counts as left, since MLX gives it back when it needs it."""


def room(facts: Facts, machine: System, held: int | None, cache: int) -> Room:
    """What bounds a program's memory first, and how much of it is left.

    That is a GPU's own memory, the working set of a GPU that has none, a container's limit, or the memory of
    the machine: the first of these that there is. `held` is MLX's active + cache, bytes.

    On a Mac only what MLX holds counts: what others hold is compressed and swapped there.
    """
    recommended = machine.wired_limit or facts.working_set or None
    if not facts.unified:
        size = machine.device_total or facts.memory or None
        return _room("GPU memory", size, _minus(machine.device_total, machine.device_used), cache)
    if recommended is not None:
        return _room("working set", recommended, _minus(recommended, held), cache)
    memory, limit = facts.memory or None, machine.cgroup_limit or facts.cgroup_limit or None
    if limit is not None and (memory is None or limit < memory):
        left = _minus(limit, machine.cgroup_used)
        if left is not None and machine.available is not None:
            left = min(left, machine.available)
        return _room("container", limit, left, cache)
    return _room("memory", memory, machine.available, cache)


def _room(what: str, size: int | None, left: int | None, cache: int) -> Room:
    if size is None or left is None:
        return Room(what, size, left, None)
    share = (left + cache) / size
    return Room(what, size, left, LEVELS[(share < TIGHT) + (share < SHORT)])


def _minus(size: int | None, used: int | None) -> int | None:
    return None if size is None or used is None else size - used


def _size(value: object) -> int | None:
    return value if type(value) is int and 0 < value < 2**63 else None


class Course(NamedTuple):
    """How the machine stood over a run: its first and its last reading, and the worst of each number."""

    first: System
    last: System
    pressure: str | None
    swap_used: int | None
    available: int | None
    compressed: int | None
    wired: int | None
    thermal: str | None
    """The last that was not `nominal`, if there was one."""


def course(readings: Iterable[System]) -> Course | None:
    """What readings, in order of time, come to; `None` without any."""
    found = list(readings)
    if not found:
        return None
    levels = [LEVELS.index(each.pressure) for each in found if each.pressure is not None]
    heat = [each.thermal for each in found if each.thermal is not None]
    least = [each.available for each in found if each.available is not None]
    return Course(
        found[0],
        found[-1],
        LEVELS[max(levels)] if levels else None,
        max((each.swap_used for each in found if each.swap_used is not None), default=None),
        min(least, default=None),
        max((each.compressed for each in found if each.compressed is not None), default=None),
        max((each.wired for each in found if each.wired is not None), default=None),
        next((word for word in reversed(heat) if word != "nominal"), heat[-1] if heat else None),
    )
