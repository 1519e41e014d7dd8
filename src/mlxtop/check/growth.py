"""How fast the floor of *active* rises, once the program has warmed up."""

from typing import NamedTuple

from mlxtop.analysis import thresholds as bar
from mlxtop.analysis.trend import growth
from mlxtop.analysis.window import read
from mlxtop.core.sample_store import Samples
from mlxtop.core.units import format_span

WARM_UP = 0.2
"""Share of the run, from its first array on, that is left out: weights load, caches fill."""
LEAST = 10.0
"""Seconds after the warm-up that are needed: twelve floors, of eight samples each."""
STEPS = 2 * bar.SEGMENTS
"""Steps that are needed where steps are seen: two for each floor, so that it lies between two of them."""

UNSURE = "within what it varies"
"""Why what rises is no growth."""


class Rise(NamedTuple):
    """Growth in bytes a second over `span` seconds, and whether it exceeds what is allowed."""

    exceeds: bool
    rate: float | None = None
    """`None` where it was not measured."""
    low: float = 0.0
    high: float = 0.0
    """The ends of its 99 % interval."""
    span: float = 0.0
    doubt: str = ""
    """Why it is not judged: a short clause."""
    why: str = ""
    """Why what rose faster than allowed is no growth: a short clause."""


def measure(
    history: Samples, first: float | None, last: float | None, allowed: float, warm_up: float | None
) -> Rise:
    """The growth between two times. `allowed`: bytes a second. `warm_up`: seconds, by default a share."""
    if first is None or last is None:
        first = last = 0.0
    lasted = max(0.0, last - first)
    begin = first + (WARM_UP * lasted if warm_up is None else warm_up)
    span = last - begin
    if span < LEAST:
        # The default takes its share of every run.
        needed = LEAST / (1 - WARM_UP) if warm_up is None else warm_up + LEAST
        return Rise(False, doubt=f"not enough data: {_span(lasted)} of {_span(needed)} with work")
    window = read(history, begin, last, unified=True)
    if 0 < window.steps < STEPS:
        return Rise(False, doubt=f"not enough data: {window.steps} steps of {STEPS}")
    found = growth(window.times, window.floors["active"], allowed * span)
    if found.span <= 0:
        return Rise(False, doubt=f"not enough data: {found.why}")
    slope = found.slope
    rise = Rise(False, max(0.0, slope.value), slope.low, slope.high, span)
    if slope.value <= allowed:
        return rise
    # What only varies exceeds the interval once in two hundred runs, and goes up and down then.
    doubtful = found.found == "unclear" and slope.tau < bar.TAU
    if slope.low <= allowed or found.found == "no" or doubtful:
        return rise._replace(why=found.why or UNSURE)
    if found.found == "unclear":
        return rise._replace(doubt=f"cannot be told: {found.why}; a longer run tells")
    return rise._replace(exceeds=True)


def _span(seconds: float) -> str:
    return format_span(round(seconds, 1))
