"""The list of sessions on one time axis and one scale, their sum, and the time below."""

from collections.abc import Sequence

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
    """A list with a selected line. Shows the lines around it; a click or the wheel selects another."""

    class Picked(Message):
        """A line was clicked (`pid`), or the wheel moved (`by` lines). A double click `opens` the session."""

        def __init__(self, pid: int | None, by: int = 0, opens: bool = False) -> None:
            super().__init__()
            self.pid, self.by, self.opens = pid, by, opens

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.first = 0
        """The index of the first visible line."""
        self._lines: list[int | None] = []
        """The process id at each row of the screen."""

    def reach(self, chosen: int | None, count: int, room: int) -> range:
        """The visible lines, if `room` of `count` lines fit. `chosen` is among them."""
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
    """A heading, and the sessions that fit. Without sessions it shows the fleet's status."""

    DEFAULT_CSS = "SessionList { height: 1fr; }"

    def seen(
        self, pids: Sequence[int | None], selected: int | None, width: int, row_height: int, height: int
    ) -> range:
        """The numbers of the sessions that fit into `height` rows of a screen of `width` cells."""
        names = len(table(width, row_height)[0].names)
        chosen = pids.index(selected) if selected in pids else None
        return self.reach(chosen, len(pids), max(1, (height - names) // row_height))

    def paint(self, frame: FleetFrame, width: int, height: int) -> list[Strip]:
        if not frame.rows:
            self._lines = []
            text = head(frame.status, width - 2)
            return [self.row([], width), self.row([(f" {text}", self.style("text"))], width)]
        top = top_of(frame, frame.rows)
        names = len(table(frame.width, frame.row_height)[0].names)
        pids = [session.pid for session in frame.rows]
        seen = self.seen(pids, frame.selected, frame.width, frame.row_height, height)
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
        position = f"{seen.start + 1}–{seen.stop} of {len(frame.rows)}" if hidden else ""
        gap = room - sum(len(text) for text, _ in legend) - len(position) - 1
        if position and gap > 0:
            legend += [(" " * gap, dim), (position, self.style("text"))]
        return self.row([*parts, *legend], width)


class TotalRow(SessionPanel):
    """The sum of all sessions, on its own scale."""

    DEFAULT_CSS = "TotalRow { background: $panel; }"

    def paint(self, frame: FleetFrame, width: int, height: int) -> list[Strip]:
        return self.session(frame, frame.sum, height, top_of(frame, [frame.sum]), width)


class TimeLabels(FleetPanel):
    """The time below the charts: seconds before the present, or the fleet's clock when the view is paused."""

    def paint(self, frame: FleetFrame, width: int, height: int) -> list[Strip]:
        axis, dim = frame.view.axis, self.style("dim")
        left, count = gutter(frame.width, frame.row_height), len(frame.sum.totals)
        live = axis.end is None and not frame.view.paused
        scale = f"{' ' * LEAD}{format_span(axis.width)} a column"
        times = time_labels(frame.start, axis.width, count, live)
        return [self.row([(f"{scale:<{left}}", dim), (times, dim)], width)]


class UnattachedList(SessionPicker):
    """The processes that use MLX without an agent, with their footprint and how to attach."""

    def paint(self, frame: FleetFrame, width: int, height: int) -> list[Strip]:
        dim = self.style("dim")
        pids = [process.pid for process in frame.unattached]
        chosen = pids.index(frame.selected) if frame.selected in pids else None
        seen = self.reach(chosen, len(pids), max(1, height - 1))
        more = f", {seen.start + 1}–{seen.stop} of {len(pids)}" if len(seen) < len(pids) else ""
        title = "MLX programs without an agent" if width >= NARROW else "no agent: mlxtop attach PID"
        title = head(f"{' ' * LEAD}{title}{more}", width)
        self._lines = [None, *(pids[i] for i in seen)]
        return [self.row([(title, dim)], width), *(self._process(frame, i, width) for i in seen)]

    def _process(self, frame: FleetFrame, index: int, width: int) -> Strip:
        process = frame.unattached[index]
        here = process.pid == frame.selected
        ground = self.ground() if here else Style()
        todo = f"mlxtop attach {process.pid} "
        size = frame.size(process.footprint)
        room = width - LEAD - 9 - NUMBER - 3 - len(todo)
        if room < 8:
            todo, room = "", width - LEAD - 9 - NUMBER - 2
        parts: list[Part] = [
            ("▌  " if here else "   ", self.style("primary")),
            (f"{process.pid:<8} ", self.style("dim")),
            (f"{size:>{NUMBER}}  ", self.style("beyond")),
            (fit_cells(squeeze(process.command, max(0, room)), max(0, room)), self.style("dim")),
            (f" {todo}", self.style("text" if here else "dim")),
        ]
        return self.row([(text, style + ground) for text, style in parts], width)
