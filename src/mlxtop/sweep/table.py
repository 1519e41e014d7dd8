"""A sweep as a table: its cells, Markdown, CSV."""

import csv
import io
from collections.abc import Sequence

from mlxtop.core.facts import Facts
from mlxtop.core.markdown import escape, table
from mlxtop.core.text import cell
from mlxtop.core.units import format_size
from mlxtop.sweep.interval import Spread
from mlxtop.sweep.measurement import METRICS, Measurement, Metric
from mlxtop.sweep.recommendation import in_rounds
from mlxtop.sweep.results import Row, Summary, is_disturbed
from mlxtop.sweep.target import ModelTarget

CHOSEN, FRONT = "★", "•"
LEGEND = f"{CHOSEN} recommended   {FRONT} no other is both faster and smaller   (median, 95 % interval)"


def grid(summary: Summary, metrics: Sequence[str]) -> list[list[str]]:
    """Head and rows as text, one cell each. The interval has a column, beside what is compared."""
    head, rows = _leading_heads(summary), [_leading_cells(row) for row in summary.rows]
    for name in metrics:
        metric, compared = _metric(summary, name), name == summary.plan.metric
        head += [metric.title, ""] if compared else [metric.title]
        for cells, row in zip(rows, summary.rows, strict=True):
            spread = row.spreads.get(name)
            cells.append(metric.format(spread and spread.median))
            cells += [interval(spread, metric)] if compared else []
    return [head, *rows]


def full_grid(summary: Summary) -> list[list[str]]:
    """Head and rows as text, one cell each. Every metric is there, and its interval stands in its cell."""
    metrics = {name: _metric(summary, name) for name in summary.metrics}
    rows = [_leading_heads(summary) + [metric.title for metric in metrics.values()]]
    for row in summary.rows:
        found = ((row.spreads.get(name), metric) for name, metric in metrics.items())
        figures = [f"{metric.format(s and s.median)} {interval(s, metric)}".strip() for s, metric in found]
        rows.append(_leading_cells(row) + figures)
    return rows


def _leading_heads(summary: Summary) -> list[str]:
    plan = summary.plan
    return ["", plan.title, *(["prompt"] if isinstance(plan.target, ModelTarget) else [])]


def _leading_cells(row: Row) -> list[str]:
    return [mark(row), row.label, *([f"{row.length:,}"] if row.length is not None else [])]


def mark(row: Row) -> str:
    """What stands before a row."""
    return "✕" if row.error else CHOSEN if row.chosen else FRONT if row.front else " "


def interval(spread: Spread | None, metric: Metric) -> str:
    """`(470–500)`; nothing where there is none, or where it is too narrow to be seen."""
    if spread is None or spread.low != spread.low:
        return ""
    low, high = metric.format(spread.low), metric.format(spread.high)
    return f"({low}–{high})" if low != high else ""


def markdown(summary: Summary, facts: Facts, chart: str = "") -> str:
    """The sweep as a section of a README: sentence, table with all intervals, chart, notes, machine."""
    lines = [escape(summary.recommendation.sentence), "", *table(full_grid(summary), left=(0,))]
    lines += ["", LEGEND.replace("   ", "; ") + "."]
    if chart:
        lines += ["", "```text", chart, "```"]
    lines += ["", *(f"- {escape(note)}" for note in [*summary.notes, machine(summary, facts)])]
    return "\n".join(lines) + "\n"


def caption(summary: Summary, length: int) -> str:
    """What a chart of one prompt length shows."""
    tokens = summary.plan.lengths[length]
    after = f", prompt of {tokens:,} tokens" if tokens else ""
    return f"{summary.speed.title} against peak total{after}"


def machine(summary: Summary, facts: Facts) -> str:
    """What was measured, on what, how often."""
    target = summary.plan.target
    parts = [target.name]
    if facts.known:
        memory = format_size(facts.memory)
        parts.append(f"{facts.device} ({facts.backend}, {memory})")
        parts.append(f"mlx {facts.mlx}")
    if isinstance(target, ModelTarget):
        parts.append(f"{target.max_tokens} tokens a generation")
    parts.append(f"{in_rounds(summary.rounds)}, seed {summary.plan.seed}")
    return ", ".join(parts)


def comma_separated(summary: Summary, readings: Sequence[Measurement]) -> str:
    """Every repeat as measured, one a line: sizes in bytes, spans in seconds."""
    plan = summary.plan
    names = [name for name in METRICS if any(name in r.values for r in readings)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["round", *plan.names, "prompt_tokens", *names, "busy", "disturbed", "error", "began", "seconds"]
    )
    for r in readings:
        values = [r.values.get(name, "") for name in names]
        disturbed = int(is_disturbed(r, summary.usual))
        length = plan.lengths[r.length]
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
