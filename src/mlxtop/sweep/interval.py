"""Medians with bootstrap intervals, and the loss of each of several choices against the best of them.

Arrays may have any number of leading dimensions: what is tested is tested on a thousand sweeps at once.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlxtop.core.stats import student

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
ERROR, SLANDER = 0.05, 0.01
"""The share of all sweeps in which "at most" may be wrong of any choice, and "at least" of any pair."""
DRAWS = 2000
TRIMMED = 0.2


class Spread(NamedTuple):
    """A median and its 95 % bootstrap interval; the ends are nan where there is too little to tell."""

    median: float
    low: float
    high: float
    repeats: int


@lru_cache(maxsize=4096)
def spread(values: tuple[float, ...]) -> Spread | None:
    """The median of one cell's repeats; below three of them without an interval, of none at all `None`."""
    if not values:
        return None
    found = np.array(values)
    if len(found) < 3:
        return Spread(float(np.median(found)), np.nan, np.nan, len(found))
    draws = np.random.default_rng(0).integers(0, len(found), (DRAWS, len(found)))
    low, high = np.quantile(np.median(found[draws], axis=1), (0.025, 0.975))
    return Spread(float(np.median(found)), float(low), float(high), len(found))


class Losses(NamedTuple):
    """How much less each choice has, in logarithms, than the best of the others."""

    loss: Array
    """As measured: the most by which another choice had more; the best one's is negative."""
    most: Array
    """The loss is at most this; infinite where too little was measured."""
    least: Array
    """The loss is at least this; negative where nothing is known to be lost."""
    half: Array
    """Half the width of the interval of the comparison with the best."""
    rounds: Array
    """Rounds that count, for the choice that has fewest."""


def losses(logs: Array, families: int = 1) -> Losses:
    """`logs[…, round, choice]`, nan where nothing counts → the losses, `[…, choice]`.

    A round is a block: choices are compared within it, so that whatever slows a whole round slows no choice.
    "At most" must hold against each of the others, whichever is the best: so picking the best costs nothing,
    and only the number of choices does (Bonferroni). "At least" is about the worst pair of all, in each of
    `families` such comparisons (prompt lengths), and pays for all of them.
    """
    choices = logs.shape[-1]
    others = ~np.eye(choices, dtype=bool)
    gain, error, freedom, count = _pairs(logs, others)
    one = quantiles(1 - ERROR / 2 / (choices - 1), freedom)[..., None, None]
    all_ = quantiles(1 - SLANDER / (choices * (choices - 1) * families), freedom)[..., None, None]

    def worst(bounds: Array, unknown: float) -> Array:
        """The largest against any of the others."""
        known = np.where(np.isfinite(error), bounds, unknown)
        return np.asarray(np.where(others, known, -np.inf).max(axis=-1))

    with np.errstate(invalid="ignore"):
        loss = worst(-gain, -np.inf)
        most, least = worst(one * error - gain, np.inf), worst(-all_ * error - gain, -np.inf)
        best = loss.argmin(axis=-1)[..., None]
        half = (np.take_along_axis(error, np.broadcast_to(best[..., None], (*loss.shape, 1)), -1) * one)[
            ..., 0
        ]
    half = np.where(np.arange(choices) == best, -np.inf, np.where(np.isnan(half), np.inf, half))
    return Losses(loss, most, least, half, np.where(others, count, np.inf).min(axis=-1))


def _pairs(logs: Array, others: Flags) -> tuple[Array, Array, Array, Array]:
    """How much more each choice has than each other, its standard error, degrees of freedom, and rounds.

    Means without the fifth of the rounds at either end, so that a hiccup decides nothing, and the error that
    goes with them (K. Yuen, Biometrika 61, 1974). A pair's spread is taken from all pairs together, or from
    its own rounds where those spread more.
    """
    pairs = logs[..., :, None] - logs[..., None, :]
    count = np.isfinite(pairs).sum(axis=-3, keepdims=True)
    cut = (count * TRIMMED).astype(int)
    # What is not known comes last.
    ranked = np.sort(pairs, axis=-3)
    place = np.arange(logs.shape[-2])[:, None, None]
    low, high = (_at(ranked, i) for i in (cut, count - cut - 1))
    there, kept = place < count, (place >= cut) & (place < count - cut)
    with np.errstate(invalid="ignore", divide="ignore"):
        pulled = np.where(there, np.clip(ranked, low, high), 0.0)
        squares = np.where(there, (pulled - pulled.sum(axis=-3, keepdims=True) / count) ** 2, 0.0).sum(
            axis=-3
        )
        left = kept.sum(axis=-3).astype(float)
        gain = np.where(kept, ranked, 0.0).sum(axis=-3) / left
        own = squares / (left - 1)
        enough = others & (left > 1)
        shared = np.where(enough, own, 0.0).sum(axis=(-2, -1)) / enough.sum(axis=(-2, -1))
        error = np.sqrt(np.fmax(own, shared[..., None, None]) / left)
    # Pairs share their choices: as many degrees of freedom as a two-way table without its margins has.
    freedom = np.where(others, np.maximum(left - 1, 0), 0.0).sum(axis=(-2, -1)) / logs.shape[-1]
    return gain, error, freedom, count[..., 0, :, :].astype(float)


def _at(ranked: Array, place: NDArray[np.int_]) -> Array:
    """The values at a place of each column; any where there are none."""
    if not ranked.shape[-3]:
        return np.full(place.shape, np.nan)
    return np.take_along_axis(ranked, np.clip(place, 0, ranked.shape[-3] - 1), axis=-3)


def quantiles(probability: float, freedom: Array) -> Array:
    """The quantiles of Student's t, infinite below three degrees of freedom."""
    known = [student(probability, v) if v >= 3 else np.inf for v in freedom.ravel().tolist()]
    return np.array(known).reshape(freedom.shape)
