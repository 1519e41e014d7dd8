"""The verdict on a cache that nothing uses."""

from mlxtop.analysis import thresholds as bar
from mlxtop.analysis.context import LOADING, DiagnosisContext
from mlxtop.analysis.rules.growth import cap, flag
from mlxtop.analysis.verdicts import Verdict
from mlxtop.core.sample import UNKNOWN

COLUMNS = 120
IDLE = (
    "MLX keeps freed buffers until it needs the memory itself. Press c to return them now. In the program, "
    "call mx.clear_cache() after a model is dropped; in a server once no request has come for a minute, not "
    "after each, for the next one has to allocate again."
)


def idle_cache(context: DiagnosisContext) -> Verdict | None:
    """Returns the verdict that a large cache has not been used for minutes."""
    now = context.now
    least = bar.IDLE_ALONE if now.cache >= bar.IDLE_ALL * now.total else bar.IDLE_LEAST
    if now.cache < max(least, min(bar.IDLE_LARGE, bar.IDLE_SHARE * now.total)):
        return None
    since = _unused_since(context)
    idle = context.end - since
    if idle < bar.IDLE_SPAN * context.window or context.state.phase in LOADING:
        return None
    numbers = {"cache": now.cache, "total": now.total, "idle": idle}
    advice = IDLE
    if (limit := cap(now.cache)) < now.cache:
        numbers["cap"] = limit
        advice += f" --cache-limit {flag(limit)} bounds it from the start."
    return Verdict("idle cache", since, numbers, {}, advice)


def _unused_since(context: DiagnosisContext) -> float:
    """Returns the time of the last step or change of *active* or the cache, in seconds."""
    now, end, first = context.now, context.end, context.first
    before = context.history.at(end - bar.IDLE_SPAN * context.window)
    if before is not None and (before.steps, *before[1:3]) != (now.steps, *now[1:3]):
        return end
    for times in bar.LONGER:
        start = max(first, end - times * context.window)
        changed = _changed(context, start)
        if changed is not None:
            return changed
        if start == first:
            break
    return start


def _changed(context: DiagnosisContext, start: float) -> float | None:
    """Returns the end of the last column since `start` in which something differs from now."""
    now, width = context.now, max((context.end - start) / COLUMNS, 1e-3)
    columns = context.history.columns(start, width, COLUMNS, ("active", "cache"), ("steps",), context.end)
    rows = (columns.last["steps"], *(side[name] for side in (columns.lo, columns.hi) for name in side))
    same = (now.steps, now.active, now.cache, now.active, now.cache)
    for i in reversed(range(COLUMNS)):
        found = tuple(row[i] for row in rows)
        if found[0] != UNKNOWN and found != same:
            return min(context.end, start + width * (i + 1))
    return None
