"""Leaves out samples that come faster than they are kept, before they are parsed.

A hundred thousand lines a second become a few thousand. Lines that differ in nothing but their numbers are
known without parsing each: without their digits they are the same.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from mlxtop.follow.readings import SPACING

LEAST = 8
"""Samples in a row that are worth it."""
SHARE = 6
"""Among more lines than this for each sample there are no rows."""
LONGEST = 3
"""Lines of the longest form: mlx-swift's block."""
_DIGITS = b"0123456789"
_NUMBERS = bytes(code if code in b"0123456789." else ord(" ") for code in range(256))
_SIGNS = ('"active', "Active:")
_BEGINNINGS = ("mlxtop {", '{"type"', '{"active', "Peak:")
"""What the first line of a sample begins with."""
_GAUGE = re.compile(
    r'"(active|cache|peak|total|footprint|available|tokens|steps|decode|weights|kv|high|buffers|t|time)'
    r'(?:Memory)?"\s?:\s?([\d.]+)|(Active|Cache|Peak):\s+(\d+)[KM]\s+\((\d+)\)'
)
"""The numbers that may differ between the samples of a row. All others, as a limit or a process, may not."""


class _Layout(NamedTuple):
    """Where the numbers of a sample are, counted from its first one."""

    numbers: int
    fixed: tuple[int, ...]
    active: int
    peak: int | None
    clock: int | None


def thinned(text: str, is_sample: Callable[[str], bool]) -> str:
    """`text`, whole lines, without samples that `SPACING` leaves no room for.

    Of those nearer together, or without a clock, the first, the last and the one with most active memory
    stay. `is_sample`: whether some lines are one sample, and nothing else.
    """
    samples = max(map(text.count, _SIGNS))
    if samples < max(LEAST, text.count("\n") / SHARE) or not text.isascii():
        return text
    lines, kept, done, at = text.split("\n"), [], 0, 0
    shapes = text.encode().translate(None, _DIGITS).split(b"\n")
    while at < len(lines) - LEAST:
        length, times = _row(shapes, at) if lines[at].startswith(_BEGINNINGS) else (1, 1)
        row = lines[at : at + length * times]
        if times > 1 and is_sample("\n".join([*row[:length], ""])):
            kept += lines[done:at]
            for i in _worth(row, length):
                kept += row[i * length : (i + 1) * length]
            done = at + len(row)
        at += len(row)
    return "\n".join([*kept, *lines[done:]]) if done else text


def _row(shapes: list[bytes], at: int) -> tuple[int, int]:
    """How many lines are repeated from `at` on, and how many times; a single line if not often enough."""
    for length in range(1, LONGEST + 1):
        if at + length < len(shapes) and shapes[at + length] == shapes[at]:
            unit, times = shapes[at : at + length], (len(shapes) - 1 - at) // length
            while times >= LEAST and shapes[at : at + length * times] != unit * times:
                times //= 2
            return (length, times) if times >= LEAST else (1, 1)
    return 1, 1


def _worth(row: Sequence[str], length: int) -> Sequence[int]:
    """Which samples of a row to keep, by their numbers; all if they cannot be told apart so simply."""
    times = len(row) // length
    layout = _layout("\n".join(row[:length]))
    numbers = "\n".join(row).encode().translate(_NUMBERS).split()
    everything = range(times)
    if layout is None or len(numbers) != layout.numbers * times:
        return everything

    def column(index: int) -> list[bytes]:
        return numbers[index :: layout.numbers]

    try:
        active = list(map(int, column(layout.active)))
        peak = [] if layout.peak is None else list(map(int, column(layout.peak)))
        clock = [] if layout.clock is None else list(map(float, column(layout.clock)))
    except ValueError:
        return everything
    # A peak that falls is an event, a clock that goes back another run.
    if peak != sorted(peak) or clock != sorted(clock):
        return everything
    if any(column(index).count(numbers[index]) < times for index in layout.fixed):
        return everything
    kept, start = {0}, 0
    while start < times:
        end = bisect_left(clock, clock[start] + SPACING, start + 1) if clock else times
        kept |= {end - 1, max(range(start, end), key=active.__getitem__)}
        start = end
    return sorted(kept)


@lru_cache(64)
def _layout(sample: str) -> _Layout | None:
    places: dict[str, int] = {}
    varying: set[int] = set()
    for found in _GAUGE.finditer(sample):
        key, _, word, _, _ = found.groups()
        first = len(_split(sample[: found.start()]))
        varying.update((first,) if key else (first, first + 1))
        places[key or word.lower()] = first if key else first + 1
    count = len(_split(sample))
    if "active" not in places:
        return None
    clock = places.get("t", places.get("time"))
    fixed = tuple(index for index in range(count) if index not in varying)
    return _Layout(count, fixed, places["active"], places.get("peak"), clock)


def _split(text: str) -> list[bytes]:
    return text.encode().translate(_NUMBERS).split()
