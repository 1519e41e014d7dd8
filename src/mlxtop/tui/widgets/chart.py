"""One series over time: present value and range on the left, a sparkline of its extremes on the right."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import floor, log10

from rich.style import Style
from textual.strip import Strip

from mlxtop.core.event import Kind
from mlxtop.core.history import UNKNOWN, Columns
from mlxtop.core.units import UNLIMITED, Units
from mlxtop.tui.canvas import Canvas, Part
from mlxtop.tui.frame import Frame

GUTTER = 23
BLOCKS = " ▁▂▃▄▅▆▇█"
_NICE = (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True, slots=True)
class Scale:
    """The values at the bottom and the top of a chart."""

    low: float
    high: float

    def eighths(self, value: float, rows: int) -> int:
        """How many eighths of a row `value` fills, at least one for anything above the bottom."""
        if value <= self.low:
            return 0
        share = (value - self.low) / (self.high - self.low)
        return max(1, min(rows * 8, round(share * rows * 8)))


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
    """A scale with round ends: from zero, or from a round number when the values keep far away from zero."""
    if low > 0.75 * high > 0:
        step = nice(max(high - low, high / 50) / 2, base)
        bottom = floor(low / step) * step
        return Scale(bottom, bottom + step * max(1.0, -(-(high - bottom) // step)))
    return Scale(0.0, nice(high, base))


def rates(columns: Columns) -> list[int]:
    """Tokens per second of each column in thousandths; columns in which no token came repeat nothing."""
    out, before = [], None
    for steps, decode in zip(columns.last["steps"], columns.last["decode"], strict=True):
        rate = UNKNOWN
        if before is not None and decode > before[1]:
            rate = round((steps - before[0]) / (decode - before[1]) * 1e9)
        if steps != UNKNOWN:
            before = (steps, decode)
        out.append(rate)
    return out


class Chart(Canvas):
    """A series of sizes: `active`, `cache` or `peak`. A subclass draws another kind of number."""

    def __init__(self, series: str, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="chart")
        self.series = series

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        lo, hi = self.values(frame)
        known = [v for v in (*lo, *hi) if v != UNKNOWN]
        line = self.line(frame)
        reach = max(known, default=0)
        if line and max(line) <= 2 * max(reach, 1):
            reach = max(reach, *line)
        scale = fit(min(known, default=0), reach, self.base(frame.view.units))
        notes = self.notes(frame, scale, height)
        plot = self._plot(lo, hi, scale, height, line, ticks(frame))
        return [
            self.row([*self._label(frame, notes, y), *plot[y]], width) for y in range(height)
        ]

    # What a series is

    def values(self, frame: Frame) -> tuple[Sequence[int], Sequence[int]]:
        """The lowest and highest value of each column."""
        return frame.columns.lo[self.series], frame.columns.hi[self.series]

    def line(self, frame: Frame) -> Sequence[int]:
        """A limit to draw across, one value a column; empty for none."""
        return ()

    def base(self, units: Units) -> int:
        return 1024 if units == "binary" else 1000

    def value(self, frame: Frame) -> str:
        """The present value with its unit."""
        return frame.size(frame.sample and getattr(frame.sample, self.series))

    def range(self, frame: Frame, scale: Scale) -> str:
        """What bottom and top of the chart mean."""
        low, high = frame.size(int(scale.low)), frame.size(int(scale.high))
        if low.split()[-1] == high.split()[-1] or scale.low == 0:
            low = low.split()[0]
        return f"{low}–{high}".replace(".0 ", " ").replace(".0–", "–").replace(".00", "")

    def notes(self, frame: Frame, scale: Scale, height: int) -> list[str]:
        """The rows under the value, at most `height - 1` of them."""
        return [self.range(frame, scale)]

    # Drawing

    def _label(self, frame: Frame, notes: list[str], y: int) -> list[Part]:
        dim = self.style("dim")
        if y == 0:
            name = self.series
            value = self.value(frame)
            return [
                (f" {name:<{GUTTER - 12}}", self.style(self.series).without_color + self.style(self.series)),
                (f"{value:>10} ", self.style(self.series)),
            ]
        return [(f"{notes[y - 1] if y <= len(notes) else '':>{GUTTER - 1}} ", dim)]

    def _plot(
        self,
        lo: Sequence[int],
        hi: Sequence[int],
        scale: Scale,
        rows: int,
        line: Sequence[int],
        marks: dict[int, str],
    ) -> list[list[Part]]:
        """Rows from top to bottom. Up to the lowest value of a column the colour is full, up to the highest
        it is dim; ticks and the limit show where the chart is empty."""
        full = [scale.eighths(v, rows) for v in lo]
        high = [scale.eighths(v, rows) for v in hi]
        level = [min(rows * 8 - 1, scale.eighths(v, rows)) if v < UNLIMITED and v <= scale.high else -1 for v in line]
        strong = self.style(self.series)
        soft = strong + Style(dim=True)
        faint, limit = self.style("faint"), self.style("limit")
        out: list[list[Part]] = []
        for y in range(rows):
            floor_ = (rows - 1 - y) * 8
            cells: list[tuple[str, Style]] = []
            for i, top in enumerate(high):
                fill = top - floor_
                if fill <= 0:
                    if level and level[i] // 8 == floor_ // 8:
                        cells.append(("╌", limit))
                    elif i in marks:
                        cells.append(("┊", self.style(marks[i])))
                    else:
                        cells.append((" ", faint))
                elif fill >= 8:
                    cells.append(("█", strong if full[i] >= floor_ + 4 else soft))
                else:
                    cells.append((BLOCKS[fill], strong if full[i] > floor_ else soft))
            out.append([("".join(c for c, _ in run), style) for style, run in groupby(cells, key=_style)])
        return out


def _style(cell: tuple[str, Style]) -> Style:
    return cell[1]


class CacheChart(Chart):
    """The cache with its limit as a line."""

    def line(self, frame: Frame) -> Sequence[int]:
        columns = frame.columns
        ends = [columns.start + columns.width * (i + 1) for i in range(len(columns.last["phase"]))]
        changes = [
            (event.time, event.data["new"])
            for event in frame.session.timeline.between(Kind.LIMIT, 0, frame.now + 1)
            if event.data["knob"] == "cache"
        ]
        out, value = [], UNLIMITED
        position = 0
        for end in ends:
            while position < len(changes) and changes[position][0] < end:
                value = changes[position][1]
                position += 1
            out.append(value)
        return out

    def notes(self, frame: Frame, scale: Scale, height: int) -> list[str]:
        limit = frame.state.limits["cache"]
        value = frame.size(limit.value).replace(".0 ", " ")
        text = f"limit {value}" if limit.pending is None else f"limit → {frame.size(limit.pending)}…"
        spread = self.range(frame, scale)
        if height >= 3:
            return [spread, text]
        return [f"{spread} ≤{value}" if limit.pending is None and len(spread) + len(value) < GUTTER - 3 else text]


class PeakChart(Chart):
    """The peak, and the run's own where a reset made the present one lower."""

    def notes(self, frame: Frame, scale: Scale, height: int) -> list[str]:
        notes = [self.range(frame, scale)]
        run = frame.state.run_peak
        if frame.sample is not None and run > frame.sample.peak:
            text = f"run {frame.size(run)}"
            if height >= 3:
                notes.append(text)
            else:
                notes[0] = text
        return notes


