"""Draws a session in the list: a table of numbers on the left, a chart of active and cache on the right."""

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
"""Characters of a name that are used."""


# Text cut to a width


@lru_cache(maxsize=4096)
def squeeze(text: str, room: int) -> str:
    """A command or a title on one line in at most `room` cells.

    If it is too long, folders are left out first, then the interpreter, then the end of the command. A path
    is cut at its beginning.
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


# The table of numbers


class Column(NamedTuple):
    """A column of the table: its width, and the names of its numbers in the first and second row."""

    width: int
    names: tuple[str, ...]


NUMBER = 9
NARROW = 60
LEAD = 3
"""Cells before the table, for the selection and the outlier's sign."""


@lru_cache(maxsize=64)
def table(width: int, rows: int) -> tuple[Column, ...]:
    """The columns for a screen of `width` cells and sessions of `rows` rows. The chart gets the rest."""
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


# The chart: one letter per cell gives its style

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
    """Draws a session, or the sum of all: the table on the left and the chart on the right."""

    def session(
        self, frame: FleetFrame, session: SessionRow, rows: int, top: float, width: int
    ) -> list[Strip]:
        """The rows of one session. `top` is the size in bytes at the top of its chart."""
        here = session.pid is not None and session.pid == frame.selected
        ground = self.ground() if here else Style()
        plot = self._plot(session, top, rows, ground)
        columns = table(frame.width, frame.row_height)
        left = gutter(frame.width, frame.row_height)
        strips = []
        for y in range(rows):
            parts = self._figures(frame, session, y, columns, left)
            segments = [Segment(text, style + ground if here else style) for text, style in parts]
            segments += plot[y]
            strips.append(
                Strip(segments, left + len(session.totals)).adjust_cell_length(width, self.style("text"))
            )
        return strips

    def ground(self) -> Style:
        """The background of the selected line."""
        return Style(bgcolor=self.style("panel").color)

    def _figures(
        self, frame: FleetFrame, session: SessionRow, y: int, columns: Sequence[Column], room: int
    ) -> list[Part]:
        here = session.pid is not None and session.pid == frame.selected
        lead: Part = ("▌" if here else " ", self.style("primary"))
        sign = self._sign(frame, session) if y == 0 else " "
        parts = [lead, (f"{sign} ", self.style("dim" if sign == ENDED else "limit"))]
        if y >= len(columns[0].names):
            text = "" if y > len(columns[0].names) else squeeze(session.title, room - LEAD - 1)
            return [*parts, (fit_cells(text, room - LEAD), self.style("dim"))]
        for column in columns:
            text, style = self._figure(frame, session, column.names[y], column.width)
            parts.append((f"{text} ", style if session.ended is None else self.style("dim")))
        return parts

    def _sign(self, frame: FleetFrame, session: SessionRow) -> str:
        """The sign of an outlier; without a column of phases, that of an ended session."""
        if frame.outlier is not None and frame.outlier.pid == session.pid:
            return ABOVE if frame.outlier.above else BELOW
        has_phase = any("phase" in column.names for column in table(frame.width, frame.row_height))
        return ENDED if session.ended is not None and not has_phase else " "

    def _figure(self, frame: FleetFrame, session: SessionRow, name: str, width: int) -> Part:
        """One number in exactly `width` cells, with its style."""
        if session.pid is None and name in ("title", "phase", "speed", "peak"):
            return self._sum_figure(frame, session, name, width)
        match name:
            case "name":
                return self._name_figure(frame, session, width)
            case "title":
                # A session of three rows has one for the whole title.
                text = session.ended or ("" if frame.row_height > 2 else session.title)
                return (fit_cells(squeeze(text, width), width), self.style("dim"))
            case "phase":
                word = (
                    f"{ENDED} ended"
                    if session.ended is not None
                    else f"● {session.phase}"
                    if session.phase
                    else ""
                )
                return (fit_cells(head(word, width), width), self.style(phase_ink(session.phase)))
            case "speed":
                rate = "—" if session.speed is None else f"{session.speed:.1f}"
                return (f"{rate:>{width}}", self.style("speed"))
        text = frame.size(getattr(session, name))
        return (f"{text:>{width}}", self.style({"footprint": "beyond", "total": "text"}.get(name, name)))

    def _sum_figure(self, frame: FleetFrame, session: SessionRow, name: str, width: int) -> Part:
        """The scale of the sum, in place of a title or a phase. Peaks are not added up."""
        titled = any("title" in column.names for column in table(frame.width, frame.row_height))
        text = ""
        if name == ("title" if titled else "phase"):
            size = round_size(frame, top_of(frame, [session]))
            text = f"0–{size}" if len(size) + 2 <= width else f"≤{size}"
        return (f"{text:<{width}}", self.style("dim"))

    def _name_figure(self, frame: FleetFrame, session: SessionRow, width: int) -> Part:
        label = head(session.label, width)
        room = width - cell_len(label) - 1
        if frame.row_height == 1 and room >= 6 and session.title:
            label = f"{label} {squeeze(session.ended or session.title, room)}"
        return (fit_cells(label, width), self.style("title" if session.pid is None else "label"))

    def _plot(self, session: SessionRow, top: float, rows: int, ground: Style) -> list[list[Segment]]:
        """The chart's rows from top to bottom, each as segments of one style."""
        if not session.totals:
            return [[] for _ in range(rows)]
        # The uppermost eighth stays free between sessions.
        active, total = (eighths(sizes, 0, top, rows * 8 - 1) for sizes in (session.actives, session.totals))
        columns = [stack(rows, *pair) for pair in zip(active, total, strict=True)]
        glyphs, codes = zip(*columns, strict=True)
        styles = self._trace_styles(session.ended is not None, ground)
        return [
            runs("".join(text), "".join(code), styles)
            for text, code in zip(zip(*glyphs, strict=True), zip(*codes, strict=True), strict=True)
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


def top_of(frame: FleetFrame, sessions: Sequence[SessionRow]) -> float:
    """The common top of the charts in bytes: a round size, at least `LEAST_SCALE`."""
    most = max((max(session.totals, default=0) for session in sessions), default=0)
    return nice(max(most, LEAST_SCALE), 1024 if frame.view.units == "binary" else 1000)


def round_size(frame: FleetFrame, size: float) -> str:
    return frame.size(int(size)).replace(".00 ", " ").replace(".0 ", " ")
