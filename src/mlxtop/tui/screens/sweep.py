"""The screen of a sweep: progress, charts, table, and the recommendation so far."""

import threading
import time

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.message import Message
from textual.widgets import Footer, Static

from mlxtop.core.text import one_line
from mlxtop.core.units import format_clock, format_size, format_span
from mlxtop.sweep import table
from mlxtop.sweep.recommendation import FEWEST_ROUNDS
from mlxtop.sweep.results import Row
from mlxtop.sweep.runner import Progress, Sweep
from mlxtop.tui.charts.scatter import scatter
from mlxtop.tui.coloured_screen import ColouredScreen
from mlxtop.tui.screens.help import Manual
from mlxtop.tui.sweep_table import lines

CHART_LEAST, CHART_MOST = 9, 30
"""Rows of a chart."""
CHART_COLUMNS = 56
"""From so many columns on a chart has room beside another."""
SENTENCE_MOST = 4
DRAWN_WITHIN = 0.5
"""Seconds the sweep waits for the screen before it measures the next cell."""
BAR = 24
STAGES = {
    "load": "loading",
    "warm-up": "warming up",
    "done": "done",
    "stopped": "stopped",
    "failed": "failed",
}


MANUAL = Manual(
    words=(
        ("tokens/s", "speed while decoding; for a command its wall time or its --metric"),
        ("peak total", "the highest value of active + cache: live arrays and the freed buffers MLX keeps"),
        ("cache high", "the highest value of the cache"),
        ("first token", "the time from the prompt to the first token of the answer"),
    ),
    signs=(
        (table.CHOSEN, "recommended: the smallest value whose loss of speed is within the tolerance"),
        (table.FRONT, "no other value is both faster and smaller"),
        ("✕", "could not be measured"),
        ("●", "being measured now"),
        ("(a–b)", "the 95 % interval of the median"),
    ),
    prose=(
        "A round measures every value once, in random order. A round is disturbed when other programs used "
        "more processor time than usual. Disturbed measurements are left out and repeated if possible.",
        f"A recommendation needs {FEWEST_ROUNDS} undisturbed rounds. It compares values within each round, so it "
        "can be certain even where the intervals in the table overlap.",
    ),
)


