"""Medians with bootstrap intervals, and the loss of each choice compared with the best one.

Arrays may have any number of leading dimensions: the tests evaluate a thousand sweeps at once.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlxtop.core.stats import student

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
ERROR, SLANDER = 0.05, 0.01
"""The probability in one sweep that any upper bound is wrong, and that any lower bound is wrong."""
DRAWS = 2000
TRIMMED = 0.2


class Spread(NamedTuple):
    """A median and its 95 % bootstrap interval; the ends are nan below three repeats."""

    median: float
    low: float
    high: float
    repeats: int


@lru_cache(maxsize=4096)
def spread(values: tuple[float, ...]) -> Spread | None:
    """Returns the median of one cell's repeats with its interval; `None` without repeats."""
    if not values:
        return None
    found = np.array(values)
    if len(found) < 3:
        return Spread(float(np.median(found)), np.nan, np.nan, len(found))
    draws = np.random.default_rng(0).integers(0, len(found), (DRAWS, len(found)))
    low, high = np.quantile(np.median(found[draws], axis=1), (0.025, 0.975))
    return Spread(float(np.median(found)), float(low), float(high), len(found))


class Losses(NamedTuple):
    """The loss of each choice: how far its logarithm is below that of the best other choice."""

    loss: Array
    """The measured loss. That of the best choice is negative."""
    most: Array
    """The upper bound of the loss; infinite with too few rounds."""
    least: Array
    """The lower bound of the loss; negative if no loss is significant."""
    half: Array
    """Half the width of the interval of the comparison with the best choice."""
    rounds: Array
    """The number of valid rounds of the comparison with fewest."""


def losses(logs: Array, families: int = 1) -> Losses:
    """Returns the losses `[…, choice]` of `logs[…, round, choice]`; nan is a repeat that does not count.

    A round is a block: choices are compared within it, so a slow round does not affect the comparison.
    The upper bound holds against each other choice, so it needs a Bonferroni correction for the number of
    choices, but none for selecting the best. The lower bound is that of the worst of all pairs in `families`
    comparisons (prompt lengths), and is corrected for all of them.
    """
    choices = logs.shape[-1]
    others = ~np.eye(choices, dtype=bool)
    gain, error, freedom, count = _pairs(logs, others)
    one = quantiles(1 - ERROR / 2 / (choices - 1), freedom)[..., None, None]
    all_ = quantiles(1 - SLANDER / (choices * (choices - 1) * families), freedom)[..., None, None]

    def worst(bounds: Array, unknown: float) -> Array:
        """Returns the largest bound against any other choice."""
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
    """Returns for each pair of choices the difference, its standard error, degrees of freedom, and rounds.

    The difference is a mean without the fifth of the rounds at either end, so single outliers have no effect;
    the error is that of a trimmed mean (K. Yuen, Biometrika 61, 1974). The spread is that of all pairs
    together, or the pair's own if that is larger.
    """
    pairs = logs[..., :, None] - logs[..., None, :]
    count = np.isfinite(pairs).sum(axis=-3, keepdims=True)
    cut = (count * TRIMMED).astype(int)
    # nan sorts last.
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
    # Pairs share their choices: the degrees of freedom are those of a two-way table without its margins.
    freedom = np.where(others, np.maximum(left - 1, 0), 0.0).sum(axis=(-2, -1)) / logs.shape[-1]
    return gain, error, freedom, count[..., 0, :, :].astype(float)


def _at(ranked: Array, place: NDArray[np.int_]) -> Array:
    """Returns the value at a position of each column; nan if there are no rounds."""
    if not ranked.shape[-3]:
        return np.full(place.shape, np.nan)
    return np.take_along_axis(ranked, np.clip(place, 0, ranked.shape[-3] - 1), axis=-3)


def quantiles(probability: float, freedom: Array) -> Array:
    """Returns quantiles of Student's t; infinite below three degrees of freedom."""
    known = [student(probability, v) if v >= 3 else np.inf for v in freedom.ravel().tolist()]
    return np.array(known).reshape(freedom.shape)
