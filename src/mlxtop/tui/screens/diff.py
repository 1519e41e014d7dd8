"""The screen of two runs on one axis, with a table of their measures beside it."""

from collections.abc import Sequence
from itertools import groupby

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.widgets import Footer, Static

from mlxtop.core.phases import phase_colour
from mlxtop.core.text import one_line
from mlxtop.diff import table
from mlxtop.diff.axis import DRAWN, SPEED, Side, span
from mlxtop.diff.comparison import Comparison
from mlxtop.diff.story import sentence
from mlxtop.tui.binding import key
from mlxtop.tui.charts.two_runs import COLOURS, Frame, View, chart
from mlxtop.tui.coloured_screen import ColouredScreen
from mlxtop.tui.screens.help import Manual
from mlxtop.tui.tables import aligned

WIDE = 160
"""From so many columns on the table has room beside the chart."""
CHART_SHARE, CHART_LEAST = 0.5, 9
"""Of the height, where the table is below the chart; rows."""
LETTERS = ("A", "B")
FIRST = {
    "peak": "active",
    "true-peak": "active",
    "floor": "active",
    "total": "total",
    "cache": "cache",
    "footprint": "footprint",
    "steps": SPEED,
}
"""What is drawn first, by the measure that changed."""
TITLES = {SPEED: "steps/s"}
SHORTEST = 1.0
"""Seconds that a view shows at least."""
MANUAL = Manual(
    words=(
        ("A, B", "the two files; each has its colour in the chart and in the table"),
        ("within noise", "the difference is not more than runs of one program differ by"),
        ("cannot tell", "the speed varied so much that even twice the speed would not be seen"),
        ("floor", "the least that was active in the last quarter"),
        ("true peak", "the most that was active in a step"),
    ),
    signs=(("▲ ▼", "B has more, or less, by more than noise"), ("A ▒ B ▒", "the phases of each run")),
    prose=("Each column of the chart shows the highest value in it. Where both runs are equal A is seen.",),
)


