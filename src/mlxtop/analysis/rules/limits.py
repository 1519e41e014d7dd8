"""The verdicts on limits: one that costs speed, and one that code changed after a person had set it."""

from itertools import pairwise
from statistics import median, quantiles
from typing import NamedTuple

from mlxtop.analysis import thresholds as bar
from mlxtop.analysis.context import OURS, PEOPLE, DiagnosisContext
from mlxtop.analysis.verdicts import Verdict
from mlxtop.core.events import Event, LimitChanged
from mlxtop.core.limits import LIMIT_NAMES, MLX_DEFAULT, LimitName
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.stats import theil_sen


def overridden(context: DiagnosisContext) -> list[Verdict]:
    """Returns a verdict for each limit that code changed after a person had set it."""
    found = (_overridden(context, name) for name in LIMIT_NAMES)
    return [verdict for verdict in found if verdict is not None]


def _overridden(context: DiagnosisContext, name: LimitName) -> Verdict | None:
    limit = context.state.limits[name]
    # mlx-lm's own changes are routine: the state has them, the timeline does not.
    if limit.pending is not None or limit.value is None or limit.source in ("", MLX_DEFAULT, *OURS):
        return None
    changes = [e for e in context.events(LimitChanged) if e.data.name == name]
    ours = [e for e in changes if e.source in OURS]
    if not ours or ours[-1].source not in PEOPLE:
        return None
    yours = ours[-1].data.new
    if yours is None or yours == limit.value:
        return None
    after = (e.time for e in changes if e.time >= ours[-1].time and e.source == limit.source)
    words = {"limit": name, "source": limit.source}
    numbers = {"new": float(limit.value), "yours": float(yours)}
    key = "[ or ]" if name == "cache" else "l"
    advice = (
        f"Change it in that code. {key} sets it only until that code runs again, "
        f"and it overrides --{name}-limit too."
    )
    return Verdict("limit overridden", next(after, ours[-1].time), numbers, words, advice)


class _Pace(NamedTuple):
    """The blocks of a span in which work was done: their times, speeds, phases and largest cache sizes."""

    times: list[float]
    speeds: list[float]
    phases: set[int]
    cache_high: int
    cache_highs: list[int]


_RAISE: dict[LimitName, str] = {
    "cache": ("Press ] to raise the cache limit one step at a time, until the speed is back."),
    "memory": "Press l to raise the memory limit: above it MLX frees its cache before it allocates.",
}


class _Change(NamedTuple):
    """A limit that was lowered: from when until when, old and new value, and the cache it then allows."""

    name: LimitName
    start: float
    at: float
    old: int
    new: int
    held: int


def thrash(context: DiagnosisContext) -> Verdict | None:
    """Returns the verdict that a lowered limit costs speed: the cache is full, and the speed fell since.

    A cache limit has no effect above the size at which MLX reclaims anyway; on Metal and CUDA the memory
    limit bounds the cache too. `not enough data`: it looks like thrashing, but too few speeds are known.
    """
    changes = (_lowered(context, name) for name in ("cache", "memory"))
    found = (_thrash(context, change) for change in changes if change is not None)
    return next((verdict for verdict in found if verdict is not None), None)


def _thrash(context: DiagnosisContext, change: _Change) -> Verdict | None:
    name, start, at, old, new, held = change
    steps = context.steps_are
    reach = bar.SPEED_SPAN * context.window
    before = _pace(context, max(context.first, start - reach), start)
    after = _pace(context, at, min(context.end, at + reach))
    lately = _pace(context, max(at, context.end - reach), context.end)
    least = bar.SPEED_KNOWN
    if before.cache_high <= held:
        return None
    if len(before.speeds) < least or len(after.speeds) < least:
        few = min(len(before.speeds), len(after.speeds))
        if few < bar.SPEED_HINT or median(after.speeds) > bar.SLOWER[steps] * median(before.speeds):
            return None
        why = f"too few speeds are known from before and after the {name} limit was lowered"
        return Verdict("not enough data", at, {}, {"why": why})
    was = min(median(before.speeds), _expected(before, median(after.times)))
    for pace in (after, lately):
        if len(pace.speeds) < least and pace is lately:
            continue
        pinned = sum(high >= bar.FULL * held for high in pace.cache_highs)
        # The work must be the same, and the speeds must not overlap.
        if pace.phases - before.phases or pinned < 0.75 * len(pace.cache_highs):
            return None
        if median(pace.speeds) > bar.SLOWER[steps] * was:
            return None
        if quantiles(pace.speeds)[2] >= quantiles(before.speeds)[0]:
            return None
    numbers = {
        "old": float(old),
        "new": float(new),
        "before": median(before.speeds),
        "after": median(after.speeds),
        "cache": float(context.now.cache),
    }
    return Verdict("thrash", at, numbers, {"steps": steps, "limit": name}, _RAISE[name])


def _lowered(context: DiagnosisContext, name: LimitName) -> _Change | None:
    """Returns the last change of a limit, if it lowered the cache that the limits allow."""
    reach = context.end - bar.LONGER[1] * context.window
    changes = [e for e in context.events(LimitChanged, reach) if _is_change(e, name)]
    if not changes or context.steps_are not in bar.SLOWER:
        return None
    first = len(changes) - 1
    # Several presses of a key are one change.
    while first and changes[first].time - changes[first - 1].time < bar.PRESSES * context.window:
        first -= 1
    old, new = changes[first].data.old, changes[-1].data.new
    limits = context.state.limits
    if old is None or new is None or limits[name].value != new:
        return None
    if name == "cache":
        was, held = (context.cache_held_at(value, limits["memory"].value) for value in (old, new))
    else:
        was, held = (context.cache_held_at(limits["cache"].value, value) for value in (old, new))
    if was is None or held is None or held >= was:
        return None
    return _Change(name, changes[first].time, changes[-1].time, old, new, held)


def _is_change(event: Event[LimitChanged], name: LimitName) -> bool:
    changed = event.data
    return changed.name == name and None not in (changed.old, changed.new) and changed.old != changed.new


def _pace(context: DiagnosisContext, start: float, end: float) -> _Pace:
    count = bar.SPEED_BLOCKS
    width = (end - start) / count
    if width <= 0:
        return _Pace([], [], set(), 0, [])
    # One extra column in front: a speed is the difference of two columns.
    columns = context.history.columns(
        start - width, width, count + 1, ("cache",), ("steps", "decode", "phase"), until=end
    )
    steps, decode, phases = (columns.last[name] for name in ("steps", "decode", "phase"))
    pace = _Pace([], [], set(), max(columns.hi["cache"][1:]), [])
    for i, ((a, b), (t, u)) in enumerate(zip(pairwise(steps), pairwise(decode), strict=True), 1):
        # The speed of a block with little work is not reliable.
        if UNKNOWN in (a, b, t, u) or u - t < 0.2e6 * width or b <= a:
            continue
        pace.times.append(start + width * (i - 0.5))
        pace.speeds.append((b - a) / (u - t) * 1e6)
        pace.phases.add(phases[i])
        pace.cache_highs.append(columns.hi["cache"][i])
    return pace


def _expected(pace: _Pace, at: float) -> float:
    """Returns the speed extrapolated to `at`: decoding slows down as a conversation grows."""
    slope = theil_sen(pace.times, pace.speeds)
    middle = median(pace.speeds)
    return middle if slope is None else middle + slope.value * (at - median(pace.times))
