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
        self._wrapped: dict[int, tuple[int, int, list[str]]] = {}
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
            rows[:0] = [self._row(line, i, text, width) for i, text in enumerate(self._wrap(line, width - 4))]
            if len(rows) >= need:
                break
        self._back = max(0, min(self._back, len(rows) - height))
        if lines:
            self._wrapped = {n: w for n, w in self._wrapped.items() if n >= lines[0].number}
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

    def _wrap(self, line: Line, width: int) -> list[str]:
        """Wrapping is remembered: only the line that grows is wrapped again."""
        kept = self._wrapped.get(line.number)
        if kept is not None and kept[:2] == (len(line.text), width):
            return kept[2]
        rows = wrap(line.text, max(1, width))
        self._wrapped[line.number] = (len(line.text), width, rows)
        return rows

    def _row(self, line: Line, index: int, text: str, width: int) -> Strip:
        lead, style = {
            "prompt": (" ▸ ", self.style("active") + Style(bold=True)),
            "reply": ("   ", self.style("text")),
            "log": (" ! ", self.style("dim")),
        }[line.who]
        return self.row([(lead if index == 0 else "   ", style), (text, style)], width)
