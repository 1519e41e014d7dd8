"""What appeared and vanished between two censuses, as rows of the census screen."""

from collections.abc import Callable

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from mlxtop.core.census_diff import CensusDiff, Change
from mlxtop.core.text import one_line
from mlxtop.core.units import Units, format_delta, format_span
from mlxtop.tui.wrap import fit

SIZE, COUNT, VERB, DTYPE = 10, 8, 8, 9
WIDEST_SHAPE, HOLDER = 32, 30
"""Cells that shapes take at most, and that a holder has at least: on a narrow screen the types give way."""
Ink = Callable[[str, str], Text]
"""A text in a colour of `tui.theme`."""


def lines(found: CensusDiff, width: int, units: Units, ink: Ink) -> tuple[Text, Text, list[Text]]:
    """The headline, the table's heading and its rows, at most `width` cells wide."""
    head = Text("\n").join([*_head(found, units, ink), Text()])
    shape = min(WIDEST_SHAPE, max([6, *(cell_len(change.shapes) for change in found.changes)]))
    dtype = DTYPE + 2
    used = 1 + SIZE + 2 + COUNT + 2 + VERB + 2 + shape + 2
    if width - used - dtype < HOLDER:
        dtype = 0
    heading = f" {'change':>{SIZE}}  {'arrays':>{COUNT}}  {'':<{VERB}}  {'shape':<{shape}}  "
    heading += f"{'type':<{dtype}.{dtype}}held by"

    def row(change: Change) -> Text:
        arrays = f"{change.arrays:+,}" if change.arrays else ""
        holder = one_line(change.label) + ("" if change.computed else " (not computed)")
        return Text.assemble(
            ink(f" {format_delta(change.nbytes, units):>{SIZE}}  {arrays:>{COUNT}}  ", "text"),
            ink(f"{change.verb:<{VERB}}  ", "limit" if change.nbytes > 0 else "dim"),
            ink(set_cell_size(fit(change.shapes, shape), shape) + "  ", "text"),
            ink(set_cell_size(one_line(change.dtype), dtype), "dim"),
            ink(fit(holder, max(8, width - used - dtype)), "text"),
        )

    nothing = ink(" nothing that a census lists appeared or vanished", "dim")
    return head, ink(heading, "title"), [*map(row, found.changes)] or [nothing]


def _head(found: CensusDiff, units: Units, ink: Ink) -> list[Text]:
    since = format_span(round(found.seconds))
    head = [
        Text.assemble(
            ink(" changes ", "title"),
            ink(f"active {format_delta(found.active, units)}", "text"),
            ink(f"   since the census {since} before", "dim"),
        )
    ]
    if found.others:
        head.append(ink(f" arrays too small to be listed: {format_delta(found.others, units)}", "dim"))
    if not found.whole:
        head.append(ink(" time ran out in one of the two: some changes may be missing", "limit"))
    return head
