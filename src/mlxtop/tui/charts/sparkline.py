"""A chart of one series over time: present value and range on the left, a sparkline on the right."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, repeat
from math import floor, log10

from rich.segment import Segment
from rich.style import Style
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message
from textual.strip import Strip

from mlxtop.core.events import BudgetChanged, CacheCleared, LimitChanged, MarkAdded, PeakReset
from mlxtop.core.resample import Columns
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.units import UNLIMITED, Units, format_count
from mlxtop.tui.frame import BUFFERS, Frame, Tick
from mlxtop.tui.panel import Panel

GUTTER = 23
BLOCKS = " ▁▂▃▄▅▆▇█"
_NICE = (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)


def eighths(values: Sequence[int], low: float, high: float, most: int) -> list[int]:
    """How many eighths of a row each value fills: `most` at `high`, at least one for anything above `low`."""
    each = most / (high - low)
    return [0 if v <= low else int((v - low) * each + 0.5) or 1 for v in values]


@dataclass(frozen=True, slots=True)
class Scale:
    """The values at the bottom and the top of a chart."""

    low: float
    high: float

    def eighths(self, values: Sequence[int], rows: int) -> list[int]:
        """How many eighths of a row each value fills, at least one for anything above the bottom."""
        return eighths(values, self.low, self.high, rows * 8)


NOTHING = Scale(0.0, 1.0)
"""The scale of a chart with only zeros."""


def nice(value: float, base: int) -> float:
    """The next round number from `value` upwards, round in a unit that is a power of `base`."""
    if value <= 0:
        return 1.0
    unit = 1.0
    while value / unit >= base:
        unit *= base
    power = 10.0 ** floor(log10(value / unit))
    return next(step for step in _NICE if step * power * unit >= value * (1 - 1e-12)) * power * unit


def fit(low: float, high: float, base: int) -> Scale:
    """A scale with round ends. It begins at zero, or at a round number if all values are far from zero.

    It spans at least a tenth of the values, so that small changes do not look large.
    """
    if low > 0.75 * high > 0:
        step = nice(max(high - low, high / 10) / 2, base)
        bottom = floor(low / step) * step
        return Scale(bottom, bottom + step * max(1.0, -(-(high - bottom) // step)))
    return Scale(0.0, nice(high, base))


def rates(columns: Columns) -> list[int]:
    """Tokens per second of each column, in thousandths; `UNKNOWN` for columns without a token."""
    out, before = [], None
    for steps, decode in zip(columns.last["steps"], columns.last["decode"], strict=True):
        rate = UNKNOWN
        if before is not None and decode > before[1]:
            rate = round((steps - before[0]) / (decode - before[1]) * 1e9)
        if steps != UNKNOWN:
            before = (steps, decode)
        out.append(rate)
    return out


class Chart(Panel[Frame]):
    """The chart of `active`, `cache` or `peak`, in bytes. Subclasses draw other series."""

    LINED = "budget"
    """The kind of the horizontal line, and its colour."""
    NEAR = 3.0
    """A line higher than so many times the data is not drawn: ↑ stands for it."""
    LEAST = 2**20
    """Smallest value of the top of a chart: a few bytes must not fill it."""

    class Zoomed(Message):
        """The wheel was turned over a chart: less time per column (-1), or more (1)."""

        def __init__(self, direction: int) -> None:
            super().__init__()
            self.direction = direction

    class Picked(Message):
        """A column of a chart was clicked, counted from the left."""

        def __init__(self, column: int) -> None:
            super().__init__()
            self.column = column

    def __init__(self, series: str, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="chart")
        self.series = series

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        lo, hi = self.values(frame)
        line = self.line(frame)
        reach = max(max(hi, default=0), 0)
        reach = max([reach, *(v for v in line if v <= self.NEAR * max(reach, 1))])
        if reach:
            reach = max(reach, self.LEAST)
        scale = fit(min((v for v in lo if v != UNKNOWN), default=0), reach, self.base(frame.view.units))
        notes = self.notes(frame, scale, height)
        plot = self._plot(lo, hi, scale, height, line, frame.ticks)
        text = self.style("text")
        return [
            Strip([*self._label(frame, notes, y), *plot[y]], GUTTER + len(lo)).adjust_cell_length(width, text)
            for y in range(height)
        ]

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.post_message(self.Zoomed(-1))

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.post_message(self.Zoomed(1))

    def on_click(self, event: Click) -> None:
        if event.x >= GUTTER:
            self.post_message(self.Picked(event.x - GUTTER))

    # What a series is

    def values(self, frame: Frame) -> tuple[Sequence[int], Sequence[int]]:
        """The lowest and highest value of each column."""
        return frame.columns.lo[self.series], frame.columns.hi[self.series]

    def line(self, frame: Frame) -> Sequence[int]:
        """The values of the horizontal line, one per column; empty for none."""
        events = frame.session.timeline.between(BudgetChanged, 0, frame.now + 1)
        changes = [
            (event.time, budget.bytes if (budget := event.data.budget) else UNLIMITED) for event in events
        ]
        return held(frame.columns, changes) if changes else ()

    def base(self, units: Units) -> int:
        return 1024 if units == "binary" else 1000

    def value(self, frame: Frame) -> str:
        """The present value with its unit."""
        return frame.size(frame.sample and getattr(frame.sample, self.series))

    def range(self, frame: Frame, scale: Scale) -> str:
        """The values at the bottom and the top of the chart, as text."""
        if scale == NOTHING:
            return "—"
        low, high = frame.size(int(scale.low)), frame.size(int(scale.high))
        if low.split()[-1] == high.split()[-1] or scale.low == 0:
            low = low.split()[0]
        return f"{low}–{high}".replace(".0 ", " ").replace(".0–", "–").replace(".00", "")

    def notes(self, frame: Frame, scale: Scale, height: int) -> list[str]:
        """The rows under the value, at most `height - 1` of them."""
        budget = frame.state.budget
        notes = [self.range(frame, scale)]
        if budget is not None and height >= 3:
            above = " ↑" if budget.bytes > scale.high else ""
            size = frame.size(budget.bytes).replace(".0 ", " ").replace(".00 ", " ")
            notes.append(f"budget {size}{above}")
        return notes

    # Drawing

    def _label(self, frame: Frame, notes: list[str], y: int) -> list[Segment]:
        if y == 0:
            text = f" {self.series:<{GUTTER - 12}}{self.value(frame):>10} "
            return [Segment(text, self.style(self.series))]
        note = notes[y - 1] if y <= len(notes) else ""
        return [Segment(f"{note:>{GUTTER - 1}} ", self.style("dim"))]

    def _plot(
        self,
        lo: Sequence[int],
        hi: Sequence[int],
        scale: Scale,
        rows: int,
        line: Sequence[int],
        ticks: Sequence[Tick],
    ) -> list[list[Segment]]:
        """The rows from top to bottom, each as segments of one style."""
        full = scale.eighths(lo, rows)
        high = full if hi is lo else scale.eighths(hi, rows)
        level = [-1] * len(high)
        if line:
            # A line stays where it is for long.
            rows_of = {v: self._row_of(v, scale, rows) for v in set(line)}
            level = [rows_of[v] for v in line]
        tick = [EMPTY] * len(high)
        for column_, event in ticks:
            tick[column_] = TICK_CODES.get(type(event.data), EMPTY)
        # All in C: a picture has half a thousand columns.
        drawn = list(map("".join, zip(*map(column, repeat(rows), full, high, level, tick), strict=True)))
        styles = self._run_styles()
        return [runs(text, code, styles) for text, code in zip(drawn[:rows], drawn[rows:], strict=True)]

    def _row_of(self, value: int, scale: Scale, rows: int) -> int:
        """The row of the line, counted from the bottom; -1 if it is above the top."""
        return min(rows - 1, scale.eighths([value], rows)[0] // 8) if value <= scale.high else -1

    def _run_styles(self) -> dict[str, Style]:
        return {
            FULL: self.style(self.series),
            SOFT: self.soft(self.series),
            EMPTY: self.style("faint"),
            LINE: self.style(self.LINED),
            "b": self.style("budget"),
            "l": self.style("limit"),
            "c": self.style("cache"),
            "p": self.style("peak"),
            "m": self.style("mark"),
        }


# One letter a cell says which style it has; runs of a letter become one segment.
FULL, SOFT, EMPTY, LINE = "f", "s", " ", "-"
TICK_CODES = {MarkAdded: "m", LimitChanged: "l", CacheCleared: "c", PeakReset: "p", BudgetChanged: "b"}


def runs(text: str, code: str, styles: Mapping[str, Style]) -> list[Segment]:
    """`text` as segments of one style. `code` has a letter for the style of each cell."""
    segments, start = [], 0
    for letter, run in groupby(code):
        end = start + len(list(run))
        segments.append(Segment(text[start:end], styles[letter]))
        start = end
    return segments


@lru_cache(maxsize=4096)
def column(rows: int, full: int, high: int, level: int, tick: str) -> str:
    """The characters of one column from top to bottom, and their style letters.

    The colour is full up to `full` eighths and pale up to `high`. In the empty part above, the limit is drawn
    in row `level` (from the bottom), and a tick in every row.
    """
    glyphs, codes = "", ""
    for row in range(rows - 1, -1, -1):
        below = row * 8
        fill = min(8, high - below)
        if fill > 0:
            glyphs += BLOCKS[fill]
            codes += FULL if full - below >= min(4, fill) else SOFT
        elif row == level:
            glyphs, codes = glyphs + "╌", codes + LINE
        else:
            glyphs, codes = glyphs + (" " if tick == EMPTY else "┊"), codes + tick
    return glyphs + codes


def held(columns: Columns, changes: Iterable[tuple[float, int]]) -> list[int]:
    """The value in force in each column, from `changes` (seconds, bytes); `UNLIMITED` before the first."""
    count = len(columns.last["phase"])
    out: list[int] = []
    value = UNLIMITED
    for time, after in changes:
        # A change in the middle of a column shows from the next column on.
        before = int((time - columns.start) / columns.width) + 1
        out += [value] * (min(before, count) - len(out))
        value = after
    return out + [value] * (count - len(out))


class CacheChart(Chart):
    """The chart of the cache, with its limit as a line."""

    LINED = "limit"
    NEAR = 2.0

    def line(self, frame: Frame) -> Sequence[int]:
        events = frame.session.timeline.between(LimitChanged, 0, frame.now + 1)
        changes = [(e.time, e.data.new) for e in events if e.data.name == "cache" and e.data.new is not None]
        return held(frame.columns, changes)

    def notes(self, frame: Frame, scale: Scale, height: int) -> list[str]:
        limit = frame.state.limits["cache"]
        value = frame.size(frame.cache_limit).replace(".0 ", " ")
        text = f"limit {value}" if limit.pending is None else f"limit → {frame.size(limit.pending)}…"
        spread = self.range(frame, scale)
        if height >= 3:
            return [spread, text]
        return [
            f"{spread} ≤{value}" if limit.pending is None and len(spread) + len(value) < GUTTER - 3 else text
        ]


class PeakChart(Chart):
    """The chart of the peak, with the peak of the run if it was reset since."""

    def notes(self, frame: Frame, scale: Scale, height: int) -> list[str]:
        notes = [self.range(frame, scale)]
        run = frame.most.peak
        if frame.sample is not None and run > frame.sample.peak:
            text = f"run {frame.size(run)}"
            if height >= 3:
                notes.append(text)
            else:
                notes[0] = text
        return notes


class SpeedChart(Chart):
    """The chart of the speed: steps per second while working."""

    LEAST = 0

    def line(self, frame: Frame) -> Sequence[int]:
        return ()

    def notes(self, frame: Frame, scale: Scale, height: int) -> list[str]:
        return [self.range(frame, scale)]

    def values(self, frame: Frame) -> tuple[Sequence[int], Sequence[int]]:
        found = rates(frame.columns)
        return found, found

    def base(self, units: Units) -> int:
        return 1000

    def value(self, frame: Frame) -> str:
        return "—" if frame.speed is None else f"{frame.speed:.1f} /s"

    def range(self, frame: Frame, scale: Scale) -> str:
        return "—" if scale == NOTHING else f"{scale.low / 1000:g}–{scale.high / 1000:g} {frame.per_second}"


class BufferChart(Chart):
    """The chart of the live buffers that a trace counts, with the most that the device allows as a line."""

    LINED = "limit"
    NEAR = 2.0
    LEAST = 10

    def values(self, frame: Frame) -> tuple[Sequence[int], Sequence[int]]:
        last = frame.columns.last
        found = last.get(BUFFERS) or [UNKNOWN] * len(last["phase"])
        return found, found

    def line(self, frame: Frame) -> Sequence[int]:
        limit = frame.state.facts.resource_limit
        return () if limit is None else held(frame.columns, [(0.0, limit)])

    def base(self, units: Units) -> int:
        return 1000

    def value(self, frame: Frame) -> str:
        # Cached buffers, and those from before the trace, come on top.
        known = frame.sample is not None and frame.sample.buffers != UNKNOWN
        return f"≥ {format_count(frame.sample.buffers)}" if known and frame.sample else "—"

    def range(self, frame: Frame, scale: Scale) -> str:
        if scale == NOTHING:
            return "—"
        return f"{_round(int(scale.low))}–{_round(int(scale.high))}"

    def notes(self, frame: Frame, scale: Scale, height: int) -> list[str]:
        limit = frame.state.facts.resource_limit
        if limit is None:
            return [self.range(frame, scale)]
        above = " ↑" if limit > scale.high else ""
        return [self.range(frame, scale), f"limit {_round(limit)}{above}"]


def _round(count: int) -> str:
    return format_count(count).replace(".0", "")
