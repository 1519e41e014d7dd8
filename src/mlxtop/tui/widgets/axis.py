"""The time axis under the charts: a band of phases with ticks for events, and the time."""

from itertools import groupby

from rich.style import Style
from textual.strip import Strip

from mlxtop.core.event import Kind
from mlxtop.core.text import one_line
from mlxtop.core.units import format_clock, format_span
from mlxtop.tui.canvas import Canvas, Part
from mlxtop.tui.frame import Frame
from mlxtop.tui.widgets.chart import GUTTER
from mlxtop.tui.widgets.header import phase_colour

LABEL_EVERY = 16
GLYPHS = {
    Kind.CLEAR: "✕",
    Kind.RESET: "↺",
    Kind.LIMIT: "▼",
    Kind.MARK: "◆",
    Kind.BUDGET: "%",
    Kind.ERROR: "!",
}


class Axis(Canvas):
    """Row 0: phases as coloured runs, named where there is room, with ✕ clear, ↺ reset, ▼▲ limit, ◆ mark,
    % budget, ! error. Row 1: time, counted back from the present, or the session's clock when the view
    stands."""

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        return [self._band(frame, width), self._times(frame, width)]

    def _band(self, frame: Frame, width: int) -> Strip:
        columns, names = frame.columns, frame.session.phases
        cells: list[Part] = []
        ticks = {column for column, _ in frame.ticks}
        for index, run in groupby(columns.last["phase"]):
            start, length = len(cells), len(list(run))
            if not 0 <= index < len(names):
                cells += [(" ", self.style("text"))] * length
                continue
            name = one_line(names[index])
            ink = "dim" if name == "idle" else "ink"
            style = self.style(ink) + Style(bgcolor=self.style(phase_colour(name)).color)
            at = _room(len(name), start, start + length, ticks)
            word = "" if at is None else " " * (at - start) + name
            cells += [(letter, style) for letter in f"{word:<{length}}"]
        for column, event in frame.ticks:
            raised = event.kind is Kind.LIMIT and event.data["new"] > event.data["old"]
            glyph = "▲" if raised else GLYPHS[event.kind]
            cells[column] = (glyph, cells[column][1] + Style(bold=True, color=self.style("mark").color))
        runs = [
            ("".join(c for c, _ in run), style) for style, run in groupby(cells, key=lambda cell: cell[1])
        ]
        return self.row([(f" {'phase':<{GUTTER - 1}}", self.style("dim")), *runs], width)

    def _times(self, frame: Frame, width: int) -> Strip:
        columns, live = frame.columns, frame.view.axis.end is None and not frame.view.paused
        times = time_labels(columns.start, columns.width, len(columns.last["phase"]), live)
        scale = f" {format_span(columns.width)} a column"
        return self.row([(f"{scale:<{GUTTER}}", self.style("dim")), (times, self.style("dim"))], width)


def time_labels(start: float, width: float, count: int, live: bool) -> str:
    """A row of `count` columns, each `width` seconds of time from `start` on, with the time now and then:
    counted back from the present where the view is `live`, else the clock's."""
    cells = [" "] * count
    for back in range(0, count, LABEL_EVERY):
        column = count - 1 - back
        if live:
            label = f"-{format_span(back * width)}" if back else "now"
        else:
            at = start + (column + 1) * width
            label = format_clock(at) if at >= 0 else ""
        begin = column - len(label) + 1
        if begin >= 0:
            cells[begin : column + 1] = label
    return "".join(cells)


def _room(size: int, start: int, end: int, taken: set[int]) -> int | None:
    """The first column at which `size` letters have a blank on either side and no tick on them."""
    for at in range(start + 1, end - size):
        if taken.isdisjoint(range(at, at + size)):
            return at
    return None
