"""What was measured, as IPython shows it: a table in a notebook, aligned text in a terminal."""

from typing import Any

from mlxtop.core.census_diff import Change
from mlxtop.core.text import one_line
from mlxtop.core.units import format_delta, format_size, format_span
from mlxtop.notebook.holders import Holders
from mlxtop.notebook.measurement import Measured
from mlxtop.report.render import render
from mlxtop.tui.tables import aligned

MOST = 10
"""Lines of what came and went."""
TEMPLATE = "notebook/templates/result.html"
Line = tuple[str, str, str]


class Result:
    """Shows `measured`. `holders` names what the notebook's own variables hold."""

    def __init__(self, measured: Measured, holders: Holders) -> None:
        self._measured = measured
        self._holders = holders

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": self.text(), "text/html": self.html()}

    def text(self) -> str:
        lines = ["", *aligned(self._lines(), left=(0, 2))]
        if kept := self._kept():
            lines += ["", *aligned([("change", "arrays", "shape", "held by"), *kept], left=(2, 3))]
        return "\n".join([f"{self._measured.cell} under mlxtop", *lines, *self._notes()])

    def html(self) -> str:
        heads = ("change", "arrays", "shape", "held by") if self._measured.kept is not None else ()
        return render(
            TEMPLATE, cell=self._measured.cell, lines=self._lines(), heads=heads, kept=self._kept(),
            notes=self._notes(),
        )  # fmt: skip

    def _lines(self) -> list[Line]:
        m = self._measured
        delta = m.before.delta(m.after)
        over = m.peak - m.before.active
        peak = f"{format_delta(over)} over the start" if over else "no more than at the start"
        return [
            ("peak", format_size(m.peak), f"{peak}, at {one_line(m.where)}" if m.where and over else peak),
            ("active", *_change(m.before.active, m.after.active)),
            ("cache", *_change(m.before.cache, m.after.cache)),
            ("footprint", *_change(m.footprint_before, m.footprint_after, m.footprint_most)),
            ("time", format_span(delta.time), ""),
        ]

    def _kept(self) -> list[tuple[str, str, str, str]]:
        found = self._measured.kept
        return [self._row(change) for change in found.changes[:MOST]] if found is not None else []

    def _row(self, change: Change) -> tuple[str, str, str, str]:
        arrays = f"{change.arrays:+,}" if change.arrays else ""
        label = self._holders.name(change.holder)
        if change.part == "garbage":
            label = f"{label} (only garbage: gc.collect() frees it)"
        elif change.in_graphs:
            label = f"{label} (by the graph of what is not computed)"
        elif not change.computed:
            label = f"{label} (not computed yet)"
        return format_delta(change.nbytes), arrays, one_line(change.shapes), one_line(label)

    def _notes(self) -> list[str]:
        found, notes = self._measured.kept, list[str]()
        if not self._measured.exact:
            notes.append(
                "MLX's peak is in use (a name of it was imported, or another thread evaluates): the cell's "
                "may have been higher."
            )
        if found is None:
            return notes
        if not found.changes:
            notes.append("No array came or went.")
        if (more := len(found.changes) - MOST) > 0:
            notes.append(f"{more} more changes are smaller.")
        if not found.whole:
            notes.append("Time ran out while the arrays were counted: some changes may be missing.")
        if self._measured.graphs:
            notes.append(f"{one_line(self._measured.graphs)}.")
        if note := self._holders.note(change.holder for change in found.changes if change.nbytes > 0):
            notes.append(note)
        return notes


def _change(before: int | None, after: int | None, most: int | None = None) -> tuple[str, str]:
    if before is None or after is None:
        return format_size(after), ""
    told = [format_size(before), format_size(after)]
    more = "" if most is None or format_size(most) in told else f", {format_size(most)} at most"
    return format_delta(after - before), " → ".join(told) + more
