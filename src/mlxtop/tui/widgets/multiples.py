"""Members side by side: one lane each on one time axis and one scale, their sum, and the time below."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, cast

from rich.cells import cell_len
from rich.cells import set_cell_size as fit_cells
from rich.segment import Segment
from rich.style import Style
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message
from textual.strip import Strip

from mlxtop.core.text import one_line
from mlxtop.core.units import format_clock, format_span
from mlxtop.tui.canvas import Canvas, Part
from mlxtop.tui.frame import Frame
from mlxtop.tui.widgets.axis import LABEL_EVERY
from mlxtop.tui.widgets.chart import BLOCKS, EMPTY, RUNS, nice
from mlxtop.tui.widgets.header import phase_colour
from mlxtop.tui.widgets.lineup import Lane, Lineup

LEAST_SCALE = 2**20
ABOVE, BELOW, ENDED = "↑", "↓", "■"
LONGEST = 1000
"""Letters of a name that are looked at."""


# Text cut to a width


@lru_cache(maxsize=4096)
def squeeze(text: str, room: int) -> str:
    """A command or a title on one line in at most `room` cells.

    What says least goes first: folders, then the interpreter's name, then the end of a command. A path says
    most at its end.
    """
    text = one_line(text[:LONGEST])
    if cell_len(text) <= room:
        return text
    words = [word.rstrip("/").rsplit("/", 1)[-1] for word in text.split(" ")]
    text = " ".join(words)
    if cell_len(text) > room and len(words) > 1 and words[0].startswith("python"):
        text = " ".join(words[1:])
    if " " in text or cell_len(text) <= room:
        return head(text, room)
    text = text[-max(1, room) :]
    while cell_len(text) >= max(1, room):
        text = text[1:]
    return f"…{text}" if room > 0 else ""


@lru_cache(maxsize=4096)
def head(text: str, room: int) -> str:
    """`text` on one line in at most `room` cells, cut at its end."""
    text = one_line(text[:LONGEST])
    if cell_len(text) <= room:
        return text
    return f"{fit_cells(text, room - 1)}…" if room > 0 else ""


# Which figures stand where


class Column(NamedTuple):
    """A column of the table: how wide it is, and which figure stands in the first and in the second row."""

    width: int
    names: tuple[str, ...]


NUMBER = 9
NARROW = 60
LEAD = 3
"""Cells before the table: the selection and the sign of the outlier."""


@lru_cache(maxsize=64)
def table(width: int, rows: int) -> tuple[Column, ...]:
    """The columns for a screen `width` wide and lanes of `rows` rows; the rest is the time axis."""
    name = max(9, min(30, width // 7))
    if rows > 1:
        if width < NARROW:
            return Column(name, ("name", "phase")), Column(NUMBER, ("active", "cache"))
        return (
            Column(name, ("name", "title")),
            Column(NUMBER, ("phase", "speed")),
            Column(NUMBER, ("active", "peak")),
            Column(NUMBER, ("cache", "footprint")),
        )
    if width < NARROW:
        return Column(name, ("name",)), Column(NUMBER, ("total",))
    names = ["phase", "active", "cache"]
    if width >= 100:
        names += ["peak", "footprint"]
    if width >= 140:
        names.insert(1, "speed")
    return Column(name, ("name",)), *(Column(NUMBER, (each,)) for each in names)


def gutter(width: int, rows: int) -> int:
    """Cells left of the time axis."""
    return LEAD + sum(column.width + 1 for column in table(width, rows))


# Drawing a trace: one letter a cell says which style it has

ACTIVE, CACHE, BOTH = "a", "c", "b"


@lru_cache(maxsize=4096)
def stack(rows: int, active: int, total: int) -> tuple[str, str]:
    """The glyphs and style letters of one column, top to bottom: `active` eighths and the cache upon them.

    A cell has two colours: where active, cache and nothing meet in one, the larger part has it.
    """
    glyphs, codes = "", ""
    for below in range((rows - 1) * 8, -8, -8):
        full, part = min(8, total - below), max(0, min(8, active - below))
        if full <= 0:
            glyphs, codes = glyphs + " ", codes + EMPTY
        elif full == 8 and 0 < part < 8:
            glyphs, codes = glyphs + BLOCKS[part], codes + BOTH
        else:
            glyphs, codes = glyphs + BLOCKS[full], codes + (ACTIVE if 2 * part >= full else CACHE)
    return glyphs, codes


def eighths(values: Sequence[int], top: float, rows: int) -> list[int]:
    """How many eighths of a row each value fills. The uppermost eighth stays free between lanes."""
    each = (rows * 8 - 1) / top
    return [0 if v <= 0 else int(v * each + 0.5) or 1 for v in values]


class FleetCanvas(Canvas):
    """A panel painted from a `Lineup` where others are painted from a `Frame`."""

    DEFAULT_CSS = "FleetCanvas { height: 1; }"

    def see(self, frame: Lineup) -> None:
        """Takes a new lineup and repaints what changed."""
        self.show(cast(Frame, frame))

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        return self.draw(cast(Lineup, frame), width, height)

    def draw(self, frame: Lineup, width: int, height: int) -> list[Strip]:
        """What `paint` is for the others."""
        return []


class LaneCanvas(FleetCanvas):
    """What lanes and their sum have in common: the table on the left and the trace on the right."""

    def lane(self, frame: Lineup, lane: Lane, rows: int, top: float, width: int) -> list[Strip]:
        """The rows of one lane; `top` is the size at the top of its trace."""
        here = lane.pid is not None and lane.pid == frame.selected
        ground = self.ground() if here else Style()
        plot = self._plot(lane, top, rows, ground)
        columns = table(frame.width, frame.rows)
        left = gutter(frame.width, frame.rows)
        strips = []
        for y in range(rows):
            parts = self._figures(frame, lane, y, columns, left)
            segments = [*(Segment(text, style + ground) for text, style in parts), *plot[y]]
            strips.append(Strip(segments, left + len(lane.totals)).adjust_cell_length(width))
        return strips

    def ground(self) -> Style:
        """The background of the selected line."""
        return Style(bgcolor=self.style("panel").color)

    def _figures(self, frame: Lineup, lane: Lane, y: int, columns: Sequence[Column], room: int) -> list[Part]:
        here = lane.pid is not None and lane.pid == frame.selected
        lead: Part = ("▌" if here else " ", self.style("primary"))
        sign = self._sign(frame, lane) if y == 0 else " "
        parts = [lead, (f"{sign} ", self.style("dim" if sign == ENDED else "limit"))]
        if y >= len(columns[0].names):
            text = "" if y > len(columns[0].names) else squeeze(lane.title, room - LEAD - 1)
            return [*parts, (fit_cells(text, room - LEAD), self.style("dim"))]
        for column in columns:
            text, style = self._figure(frame, lane, column.names[y], column.width)
            parts.append((f"{text} ", style if lane.ended is None else self.style("dim")))
        return parts

    def _sign(self, frame: Lineup, lane: Lane) -> str:
        """Which way a lane stands out; without a column of phases, whether it ended."""
        if frame.outlier is not None and frame.outlier.pid == lane.pid:
            return ABOVE if frame.outlier.above else BELOW
        told = any("phase" in column.names for column in table(frame.width, frame.rows))
        return ENDED if lane.ended is not None and not told else " "

    def _figure(self, frame: Lineup, lane: Lane, name: str, width: int) -> Part:
        """One figure in exactly `width` cells, with its colour."""
        if lane.pid is None and name in ("title", "phase", "speed", "peak"):
            return self._sum_figure(frame, lane, name, width)
        match name:
            case "name":
                return self._who(frame, lane, width)
            case "title":
                # A lane of three rows has one for the whole title.
                text = lane.ended or ("" if frame.rows > 2 else lane.title)
                return (fit_cells(squeeze(text, width), width), self.style("dim"))
            case "phase":
                word = f"{ENDED} ended" if lane.ended is not None else f"● {lane.phase}" if lane.phase else ""
                return (fit_cells(head(word, width), width), self.style(phase_colour(lane.phase)))
            case "speed":
                rate = "—" if lane.speed is None else f"{lane.speed:.1f}"
                return (f"{rate:>{width}}", self.style("speed"))
        text = frame.size(getattr(lane, name))
        return (f"{text:>{width}}", self.style({"footprint": "beyond", "total": "text"}.get(name, name)))

    def _sum_figure(self, frame: Lineup, lane: Lane, name: str, width: int) -> Part:
        """The sum's scale where members have a title, or else a phase. A sum of peaks would be no peak."""
        titled = any("title" in column.names for column in table(frame.width, frame.rows))
        text = ""
        if name == ("title" if titled else "phase"):
            size = round_size(frame, top_of(frame, [lane]))
            text = f"0–{size}" if len(size) + 2 <= width else f"≤{size}"
        return (f"{text:<{width}}", self.style("dim"))

    def _who(self, frame: Lineup, lane: Lane, width: int) -> Part:
        label = head(lane.label, width)
        room = width - cell_len(label) - 1
        if frame.rows == 1 and room >= 6 and lane.title:
            label = f"{label} {squeeze(lane.ended or lane.title, room)}"
        return (fit_cells(label, width), self.style("title" if lane.pid is None else "label"))

    def _plot(self, lane: Lane, top: float, rows: int, ground: Style) -> list[list[Segment]]:
        """Rows from top to bottom, each in runs of one style."""
        if not lane.totals:
            return [[] for _ in range(rows)]
        active, total = eighths(lane.actives, top, rows), eighths(lane.totals, top, rows)
        columns = [stack(rows, *pair) for pair in zip(active, total, strict=True)]
        glyphs = map("".join, zip(*(glyphs for glyphs, _ in columns), strict=True))
        codes = map("".join, zip(*(codes for _, codes in columns), strict=True))
        styles = self._trace_styles(lane.ended is not None, ground)
        return [
            [Segment(text[run.start() : run.end()], styles[run[1]]) for run in RUNS.finditer(code)]
            for text, code in zip(glyphs, codes, strict=True)
        ]

    def _trace_styles(self, ended: bool, ground: Style) -> dict[str, Style]:
        colour: Callable[[str], Style] = self.soft if ended else self.style
        active, cache = colour("active") + ground, colour("cache") + ground
        return {
            ACTIVE: active,
            CACHE: cache,
            BOTH: active + Style(bgcolor=cache.color),
            EMPTY: self.style("text") + ground,
        }


