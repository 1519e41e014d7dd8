"""What printed lines tell: readings of memory, events, and text that is neither."""

from typing import NamedTuple

from mlxtop.core.events import Event
from mlxtop.core.sample import UNKNOWN

SPACING = 0.001
"""Seconds: readings that are nearer together become one sample."""


class Origin(NamedTuple):
    """Who printed a line, as far as the line says."""

    name: str = ""
    """The `session` of a line, or the process or container that its prefix names; empty if it names none."""
    pid: int | None = None


NOBODY = Origin()


class Reading(NamedTuple):
    """What one line or block tells. Sizes are bytes; `UNKNOWN` and `None` are what it does not tell."""

    origin: Origin = NOBODY
    time: float | None = None
    """Seconds by the program's own clock, whenever that began."""
    active: int = UNKNOWN
    cache: int = UNKNOWN
    peak: int = UNKNOWN
    footprint: int = UNKNOWN
    available: int = UNKNOWN
    """What the system leaves the program: `os_proc_available_memory()`."""
    cache_limit: int | None = None
    memory_limit: int | None = None
    tokens: int = UNKNOWN
    steps: int = UNKNOWN
    decode: int = UNKNOWN
    weights: int = UNKNOWN
    kv: int = UNKNOWN
    high: int = UNKNOWN
    buffers: int = UNKNOWN
    phase: str | None = None
    mark: str | None = None
    device: str | None = None
    stamp: float | None = None
    """Seconds since 1970, by the date and time that stand before the form."""


class Reported(NamedTuple):
    """An event of a program that prints mlxtop's own JSON."""

    origin: Origin
    event: Event


class Begun(NamedTuple):
    """The first line of mlxtop's own JSON: a run begins."""

    origin: Origin
    title: str


Item = Reading | Reported | Begun | str
"""A `str` is text: whole lines, or a piece of one that is too long or redraws itself."""
