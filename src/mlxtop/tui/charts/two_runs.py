"""The chart of two runs on one axis, drawn by plotext: one line for each."""

from collections.abc import Callable, Sequence
from math import ceil, floor
from typing import NamedTuple

import plotext

from mlxtop.core.units import format_clock, format_size
from mlxtop.diff.axis import SPEED, Side
from mlxtop.tui.charts.sparkline import nice
from mlxtop.tui.theme import RGB

COLOURS = ("run-a", "run-b")
LEAST_TOP = 2**20
"""Bytes at the top of a chart at least: a few must not fill it."""
ROWS_A_TICK, COLUMNS_A_TICK = 3, 20
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400)
"""Seconds between two labels of the time axis."""
DOTS = 2
"""Columns of dots in a cell of braille."""


class Frame(NamedTuple):
    """Where the chart lies on its panel, in columns."""

    left: int
    """Columns before the first one of the chart."""
    columns: int


class View(NamedTuple):
    """The stretch of the axis that is shown, in seconds."""

    start: float
    end: float

    def zoom(self, factor: float) -> "View":
        """About its middle; a factor below 1 shows less."""
        middle, half = (self.start + self.end) / 2, (self.end - self.start) / 2 * factor
        return View(middle - half, middle + half)

    def within(self, whole: "View") -> "View":
        """Moved, and cut if need be, to lie within the whole."""
        length = min(self.end - self.start, whole.end - whole.start)
        start = min(max(self.start, whole.start), whole.end - length)
        return View(start, start + length)


def labels(top: float, rows: int, name: str) -> list[tuple[float, str]]:
    """The values of the vertical axis with their text."""
    count = max(1, min(5, rows // ROWS_A_TICK))
    values = [top * i / count for i in range(count + 1)]
    if name == SPEED:
        return [(value, f"{value:,.4g}") for value in values]
    return [(value, format_size(round(value)).replace(".00 ", " ").replace(".0 ", " ")) for value in values]


def top(sides: Sequence[Sequence[float | None]], name: str) -> float:
    """The value at the top of the chart: a round one."""
    most = max((value for side in sides for value in side if value is not None), default=0.0)
    return nice(most, 1000) if name == SPEED else nice(max(most, LEAST_TOP), 1024)


def frame(width: int, ticks: Sequence[tuple[float, str]]) -> Frame:
    """Where plotext draws: between the labels with their line, and the border on the right."""
    left = max(len(text) for _, text in ticks) + 1
    return Frame(left, max(1, width - left - 1))


def chart(
    sides: Sequence[Side], name: str, view: View, size: tuple[int, int], rgb: Callable[[str], RGB]
) -> tuple[str, Frame]:
    """The chart as text with ANSI colours, and where its columns lie. `rgb` returns a colour of the theme."""
    width, height = size
    rows = height - 3
    # The labels' width decides how many columns there are, and these what is the highest value.
    found = [side.values(name, view.start, (view.end - view.start) / width, width) for side in sides]
    high = top(found, name)
    ticks = labels(high, rows, name)
    place = frame(width, ticks)
    figure, back = plotext.figure, rgb("background")
    figure.clear()
    # Without this plotext would cut the chart to its own idea of the terminal's size.
    plotext.terminal.limit(False, False)
    figure.plot_size(width, height)
    figure.canvas(back)
    figure.axes(pixel=plotext.pixel(rgb("dim"), back))
    dots = place.columns * DOTS
    step = (view.end - view.start) / dots
    # B first: where both are equal A is seen.
    for side, colour in reversed(list(zip(sides, COLOURS, strict=True))):
        points = [
            (view.start + step * (i + 0.5), value)
            for i, value in enumerate(side.values(name, view.start, step, dots))
            if value is not None
        ]
        if points:
            signal = figure.signal(
                *map(list, zip(*points, strict=True)), marker=plotext.marker("braille", rgb(colour))
            )
            figure.draw(signal.lines())
    pixel = plotext.pixel(rgb("dim"), back)
    vertical, horizontal = figure.ruler("y"), figure.ruler("x")
    vertical.lim(0, high)
    vertical.ticks([value for value, _ in ticks], [text for _, text in ticks])
    vertical.pixel(pixel)
    times = _times(view, place.columns)
    horizontal.lim(view.start, view.end)
    horizontal.ticks(times, list(map(clock, times)))
    horizontal.pixel(pixel)
    return str(figure.build().string()).rstrip("\n"), place


def _times(view: View, columns: int) -> list[float]:
    """Round moments within the view."""
    length = view.end - view.start
    least = length / max(1, columns // COLUMNS_A_TICK)
    step = next((each for each in STEPS if each >= least), ceil(least / STEPS[-1]) * STEPS[-1])
    first = ceil(view.start / step)
    return [step * i for i in range(first, floor(view.end / step) + 1)] or [view.start]


def clock(seconds: float) -> str:
    """A moment of the axis, which may lie before its 0."""
    return f"-{format_clock(-seconds)}" if seconds <= -1 else format_clock(max(0.0, seconds))
