"""How the machine stood over a run, for reports and summaries."""

from collections.abc import Iterable
from typing import NamedTuple

from mlxtop.core.machine import LEVELS, System


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
