"""The verdicts on what is above a limit: MLX's, or the machine's."""

from mlxtop.analysis import thresholds as bar
from mlxtop.analysis.context import DiagnosisContext
from mlxtop.analysis.verdicts import Verdict
from mlxtop.analysis.window import Window, grown
from mlxtop.core.events import LimitChanged, SystemRead
from mlxtop.core.machine import LEVELS, System

MEMORY = (
    "The memory limit is a guideline: above it MLX returns its cache and waits for queued work before it "
    "allocates, which costs speed, and goes on. Press l to raise it, or make the work smaller."
)
WIRED = (
    "No more than the system allows stays resident. Press l to lower the wired limit, or raise the system's: "
    "sysctl iogpu.wired_limit_mb."
)
MACHINE = (
    "Most of what the machine is short of, this program took. Press c to return the cache and [ to lower its "
    "limit; use a smaller model, context or batch. --budget warns before it comes to this."
)


def over(context: DiagnosisContext, begin: float) -> list[Verdict]:
    """Returns a verdict for each limit that is exceeded."""
    spans = context.windows.spans(begin)
    window = context.windows.between(context.end - spans[0], context.end) if spans else None
    found = [_memory(context, window), _wired(context)]
    if window is not None:
        found.append(_machine(context, window))
    return [verdict for verdict in found if verdict is not None]


def _memory(context: DiagnosisContext, window: Window | None) -> Verdict | None:
    """Returns the verdict that *active* was above the present memory limit."""
    limit = context.state.limits["memory"].value
    if limit is None:
        return None
    now = context.now.active
    above = [(context.end, now)] if now > limit else []
    numbers = {"limit": float(limit), "active": float(now)}
    if window is not None:
        changes = [e.time for e in context.events(LimitChanged, window.start) if e.data.name == "memory"]
        since = max([window.start, *changes[-1:]])
        columns = [(t, v) for t, v in window.column_highs("active") if t >= since and v > limit]
        numbers["above"], numbers["span"] = len(columns) * window.width, context.end - since
        above += columns
    if not above:
        return None
    numbers["most"] = float(max(value for _, value in above))
    return Verdict("over the limit", min(above)[0], numbers, {"limit": "memory"}, MEMORY)


def _wired(context: DiagnosisContext) -> Verdict | None:
    """Returns the verdict that the wired limit is more than the system keeps resident."""
    state, system = context.state, context.state.system or System()
    limit, allowed = state.limits["wired"].value, system.wired_limit or state.facts.working_set
    if limit is None or allowed is None or limit <= allowed or state.facts.no_wiring is not None:
        return None
    changes = [e.time for e in context.events(LimitChanged) if e.data.name == "wired"]
    numbers = {"limit": float(limit), "allowed": float(allowed)}
    return Verdict("over the limit", (changes or [context.first])[-1], numbers, {"limit": "wired"}, WIRED)


def _machine(context: DiagnosisContext, window: Window) -> Verdict | None:
    """Returns the verdict that the machine runs short of memory because this program grew."""
    readings = context.events(SystemRead, window.start)
    if len(readings) < 2 or readings[-1].time - readings[0].time < bar.SHORT_SPAN * context.window:
        return None
    first, last = readings[0].data.system, readings[-1].data.system
    if last.pressure not in LEVELS[1:]:
        return None
    swapped = _rise(first.swap_used, last.swap_used)
    if swapped < bar.SWAP_LEAST and first.pressure != LEVELS[0]:
        return None
    taken = max(0, swapped) + max(0, _rise(last.available, first.available))
    ours = max(grown(window.floors[name]) or 0 for name in ("total", "footprint"))
    if ours < max(bar.SWAP_LEAST, bar.EXPLAINS * taken):
        return None
    numbers = {"grown": float(ours), "swapped": float(swapped), "span": readings[-1].time - readings[0].time}
    words = {"limit": "machine", "pressure": last.pressure}
    return Verdict("over the limit", readings[0].time, numbers, words, MACHINE)


def _rise(before: int | None, after: int | None) -> int:
    """Returns by how much a size rose; 0 where it is not known."""
    return 0 if before is None or after is None else after - before
