"""Tables in plain text, as commands print them and the sweep's screen shows them."""

import io
from collections.abc import Container, Sequence

GAP = 2
"""Columns between two cells."""


def aligned(rows: Sequence[Sequence[str]], left: Container[int] = ()) -> list[str]:
    """The rows as aligned lines. Columns in `left` are aligned left, others right. Nothing is cut off.

    Each cell is one line.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, GAP, 0, 0))
    for column in range(len(rows[0])):
        table.add_column(justify="left" if column in left else "right", no_wrap=True)
    # `Text` cells have no markup. All rows go into one cell: rich is slow for each cell.
    table.add_row(*(Text("\n".join(column)) for column in zip(*rows, strict=True)))
    width = sum(len(cell) * 2 + GAP for row in rows for cell in row)
    # Plain text, whatever the environment sets for terminals and colours.
    console = Console(
        file=io.StringIO(), width=width, height=len(rows), force_terminal=False, color_system=None
    )
    lines = console.render_lines(table, pad=False)
    return ["".join(segment.text for segment in line).rstrip() for line in lines]
