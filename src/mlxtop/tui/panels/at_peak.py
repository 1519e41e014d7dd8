"""What was alive at the peak, while a trace tells it: by operation, then by line, then by size."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.strip import Strip

from mlxtop.core.units import format_span
from mlxtop.tui.frame import Frame
from mlxtop.tui.panel import Panel, Part

if TYPE_CHECKING:
    from mlxtop.tui.trace_reader import Row, Shown

LABEL, SIZE, SHARE = 11, 10, 5
SECTIONS = (("operation", "operations", 5), ("line", "lines", 3), ("size", "sizes", 2))
"""Heading, field, and its share of the rows."""


class AtPeak(Panel[Frame]):
    """The composition of the peak, or of the moment that was clicked on a chart."""

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        shown = frame.trace
        if shown is None:
            return []
        title: list[Part] = [(f" {self._when(frame, shown)} ", self.style("title"))]
        if shown.note:
            return [self.row(title, width), self.row([(f" {shown.note}", self.style("dim"))], width)]
        buffers = f"{shown.buffers:,} buffer{'' if shown.buffers == 1 else 's'}"
        title.append((f"{frame.size(shown.total)} in {buffers}", self.style("text")))
        if shown.span is not None:
            title.append((" esc: the peak", self.style("dim")))
        rows = [self.row(title, width)]
        for (head, field, _), room in zip(SECTIONS, self._rooms(shown, height - 1), strict=True):
            rows += self._section(frame, head, getattr(shown, field)[:room], shown.total, width)
        return rows

    def _when(self, frame: Frame, shown: "Shown") -> str:
        if shown.span is None:
            return "at the peak"
        return f"{format_span(max(0, round(frame.now - shown.span[1])))} ago"

    def _rooms(self, shown: "Shown", height: int) -> list[int]:
        """The rows of each section. What one does not need goes to the next."""
        counts = [len(getattr(shown, field)) for _, field, _ in SECTIONS]
        whole = sum(part for *_, part in SECTIONS)
        rooms = [
            min(count, max(1, height * part // whole))
            for count, (*_, part) in zip(counts, SECTIONS, strict=True)
        ]
        for n, count in enumerate(counts):
            rooms[n] += max(0, min(count - rooms[n], height - sum(rooms)))
        return rooms

    def _section(self, frame: Frame, head: str, rows: "Sequence[Row]", total: int, width: int) -> list[Strip]:
        room = max(4, width - LABEL - SIZE - SHARE - 1)
        return [
            self.row(
                [
                    (f" {head if not n else '':<{LABEL - 1}}", self.style("dim")),
                    (f"{_cut(row.name, room, head == 'line'):<{room}}", self.style("text")),
                    (f"{frame.size(row.bytes):>{SIZE}}", self.style("peak")),
                    (f"{row.bytes / total:>{SHARE}.0%}" if total > 0 else "", self.style("dim")),
                ],
                width,
            )
            for n, row in enumerate(rows)
        ]


def _cut(text: str, room: int, at_the_start: bool) -> str:
    """The end of a line says most, the start of any other name."""
    if len(text) <= room:
        return text
    return f"…{text[1 - room :]}" if at_the_start else f"{text[: room - 1]}…"
