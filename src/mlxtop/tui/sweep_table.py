"""A sweep's table as lines of text that fit a width."""

from typing import Final

from rich.cells import cell_len

from mlxtop.sweep.results import Summary
from mlxtop.sweep.table import grid
from mlxtop.tui.tables import GAP, aligned

RANK: Final = ("tps", "value", "seconds", "total", "cache", "ttft", "prefill", "active", "footprint")
"""Columns by importance: a narrow table leaves out the last."""


def lines(summary: Summary, width: int) -> list[str]:
    """The heading and the rows. Columns without a heading (marks and intervals) are aligned left."""
    rows = grid(summary, columns(summary, width))
    left = [column for column, head in enumerate(rows[0]) if not head]
    return [f" {line}" for line in aligned(rows, left)]


def columns(summary: Summary, width: int) -> list[str]:
    """The metrics that fit into `width` columns, in their order; at least one."""
    shown = sorted(summary.metrics, key=RANK.index)
    while len(shown) > 1 and _width(grid(summary, shown)) > width:
        shown.pop()
    return [name for name in summary.metrics if name in shown]


def _width(rows: list[list[str]]) -> int:
    """The width of the table with the space before it."""
    return 1 + sum(max(map(cell_len, column)) + GAP for column in zip(*rows, strict=True)) - GAP
