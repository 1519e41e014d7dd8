"""How a lane is drawn: the table of figures on the left, and the trace of active and cache on the right."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from rich.cells import cell_len
from rich.cells import set_cell_size as fit_cells
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from mlxtop.core.text import one_line
from mlxtop.tui.charts.sparkline import BLOCKS, EMPTY, eighths, nice, runs
from mlxtop.tui.fleet_frame import FleetFrame, SessionRow
from mlxtop.tui.panel import Panel, Part
from mlxtop.tui.panels.header import phase_ink

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


class FleetPanel(Panel[FleetFrame]):
    """A panel of the fleet's screen."""

    DEFAULT_CSS = "FleetPanel { height: 1; }"


class SessionPanel(FleetPanel):
    """What lanes and their sum have in common: the table on the left and the trace on the right."""

    def session(self, frame: FleetFrame, lane: SessionRow, rows: int, top: float, width: int) -> list[Strip]:
        """The rows of one lane; `top` is the size at the top of its trace."""
        here = lane.pid is not None and lane.pid == frame.selected
        ground = self.ground() if here else Style()
        plot = self._plot(lane, top, rows, ground)
        columns = table(frame.width, frame.row_height)
        left = gutter(frame.width, frame.row_height)
        strips = []
        for y in range(rows):
            parts = self._figures(frame, lane, y, columns, left)
            segments = [*(Segment(text, style + ground) for text, style in parts), *plot[y]]
            strips.append(
                Strip(segments, left + len(lane.totals)).adjust_cell_length(width, self.style("text"))
            )
        return strips

    def ground(self) -> Style:
        """The background of the selected line."""
        return Style(bgcolor=self.style("panel").color)

    def _figures(
        self, frame: FleetFrame, lane: SessionRow, y: int, columns: Sequence[Column], room: int
    ) -> list[Part]:
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

    def _sign(self, frame: FleetFrame, lane: SessionRow) -> str:
        """Which way a lane stands out; without a column of phases, whether it ended."""
        if frame.outlier is not None and frame.outlier.pid == lane.pid:
            return ABOVE if frame.outlier.above else BELOW
        told = any("phase" in column.names for column in table(frame.width, frame.row_height))
        return ENDED if lane.ended is not None and not told else " "

    def _figure(self, frame: FleetFrame, lane: SessionRow, name: str, width: int) -> Part:
        """One figure in exactly `width` cells, with its colour."""
        if lane.pid is None and name in ("title", "phase", "speed", "peak"):
            return self._sum_figure(frame, lane, name, width)
        match name:
            case "name":
                return self._who(frame, lane, width)
            case "title":
                # A lane of three rows has one for the whole title.
                text = lane.ended or ("" if frame.row_height > 2 else lane.title)
                return (fit_cells(squeeze(text, width), width), self.style("dim"))
            case "phase":
                word = f"{ENDED} ended" if lane.ended is not None else f"● {lane.phase}" if lane.phase else ""
                return (fit_cells(head(word, width), width), self.style(phase_ink(lane.phase)))
            case "speed":
                rate = "—" if lane.speed is None else f"{lane.speed:.1f}"
                return (f"{rate:>{width}}", self.style("speed"))
        text = frame.size(getattr(lane, name))
        return (f"{text:>{width}}", self.style({"footprint": "beyond", "total": "text"}.get(name, name)))

    def _sum_figure(self, frame: FleetFrame, lane: SessionRow, name: str, width: int) -> Part:
        """The sum's scale where members have a title, or else a phase. A sum of peaks would be no peak."""
        titled = any("title" in column.names for column in table(frame.width, frame.row_height))
        text = ""
        if name == ("title" if titled else "phase"):
            size = round_size(frame, top_of(frame, [lane]))
            text = f"0–{size}" if len(size) + 2 <= width else f"≤{size}"
        return (f"{text:<{width}}", self.style("dim"))

    def _who(self, frame: FleetFrame, lane: SessionRow, width: int) -> Part:
        label = head(lane.label, width)
        room = width - cell_len(label) - 1
        if frame.row_height == 1 and room >= 6 and lane.title:
            label = f"{label} {squeeze(lane.ended or lane.title, room)}"
        return (fit_cells(label, width), self.style("title" if lane.pid is None else "label"))

    def _plot(self, lane: SessionRow, top: float, rows: int, ground: Style) -> list[list[Segment]]:
        """Rows from top to bottom, each in runs of one style."""
        if not lane.totals:
            return [[] for _ in range(rows)]
        # The uppermost eighth stays free between lanes.
        active, total = (eighths(sizes, 0, top, rows * 8 - 1) for sizes in (lane.actives, lane.totals))
        columns = [stack(rows, *pair) for pair in zip(active, total, strict=True)]
        glyphs = map("".join, zip(*(glyphs for glyphs, _ in columns), strict=True))
        codes = map("".join, zip(*(codes for _, codes in columns), strict=True))
        styles = self._trace_styles(lane.ended is not None, ground)
        return [runs(text, code, styles) for text, code in zip(glyphs, codes, strict=True)]

    def _trace_styles(self, ended: bool, ground: Style) -> dict[str, Style]:
        colour: Callable[[str], Style] = self.soft if ended else self.style
        active, cache = colour("active") + ground, colour("cache") + ground
        return {
            ACTIVE: active,
            CACHE: cache,
            BOTH: active + Style(bgcolor=cache.color),
            EMPTY: self.style("text") + ground,
        }


def top_of(frame: FleetFrame, lanes: Sequence[SessionRow]) -> float:
    """The common top of some lanes' traces: a round size, and never so small that a few bytes make a wall."""
    most = max((max(lane.totals, default=0) for lane in lanes), default=0)
    return nice(max(most, LEAST_SCALE), 1024 if frame.view.units == "binary" else 1000)


def round_size(frame: FleetFrame, size: float) -> str:
    return frame.size(int(size)).replace(".00 ", " ").replace(".0 ", " ")
