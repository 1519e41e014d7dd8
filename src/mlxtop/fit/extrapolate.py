"""What a longer context would take, from the steps of a shorter run."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mlxtop.core.stats import LEAST_POINTS, Line, least_squares
from mlxtop.fit.measure import MeasuredRun, Peak, Step, highest

ROUND = 256
"""Tokens by which mlx-lm's KV caches grow."""
UNREST = 0.03
"""The share of a peak beyond the weights by which two runs of one context differ, for MLX's threads free what
they are done with in another order each time (measured on the CPU backend). No line is surer than that."""


class Estimate(NamedTuple):
    """A number of bytes; `margin` is half its 95 % interval, 0 where it was measured."""

    value: int
    margin: int = 0


class MemoryEstimate(NamedTuple):
    """What one context takes."""

    active: Estimate
    total: Estimate
    footprint: Estimate | None
    kv: Estimate
    origin: int | None = None
    """Tokens of the run this was extrapolated from; `None`: measured."""
    at_most: bool = False
    """Some KV cache stops growing beyond what was run: it takes this much or less."""


def measured(run: MeasuredRun) -> MemoryEstimate:
    """What a run that read its whole context took."""
    active, total, footprint = run.peak
    return MemoryEstimate(
        Estimate(active),
        Estimate(total),
        None if footprint is None else Estimate(footprint),
        Estimate(run.kv),
    )


def extrapolated(run: MeasuredRun, context: int, step: int, weights: int) -> MemoryEstimate | None:
    """What `context` tokens would take in steps of `step`, from a run that was shorter.

    Peaks grow along a line: KV cache and attention scores both do, with full steps. Where a layer's KV cache
    stops growing the line bends, so only steps beyond that count. `None`: too few steps were run.
    """
    steps, at_most = _straight(run, context, step)
    if len(steps) < LEAST_POINTS:
        return None
    kv = _line(steps, lambda s: s.kv)
    grown = max(0.0, kv.slope) * (context - run.done)

    def peak(field: Callable[[Peak], int | None]) -> Estimate | None:
        if any(field(s.peak) is None for s in steps):
            return None
        line = _line(steps, lambda s: field(s.peak) or 0)
        found = _at(line, kv, context - 1, step, weights)
        return Estimate(max(found.value, round((field(run.decode) or 0) + grown)), found.margin)

    active = peak(lambda p: p.active)
    total = peak(lambda p: p.total)
    footprint = peak(lambda p: p.footprint)
    assert active is not None
    assert total is not None
    return MemoryEstimate(active, total, footprint, _figure(kv, context), run.done, at_most)


def _straight(run: MeasuredRun, context: int, step: int) -> tuple[Sequence[Step], bool]:
    """The steps that lie on the line that leads to `context`, and whether that line only bounds it."""
    steps = _rounds(run.steps, step)
    knee = max((window for window in run.windows if window < context), default=0)
    beyond = [s for s in steps if s.tokens > knee + step] if knee else steps
    if len(beyond) < LEAST_POINTS and knee:
        return steps, True
    # The first step meets no cache: it is a little off where there are enough others.
    return (beyond[1:] if not knee and len(beyond) > LEAST_POINTS else beyond), False


def _rounds(steps: Sequence[Step], step: int) -> list[Step]:
    """The highest of the steps between two growths of the KV caches, which copies them; only whole rounds."""
    rounds: dict[int, list[Step]] = {}
    for each in steps:
        rounds.setdefault(_room(each.tokens), []).append(each)
    return [
        each[-1]._replace(peak=highest([s.peak for s in each]))
        for end, each in rounds.items()
        if each[-1].tokens + step > end
    ]


def _line(steps: Sequence[Step], value: Callable[[Step], int]) -> Line:
    return least_squares([s.tokens for s in steps], [value(s) for s in steps])


def _figure(line: Line, tokens: int) -> Estimate:
    return Estimate(round(line.at(_room(tokens))), round(line.margin(tokens)))


def _room(tokens: int) -> int:
    """The tokens that a KV cache with that many has room for."""
    return math.ceil(tokens / ROUND) * ROUND


def _at(line: Line, kv: Line, tokens: int, step: int, weights: int) -> Estimate:
    """The peak of a prefill of `tokens`: in its last full step, or in the shorter one after that.

    The shorter one works on fewer tokens at a time, so beyond weights and KV cache it takes its share only.
    """
    whole, rest = line.at(tokens // step * step), line.at(_room(tokens))
    kept = weights + kv.at(_room(tokens))
    value = max(whole, kept + (rest - kept) * (tokens % step) / step)
    doubt = min(abs(rest - value), value - whole)
    return Estimate(round(value), round(max(line.margin(tokens), UNREST * (value - weights)) + doubt))
