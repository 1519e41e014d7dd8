"""The screen of the large chart: active, cache, peak and the cache limit, drawn by plotext."""

from collections.abc import Callable

import plotext
from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Footer, Static

from mlxtop.core.sample import UNKNOWN
from mlxtop.core.units import UNLIMITED, format_clock, format_size, format_span
from mlxtop.tui.binding import key
from mlxtop.tui.charts.sparkline import CacheChart, Chart, nice
from mlxtop.tui.coloured_screen import ColouredScreen
from mlxtop.tui.frame import DRAWN, Frame
from mlxtop.tui.screens.help import PROSE, WORDS, Manual
from mlxtop.tui.theme import RGB

REDRAW_EVERY = 1.0
COLOURS = {"footprint": "beyond"}
OTHER_UNITS = ("speed", "buffers")
"""Not drawn: the chart's axis is in bytes."""


class Graph(ColouredScreen):
    """Shows the dashboard's time range in one large chart, redrawn once a second.

    `frame` returns the dashboard's present frame.
    """

    BINDINGS = [key("escape,g", "dismiss", "back", "Go back to the dashboard", True, "esc")]
    MANUAL = Manual([(word, what) for word, what in WORDS if word not in OTHER_UNITS], (), PROSE[1:])

    def __init__(self, frame: Callable[[], Frame]) -> None:
        super().__init__()
        self._frame = frame

    def compose(self) -> ComposeResult:
        yield Static(id="graph")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.set_interval(REDRAW_EVERY, self.draw)
        self.call_after_refresh(self.draw)

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)

    def draw(self) -> None:
        """Draws the present frame."""
        target = self.query_one("#graph", Static)
        width, height = target.size
        if width > 20 and height > 6:
            frame = self._frame()
            picture = Text.from_ansi(chart(frame, width, height - 1, self.rgb).rstrip("\n"))
            picture.right_crop(1)  # plotext leaves the last corner in its own white
            target.update(Text.assemble(self._legend(frame), "\n", picture))

    def _legend(self, frame: Frame) -> Text:
        """The name of each series in its colour, with its present value."""
        text = Text(" ")
        for name in DRAWN:
            value = frame.size(frame.sample and getattr(frame.sample, name))
            text.append(f"{name} {value:>9}   ", Style(color=self.colour_style(name).color))
        limit = frame.size(frame.state.limits["cache"].value)
        text.append(f"cache limit {limit:>9}", Style(color=self.colour_style("limit").color))
        if frame.state.budget is not None:
            used, most = frame.size(frame.used), frame.size(frame.state.budget.bytes)
            text.append(
                f"   {frame.state.budget.against} {used:>9}", Style(color=self.colour_style("beyond").color)
            )
            text.append(f"   budget {most:>9}", Style(color=self.colour_style("budget").color))
        return text


def chart(frame: Frame, width: int, height: int, rgb: Callable[[str], RGB]) -> str:
    """The chart as text with ANSI colours. `rgb` returns a colour of the theme by its name."""
    figure = plotext.figure
    figure.clear()
    # Without this plotext would cut the chart to its own idea of the terminal's size.
    plotext.terminal.limit(False, False)
    figure.plot_size(width, height)
    back = rgb("background")
    figure.canvas(back)
    figure.axes(pixel=plotext.pixel(rgb("dim"), back))
    columns = frame.columns
    count = len(columns.last["phase"])
    xs = [(i + 1 - count) * columns.width for i in range(count)]
    top = 0
    beside = ("footprint",) if "footprint" in columns.hi else ()
    for name in (*DRAWN, *beside):
        points = [(x, y) for x, y in zip(xs, columns.hi[name], strict=True) if y != UNKNOWN]
        if not points:
            continue
        top = max(top, *(y for _, y in points))
        signal = figure.signal(
            *map(list, zip(*points, strict=True)),
            marker=plotext.marker("braille", rgb(COLOURS.get(name, name))),
        )
        figure.draw(signal.lines())
    budget = frame.state.budget
    lines = (
        ("limit", frame.state.limits["cache"].value, CacheChart.NEAR),
        ("budget", budget and budget.bytes, Chart.NEAR),
    )
    drawn = max(top, 1)
    for name, limit, near in lines:
        if limit is not None and limit < UNLIMITED and limit <= near * drawn:
            top = max(top, limit)
            figure.line(limit, orientation=0, pixel=plotext.pixel(rgb(name), back))
    _rulers(frame, xs, nice(top, 1024 if frame.view.units == "binary" else 1000), rgb("dim"), back)
    return str(figure.build().string())


def _rulers(frame: Frame, xs: list[float], top: float, ink: RGB, back: RGB) -> None:
    figure, pixel = plotext.figure, plotext.pixel(ink, back)
    rows = [round(top * i / 5) for i in range(6)]
    vertical, horizontal = figure.ruler("y"), figure.ruler("x")
    vertical.lim(0, top)
    vertical.ticks(rows, [format_size(row, frame.view.units) for row in rows])
    vertical.pixel(pixel)
    times = [xs[0] * (6 - i) / 6 for i in range(6)]
    if frame.view.axis.end is None and not frame.view.paused:
        labels = {t: f"-{format_span(round(-t))}" for t in times}
        # At the very end half of the label would be outside the chart.
        labels[2 * xs[0] / len(xs)] = "now"
    else:
        end = frame.columns.start + len(xs) * frame.columns.width
        labels = {t: format_clock(end + t) for t in times if end + t >= 0}
    horizontal.lim(xs[0], 0)
    horizontal.ticks(list(labels), list(labels.values()))
    horizontal.pixel(pixel)
