"""How much faster or slower work is than other work of its kind, and whether the spread lets that be said."""

from collections import defaultdict
from collections.abc import Iterable
from math import exp, log, sqrt
from typing import Final, Literal, NamedTuple

from mlxtop.core.stats import student

LEAST: Final = 3
"""Pieces of work that are needed on each side: fewer have no spread to speak of."""
LEAST_FREEDOM: Final = 4
"""Pieces of work beyond those that the model of `compare` uses up."""
PROBABILITY: Final = 0.995
"""99 % two-sided: a person looks again and again, so a bar at 95 % would be crossed by chance."""

Found = Literal["few", "unlike", "same", "differs"]
Piece = tuple[int, float]
"""What a piece of work is like, as a number that only says same or other, and how fast it went."""


class Effect(NamedTuple):
    """What became of the speed. `few`: not enough pieces; `unlike`: none that may be compared; `same`: the
    two cannot be told apart; `differs`: they can."""

    found: Found
    pieces: int = 0
    """On the side that has fewer, of those that may be compared."""
    change: float = 0.0
    """Share of the speed that was gained, negative when lost."""
    low: float = 0.0
    high: float = 0.0
    """The 99 % interval of `change`. It is that of a logarithm, and so longer upwards."""


def compare(before: Iterable[Piece], after: Iterable[Piece]) -> Effect:
    """The effect between two lots of work. Only pieces that have their like on both sides count.

    The model is the plainest one that keeps kinds apart: the logarithm of a speed is what is usual for its
    kind, plus one effect for all kinds, plus noise. Least squares; the interval is Student's.
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
