"""Runs the contexts that time and memory allow, and extrapolates the others."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from mlxtop.core.budget import Budget
from mlxtop.fit import extrapolate
from mlxtop.fit.extrapolate import MemoryEstimate
from mlxtop.fit.measure import MeasuredRun, Settings, Step, Why, run
from mlxtop.fit.verdict import Verdict, judge

CONTEXTS = (4096, 16384, 32768, 131072)
SPARE = 0.97
"""The share of the available memory that a run may use."""
FINEST = 256
"""The resolution in tokens of the longest context that fits."""


class Row(NamedTuple):
    """The result for one context."""

    context: int
    need: MemoryEstimate | None
    verdict: Verdict
    run: MeasuredRun | None
    """The complete or partial run of this context; `None`: it was not begun."""


@dataclass(frozen=True, slots=True)
class Study:
    """The results of a study."""

    rows: tuple[Row, ...]
    longest: int | None
    """The longest context that fits, in tokens, extrapolated; `None` if unknown."""
    interrupted: bool = False


def contexts(most: int | None) -> tuple[int, ...]:
    """Returns the default context lengths for a model with `most` positions."""
    if most is None:
        return CONTEXTS
    return tuple(c for c in CONTEXTS if c < most) + ((most,) if most <= CONTEXTS[-1] else ())


def study(
    model: Any,
    vocabulary: int,
    weights: int,
    lengths: Sequence[int],
    settings: Settings,
    budget: Budget,
    room: int,
    within: float,
    report: Callable[[int, int], None],
) -> Study:
    """Runs each of `lengths`, the shortest first, until `within` seconds or `room` bytes are used up.

    Longer contexts are extrapolated from the longest run. `report` is called with the context and the tokens
    done. Ctrl-C ends the runs; finished steps count.
    """
    until = time.monotonic() + within
    runs: dict[int, MeasuredRun] = {}

    def enough(steps: Sequence[Step]) -> Why:
        if time.monotonic() > until:
            return "time"
        grows = steps[-1].peak.total - steps[-2].peak.total if len(steps) > 1 else 0
        return "memory" if steps[-1].peak.total + max(0, grows) > SPARE * room else ""

    for length in sorted(set(lengths)):
        runs[length] = run(model, vocabulary, length, settings, enough, partial(report, length))
        if runs[length].stopped or time.monotonic() > until:
            break
    base = max(runs.values(), key=lambda r: r.done, default=None)

    def need(length: int) -> MemoryEstimate | None:
        done = runs.get(length)
        if done is not None and not done.stopped:
            return extrapolate.measured(done)
        if base is None:
            return None
        return extrapolate.extrapolated(base, length, settings.prefill_step_size, weights)

    rows = []
    for length in sorted(set(lengths)):
        needed = need(length)
        rows.append(Row(length, needed, judge(needed, budget), runs.get(length)))
    interrupted = any(run.stopped == "interrupt" for run in runs.values())
    return Study(tuple(rows), _longest(rows, need, budget), interrupted)


def _longest(rows: Sequence[Row], need: Callable[[int], MemoryEstimate | None], budget: Budget) -> int | None:
    """Finds the longest context that fits, by bisection between one that fits and one that does not."""
    fits = max((row.context for row in rows if row.verdict.word == "fits"), default=0)
    fails = min((row.context for row in rows if row.need and row.verdict.word != "fits"), default=0)
    if fails <= fits:
        return None
    low, high = fits // FINEST, fails // FINEST
    while high - low > 1:
        middle = (low + high) // 2
        needed = need(middle * FINEST)
        if needed is None:
            return None
        low, high = (middle, high) if judge(needed, budget).word == "fits" else (low, middle)
    return max(low * FINEST, fits) or None