class SpeedChart(Chart):
    """Tokens per second while decoding."""

    def values(self, frame: Frame) -> tuple[Sequence[int], Sequence[int]]:
        found = rates(frame.columns)
        return found, found

    def base(self, units: Units) -> int:
        return 1000

    def value(self, frame: Frame) -> str:
        return "—" if frame.speed is None else f"{frame.speed:.1f} /s"

    def range(self, frame: Frame, scale: Scale) -> str:
        return f"{scale.low / 1000:g}–{scale.high / 1000:g} tok/s"


def ticks(frame: Frame) -> dict[int, str]:
    """Columns in which a person's event happened, and its colour: marks, limits, clears, resets."""
    columns = frame.columns
    count = len(columns.last["phase"])
    out: dict[int, str] = {}
    for kind, colour in ((Kind.CLEAR, "cache"), (Kind.RESET, "peak"), (Kind.LIMIT, "limit"), (Kind.MARK, "mark")):
        for event in frame.session.timeline.between(kind, columns.start, columns.start + count * columns.width):
            if is_chosen(event):
                out[int((event.time - columns.start) / columns.width)] = colour
    return out


def is_chosen(event: object) -> bool:
    """Whether a tick of this event tells something: not MLX's defaults, not a library's routine."""
    data = getattr(event, "data", {})
    who = data.get("who", "keyboard")
    if who == "MLX's default":
        return False
    routine = who.startswith(("mlx_lm/", "mlxtop,"))
    return not routine
