"""The chart of a sweep, drawn by plotext: speed against peak total, one point per choice."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import plotext

from mlxtop.core.units import format_size
from mlxtop.sweep.interval import Spread
from mlxtop.sweep.measurement import Metric
from mlxtop.sweep.results import Row, Summary
from mlxtop.sweep.table import CHOSEN, FRONT
from mlxtop.tui.theme import RGB

OTHER = "·"
FRAME_COLUMNS, FRAME_ROWS = 12, 4
"""Approximate columns and rows of a chart for axes and labels."""
LEAST_WIDTH, LEAST_HEIGHT = 30, 8


class Point(NamedTuple):
    """One choice at one prompt length."""

    row: Row
    speed: Spread
    total: Spread


def points(summary: Summary, length: int) -> list[Point]:
    """The choices of one prompt length that can be drawn."""
    name = summary.plan.metric
    return [
        Point(row, row.spreads[name], row.spreads["total"])
        for row in summary.of_length(length)
        if name in row.spreads and "total" in row.spreads
    ]


def scatter(
    summary: Summary, length: int, width: int, height: int, rgb: Callable[[str], RGB] | None = None
) -> str:
    """The chart of the prompt length with index `length`, as text; empty if it is too small.

    `rgb` returns a colour of the theme by its name. Without it the chart has no colours.
    """
    found = points(summary, length)
    if not found or width < LEAST_WIDTH or height < LEAST_HEIGHT:
        return ""
    colour = rgb or (lambda _name: (255, 255, 255))
    back = colour("background")
    figure = plotext.figure
    # As large as asked for, whatever terminal there is.
    plotext.terminal.limit(False, False)
    figure.clear()
    figure.plot_size(width, height)
    figure.canvas(back)
    figure.axes(pixel=plotext.pixel(colour("dim"), back))
    xs = _range([v for p in found for v in _ends(p.total)])
    ys = _range([v for p in found for v in _ends(p.speed)])
    front = sorted((p for p in found if p.row.front), key=lambda p: p.total.median)
    if len(front) > 1:
        line = figure.signal(
            [p.total.median for p in front],
            [p.speed.median for p in front],
            marker=plotext.marker("braille", colour("faint")),
        )
        figure.draw(line.lines())
    for p in found:
        ink = colour(_ink(p.row))
        x, y = p.total.median, p.speed.median
        _bar(figure, (x, x), _ends(p.speed), "│", ink)
        _bar(figure, _ends(p.total), (y, y), "─", ink)
    # The chosen last, so that nothing hides it.
    for p in sorted(found, key=lambda p: (p.row.chosen, p.row.front)):
        sign = CHOSEN if p.row.chosen else FRONT if p.row.front else OTHER
        marker = plotext.marker(sign, colour(_ink(p.row)))
        figure.draw(figure.signal([p.total.median], [p.speed.median], marker=marker))
    _labels(figure, found, xs, ys, width, height, colour)
    _rulers(figure, summary.speed, xs, ys, width, height, plotext.pixel(colour("dim"), back))
    built = str(figure.build().string()).rstrip("\n")
    return built if rgb else "\n".join(row.rstrip() for row in plotext.uncolorize(built).split("\n"))


def _ink(row: Row) -> str:
    return "speed" if row.chosen else "active" if row.front else "label"


def _ends(spread: Spread) -> tuple[float, float]:
    """The interval, or twice the median if there is none."""
    return (spread.low, spread.high) if spread.low == spread.low else (spread.median, spread.median)


def _range(values: Sequence[float]) -> tuple[float, float]:
    """The range of an axis: all values with a margin. It is never so small that noise looks large."""
    low, high = min(values), max(values)
    room = max((high - low) * 0.12, high * 0.01, 1e-9)
    return max(0.0, low - room), high + room


def _bar(figure: object, xs: tuple[float, float], ys: tuple[float, float], sign: str, ink: RGB) -> None:
    if xs[0] != xs[1] or ys[0] != ys[1]:
        figure.draw(figure.segment(xs, ys, marker=plotext.marker(sign, ink)))  # type: ignore[attr-defined]


def _labels(
    figure: object,
    found: list[Point],
    xs: tuple[float, float],
    ys: tuple[float, float],
    width: int,
    height: int,
    colour: Callable[[str], RGB],
) -> None:
    """Labels next to their points where there is room, that of the recommendation first."""
    columns, rows = width - FRAME_COLUMNS, height - FRAME_ROWS
    per_column, per_row = (xs[1] - xs[0]) / columns, (ys[1] - ys[0]) / rows
    taken: set[tuple[int, int]] = set()

    def cell(p: Point) -> tuple[int, int]:
        return round((p.total.median - xs[0]) / per_column), round((p.speed.median - ys[0]) / per_row)

    taken.update(cell(p) for p in found)
    for p in sorted(found, key=lambda p: (not p.row.chosen, not p.row.front)):
        x, y = cell(p)
        name = p.row.label
        for dx, dy in (
            (2, 0),
            (-len(name) - 1, 0),
            (1, 1),
            (1, -1),
            (-len(name), 1),
            (-len(name), -1),
            (1, 2),
            (1, -2),
        ):
            spot = {(x + dx + i, y + dy) for i in range(-1, len(name) + 1)}
            inside = x + dx >= 0 and x + dx + len(name) <= columns and 0 <= y + dy < rows
            if inside and not spot & taken:
                taken |= spot
                at = xs[0] + (x + dx) * per_column, ys[0] + (y + dy) * per_row
                text = plotext.colorize(name, colour(_ink(p.row)))
                figure.draw(figure.text(*at, text))  # type: ignore[attr-defined]
                break


def _rulers(
    figure: object,
    metric: Metric,
    xs: tuple[float, float],
    ys: tuple[float, float],
    width: int,
    height: int,
    pixel: object,
) -> None:
    ruler = figure.ruler  # type: ignore[attr-defined]
    horizontal, vertical = ruler("x"), ruler("y")
    across, up = max(2, (width - FRAME_COLUMNS) // 14), max(2, min(6, (height - FRAME_ROWS) // 3))
    ticks = [xs[0] + (xs[1] - xs[0]) * i / across for i in range(across)]
    horizontal.lim(*xs)
    horizontal.ticks(ticks, [format_size(round(tick)) for tick in ticks])
    horizontal.pixel(pixel)
    ticks = [ys[0] + (ys[1] - ys[0]) * i / up for i in range(up + 1)]
    vertical.lim(*ys)
    vertical.ticks(ticks, [f"{metric.format(tick):>8}" for tick in ticks])
    vertical.pixel(pixel)
