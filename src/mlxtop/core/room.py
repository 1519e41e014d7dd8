"""What bounds a program's memory first, and how much of it is left."""

from typing import NamedTuple

from mlxtop.core.facts import Facts
from mlxtop.core.machine import LEVELS, System

TIGHT, SHORT = 0.10, 0.05
"""Shares of what there is: with less than these left, room is at the level `warning`, `critical`."""


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
