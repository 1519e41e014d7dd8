"""The effect of a change on speed, with its confidence interval."""

from collections import defaultdict
from collections.abc import Iterable
from math import exp, log, sqrt
from typing import Final, Literal, NamedTuple

from mlxtop.core.stats import student

LEAST: Final = 3
"""Pieces of work needed on each side: fewer give no usable spread."""
LEAST_FREEDOM: Final = 4
"""Degrees of freedom needed for the model of `compare`."""
PROBABILITY: Final = 0.995
"""99 % two-sided: the comparison is repeated often, so a 95 % interval would be exceeded by chance."""

Found = Literal["few", "unlike", "same", "differs"]
Piece = tuple[int, float]
"""One piece of work: a number for its kind (equal numbers, same kind) and its speed in steps a second."""


class Effect(NamedTuple):
    """A difference in speed. `few`: not enough pieces of work; `unlike`: no common kind of work; `same`:
    no significant difference; `differs`: a significant difference."""

    found: Found
    pieces: int = 0
    """Comparable pieces of work, on the side that has fewer."""
    change: float = 0.0
    """Relative change of the speed; negative if slower."""
    low: float = 0.0
    high: float = 0.0
    """The 99 % interval of `change`. It is computed on logarithms, so it is not symmetric."""


def compare(before: Iterable[Piece], after: Iterable[Piece]) -> Effect:
    """Returns the effect of a change on speed. Only kinds of work that occur on both sides are compared.

    The model is additive: log(speed) = mean of the kind + effect + noise. It is fitted by least squares; the
    interval uses Student's t.
    """
    kinds: defaultdict[int, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    sides = [list(before), list(after)]
    for side, pieces in enumerate(sides):
        for kind, speed in pieces:
            if speed > 0:
                kinds[kind][side].append(log(speed))
    shared = [(a, b) for a, b in kinds.values() if a and b]
    count = min(sum(len(a) for a, _ in shared), sum(len(b) for _, b in shared))
    freedom = sum(len(a) + len(b) - 1 for a, b in shared) - 1
    if not shared:
        return Effect("unlike" if all(len(side) >= LEAST for side in sides) else "few")
    if count < LEAST or freedom < LEAST_FREEDOM:
        return Effect("few", count)
    weights = [len(a) * len(b) / (len(a) + len(b)) for a, b in shared]
    weight = sum(weights)
    steps = [_mean(b) - _mean(a) for a, b in shared]
    effect = sum(w * step for w, step in zip(weights, steps, strict=True)) / weight
    left = sum(_scatter(a) + _scatter(b) for a, b in shared)
    left += sum(w * (step - effect) ** 2 for w, step in zip(weights, steps, strict=True))
    reach = student(PROBABILITY, freedom) * sqrt(left / freedom / weight)
    change, low, high = (exp(at) - 1 for at in (effect, effect - reach, effect + reach))
    return Effect("same" if abs(effect) <= reach else "differs", count, change, low, high)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _scatter(values: list[float]) -> float:
    mean = _mean(values)
    return sum((value - mean) ** 2 for value in values)
