"""The fleet's first row, the machine's row and its status row."""

from rich.cells import cell_len
from textual.strip import Strip

from mlxtop.tui.fleet_frame import FleetFrame
from mlxtop.tui.panel import Part
from mlxtop.tui.panels.header import ROOM_FOR_OWN, own_cost
from mlxtop.tui.panels.machine import painted, row
from mlxtop.tui.panels.session_row import ABOVE, BELOW, NARROW, FleetPanel, head, squeeze


class FleetHeader(FleetPanel):
    """The program, the number of sessions, their memory together, and the cost of mlxtop."""

    DEFAULT_CSS = "FleetHeader { background: $panel; }"

    def paint(self, frame: FleetFrame, width: int, height: int) -> list[Strip]:
        right = self._right(frame, width)
        text = self.style("text")
        room = width - 8 - sum(cell_len(part) for part, _ in right)
        count = f" · {self._count(frame)}"
        if room < len(count) + 4:
            count = ""
        title = squeeze(frame.title, room - len(count) - 1)
        gap = room - cell_len(title) - len(count)
        left = [(" mlxtop ", self.style("title")), (title, text), (count, self.style("dim"))]
        return [self.row([*left, (" " * gap, text), *right], width)]

    def _count(self, frame: FleetFrame) -> str:
        count, ended = len(frame.rows), sum(session.ended is not None for session in frame.rows)
        text = f"{count} session{'' if count == 1 else 's'}"
        return f"{text}, {ended} ended" if ended else text

    def _right(self, frame: FleetFrame, width: int) -> list[Part]:
        dim = self.style("dim")
        parts: list[Part] = []
        if frame.view.paused:
            parts.append(("⏸ paused  ", self.style("limit")))
        if width >= NARROW:
            for name in ("active", "cache"):
                parts.append((f"{name} ", dim))
                parts.append((f"{frame.size(getattr(frame.sum, name)):>9}  ", self.style(name)))
        else:
            parts.append((f"{frame.size(frame.sum.total):>9} ", self.style("text")))
        if width >= ROOM_FOR_OWN:
            # `own_cost` needs only what both kinds of frame have: the cost and the units.
            parts.append((f"{own_cost(frame)} ", dim))  # type: ignore[arg-type]
        return parts


class FleetMachine(FleetPanel):
    """The readings of this machine, and the memory left for the members on it."""

    def paint(self, frame: FleetFrame, width: int, height: int) -> list[Strip]:
        return [painted(self, row(frame.bound, frame.machine, frame.size, width), width)]


class FleetStatus(FleetPanel):
    """What cannot be shown, otherwise the outlier if there is one, otherwise the status of the program."""

    DEFAULT_CSS = "FleetStatus { background: $panel; }"

    def paint(self, frame: FleetFrame, width: int, height: int) -> list[Strip]:
        if frame.trouble and frame.rows:
            text, colour = frame.trouble, "limit"
        elif frame.outlier is not None:
            sign = ABOVE if frame.outlier.above else BELOW
            text, colour = f"{sign} {frame.outlier.describe(frame.view.units)}", "limit"
        else:
            # Without members the list shows the status.
            text, colour = frame.status if frame.rows else "", "dim"
        text = head(text, width - 2)
        end = f" {own_cost(frame)} " if width < ROOM_FOR_OWN else ""  # type: ignore[arg-type]
        gap = " " * (width - 1 - cell_len(text) - len(end))
        # The outlier is more important than the cost of mlxtop.
        end = end if gap else ""
        return [self.row([(f" {text}{gap}", self.style(colour)), (end, self.style("dim"))], width)]
