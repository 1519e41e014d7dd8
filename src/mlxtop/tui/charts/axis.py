"""The time axis below the charts: a band of phases with signs for events, and the time."""

from itertools import groupby

from textual.strip import Strip

from mlxtop.core.events import BudgetChanged, CacheCleared, ErrorRaised, LimitChanged, MarkAdded, PeakReset
from mlxtop.core.phases import phase_colour
from mlxtop.core.text import one_line
from mlxtop.core.units import format_clock, format_span
from mlxtop.tui.charts.sparkline import GUTTER
from mlxtop.tui.frame import Frame
from mlxtop.tui.panel import Panel, Part

CellStyle = tuple[str, str, bool]
"""A cell's background, its text colour, and whether the text is bold."""

LABEL_EVERY = 16
GLYPHS = {
    CacheCleared: "✕",
    PeakReset: "↺",
    LimitChanged: "▼",
    MarkAdded: "◆",
    BudgetChanged: "%",
    ErrorRaised: "!",
}


class Axis(Panel[Frame]):
    """Row 0: phases as coloured bands, named where there is room, with ✕ clear, ↺ reset, ▼▲ limit, ◆ mark,
    % budget, ! error. Row 1: seconds before the present, or the session's clock when the view is paused."""

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        return [self._band(frame, width), self._times(frame, width)]

    def _band(self, frame: Frame, width: int) -> Strip:
        columns, names = frame.columns, frame.session.phases
        cells: list[str] = []
        styles: list[CellStyle] = []
        ticks = {column for column, _ in frame.ticks}
        for index, run in groupby(columns.last["phase"]):
            start, length = len(cells), len(list(run))
            name = one_line(names[index]) if 0 <= index < len(names) else ""
            at = _room(len(name), start, start + length, ticks) if name else None
            cells += f"{'' if at is None else ' ' * (at - start) + name:<{length}}"
            styles += [_phase_style(name)] * length
        for column, event in frame.ticks:
            raised = isinstance(event.data, LimitChanged) and event.data.rose
            cells[column] = "▲" if raised else GLYPHS[type(event.data)]
            styles[column] = (styles[column][0], "mark", True)
        parts: list[Part] = [(f" {'phase':<{GUTTER - 1}}", self.style("dim"))]
        for style, run in groupby(range(len(cells)), styles.__getitem__):
            parts.append(("".join([cells[i] for i in run]), self.on(*style)))
        return self.row(parts, width)

    def _times(self, frame: Frame, width: int) -> Strip:
        columns, live = frame.columns, frame.view.axis.end is None and not frame.view.paused
        times = time_labels(columns.start, columns.width, len(columns.last["phase"]), live)
        scale = f" {format_span(columns.width)} a column"
        return self.row([(f"{scale:<{GUTTER}}", self.style("dim")), (times, self.style("dim"))], width)


def _phase_style(phase: str) -> CellStyle:
    if not phase:
        return "", "text", False
    return phase_colour(phase), "dim" if phase == "idle" else "ink", False


def time_labels(start: float, width: float, count: int, live: bool) -> str:
    """Time labels for `count` columns of `width` seconds each, from `start` on.

    If `live`, they count back from the present, otherwise they show the session's clock.
    """
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
    """The first column where `size` characters fit with a blank on each side and no sign; or `None`."""
    for at in range(start + 1, end - size):
        if taken.isdisjoint(range(at, at + size)):
            return at
    return None
