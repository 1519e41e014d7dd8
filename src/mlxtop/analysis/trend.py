"""Growth detection on the floors (lower envelope) of a sawtooth."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from mlxtop.analysis import thresholds as bar
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.stats import Slope, theil_sen

Found = Literal["no", "unclear", "yes"]


class Growth(NamedTuple):
    """Whether a gauge's floors grew over `span` seconds, by how many bytes, and at which slope (bytes/s)."""

    found: Found
    grown: int = 0
    span: float = 0.0
    slope: Slope = Slope(0.0, 0.0, 0.0, 0.0)
    why: str = ""
    """Why it is not a growth: a short clause."""


def floors(lows: Sequence[int], per: int) -> list[int | None]:
    """Returns the minimum of every `per` values (the lower envelope); `None` where none is known."""
    groups = [[v for v in lows[i : i + per] if v != UNKNOWN] for i in range(0, len(lows), per)]
    return [min(group) if group else None for group in groups]


def growth(times: Sequence[float], floors: Sequence[float | None], least: float) -> Growth:
    """Returns whether `floors` at `times` (seconds) grow steadily by at least `least` bytes, up to the end.

    A step, a warm-up that levels off and an oscillation are not growths. The slope is Theil and Sen's.
    """
    known = [(t, v) for t, v in zip(times, floors, strict=True) if v is not None]
    if len(known) < bar.KNOWN:
        return Growth("unclear", why="samples are missing")
    slope = theil_sen([t for t, _ in known], [v for _, v in known])
    if slope is None:
        return Growth("unclear", why="samples are missing")
    (first, low), (last, high) = known[0], known[-1]
    span = last - first
    grown = int(min(high - low, slope.value * span))
    found, why = _judge(known, slope, least)
    if found == "yes" and grown < least:
        found, why = "unclear", "it is small"
    return Growth(found, grown, span, slope, why)


def _judge(known: Sequence[tuple[float, float]], slope: Slope, least: float) -> tuple[Found, str]:
    (first, low), (last, high) = known[0], known[-1]
    net = high - low
    if net < max(least, 1) or slope.low <= 0:
        return "no", ""
    rises = [w - v for (_, v), (_, w) in pairwise(known)]
    places = [i for i, rise in enumerate(rises) if rise >= bar.RISE * net]
    # Growth in steps may pause between them, but not longer than before.
    rest = max((b - a for a, b in pairwise(places)), default=1)
    since = len(rises) - 1 - places[-1]
    if since > rest:
        return ("no" if since >= bar.LEAST_SPAN * len(rises) else "unclear"), "it has stopped"
    step = max(rises)
    if step > bar.STEP * net:
        return ("no", "it was one step") if net - step < least else ("unclear", "most of it was one step")
    lately = (high - _at(known, last - (last - first) / 3)) / net
    if lately < bar.LATELY:
        return ("no" if lately < bar.LEVELLED else "unclear"), "it levels off"
    if slope.tau < bar.TAU:
        return "unclear", "it goes up and down"
    if len(places) < bar.RISES:
        return "unclear", "it rose in a few steps"
    return "yes", ""


def _at(known: Sequence[tuple[float, float]], time: float) -> float:
    """Returns the value at `time` by linear interpolation."""
    (t, v), (u, w) = next(pair for pair in pairwise(known) if time <= pair[1][0])
    return v + (w - v) * (time - t) / (u - t)
