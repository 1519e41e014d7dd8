"""What a session's history says is going on, in verdicts a person can act on.

A growth is looked for in the last ten minutes first, then in longer stretches, on the floors of each: what
is left when the work of the moment is over. What a verdict takes is in `analysis/thresholds.py`.
"""

from collections.abc import Sequence
from math import isfinite

from mlxtop.analysis import thresholds as bar
from mlxtop.analysis.context import LOADING, DiagnosisContext, begin, cache_begin
from mlxtop.analysis.rules import growth, limits, peaks
from mlxtop.analysis.trend import Growth
from mlxtop.analysis.verdicts import ORDER, Diagnosis, Verdict
from mlxtop.analysis.window import Window, WindowReader
from mlxtop.core.sample import GAUGES, UNKNOWN, Sample
from mlxtop.core.sample_store import Samples
from mlxtop.core.state import State
from mlxtop.core.timeline import Timeline

Grown = tuple[Growth, Window | None]
LOADS = "the model is loading"


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
    """What there is to say of a session at `now`; times are seconds since it began, sizes bytes.

    `window` is the recent window in seconds, `thresholds.WINDOW` if none is given; all stretches scale with
    it. Takes the same time whatever the length of the run, and never raises for odd samples: what cannot be
    told is `not enough data`.
    """
    window = bar.WINDOW if window is None else window
    case = _case(history, timeline, state, phases, now, steps_are, budget, window)
    if case is None:
        why = LOADS if state.phase in LOADING else "there are no samples yet"
        return Diagnosis(now, (Verdict("not enough data", now, words={"why": why}),))
    start = begin(case)
    active = case.windows.grows("active", start)
    cache = case.windows.grows("cache", cache_begin(case, start))
    beyond = case.windows.grows("beyond", start)
    verdicts = limits.overridden(case)
    for (found, stretch), verdict in (
        (active, growth.active),
        (beyond, growth.beyond),
        (cache, growth.hoard),
    ):
        if found.found == "yes" and stretch is not None:
            said = verdict(case, found, stretch)
            verdicts += [said] if said else []
    thrash = limits.thrash(case)
    doubt = thrash if thrash is not None and thrash.kind == "not enough data" else None
    verdicts += [v for v in (thrash, peaks.spikes(case, start)) if v is not None and v is not doubt]
    if not verdicts and doubt is not None:
        verdicts = [doubt]
    if not verdicts:
        verdicts = [_otherwise(case, start, {"active": active, "cache": cache, "memory beyond MLX": beyond})]
    return Diagnosis(case.end, tuple(sorted(verdicts, key=_place)))


def _place(verdict: Verdict) -> int:
    return ORDER.index(verdict.kind) if verdict.kind in ORDER else len(ORDER)


def _case(
    history: Samples,
    timeline: Timeline,
    state: State,
    phases: Sequence[str],
    now: float,
    steps_are: str,
    budget: int | None,
    window: float,
) -> DiagnosisContext | None:
    """What there is to look at; `None` without a sample up to `now`."""
    first, latest = history.first, history.latest
    if first is None or latest is None or not isfinite(now) or now < first.time:
        return None
    end = min(now, latest.time)
    sample = latest if end == latest.time else history.at(end) or _rough(history, end, window)
    if sample is None:
        return None
    unified = bool(state.facts.get("unified", True))
    reader = WindowReader(history, end, window, unified)
    return DiagnosisContext(
        history, timeline, state, phases, steps_are, budget, window, end, first.time, sample, reader
    )


def _rough(history: Samples, end: float, window: float) -> Sample | None:
    """A moment of which only extremes are kept, by the last column before it."""
    columns = history.columns(end - window, window / 10, 10, until=end)
    for i in reversed(range(10)):
        if columns.lo["active"][i] != UNKNOWN:
            return Sample(end, *(columns.lo[name][i] for name in GAUGES))
    return None


def _otherwise(case: DiagnosisContext, start: float, gauges: dict[str, Grown]) -> Verdict:
    """Nothing was found: because nothing is there, or because nobody can tell yet."""
    more = bar.LEAST_SPAN * case.window - (case.end - start)
    if more > 0 and case.state.phase in LOADING:
        return Verdict("not enough data", case.first, {}, {"why": LOADS})
    if more > 0:
        # The warm-up counts too: it is one span that only gets shorter.
        return Verdict("not enough data", case.first, {"more": more}, {"why": "it is too early"})
    for name, (found, stretch) in gauges.items():
        if found.found == "unclear":
            words = {"gauge": name, "why": found.why}
            if found.grown > 0:
                since = case.end if stretch is None else stretch.start
                return Verdict("not enough data", since, {"grown": found.grown, "span": found.span}, words)
            words["why"] = f"{name}: {found.why}"
            return Verdict("not enough data", start, {}, words)
    span = case.windows.longest(start)
    numbers = {"active": case.now.active, "cache": case.now.cache, "span": span}
    filled = growth.full(case, None)
    if filled is not None:
        numbers["full"] = filled
    return Verdict("steady", case.end - span, numbers)