def top_of(frame: Lineup, lanes: Sequence[Lane]) -> float:
    """The common top of some lanes' traces: a round size, and never so small that a few bytes make a wall."""
    most = max((max(lane.totals, default=0) for lane in lanes), default=0)
    return nice(max(most, LEAST_SCALE), 1024 if frame.view.units == "binary" else 1000)


def round_size(frame: Lineup, size: float) -> str:
    return frame.size(int(size)).replace(".00 ", " ").replace(".0 ", " ")


class Picker(LaneCanvas):
    """A list to choose from. It shows the part around the selected line, which a click and the wheel move."""

    class Picked(Message):
        """A line was clicked (`pid`), or the wheel turned (`by` lines); `opens` with a double click."""

        def __init__(self, pid: int | None, by: int = 0, opens: bool = False) -> None:
            super().__init__()
            self.pid, self.by, self.opens = pid, by, opens

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.first = 0
        """The first line to be seen."""
        self._lines: list[int | None] = []
        """The process of each row of the screen."""

    def reach(self, chosen: int | None, count: int, room: int) -> range:
        """The lines to be seen when `room` of `count` fit, `chosen` among them."""
        if chosen is not None:
            self.first = min(max(self.first, chosen - room + 1), chosen)
        self.first = max(0, min(self.first, count - room))
        return range(self.first, min(count, self.first + room))

    def on_click(self, event: Click) -> None:
        if 0 <= event.y < len(self._lines) and self._lines[event.y] is not None:
            event.stop()
            self.post_message(self.Picked(self._lines[event.y], opens=event.chain == 2))

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.post_message(self.Picked(None, by=-1))

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.post_message(self.Picked(None, by=1))


