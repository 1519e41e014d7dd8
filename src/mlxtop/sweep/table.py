"""A sweep as a table: text, Markdown, CSV."""

import csv
import io
from collections.abc import Sequence
from typing import Any, Final

from mlxtop.core.text import cell
from mlxtop.core.units import format_size
from mlxtop.sweep.interval import Spread
from mlxtop.sweep.measurement import METRICS, Measurement, Metric
from mlxtop.sweep.recommendation import in_rounds
from mlxtop.sweep.results import Row, Summary, is_disturbed

CHOSEN, FRONT = "★", "•"
LEGEND = f"{CHOSEN} recommended   {FRONT} no other is both faster and smaller   (median, 95 % interval)"
RANK: Final = ("tps", "value", "seconds", "total", "cache", "ttft", "prefill", "active", "footprint")
"""Columns by importance: a narrow table leaves out the last."""


def columns(summary: Summary, width: int | None = None) -> list[str]:
    """The metrics that fit into `width` cells, in their order; all of them without a width."""
    there = summary.metrics
    if width is None:
        return there
    shown = sorted(there, key=RANK.index)
    while len(shown) > 1 and _width(grid(summary, [n for n in there if n in shown])) > width:
        shown.pop()
    return [name for name in there if name in shown]


def grid(summary: Summary, metrics: Sequence[str]) -> list[list[str]]:
    """Head and rows as text, one cell each. The interval stands with what is compared."""
    compared = summary.plan.metric
    head = _leading_heads(summary)
    for name in metrics:
        head += [_metric(summary, name).title, *([""] if name == compared else [])]
    rows = [head]
    for row in summary.rows:
        cells = _leading_cells(summary, row)
        for name in metrics:
            spread, metric = row.spreads.get(name), _metric(summary, name)
            cells.append(metric.format(spread and spread.median))
            if name == compared:
                cells.append(interval(spread, metric))
        rows.append(cells)
    return rows


def full_grid(summary: Summary) -> list[list[str]]:
    """Head and rows as text, one cell each. Every metric is there, and its interval stands in its cell."""
    metrics = {name: _metric(summary, name) for name in summary.metrics}
    rows = [_leading_heads(summary) + [metric.title for metric in metrics.values()]]
    for row in summary.rows:
        found = ((row.spreads.get(name), metric) for name, metric in metrics.items())
        figures = [f"{metric.format(s and s.median)} {interval(s, metric)}".strip() for s, metric in found]
        rows.append(_leading_cells(summary, row) + figures)
    return rows


def _leading_heads(summary: Summary) -> list[str]:
    knobs = " · ".join(knob.name for knob in summary.plan.parameters)
    return ["", knobs, *(["prompt"] if _has_lengths(summary) else [])]


def _leading_cells(summary: Summary, row: Row) -> list[str]:
    return [mark(row), row.label, *([f"{row.length:,}"] if _has_lengths(summary) else [])]


def _has_lengths(summary: Summary) -> bool:
    return summary.plan.lengths != (0,)


def mark(row: Row) -> str:
    """What stands before a row."""
    return "✕" if row.error else CHOSEN if row.chosen else FRONT if row.front else " "


def interval(spread: Spread | None, metric: Metric) -> str:
    """`(470–500)`; nothing where there is none, or where it is too narrow to be seen."""
    if spread is None or spread.low != spread.low:
        return ""
    low, high = metric.format(spread.low), metric.format(spread.high)
    return f"({low}–{high})" if low != high else ""


def text(summary: Summary, width: int | None = None) -> str:
    """The table as lines of text, with the legend of its marks."""
    head, *rows = lines(summary, columns(summary, width))
    out, last = [head], 0
    for row, line in zip(summary.rows, rows, strict=True):
        if row.cell.length != last:
            out.append("")
            last = row.cell.length
        out.append(line)
    return "\n".join([*out, "", LEGEND])


def lines(summary: Summary, metrics: Sequence[str]) -> list[str]:
    """Head and rows, aligned."""
    rows = grid(summary, metrics)
    sizes = _sizes(rows)
    return [_line(row, sizes) for row in rows]


def markdown(summary: Summary, facts: dict[str, Any], chart: str = "") -> str:
    """The sweep as a section of a README: sentence, table with all intervals, chart, notes, machine."""
    head, *rows = full_grid(summary)
    lines = [
        _escape(summary.recommendation.sentence),
        "",
        _piped(head),
        _piped(["---:" if i else "---" for i in range(len(head))]),
        *map(_piped, rows),
    ]
    lines += ["", LEGEND.replace("   ", "; ") + "."]
    if chart:
        lines += ["", "```text", chart, "```"]
    lines += ["", *(f"- {_escape(note)}" for note in [*summary.notes, machine(summary, facts)])]
    return "\n".join(lines) + "\n"


def caption(summary: Summary, length: int) -> str:
    """What a chart of one prompt length shows."""
    tokens = summary.plan.lengths[length]
    after = f", prompt of {tokens:,} tokens" if tokens else ""
    return f"{summary.speed.title} against peak total{after}"


def machine(summary: Summary, facts: dict[str, Any]) -> str:
    """What was measured, on what, how often."""
    plan = summary.plan
    parts = [plan.subject]
    if facts:
        memory = format_size(facts.get("memory"))
        parts.append(f"{facts.get('device', '—')} ({facts.get('backend', '—')}, {memory})")
        parts.append(f"mlx {facts.get('mlx', '—')}")
    if plan.max_tokens:
        parts.append(f"{plan.max_tokens} tokens a generation")
    parts.append(f"{in_rounds(summary.rounds)}, seed {plan.seed}")
    return ", ".join(parts)


def comma_separated(summary: Summary, readings: Sequence[Measurement]) -> str:
    """Every repeat as measured, one a line: sizes in bytes, spans in seconds."""
    plan = summary.plan
    names = [name for name in METRICS if any(name in r.values for r in readings)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    knobs = [knob.name for knob in plan.parameters]
    writer.writerow(
        ["round", *knobs, "prompt_tokens", *names, "busy", "disturbed", "error", "began", "seconds"]
    )
    for r in readings:
        values = [r.values.get(name, "") for name in names]
        disturbed = int(is_disturbed(r, summary.usual))
        length = plan.lengths[r.length] or ""
        about = [
            "" if r.busy is None else round(r.busy, 4),
            disturbed,
            cell(r.error or ""),
            r.at,
            round(r.seconds, 4),
        ]
        writer.writerow([r.round, *plan.arms[r.arm], length, *values, *about])
    return out.getvalue()


def _metric(summary: Summary, name: str) -> Metric:
    return summary.speed if name == summary.plan.metric else METRICS[name]


def _sizes(rows: list[list[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _width(rows: list[list[str]]) -> int:
    return sum(_sizes(rows)) + 2 * (len(rows[0]) - 1) + 1


def _line(row: list[str], sizes: list[int]) -> str:
    """Marks and intervals from the left, numbers from the right."""
    cells = [
        c.ljust(n) if not i or c[:1] == "(" else c.rjust(n)
        for i, (c, n) in enumerate(zip(row, sizes, strict=True))
    ]
    return (" " + "  ".join(cells)).rstrip()


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_escape(cell.strip()) for cell in cells)} |"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
