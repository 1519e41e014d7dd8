"""The diagnosis of a session: verdicts from its history, each with advice.

Growth is searched in the last ten minutes first, then in longer windows. It is measured on floors: the
lowest values between pieces of work. All thresholds are in `analysis/thresholds.py`.
"""

from collections.abc import Sequence
from math import isfinite

from mlxtop.analysis import thresholds as bar
from mlxtop.analysis.context import LOADING, DiagnosisContext, begin, cache_begin
from mlxtop.analysis.rules import buffers, growth, idle, limits, over, peaks, swings
from mlxtop.analysis.trend import Growth
from mlxtop.analysis.verdicts import ORDER, Diagnosis, Verdict, VerdictKind
from mlxtop.analysis.window import Window, WindowReader
from mlxtop.core.sample import GAUGES, UNKNOWN, Sample
from mlxtop.core.sample_store import Samples
from mlxtop.core.state import State
from mlxtop.core.timeline import Timeline

Grown = tuple[Growth, Window | None]
LOADS = "the model is loading"
GROWS: set[VerdictKind] = {"active grows", "not evaluated"}
"""Verdicts beside which the course of *active* is not told."""


def diagnose(
    history: Samples,
    timeline: Timeline,
    state: State,
    phases: Sequence[str],
    now: float,
    steps_are: str,
    budget: int | None = None,
    window: float | None = None,
) -> Diagnosis:
    """Returns the verdicts on a session at `now`. Times are seconds since it began, sizes bytes.

    `window` is the length of the recent window in seconds (default: `thresholds.WINDOW`); longer windows are
    multiples of it. The time this takes does not depend on the length of the run. It raises nothing for
    invalid or missing samples: the verdict is then `not enough data`.
    """
    window = bar.WINDOW if window is None else window
    context = _context(history, timeline, state, phases, now, steps_are, budget, window)
    if context is None:
        why = LOADS if state.phase in LOADING else "there are no samples yet"
        return Diagnosis(now, (Verdict("not enough data", now, words={"why": why}),))
    start = begin(context)
    active = context.windows.grows("active", start)
    cache = context.windows.grows("cache", cache_begin(context, start))
    beyond = context.windows.grows("beyond", start)
    verdicts = [*limits.overridden(context), *over.over(context, start)]
    for (found, grown_in), rule in (
        (active, growth.active),
        (beyond, growth.beyond),
        (cache, growth.hoard),
    ):
        if found.found == "yes" and grown_in is not None:
            verdict = rule(context, found, grown_in)
            verdicts += [verdict] if verdict else []
    count, counted_from = buffers.find(context, start)
    if count.found == "yes":
        verdict = buffers.buffers(context, count, counted_from, verdicts)
        verdicts += [verdict] if verdict else []
    thrash = limits.thrash(context)
    doubt = thrash if thrash is not None and thrash.kind == "not enough data" else None
    unused, spikes = idle.idle_cache(context), peaks.spikes(context, start)
    if spikes is None and not GROWS & {verdict.kind for verdict in verdicts}:
        spikes = swings.swings(context, start)
    verdicts += [v for v in (thrash, unused, spikes) if v is not None and v is not doubt]
    if not verdicts and doubt is not None:
        verdicts = [doubt]
    if not verdicts:
        verdicts = [
            _otherwise(
                context,
                start,
                {"active": active, "cache": cache, "memory beyond MLX": beyond, "buffers": (count, None)},
            )
        ]
    return Diagnosis(context.end, tuple(sorted(verdicts, key=_rank)))


def _rank(verdict: Verdict) -> int:
    return ORDER.index(verdict.kind) if verdict.kind in ORDER else len(ORDER)


def _context(
    history: Samples,
    timeline: Timeline,
    state: State,
    phases: Sequence[str],
    now: float,
    steps_are: str,
    budget: int | None,
    window: float,
) -> DiagnosisContext | None:
    """Returns the input of the rules; `None` without a sample up to `now`."""
    first, latest = history.first, history.latest
    if first is None or latest is None or not isfinite(now) or now < first.time:
        return None
    end = min(now, latest.time)
    sample = latest if end == latest.time else history.at(end) or _rough(history, end, window)
    if sample is None:
        return None
    waiting = state.census is not None and not all(held.computed for held in state.census.holdings)
    reader = WindowReader(history, end, window, state.facts.unified, steps_are, waiting)
    return DiagnosisContext(
        history, timeline, state, phases, steps_are, budget, window, end, first.time, sample, reader
    )


def _rough(history: Samples, end: float, window: float) -> Sample | None:
    """Returns the minima of the last column before `end`, where single samples are no longer kept."""
    columns = history.columns(end - window, window / 10, 10, until=end)
    for i in reversed(range(10)):
        if columns.lo["active"][i] != UNKNOWN:
            return Sample(end, *(columns.lo[name][i] for name in GAUGES))
    return None


def _otherwise(context: DiagnosisContext, start: float, gauges: dict[str, Grown]) -> Verdict:
    """Returns `steady` or `not enough data`, for the case that no rule found anything."""
    more = bar.LEAST_SPAN * context.window - (context.end - start)
    if more > 0 and context.state.phase in LOADING:
        return Verdict("not enough data", context.first, {}, {"why": LOADS})
    if more > 0:
        # The warm-up is part of this span, so the number only decreases.
        return Verdict("not enough data", context.first, {"more": more}, {"why": "it is too early"})
    for name, (found, window) in gauges.items():
        if found.found == "unclear":
            words = {"gauge": name, "why": found.why}
            if found.grown > 0:
                since = context.end if window is None else window.start
                return Verdict("not enough data", since, {"grown": found.grown, "span": found.span}, words)
            words["why"] = f"{name}: {found.why}"
            return Verdict("not enough data", start, {}, words)
    span = context.windows.longest(start)
    numbers = {
        "active": context.now.active,
        "cache": context.now.cache,
        "peak": max(context.now.peak, context.now.active),
        "span": span,
        **_ranges(context.windows.between(context.end - span, context.end)),
    }
    filled = growth.full(context, None)
    if filled is not None:
        numbers["full"] = filled
    return Verdict("steady", context.end - span, numbers)


def _ranges(window: Window) -> dict[str, float]:
    """Returns the lowest and the highest *active* and cache of a window, in bytes."""
    found = {name: window.range(name) for name in ("active", "cache")}
    known = {name: ends for name, ends in found.items() if UNKNOWN not in ends}
    return {
        f"{name}_{end}": size
        for name, ends in known.items()
        for end, size in zip(("low", "high"), ends, strict=True)
    }
