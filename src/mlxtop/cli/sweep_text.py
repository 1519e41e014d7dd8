"""The result of a sweep, as text."""

import shutil
import sys

from mlxtop.sweep.results import Summary
from mlxtop.sweep.runner import Sweep
from mlxtop.sweep.table import LEGEND, caption, machine
from mlxtop.tui.charts.scatter import scatter
from mlxtop.tui.sweep_table import lines

CHART_COLUMNS, CHART_ROWS = 96, 20
WIDE = 160
"""Columns of a table that is not printed on a terminal."""


def report(sweep: Sweep) -> str:
    """Charts, table, recommendation and notes."""
    summary = sweep.summary
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE
    parts = [charts(summary, min(width, CHART_COLUMNS)), table(summary, width)]
    notes = [f"- {note}" for note in [*summary.notes, machine(summary, sweep.facts)]]
    parts += [summary.recommendation.sentence, "\n".join(notes)]
    return "\n\n".join(part for part in parts if part)


def table(summary: Summary, width: int) -> str:
    """The table with its legend, one paragraph per prompt length."""
    head, *rows = lines(summary, width)
    out, last = [head], 0
    for row, line in zip(summary.rows, rows, strict=True):
        if row.cell.length != last:
            out.append("")
            last = row.cell.length
        out.append(line)
    return "\n".join([*out, "", LEGEND])


def charts(summary: Summary, width: int = CHART_COLUMNS) -> str:
    """The charts, one per prompt length, one below the other."""
    found = []
    for i in range(len(summary.plan.lengths)):
        drawn = scatter(summary, i, width, CHART_ROWS)
        if drawn:
            found.append(f"{caption(summary, i)}\n{drawn}")
    return "\n\n".join(found)
