"""How often a gauge rises and comes down again, how far, and in what shape."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from mlxtop.analysis import thresholds as bar
from mlxtop.core.sample import UNKNOWN


class Cycles(NamedTuple):
    """The cycles of a gauge in a window. Sizes are bytes, times and spans seconds."""

    low: int
    """The lowest value."""
    high: int
    """The highest value."""
    trough: int
    """The median of the values to which it came down."""
    falls: list[float]
    """The times at which it came down."""
    period: float
    """The usual time between two falls."""
    regular: bool
    """Whether most of these times are about as long."""
    sure: bool
    """Whether there are enough of them not to be so by chance."""
    above: float
    """How long it is high in each cycle."""
    plateau: bool
    """Whether it is either low or high and little between; else it climbs."""


def cycles(start: float, width: float, lows: Sequence[int], highs: Sequence[int]) -> Cycles | None:
    """Returns the cycles of a gauge, given the extremes of columns of `width` seconds from `start`.

    `None` unless the gauge rose far and came down, several times and up to the end. Cycles of less than
    `thresholds.SWING_COLUMNS` columns cannot be told apart.
    """
    known = [(lo, hi) for lo, hi in zip(lows, highs, strict=True) if lo != UNKNOWN]
    low, high = _usual(known)
    rise = high - low
    if rise < max(bar.SWING_LEAST, bar.SWING_SHARE * high):
        return None
    falls, troughs = _falls(lows, highs, low + 0.3 * rise, low + 0.7 * rise)
    gaps = [b - a for a, b in pairwise(falls)]
    if len(falls) < bar.SWINGS or len(lows) - falls[-1] > 2 * max(gaps):
        return None
    middle = median(gaps)
    alike = [gap for gap in gaps if abs(gap - middle) <= bar.SWING_REGULAR * middle + 1] or gaps
    period = sum(alike) / len(alike)
    if period < bar.SWING_COLUMNS:
        return None
    half, between = low + rise / 2, (low + rise / 4, high - rise / 4)
    above = sum([((lo >= half) + (hi >= half)) / 2 for lo, hi in known]) / len(known)
    climbs = sum([between[0] < lo and hi < between[1] for lo, hi in known])
    return Cycles(
        low=min([lo for lo, _ in known]),
        high=max([hi for _, hi in known]),
        trough=int(median(troughs)),
        falls=[start + width * i for i in falls],
        period=period * width,
        regular=len(alike) >= 0.8 * len(gaps),
        sure=len(gaps) > bar.SWINGS,
        above=above * period * width,
        plateau=climbs < bar.SWING_CLIMBS * len(known),
    )


def _usual(known: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Returns the usual lowest and highest value: a column in twenty may be further out."""
    if not known:
        return 0, 0
    out = len(known) // 20
    return sorted([lo for lo, _ in known])[out], sorted([hi for _, hi in known])[-1 - out]


def _falls(lows: Sequence[int], highs: Sequence[int], down: float, up: float) -> tuple[list[int], list[int]]:
    """Returns the columns in which the gauge came from `up` to `down`, and the lowest value after each."""
    falls, troughs, is_up = list[int](), list[int](), False
    for i, (lo, hi) in enumerate(zip(lows, highs, strict=True)):
        if lo == UNKNOWN:
            continue
        if is_up and lo <= down:
            falls.append(i)
            troughs.append(lo)
            is_up = False
        elif hi >= up:
            is_up = True
        elif troughs:
            troughs[-1] = min(troughs[-1], lo)
    return falls, troughs
