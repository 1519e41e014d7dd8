"""Extrapolates the memory of a longer context from the steps of a shorter run."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mlxtop.core.stats import LEAST_POINTS, Line, least_squares
from mlxtop.fit.measure import MeasuredRun, Peak, Step, highest

ROUND = 256
"""Tokens by which mlx-lm's KV caches grow."""
UNREST = 0.03
"""The share of a peak above the weights by which two runs of one context differ: MLX's threads free arrays in
varying order (measured on the CPU backend). No margin is smaller than this."""


class Estimate(NamedTuple):
    """A number of bytes; `margin` is half its 95 % interval, 0 where it was measured."""

    value: int
    margin: int = 0


class MemoryEstimate(NamedTuple):
    """The memory that one context needs."""

    active: Estimate
    total: Estimate
    footprint: Estimate | None
    kv: Estimate
    origin: int | None = None
    """Tokens of the run from which this was extrapolated; `None`: measured."""
    at_most: bool = False
    """Whether this is an upper bound: some KV cache stops growing beyond the tokens that were run."""


def measured(run: MeasuredRun) -> MemoryEstimate:
    """Returns the memory of a run that read its whole context."""
    active, total, footprint = run.peak
    return MemoryEstimate(
        Estimate(active),
        Estimate(total),
        None if footprint is None else Estimate(footprint),
        Estimate(run.kv),
    )


def extrapolated(run: MeasuredRun, context: int, step: int, weights: int) -> MemoryEstimate | None:
    """Extrapolates a shorter run to `context` tokens in steps of `step`; `None`: too few steps were run.

    The model is linear: with full steps, the KV cache and the attention scores both grow linearly. Where a
    layer's KV cache stops growing the slope changes, so only steps beyond that are used.
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
    """Returns the steps for the line that leads to `context`, and whether it is only an upper bound."""
    steps = _rounds(run.steps, step)
    knee = max((window for window in run.windows if window < context), default=0)
    beyond = [s for s in steps if s.tokens > knee + step] if knee else steps
    if len(beyond) < LEAST_POINTS and knee:
        return steps, True
    # The first step has no KV cache before it, so it deviates a little. It is used only if there are few.
    return (beyond[1:] if not knee and len(beyond) > LEAST_POINTS else beyond), False


def _rounds(steps: Sequence[Step], step: int) -> list[Step]:
    """Returns the highest step of each complete round; a round ends when the KV caches grow by a copy."""
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
    """Returns the capacity of a KV cache with so many tokens."""
    return math.ceil(tokens / ROUND) * ROUND


def _at(line: Line, kv: Line, tokens: int, step: int, weights: int) -> Estimate:
    """Returns the peak of a prefill of `tokens`: that of the last full step or of the shorter step after it.

    The shorter step processes fewer tokens at a time: its memory above weights and KV cache is proportional.
    """
    whole, rest = line.at(tokens // step * step), line.at(_room(tokens))
    kept = weights + kv.at(_room(tokens))
    value = max(whole, kept + (rest - kept) * (tokens % step) / step)
    doubt = min(abs(rest - value), value - whole)
    return Estimate(round(value), round(max(line.margin(tokens), UNREST * (value - weights)) + doubt))
