"""The verdicts on limits: what one costs in speed, and who changed one that a person had set."""

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


def overridden(case: DiagnosisContext) -> list[Verdict]:
    """The limits that stand otherwise than the person who last set them wanted, by code."""
    found = (_overridden(case, name) for name in LIMIT_NAMES)
    return [verdict for verdict in found if verdict is not None]


def _overridden(case: DiagnosisContext, name: LimitName) -> Verdict | None:
    limit = case.state.limits[name]
    # mlx-lm's own changes are in the state but, as routine, not on the timeline.
    if limit.pending is not None or limit.value is None or limit.source in ("", MLX_DEFAULT, *OURS):
        return None
    changes = [e for e in case.events(LimitChanged) if e.data.name == name]
    ours = [e for e in changes if e.source in OURS]
    if not ours or ours[-1].source not in PEOPLE:
        return None
    yours = ours[-1].data.new
    if yours is None or yours == limit.value:
        return None
    after = (e.time for e in changes if e.time >= ours[-1].time and e.source == limit.source)
    words = {"limit": name, "source": limit.source}
    numbers = {"new": float(limit.value), "yours": float(yours)}
    key = "[ and ]" if name == "cache" else "l"
    advice = (
        f"{key} sets it again, until that code runs next: change it there. "
        f"A --{name}-limit from the start is overridden in the same way."
    )
    return Verdict("limit overridden", next(after, ours[-1].time), numbers, words, advice)


class _Pace(NamedTuple):
    """Speeds of the blocks of a stretch in which work was done, when, and in which phases."""

    times: list[float]
    speeds: list[float]
    phases: set[int]
    cache_high: int
    cache_highs: list[int]


_RAISE: dict[LimitName, str] = {
    "cache": (
        "] raises the cache limit again, a rung at a time: the lowest at which the speed is back is enough."
    ),
    "memory": "l sets the memory limit again: above it MLX gives the cache back before it takes new memory.",
}


class _Change(NamedTuple):
    """A limit that was lowered, from when until when, and where it then held the cache, in bytes."""

    name: LimitName
    start: float
    at: float
    old: int
    new: int
    held: int


def thrash(case: DiagnosisContext) -> Verdict | None:
    """A limit that holds the cache was lowered, the cache is full, and since then the speed is lower.

    A cache limit above what MLX reclaims at anyway held nothing; there, on Metal and CUDA, the memory limit
    holds the cache too. `not enough data` where it looks like thrashing and too little of the speed is known.
    """
    changes = (_lowered(case, name) for name in ("cache", "memory"))
    found = (_thrash(case, change) for change in changes if change is not None)
    return next((verdict for verdict in found if verdict is not None), None)


def _thrash(case: DiagnosisContext, change: _Change) -> Verdict | None:
    name, start, at, old, new, held = change
    steps = case.steps_are
    reach = bar.SPEED_SPAN * case.window
    before = _pace(case, max(case.first, start - reach), start)
    after = _pace(case, at, min(case.end, at + reach))
    lately = _pace(case, max(at, case.end - reach), case.end)
    least = bar.SPEED_KNOWN
    if before.cache_high <= held:
        return None
    if len(before.speeds) < least or len(after.speeds) < least:
        few = min(len(before.speeds), len(after.speeds))
        if few < bar.SPEED_HINT or median(after.speeds) > bar.SLOWER[steps] * median(before.speeds):
            return None
        why = f"too little is known of the speed before and after the {name} limit was lowered"
        return Verdict("not enough data", at, {}, {"why": why})
    was = min(median(before.speeds), _went_on(before, median(after.times)))
    for pace in (after, lately):
        if len(pace.speeds) < least and pace is lately:
            continue
        pinned = sum(high >= bar.FULL * held for high in pace.cache_highs)
        # What is done must be the same, and slow and fast must not overlap.
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
        "cache": float(case.now.cache),
    }
    return Verdict("thrash", at, numbers, {"steps": steps, "limit": name}, _RAISE[name])


def _lowered(case: DiagnosisContext, name: LimitName) -> _Change | None:
    """The last change of a limit, if it lowered where the cache is held."""
    reach = case.end - bar.LONGER[1] * case.window
    changes = [e for e in case.events(LimitChanged, reach) if _turned(e, name)]
    if not changes or case.steps_are not in bar.SLOWER:
        return None
    first = len(changes) - 1
    # Several presses of a key are one change.
    while first and changes[first].time - changes[first - 1].time < bar.PRESSES * case.window:
        first -= 1
    old, new = changes[first].data.old, changes[-1].data.new
    limits = case.state.limits
    if old is None or new is None or limits[name].value != new:
        return None
    if name == "cache":
        was, held = (case.cache_held_at(value, limits["memory"].value) for value in (old, new))
    else:
        was, held = (case.cache_held_at(limits["cache"].value, value) for value in (old, new))
    if was is None or held is None or held >= was:
        return None
    return _Change(name, changes[first].time, changes[-1].time, old, new, held)


def _turned(event: Event[LimitChanged], name: LimitName) -> bool:
    changed = event.data
    return changed.name == name and None not in (changed.old, changed.new) and changed.old != changed.new


def _pace(case: DiagnosisContext, start: float, end: float) -> _Pace:
    count = bar.SPEED_BLOCKS
    width = (end - start) / count
    if width <= 0:
        return _Pace([], [], set(), 0, [])
    # One column more in front: a speed is the difference of two.
    columns = case.history.columns(
        start - width, width, count + 1, ("cache",), ("steps", "decode", "phase"), until=end
    )
    steps, decode, phases = (columns.last[name] for name in ("steps", "decode", "phase"))
    pace = _Pace([], [], set(), max(columns.hi["cache"][1:]), [])
    for i, ((a, b), (t, u)) in enumerate(zip(pairwise(steps), pairwise(decode), strict=True), 1):
        # Blocks in which next to nothing was done say little.
        if UNKNOWN in (a, b, t, u) or u - t < 0.2e6 * width or b <= a:
            continue
        pace.times.append(start + width * (i - 0.5))
        pace.speeds.append((b - a) / (u - t) * 1e6)
        pace.phases.add(phases[i])
        pace.cache_highs.append(columns.hi["cache"][i])
    return pace


def _went_on(pace: _Pace, at: float) -> float:
    """What the speed would be at `at` had it gone on as before: decoding slows as a conversation grows."""
    slope = theil_sen(pace.times, pace.speeds)
    middle = median(pace.speeds)
    return middle if slope is None else middle + slope.value * (at - median(pace.times))