class SweepScreen(ColouredScreen):
    """Shows a sweep. It is drawn only between two cells, so that drawing does not disturb a measurement. Only
    the clock in the first row is updated meanwhile."""

    class News(Message):
        """A cell has ended, or a new stage has begun."""

    BINDINGS = [
        Binding("tab,right", "length(1)", "prompt length", key_display="tab", tooltip="Show the next prompt length"),
        Binding("shift+tab,left", "length(-1)", "Back", show=False, key_display="←", tooltip="Show the previous prompt length"),
    ]  # fmt: skip
    MANUAL = MANUAL
    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    SweepScreen { layout: vertical; overflow: hidden; }
    SweepScreen #head { height: 1; background: $panel; }
    SweepScreen #progress { height: 1; }
    SweepScreen #charts { height: auto; }
    SweepScreen #table { height: 1fr; }
    SweepScreen #advice { height: auto; padding: 0 1; background: $panel; }
    SweepScreen Footer { background: $panel; padding: 0 1; }
    """

    def __init__(self, sweep: Sweep) -> None:
        super().__init__()
        self._sweep = sweep
        self._length = 0
        """The index of the prompt length that is shown when not all fit."""
        self._drawn = threading.Event()
        self._ended: float | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield Static(id="progress")
        yield Static(id="charts")
        yield Static(id="table")
        yield Static(id="advice")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.set_interval(1.0, self._tick)
        self.app.theme_changed_signal.subscribe(self, lambda _: self.call_after_refresh(self.draw))
        self.call_after_refresh(self.draw)

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)

    def changed(self, sweep: Sweep) -> None:
        """Draws a new state. Called on the sweep's thread, which waits up to `DRAWN_WITHIN` seconds for it."""
        self._drawn.clear()
        if self.is_attached and self.post_message(self.News()):
            self._drawn.wait(DRAWN_WITHIN)

    def on_sweep_screen_news(self) -> None:
        self.draw()
        self.call_after_refresh(self._drawn.set)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "length" or len(self._sweep.plan.lengths) > 1

    def action_length(self, step: int) -> None:
        self._length = (self._length + step) % len(self._sweep.plan.lengths)
        self.draw()

    # Drawing

    def _tick(self) -> None:
        """Updates the first row, also while a cell is measured."""
        self.query_one("#head", Static).update(self._head(), layout=False)

    def draw(self) -> None:
        """Draws everything again."""
        width, height = self.size
        if not self.is_attached or not width:
            return
        summary, progress = self._sweep.summary, self._sweep.progress
        if self._ended is None and progress.stage in ("done", "stopped", "failed"):
            self._ended = time.monotonic()
        self._tick()
        self.query_one("#progress", Static).update(self._progress(progress), layout=False)
        advice = self._advice(width - 2)
        lines = len(advice.wrap(self.app.console, width - 2))
        room = height - 3 - min(lines, SENTENCE_MOST)
        count = len(summary.plan.lengths)
        per_length = len(summary.plan.arms) + 1
        every = room >= CHART_LEAST + 1 + count * per_length + 2
        rows = (count * per_length if every else per_length) + 2
        chart = max(0, min(CHART_MOST, room - rows))
        charts = self.query_one("#charts", Static)
        charts.display = chart >= CHART_LEAST
        charts.update(self._charts(width, chart))
        shown = None if every else self._length
        self.query_one("#table", Static).update(self._table(width, shown))
        self.query_one("#advice", Static).update(advice)

    def _head(self) -> Text:
        sweep, width = self._sweep, self.size.width
        facts = sweep.facts
        left = Text(" mlxtop sweep ", self.colour_style("title"))
        subject = one_line(sweep.plan.target.name)
        device = (
            f" · {one_line(facts.device)} · {facts.backend} · {format_size(facts.memory)}"
            if facts.known
            else ""
        )
        clock = format_clock((self._ended or time.monotonic()) - sweep.began)
        right = Text(f" {clock} ", self.colour_style("label"))
        room = width - left.cell_len - right.cell_len
        if len(subject) > room:
            subject = f"…{subject[-room + 1 :]}" if room > 1 else ""
        left.append(subject, self.colour_style("label"))
        if len(subject) + len(device) <= room:
            left.append(device, self.colour_style("dim"))
        left.append(" " * max(0, width - left.cell_len - right.cell_len))
        return left + right

    def _progress(self, progress: Progress) -> Text:
        share = progress.done / progress.total if progress.total else 0.0
        filled = round(share * BAR)
        text = Text(" ")
        text.append("━" * filled, self.colour_style("speed"))
        text.append("─" * (BAR - filled), self.colour_style("faint"))
        text.append(f" {progress.done}/{progress.total} ", self.colour_style("label"))
        if progress.stage in STAGES:
            word = STAGES[progress.stage]
            if progress.stage == "done" and progress.done < progress.total:
                word = "done: the results are precise enough"
            text.append(f" {word}", self.colour_style("failed" if progress.stage == "failed" else "label"))
        elif progress.left is not None:
            text.append(f" at most {format_span(round(progress.left))} left", self.colour_style("label"))
        if progress.cell is not None:
            plan = self._sweep.plan
            text.append(f"  ● {plan.label(progress.cell.arm)}", self.colour_style("decode"))
            tokens = plan.lengths[progress.cell.length]
            if tokens is not None:
                text.append(f", prompt {tokens:,}", self.colour_style("dim"))
        text.truncate(self.size.width, overflow="ellipsis")
        return text

    def _charts(self, width: int, height: int) -> Text:
        """The charts of as many prompt lengths as fit, side by side, from the one that is shown."""
        plan = self._sweep.plan
        if height < CHART_LEAST:
            return Text()
        beside = max(1, min(len(plan.lengths), width // CHART_COLUMNS))
        first = self._length if beside < len(plan.lengths) else 0
        lengths = [(first + i) % len(plan.lengths) for i in range(beside)]
        columns = width // beside
        pictures = [self._chart(length, columns, height) for length in lengths]
        return Text("\n").join(Text().join(parts) for parts in zip(*pictures, strict=True))

    def _chart(self, length: int, width: int, height: int) -> list[Text]:
        """A chart with its caption, as rows of equal width."""
        summary = self._sweep.summary
        tokens = summary.plan.lengths[length]
        words = f"{summary.speed.title} against peak total" + (f", prompt {tokens:,}" if tokens else "")
        caption = Text(f" {words}", self.colour_style("dim"))
        picture = scatter(summary, length, width, height - 1, self.rgb)
        rows = [caption, *(Text.from_ansi(line) for line in picture.split("\n") if picture)]
        if picture:
            rows[-1].right_crop(1)  # plotext leaves the last corner in its own white
        rows += [Text()] * (height - len(rows))
        for row in rows:
            row.truncate(width, pad=True)
        return rows[:height]

    def _table(self, width: int, length: int | None) -> Text:
        """The rows of one prompt length, or of all."""
        summary = self._sweep.summary
        head, *rows = lines(summary, width)
        text = Text(head, self.colour_style("dim"), no_wrap=True, overflow="crop")
        last = 0
        for row, line in zip(summary.rows, rows, strict=True):
            if length is not None and row.cell.length != length:
                continue
            if length is None and row.cell.length != last:
                text.append("\n")
                last = row.cell.length
            text.append(f"\n{line}", self._row_style(row))
        return text.append(f"\n {table.LEGEND}", self.colour_style("dim"))

    def _row_style(self, row: Row) -> Style:
        now = self._sweep.progress.cell
        name = "failed" if row.error else "speed" if row.chosen else "active" if row.front else "label"
        return self.colour_style(name) + Style(bold=row.cell == now)

    def _advice(self, width: int) -> Text:
        sweep = self._sweep
        if sweep.failure is not None:
            return Text(str(sweep.failure), self.colour_style("failed"))
        advice = sweep.summary.recommendation
        text = Text(advice.sentence, self.colour_style("speed" if advice.arm is not None else "label"))
        for note in sweep.summary.notes:
            if "--repeats" in note or "busy" in note or "left out" in note or "processors" in note:
                text.append(f" {note}", self.colour_style("limit"))
        return text
