"""A sweep as one HTML page that needs nothing else, in the look of a recording's report."""

import json
from importlib.resources import files
from typing import Any

from mlxtop import __version__
from mlxtop.core.units import format_size
from mlxtop.report.markup import Safe, joined, number, table, tag
from mlxtop.sweep.measurement import METRICS, Measurement, Metric
from mlxtop.sweep.results import Row, Summary
from mlxtop.sweep.store import to_json
from mlxtop.sweep.table import LEGEND, interval, machine, mark

WIDTH, HEIGHT = 620, 340
LEFT, RIGHT, TOP, BOTTOM = 64, 38, 20, 34
TICKS = 5
MOOD = {"take": "calm", "same": "calm", "unknown": "open"}
HEADING = {"take": "Recommended", "same": "No difference", "unknown": "Cannot tell"}
STYLE = """
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--dim); font-size: 12px; }
svg .axis { stroke: var(--faint); }
svg .front { fill: none; stroke: var(--dim); stroke-dasharray: 2 4; }
svg .point { stroke: var(--label); fill: var(--label); }
svg .point text { fill: var(--label); stroke: none; }
svg .on { stroke: var(--active); fill: var(--active); } svg .on text { fill: var(--active); }
svg .chosen { stroke: var(--speed); fill: var(--speed); }
svg .chosen text { fill: var(--speed); font-weight: 600; }
"""


def page(summary: Summary, facts: dict[str, Any], readings: list[Measurement]) -> str:
    """The page. The whole sweep is in it as JSON too, for whoever wants to calculate."""
    plan, advice = summary.plan, summary.recommendation
    verdict = tag(
        "div",
        tag("h3", HEADING[advice.verdict]),
        tag("p", advice.sentence, class_="line"),
        class_=f"verdict {MOOD[advice.verdict]}",
    )
    charts = [_figure(summary, i) for i in range(len(plan.lengths))]
    notes = [tag("li", note) for note in [*summary.notes, machine(summary, facts)]]
    body = joined(
        [
            tag("p", "mlxtop sweep", class_="kicker"),
            tag("h1", plan.subject),
            verdict,
            tag("div", *charts, class_="pair"),
            tag("h2", "Cells"),
            _table(summary),
            tag("p", LEGEND, class_="quiet"),
            tag("ul", *notes, class_="quiet"),
        ]
    )
    # Inside a script only `<` could end it.
    data = json.dumps(to_json(summary, facts, readings)).replace("<", "\\u003c")
    style = (files("mlxtop.report") / "style.css").read_text(encoding="utf-8") + STYLE
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="generator" content="mlxtop {__version__}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"{tag('title', f'sweep: {plan.subject}')}\n<style>\n{style}</style>\n</head>\n<body>\n{body}\n"
        f'<script type="application/json" id="data">{data}</script>\n</body>\n</html>\n'
    )


def _table(summary: Summary) -> Safe:
    plan = summary.plan
    lengths = plan.lengths != (0,)
    heads = ["", " · ".join(knob.name for knob in plan.parameters), *(["prompt"] if lengths else [])]
    heads += [_metric(summary, name).title for name in summary.metrics]
    return table(heads, (_cells(summary, row, lengths) for row in summary.rows))


def _cells(summary: Summary, row: Row, lengths: bool) -> list[Safe]:
    cells = [number(mark(row)), tag("th", row.label, scope="row")]
    cells += [number(f"{row.length:,}")] if lengths else []
    for name in summary.metrics:
        spread, metric = row.spreads.get(name), _metric(summary, name)
        value = metric.format(spread and spread.median)
        cells.append(number(f"{value} {interval(spread, metric)}".strip()))
    return cells


def _metric(summary: Summary, name: str) -> Metric:
    return summary.speed if name == summary.plan.metric else METRICS[name]


# The chart


class _Scale:
    """Places on one axis, in the units of the picture."""

    def __init__(self, values: list[float], begin: float, end: float) -> None:
        low, high = min(values), max(values)
        room = max((high - low) * 0.12, high * 0.01, 1e-9)
        self.low, self.high = max(0.0, low - room), high + room
        self._begin, self._step = begin, (end - begin) / (self.high - self.low)

    def __call__(self, value: float) -> float:
        return round(self._begin + (value - self.low) * self._step, 1)

    @property
    def ticks(self) -> list[float]:
        return [self.low + (self.high - self.low) * i / TICKS for i in range(TICKS + 1)]


def _figure(summary: Summary, length: int) -> Safe:
    """Speed against peak total at one prompt length: points, intervals, and the front."""
    name, tokens = summary.plan.metric, summary.plan.lengths[length]
    rows = [r for r in summary.of_length(length) if name in r.spreads and "total" in r.spreads]
    caption = f"{summary.speed.title} against peak total" + (
        f", prompt of {tokens:,} tokens" if tokens else ""
    )
    if not rows:
        return tag("div", tag("h3", caption), tag("p", "Nothing was measured.", class_="quiet"))
    x = _Scale([v for r in rows for v in _ends(r, "total")], LEFT, WIDTH - RIGHT)
    y = _Scale([v for r in rows for v in _ends(r, name)], HEIGHT - BOTTOM, TOP)
    parts = [_axis(x(t), HEIGHT - BOTTOM, format_size(round(t)), "middle", 18) for t in x.ticks]
    parts += [_axis(LEFT, y(t), summary.speed.format(t), "end", 4) for t in y.ticks]
    front = sorted((r for r in rows if r.front), key=lambda r: r.spreads["total"].median)
    line = " ".join(f"{x(r.spreads['total'].median)},{y(r.spreads[name].median)}" for r in front)
    parts.append(tag("polyline", points=line, class_="front"))
    # Names above and below by turns: neighbours are often as fast and as large.
    ranked = sorted(rows, key=lambda r: r.spreads["total"].median)
    drawn = {r.cell: _point(r, name, x, y, above=i % 2 == 0) for i, r in enumerate(ranked)}
    parts += [drawn[r.cell] for r in sorted(rows, key=lambda r: (r.chosen, r.front))]
    return tag("div", tag("h3", caption), tag("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img"))


def _axis(x: float, y: float, label: str, anchor: str, below: int) -> Safe:
    """A line across the picture, and what it stands for."""
    if anchor == "middle":
        return tag("text", label, x=x, y=y + below, text_anchor=anchor)
    words = tag("text", label, x=x - 8, y=y + below, text_anchor=anchor)
    return tag("line", x1=x, x2=WIDTH - RIGHT, y1=y, y2=y, class_="axis") + words


def _point(row: Row, name: str, x: _Scale, y: _Scale, above: bool) -> Safe:
    """A choice with its intervals and its name."""
    at_x, at_y = x(row.spreads["total"].median), y(row.spreads[name].median)
    (left, right), (low, high) = map(x, _ends(row, "total")), map(y, _ends(row, name))
    kind = "point chosen" if row.chosen else "point on" if row.front else "point"
    return tag(
        "g",
        tag("line", x1=left, x2=right, y1=at_y, y2=at_y),
        tag("line", x1=at_x, x2=at_x, y1=low, y2=high),
        tag("circle", cx=at_x, cy=at_y, r=5 if row.chosen else 4),
        tag("text", row.label, x=at_x, y=at_y + (-10 if above else 20), text_anchor="middle"),
        class_=kind,
    )


def _ends(row: Row, name: str) -> tuple[float, float]:
    spread = row.spreads[name]
    return (spread.low, spread.high) if spread.low == spread.low else (spread.median, spread.median)
