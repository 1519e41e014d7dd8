"""What the timeline draws, as the data that the page holds for its script."""

from itertools import pairwise
from typing import Any

from mlxtop.core.phases import phase_colour
from mlxtop.core.sample import GAUGES, UNKNOWN
from mlxtop.core.text import one_line
from mlxtop.report.series import budget_steps, limit_steps, ticks
from mlxtop.report.session_summary import SessionSummary

LONGEST = 300
"""Letters of what is said of an event."""


def chart_data(each: SessionSummary) -> dict[str, Any]:
    """A session as `chart.js` reads it: times are the page's, columns are written as differences."""
    trace, offset = each.trace, each.offset
    lo, hi = {}, {}
    for name in GAUGES:
        if any(value != UNKNOWN for value in trace.lo[name]):
            source = trace.hi if name == "peak" else trace.lo
            lo[name] = _steps(_known(source[name]))
            pairs = zip(trace.lo[name], trace.hi[name], strict=True)
            more = [None if a == UNKNOWN else b - a for a, b in pairs]
            if name != "peak" and any(more):
                hi[name] = more
    return {
        "id": each.about.id,
        "end": each.end,
        "unit": "tok/s" if each.about.steps_are == "tokens" else f"{one_line(each.about.steps_are)}/s",
        "times": _steps([round((time + offset) * 1000) for time in trace.times]),
        "lo": lo,
        "hi": hi,
        "speed": _steps([None if rate is None else round(rate * 1000) for rate in trace.speed]),
        "buffers": _steps(_known(trace.buffers)) if max(trace.buffers, default=UNKNOWN) > UNKNOWN else [],
        "most_buffers": each.state.facts.resource_limit,
        "limit": [[round(time + offset, 3), value] for time, value in limit_steps(each.events)],
        "budget": [[round(time + offset, 3), value] for time, value in budget_steps(each.events)],
        "runs": [[round(start + offset, 3), phase] for start, phase in each.runs],
        "phases": [[one_line(name), phase_colour(name)] for name in each.phases],
        "ticks": [
            {
                "time": round(tick.time + offset, 3), "kind": tick.kind, "times": tick.times,
                "text": one_line(tick.text)[:LONGEST], "up": tick.up,
            }
            for tick in ticks(each.events, max(each.span, 1e-3))
        ],
    }  # fmt: skip


def _known(values: list[int]) -> list[int | None]:
    return [None if value == UNKNOWN else value for value in values]


def _steps(values: list[int | None]) -> list[int | None]:
    """Each known value as its difference from the known one before it: shorter to write."""
    known = [value for value in values if value is not None]
    steps = iter([*known[:1], *(b - a for a, b in pairwise(known))])
    return [None if value is None else next(steps) for value in values]
