"""Simulated machines whose truth is known, a thousand sweeps at a time.

A sweep is its logarithms of speeds, `[sweep, length, round, choice]`, nan where other programs were seen.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlxtop.sweep.recommendation import FEWEST_ROUNDS, judge, narrow

TOLERANCE = 0.02
BOUND = -np.log1p(-TOLERANCE)
LENGTHS, ROUNDS = 2, 10
Array = NDArray[np.float64]

TRUTHS: dict[str, list[float]] = {
    "no effect": [0, 0, 0, 0, 0, 0, 0],
    "step": [0.25, 0.25, 0.25, 0, 0, 0, 0],
    "slope": [0.12, 0.10, 0.08, 0.06, 0.04, 0.01, 0],
    "dip": [0.30, 0.08, 0, 0, 0.05, 0.05, 0.05],
}
"""The share each choice loses, the smallest limit first. `dip`: as on CUDA, no limit is not the best."""
NOISES = (0.003, 0.01, 0.2)


@dataclass(frozen=True)
class Weather:
    """What goes on in a machine besides: slowdowns by place in time, and whether other programs are seen."""

    name: str
    slow: Callable[[np.random.Generator, Array], tuple[Array, NDArray[np.bool_]]]
    """Places in time from 0 to 1 → logarithms by which each cell is slowed, and whether somebody was seen."""


def still(_chance: np.random.Generator, at: Array) -> tuple[Array, NDArray[np.bool_]]:
    return np.zeros_like(at), np.zeros_like(at, dtype=bool)


def drift(chance: np.random.Generator, at: Array) -> tuple[Array, NDArray[np.bool_]]:
    """It slows down by up to a third, as a warm laptop does, or speeds up."""
    most = chance.uniform(-0.3, 0.3, (len(at), 1, 1, 1))
    return most * at**0.5, np.zeros_like(at, dtype=bool)


def burst(chance: np.random.Generator, at: Array, seen: bool = True) -> tuple[Array, NDArray[np.bool_]]:
    """For a tenth of the time something takes a third to two thirds of the speed."""
    begin, size = chance.uniform(0, 0.9, (len(at), 1, 1, 1)), chance.uniform(0.4, 1.1, (len(at), 1, 1, 1))
    within = (at >= begin) & (at < begin + 0.1)
    return np.where(within, size, 0.0), within & seen


def hidden(chance: np.random.Generator, at: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The same, but nothing tells of it: on a GPU, say."""
    return burst(chance, at, seen=False)


def hiccups(chance: np.random.Generator, at: Array) -> tuple[Array, NDArray[np.bool_]]:
    """One cell in sixteen is slower by up to two thirds, for no reason that shows."""
    hit = chance.random(at.shape) < 1 / 16
    return np.where(hit, chance.uniform(0.1, 1.1, at.shape), 0.0), np.zeros_like(at, dtype=bool)


def uneven(chance: np.random.Generator, at: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The smallest limit is four times as noisy as the rest, at one per cent."""
    extra = np.zeros_like(at)
    extra[..., 0] = chance.normal(0, 0.04, at.shape[:-1])
    return extra, np.zeros_like(at, dtype=bool)


WEATHERS = tuple(Weather(f.__name__, f) for f in (still, drift, burst, hidden, hiccups, uneven))


def sweeps(truth: list[float], noise: float, weather: Weather, count: int, seed: int) -> Array:
    """`count` sweeps of the same machine. The order is the plan's: blocks of one length, in random order."""
    chance = np.random.default_rng(seed)
    shape = (count, LENGTHS, ROUNDS, len(truth))
    within = chance.random(shape).argsort(axis=-1)
    block = chance.random((count, LENGTHS, ROUNDS)).argsort(axis=1)
    place = (np.arange(ROUNDS)[None, None, :] * LENGTHS + block)[..., None] * len(truth) + within
    slow, seen = weather.slow(chance, place / (LENGTHS * ROUNDS * len(truth)))
    logs = np.log1p(-np.array(truth)) + chance.normal(0, noise, shape) - slow
    return np.where(seen, np.nan, logs)


@dataclass(frozen=True)
class Score:
    """How many sweeps ended in which way."""

    right: int
    unknown: int
    """It cannot be told, at all or for a smaller limit than the one that is named."""
    wrong: int
    rounds: float

    @property
    def all(self) -> int:
        return self.right + self.unknown + self.wrong

    def __str__(self) -> str:
        return f"{self.right:>6}/{self.unknown:>4}/{self.wrong:>2}"


def score(logs: Array, truth: list[float]) -> Score:
    """Runs every sweep to where it stops by itself, and it holds what is then said against the truth."""
    count, choices = logs.shape[0], logs.shape[-1]
    fine, worse = np.zeros((2, count, choices), dtype=bool)
    rounds = np.zeros(count)
    going = np.ones(count, dtype=bool)
    for n in range(FEWEST_ROUNDS, ROUNDS + 1):
        said = judge(logs[going][:, :, :n], TOLERANCE)
        stops = narrow(said, TOLERANCE) | (n == ROUNDS)
        those = np.flatnonzero(going)[stops]
        fine[those], worse[those], rounds[those] = said.fine[stops], said.worse[stops], n
        going[those] = False
        if not going.any():
            break
    good = np.array(truth) <= TOLERANCE
    first = np.where(fine.any(axis=1), fine.argmax(axis=1), choices)
    named = first < choices
    bad = named & ~good[np.minimum(first, choices - 1)]
    slander = (worse & good).any(axis=1)
    wrong = bad | slander
    right = ~wrong & named & (first == good.argmax()) & worse[:, : good.argmax()].all(axis=1)
    return Score(int(right.sum()), int((~right & ~wrong).sum()), int(wrong.sum()), float(rounds.mean()))
