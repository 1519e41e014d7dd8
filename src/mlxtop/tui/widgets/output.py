"""What the model says as it streams, newest at the bottom; nothing in it leaves this pane."""

from rich.style import Style
from textual.events import MouseScrollDown, MouseScrollUp
from textual.strip import Strip

from mlxtop.core.transcript import Line
from mlxtop.tui.canvas import Canvas
from mlxtop.tui.frame import Frame
from mlxtop.tui.wrap import wrap

WHEEL = 3


class Output(Canvas):
    """The transcript. The wheel and Page Up/Down go back in it; at its end it follows."""

    STREAMS = True

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._back = 0
        self._kept: dict[int, tuple[object, list[Strip]]] = {}
        self._seen: tuple[object, ...] = ()

    def show(self, frame: Frame) -> None:
        seen = (frame.session.transcript.version, self.size, self._back)
        # Textual's own first sight of a line is free; painting it again while nothing was said is not.
        if seen == self._seen and self._strips:
            return
        self._seen = seen
        super().show(frame)

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        lines = frame.session.transcript.since(0)
        rows: list[Strip] = []
        need = height + self._back
        for line in reversed(lines):
            rows[:0] = self._rows(line, width)
            if len(rows) >= need:
                break
        self._back = max(0, min(self._back, len(rows) - height))
        if lines:
            self._kept = {number: kept for number, kept in self._kept.items() if number >= lines[0].number}
        end = len(rows) - self._back
        return rows[max(0, end - height) : end]

    def scroll(self, rows: int) -> None:
        """Goes `rows` back in the transcript, forward when negative."""
        self._back = max(0, self._back + rows)
        if self._frame is not None:
            self.show(self._frame)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.scroll(WHEEL)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.scroll(-WHEEL)

    def _rows(self, line: Line, width: int) -> list[Strip]:
        """A line's rows. They are remembered: only the line that grows is wrapped again."""
        key = (line.text, width, self.app.theme)
        kept = self._kept.get(line.number)
        if kept is None or kept[0] != key:
            rows = [
                self._row(line, i, text, width) for i, text in enumerate(wrap(line.text, max(1, width - 4)))
            ]
            kept = self._kept[line.number] = key, rows
        return kept[1]

    def _row(self, line: Line, index: int, text: str, width: int) -> Strip:
        lead, style = {
            "prompt": (" ▸ ", self.style("active") + Style(bold=True)),
            "reply": ("   ", self.style("text")),
            "out": ("   ", self.style("text")),
            "log": (" ! ", self.style("dim")),
        }[line.who]
        return self.row([(lead if index == 0 and line.begins else "   ", style), (text, style)], width)
