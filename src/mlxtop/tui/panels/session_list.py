"""Members side by side: one lane each on one time axis and one scale, their sum, and the time below."""

from rich.cells import set_cell_size as fit_cells
from rich.style import Style
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message
from textual.strip import Strip

from mlxtop.core.units import format_span
from mlxtop.tui.charts.axis import time_labels
from mlxtop.tui.fleet_frame import FleetFrame
from mlxtop.tui.panel import Part
from mlxtop.tui.panels.session_row import (
    LEAD,
    NARROW,
    NUMBER,
    FleetPanel,
    SessionPanel,
    gutter,
    head,
    round_size,
    squeeze,
    table,
    top_of,
)


class SessionPicker(SessionPanel):
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


class SessionList(SessionPicker):
    """The names of the figures, and a lane for each member that fits. Without members: what is waited for."""

    DEFAULT_CSS = "SessionList { height: 1fr; }"

    def paint(self, frame: FleetFrame, width: int, height: int) -> list[Strip]:
        if not frame.rows:
            self._lines = []
            text = head(frame.status, width - 2)
            return [self.row([], width), self.row([(f" {text}", self.style("text"))], width)]
        top = top_of(frame, frame.rows)
        names = len(table(frame.width, frame.row_height)[0].names)
        pids = [lane.pid for lane in frame.rows]
        chosen = pids.index(frame.selected) if frame.selected in pids else None
        seen = self.reach(chosen, len(pids), max(1, (height - names) // frame.row_height))
        strips = [self._heading(frame, y, top, seen, width) for y in range(names)]
        for i in seen:
            strips += self.session(frame, frame.rows[i], frame.row_height, top, width)
        self._lines = [*[None] * names, *(pids[i] for i in seen for _ in range(frame.row_height))]
        return strips

    def _heading(self, frame: FleetFrame, y: int, top: float, seen: range, width: int) -> Strip:
        dim = self.style("dim")
        parts: list[Part] = [(" " * LEAD, dim)]
        for column in table(frame.width, frame.row_height):
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
        hidden = len(frame.rows) > len(seen)
        place = f"{seen.start + 1}–{seen.stop} of {len(frame.rows)}" if hidden else ""
        gap = room - sum(len(text) for text, _ in legend) - len(place) - 1
        if place and gap > 0:
            legend += [(" " * gap, dim), (place, self.style("text"))]
        return self.row([*parts, *legend], width)


class TotalRow(SessionPanel):
    """The sum of all members, on a scale of its own."""

    DEFAULT_CSS = "TotalRow { background: $panel; }"

    def paint(self, frame: FleetFrame, width: int, height: int) -> list[Strip]:
        return self.session(frame, frame.sum, height, top_of(frame, [frame.sum]), width)


class TimeLabels(FleetPanel):
    """The time below the traces, counted back from the present, or the fleet's clock when the view stands."""

    def paint(self, frame: FleetFrame, width: int, height: int) -> list[Strip]:
        axis, dim = frame.view.axis, self.style("dim")
        left, count = gutter(frame.width, frame.row_height), len(frame.sum.totals)
        live = axis.end is None and not frame.view.paused
        scale = f"{' ' * LEAD}{format_span(axis.width)} a column"
        times = time_labels(frame.start, axis.width, count, live)
        return [self.row([(f"{scale:<{left}}", dim), (times, dim)], width)]


class UnattachedList(SessionPicker):
    """Processes with MLX in them that have no agent: what is known from outside, and what to do about it."""

    def paint(self, frame: FleetFrame, width: int, height: int) -> list[Strip]:
        dim = self.style("dim")
        pids = [stranger.pid for stranger in frame.unattached]
        chosen = pids.index(frame.selected) if frame.selected in pids else None
        seen = self.reach(chosen, len(pids), max(1, height - 1))
        more = f", {seen.start + 1}–{seen.stop} of {len(pids)}" if len(seen) < len(pids) else ""
        title = "MLX without mlxtop's agent" if width >= NARROW else "no agent: mlxtop attach PID"
        title = head(f"{' ' * LEAD}{title}{more}", width)
        self._lines = [None, *(pids[i] for i in seen)]
        return [self.row([(title, dim)], width), *(self._process(frame, i, width) for i in seen)]

    def _process(self, frame: FleetFrame, index: int, width: int) -> Strip:
        who = frame.unattached[index]
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
