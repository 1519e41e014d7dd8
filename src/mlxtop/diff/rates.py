"""Speeds of two runs, and how far apart they are.

The work of a part is cut into stretches of equally many steps, so that both runs do the same work in the same
stretch, and the speeds are compared stretch by stretch. A machine that is busy for a while slows down many
steps in a row. So single steps say nothing, and the interval is as wide as the stretches differ: it
does not shrink with their number as it would if each were busy or not by chance.

Other programs only slow a run down. Where its fastest stretches agree, they are what it does undisturbed; if
that is so of both runs, these speeds are compared, whatever became of the others.
"""

from collections.abc import Sequence
from math import exp, inf, log, sqrt
from statistics import fmean, stdev
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlxtop.core.stats import student
from mlxtop.diff.run import Fastest
from mlxtop.diff.series import Column

BLOCKS = 8
LEAST_BLOCKS = 4
"""Fewer stretches, or repeats of a sweep, give no interval."""
LEAST_STEPS = 4
"""Steps in a stretch."""
FINE, FASTEST, AGREE, LEAST_SAMPLES = 16, 4, 0.02, 2
"""The fastest 4 of 16 stretches must agree within this share, and each must have so many samples."""
PROBABILITY = 0.999
"""99.8 % two-sided: each phase has an interval, and runs are compared again with each change of a program."""
OWN = 0.02
"""The share by which speed varies from run to run on a quiet machine: clocks, heat, places in memory."""


class Interval(NamedTuple):
    """The change from one run to another as a share, and its ends: 0.05 is 5 % more."""

    change: float
    low: float
    high: float


def blocks(steps: Column, work: Column) -> tuple[float, ...]:
    """The speed in each of `BLOCKS` stretches of equally many steps, in steps a second.

    `steps` and microseconds of `work` were done before each sample. Empty where samples are too few.
    """
    return _speeds(steps, work, BLOCKS)


def fastest(steps: Column, work: Column) -> Fastest | None:
    """The speed of the fastest stretches, where they agree."""
    done = np.cumsum(steps[steps > 0])
    if len(done) < FINE or np.diff(np.searchsorted(done, _edges(done, FINE))).min() < LEAST_SAMPLES:
        return None
    best = sorted(_speeds(steps, work, FINE))[-FASTEST:]
    if len(best) < FASTEST or (spread := best[-1] / best[0] - 1) > AGREE:
        return None
    return Fastest(fmean(best), spread)


def _speeds(steps: Column, work: Column, count: int) -> tuple[float, ...]:
    busy = steps > 0
    done, spent = np.cumsum(steps[busy]), np.cumsum(work[busy])
    if len(done) < count or done[-1] < LEAST_STEPS * count:
        return ()
    # A stretch may end between two samples.
    reached = np.interp(_edges(done, count), np.concatenate([[0], done]), np.concatenate([[0], spent]))
    spans = np.diff(reached)
    each = float(done[-1]) / count
    return tuple(each / span * 1e6 for span in spans.tolist()) if spans.min() > 0 else ()


def _edges(done: Column, count: int) -> NDArray[np.float64]:
    return np.linspace(0, done[-1], count + 1)


def paired(before: Sequence[float], after: Sequence[float], change: float) -> Interval:
    """How much faster `after` is than `before`, in the same stretches. `change` is that of the sums.

    Both have the same number of stretches, two at least.
    """
    steps = [log(b / a) for a, b in zip(before, after, strict=True)]
    return _interval(fmean(steps), student(PROBABILITY, len(steps) - 1) * stdev(steps), change)


def undisturbed(before: Fastest, after: Fastest) -> Interval:
    """The change of the speed that both came to in their fastest stretches."""
    middle = log(after.speed / before.speed)
    reach = OWN + before.spread + after.spread
    return Interval(exp(middle) - 1, exp(middle - reach) - 1, exp(middle + reach) - 1)


def unpaired(before: Sequence[float], after: Sequence[float], change: float) -> Interval:
    """As `paired`, of repeats that have nothing to do with each other: of two sweeps."""
    a, b = ([log(value) for value in values if value > 0] for values in (before, after))
    reach = student(PROBABILITY, min(len(a), len(b)) - 1) * sqrt(
        stdev(a) ** 2 / len(a) + stdev(b) ** 2 / len(b)
    )
    return _interval(fmean(b) - fmean(a), reach, change)


def _interval(middle: float, reach: float, change: float) -> Interval:
    reach = max(reach, OWN)
    low, high = (exp(min(max(at, -50.0), 50.0)) - 1 for at in (middle - reach, middle + reach))
    # What the sums say lies within: slow stretches count for more in them.
    return Interval(change, min(low, change), max(high, change))


def of_one(values: Sequence[float]) -> tuple[float, float]:
    """The ends of the interval of one run's speed; infinite where nothing tells them."""
    if len(values) < LEAST_BLOCKS:
        return -inf, inf
    logs = [log(value) for value in values]
    reach = max(OWN, student(PROBABILITY, len(logs) - 1) * stdev(logs))
    return exp(fmean(logs) - reach), exp(fmean(logs) + reach)
