"""A sweep as a table: cells, Markdown and CSV."""

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
    """Returns head and rows as text. The compared metric has a second column with its interval."""
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
    """Returns head and rows as text, with all metrics. Each cell includes the interval."""
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
    """Returns the sign in front of a row."""
    return "✕" if row.error else CHOSEN if row.chosen else FRONT if row.front else " "


def interval(spread: Spread | None, metric: Metric) -> str:
    """Formats `(470–500)`; empty without an interval or if it is too narrow."""
    if spread is None or spread.low != spread.low:
        return ""
    low, high = metric.format(spread.low), metric.format(spread.high)
    return f"({low}–{high})" if low != high else ""


def markdown(summary: Summary, facts: Facts, chart: str = "") -> str:
    """Returns a section for a README: recommendation, table with intervals, chart, notes, machine."""
    lines = [escape(summary.recommendation.sentence), "", *table(full_grid(summary), left=(0,))]
    lines += ["", LEGEND.replace("   ", "; ") + "."]
    if chart:
        lines += ["", "```text", chart, "```"]
    lines += ["", *(f"- {escape(note)}" for note in [*summary.notes, machine(summary, facts)])]
    return "\n".join(lines) + "\n"


def caption(summary: Summary, length: int) -> str:
    """Returns the caption of the chart of one prompt length."""
    tokens = summary.plan.lengths[length]
    after = f", prompt of {tokens:,} tokens" if tokens else ""
    return f"{summary.speed.title} against peak total{after}"


def machine(summary: Summary, facts: Facts) -> str:
    """Returns what was measured, on which machine, and how often."""
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


def comma_separated(summary: Summary, measurements: Sequence[Measurement]) -> str:
    """Returns all repeats as CSV. Sizes are bytes, spans seconds."""
    plan = summary.plan
    names = [name for name in METRICS if any(name in r.values for r in measurements)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["round", *plan.names, "prompt_tokens", *names, "busy", "disturbed", "error", "began", "seconds"]
    )
    for r in measurements:
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