class DiffScreen(ColouredScreen):
    """Shows a comparison. `sides` are its runs on one axis, `zero` is the name of its 0."""

    MANUAL = MANUAL
    AUTO_FOCUS = ""
    BINDINGS = [
        key("tab", "series(1)", "chart", "Show active, total, cache, footprint or speed", True),
        key("shift+tab", "series(-1)", "Back", "Show the previous chart", False, "⇧tab"),
        key("minus", "zoom(2)", "zoom", "More time on the axis", True, "-+"),
        key("plus,equals_sign", "zoom(0.5)", "Zoom in", "Less time on the axis", False, "+"),
        key("left", "pan(-1)", "Pan to the past", "Show earlier times", False, "←"),
        key("right", "pan(1)", "move", "Show later times", True, "←→"),
        key("home", "whole", "Whole", "Show the whole of both runs", False, "Home"),
        key("up,k", "scroll(-1)", "Up", "Scroll the table up", False, "↑"),
        key("down,j", "scroll(1)", "table", "Scroll the table", True, "↑↓"),
    ]  # fmt: skip
    DEFAULT_CSS = """
    DiffScreen { layout: vertical; overflow: hidden; }
    DiffScreen #head { height: 1; background: $panel; }
    DiffScreen #story { height: auto; max-height: 3; padding: 0 1; }
    DiffScreen #body { height: 1fr; }
    DiffScreen.-beside #body { layout: horizontal; }
    DiffScreen #chart { width: 1fr; }
    DiffScreen.-beside #chart { height: 100%; }
    DiffScreen #table {
        height: 1fr; padding: 0 1; overflow-x: hidden;
        scrollbar-size-vertical: 1; scrollbar-background: $background; scrollbar-color: $faint;
    }
    DiffScreen.-beside #table { width: auto; height: 100%; padding: 0 2; }
    DiffScreen #rows { width: auto; text-wrap: nowrap; }
    DiffScreen Footer { background: $panel; padding: 0 1; }
    """

    def __init__(self, comparison: Comparison, sides: Sequence[Side], zero: str = "start") -> None:
        super().__init__()
        self._comparison, self._sides, self._zero = comparison, sides, zero
        self._lines = aligned(
            [table.HEAD, *(line.cells for line in table.lines(comparison))], left=table.LEFT
        )
        self._choices = [name for name in DRAWN if any(side.has(name) for side in sides)] or [DRAWN[0]]
        wanted = next((FIRST[row.measure] for row in comparison.changed if row.measure in FIRST), DRAWN[0])
        self._drawn = wanted if wanted in self._choices else self._choices[0]
        self._all = self._view = View(*span(*sides))

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield Static(Text(one_line(sentence(self._comparison))), id="story")
        with Container(id="body"):
            yield Static(id="chart")
            with VerticalScroll(id="table", can_focus=False):
                yield Static(id="rows")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self.call_after_refresh(self.draw))
        self.call_after_refresh(self.draw)

    def on_resize(self) -> None:
        beside = self.size.width >= WIDE
        self.set_class(beside, "-beside")
        height = max(CHART_LEAST, round(self.size.height * CHART_SHARE))
        self.query_one("#chart").styles.height = "100%" if beside else height
        self.call_after_refresh(self.draw)

    # Keys

    def action_series(self, by: int) -> None:
        self._drawn = self._choices[(self._choices.index(self._drawn) + by) % len(self._choices)]
        self.draw()

    def action_zoom(self, factor: float) -> None:
        if factor > 1 or self._view.end - self._view.start > SHORTEST:
            self._move(self._view.zoom(factor))

    def action_pan(self, direction: int) -> None:
        by = direction * (self._view.end - self._view.start) / 4
        self._move(View(self._view.start + by, self._view.end + by))

    def action_whole(self) -> None:
        self._move(self._all)

    def action_scroll(self, by: int) -> None:
        self.query_one("#table").scroll_relative(y=by, animate=False)

    def _move(self, view: View) -> None:
        self._view = view.within(self._all)
        self.draw()

    # Drawing

    def draw(self) -> None:
        """Draws everything again."""
        target = self.query_one("#chart", Static)
        width, height = target.size
        if not self.is_attached or not width:
            return
        self.query_one("#head", Static).update(self._head(), layout=False)
        self.query_one("#rows", Static).update(self._table())
        if width > 20 and height > 6:
            target.update(self._chart(width, height), layout=False)

    def _head(self) -> Text:
        text = Text(" mlxtop diff ", self.colour_style("title"))
        room = max(8, (self.size.width - len(text) - 32) // 2)
        for letter, colour, run in zip(LETTERS, COLOURS, self._runs(), strict=True):
            text.append(f" {letter} {table.cut(run, room)} ", self.colour_style(colour))
        right = Text(f"aligned at {one_line(self._zero)} ", self.colour_style("dim"))
        text.append(" " * max(1, self.size.width - text.cell_len - right.cell_len))
        return text + right

    def _runs(self) -> list[str]:
        return [one_line(run.path.name) for run in (self._comparison.a, self._comparison.b)]

    def _chart(self, width: int, height: int) -> Text:
        """The names of what can be drawn, the chart, and the phases of both runs below it."""
        text, place = chart(self._sides, self._drawn, self._view, (width, height - 3), self.rgb)
        picture = Text.from_ansi(text)
        picture.right_crop(1)  # plotext leaves the last corner in its own white
        parts = [self._choice(), picture]
        for letter, colour, side in zip(LETTERS, COLOURS, self._sides, strict=True):
            parts.append(self._band(letter, colour, side, place))
        return Text("\n").join(parts)

    def _choice(self) -> Text:
        text = Text(" ")
        for name in self._choices:
            here = name == self._drawn
            text.append(f" {TITLES.get(name, name)} ", self.colour_style("title" if here else "dim"))
        return text

    def _band(self, letter: str, colour: str, side: Side, place: Frame) -> Text:
        """The phases of a run as coloured bands, named where there is room."""
        text = Text(f"{letter:>{place.left - 1}} ", self.colour_style(colour))
        width = (self._view.end - self._view.start) / place.columns
        for name, run in groupby(side.phases(self._view.start, width, place.columns)):
            length = len(list(run))
            label = f" {one_line(name)}" if name and len(name) + 2 <= length else ""
            text.append(f"{label:<{length}}", self._ground(name))
        return text

    def _ground(self, phase: str) -> Style:
        if not phase:
            return Style()
        ground = self.colour_style(phase_colour(phase)).color
        return Style(color=self.colour_style("dim" if phase == "idle" else "ink").color, bgcolor=ground)

    def _table(self) -> Text:
        head, *rows = self._lines
        text = self._line(head, "dim", "dim")
        for line, row in zip(rows, table.lines(self._comparison), strict=True):
            text.append("\n")
            if row.row is None:
                text.append(line, self.colour_style("title"))
            else:
                text.append(self._line(line, *(("label", "label") if row.row.changed else ("dim", "dim"))))
        return text

    def _line(self, line: str, name: str, rest: str) -> Text:
        """A line of the table, A's values and B's in their colours."""
        first, second, third = self._edges
        text = Text(line[:first], self.colour_style(name))
        text.append(line[first:second], self.colour_style(COLOURS[0]))
        text.append(line[second:third], self.colour_style(COLOURS[1]))
        return text.append(line[third:], self.colour_style(rest))

    @property
    def _edges(self) -> tuple[int, int, int]:
        """Where A's column begins, where B's begins, and where B's ends: below their letters."""
        head = self._lines[0]
        a, b = head.index("A"), head.index("B")
        return max((len(line.cells[0]) for line in table.lines(self._comparison)), default=0), a + 1, b + 1