class Multiples(Picker):
    """The names of the figures, and a lane for each member that fits. Without members: what is waited for."""

    DEFAULT_CSS = "Multiples { height: 1fr; }"

    def draw(self, frame: Lineup, width: int, height: int) -> list[Strip]:
        if not frame.lanes:
            self._lines = []
            text = head(frame.news, width - 2)
            return [self.row([], width), self.row([(f" {text}", self.style("text"))], width)]
        top = top_of(frame, frame.lanes)
        names = len(table(frame.width, frame.rows)[0].names)
        pids = [lane.pid for lane in frame.lanes]
        chosen = pids.index(frame.selected) if frame.selected in pids else None
        seen = self.reach(chosen, len(pids), max(1, (height - names) // frame.rows))
        strips = [self._heading(frame, y, top, seen, width) for y in range(names)]
        for i in seen:
            strips += self.lane(frame, frame.lanes[i], frame.rows, top, width)
        self._lines = [*[None] * names, *(pids[i] for i in seen for _ in range(frame.rows))]
        return strips

    def _heading(self, frame: Lineup, y: int, top: float, seen: range, width: int) -> Strip:
        dim = self.style("dim")
        parts: list[Part] = [(" " * LEAD, dim)]
        for column in table(frame.width, frame.rows):
            name = column.names[y]
            left = name in ("name", "title", "phase")
            word = {"name": "", "title": "", "speed": frame.rate}.get(name, name)
            colour = name if name in ("active", "cache", "peak", "speed") else "dim"
            parts.append((f"{word:{'<' if left else '>'}{column.width}} ", self.style(colour)))
        if y > 0:
            return self.row(parts, width)
        room = width - sum(len(text) for text, _ in parts)
        scale = f"0–{round_size(frame, top)}"
        if frame.width >= NARROW:
            scale = f"total {scale}"
        legend: list[Part] = [(head(scale, room), self.style("text"))]
        hidden = len(frame.lanes) > len(seen)
        place = f"{seen.start + 1}–{seen.stop} of {len(frame.lanes)}" if hidden else ""
        gap = room - sum(len(text) for text, _ in legend) - len(place) - 1
        if place and gap > 0:
            legend += [(" " * gap, dim), (place, self.style("text"))]
        return self.row([*parts, *legend], width)


class Sum(LaneCanvas):
    """The sum of all members, on a scale of its own."""

    DEFAULT_CSS = "Sum { background: $panel; }"

    def draw(self, frame: Lineup, width: int, height: int) -> list[Strip]:
        return self.lane(frame, frame.sum, height, top_of(frame, [frame.sum]), width)


class Times(FleetCanvas):
    """The time below the traces, counted back from the present, or the fleet's clock when the view stands."""

    def draw(self, frame: Lineup, width: int, height: int) -> list[Strip]:
        axis, dim = frame.view.axis, self.style("dim")
        left, count = gutter(frame.width, frame.rows), len(frame.sum.totals)
        live = axis.end is None and not frame.view.paused
        cells = [" "] * count
        for back in range(0, count, LABEL_EVERY):
            column = count - 1 - back
            if live:
                label = f"-{format_span(back * axis.width)}" if back else "now"
            else:
                at = frame.start + (column + 1) * axis.width
                label = format_clock(at) if at >= 0 else ""
            begin = column - len(label) + 1
            if begin >= 0:
                cells[begin : column + 1] = label
        scale = f"{' ' * LEAD}{format_span(axis.width)} a column"
        return [self.row([(f"{scale:<{left}}", dim), ("".join(cells), dim)], width)]


class Strangers(Picker):
    """Processes with MLX in them that have no agent: what is known from outside, and what to do about it."""

    def draw(self, frame: Lineup, width: int, height: int) -> list[Strip]:
        dim = self.style("dim")
        pids = [stranger.pid for stranger in frame.strangers]
        chosen = pids.index(frame.selected) if frame.selected in pids else None
        seen = self.reach(chosen, len(pids), max(1, height - 1))
        more = f", {seen.start + 1}–{seen.stop} of {len(pids)}" if len(seen) < len(pids) else ""
        title = "MLX without mlxtop's agent" if width >= NARROW else "no agent: mlxtop attach PID"
        title = head(f"{' ' * LEAD}{title}{more}", width)
        self._lines = [None, *(pids[i] for i in seen)]
        return [self.row([(title, dim)], width), *(self._stranger(frame, i, width) for i in seen)]

    def _stranger(self, frame: Lineup, index: int, width: int) -> Strip:
        who = frame.strangers[index]
        here = who.pid == frame.selected
        ground = self.ground() if here else Style()
        todo = f"mlxtop attach {who.pid} "
        size = frame.size(who.footprint)
        room = width - LEAD - 9 - NUMBER - 3 - len(todo)
        if room < 8:
            todo, room = "", width - LEAD - 9 - NUMBER - 2
        parts: list[Part] = [
            ("▌  " if here else "   ", self.style("primary")),
            (f"{who.pid:<8} ", self.style("dim")),
            (f"{size:>{NUMBER}}  ", self.style("beyond")),
            (fit_cells(squeeze(who.command, max(0, room)), max(0, room)), self.style("dim")),
            (f" {todo}", self.style("text" if here else "dim")),
        ]
        return self.row([(text, style + ground) for text, style in parts], width)
