"""The output of the model or program as it streams, newest at the bottom."""

from typing import NamedTuple, Protocol

from rich.style import Style
from textual.events import MouseScrollDown, MouseScrollUp
from textual.geometry import Region
from textual.strip import Strip

from mlxtop.core.transcript import Line, Transcript
from mlxtop.core.units import format_size
from mlxtop.tui.panel import Panel
from mlxtop.tui.wrap import wrap

WHEEL = 3


class Speaker(Protocol):
    @property
    def transcript(self) -> Transcript: ...


class SpeakerFrame(Protocol):
    """What the output pane needs of a frame."""

    @property
    def session(self) -> Speaker: ...


class Output(Panel[SpeakerFrame]):
    """Shows the transcript. The wheel and Page Up/Down scroll. At the end it follows new output."""

    STREAMS = True

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._back = 0
        self._kept: dict[int, _Wrapped] = {}
        self._seen: tuple[object, ...] = ()

    def update_frame(self, frame: SpeakerFrame) -> list[Region]:
        transcript = frame.session.transcript
        seen = (transcript.version, transcript.behind, self.size, self._back)
        # Painting again without new output would cost time.
        if seen == self._seen and self._strips:
            return []
        self._seen = seen
        return super().update_frame(frame)

    def paint(self, frame: SpeakerFrame, width: int, height: int) -> list[Strip]:
        groups: list[list[Strip]] = []
        kept: dict[int, _Wrapped] = {}
        have, need = 0, height + self._back
        for line in reversed(frame.session.transcript.since(0)):
            wrapped = kept[line.number] = self._wrapped(line, width)
            groups.append(wrapped.rows)
            have += len(wrapped.rows)
            if have >= need:
                break
        self._kept = kept
        self._back = max(0, min(self._back, have - height))
        rows = [row for group in reversed(groups) for row in group]
        end = len(rows) - self._back
        shown = rows[max(0, end - height) : end]
        if frame.session.transcript.behind and shown:
            shown[0] = self._too_fast(frame, width)
        return shown

    def _too_fast(self, frame: SpeakerFrame, width: int) -> Strip:
        """The notice that output is left out, in the first row. In the output it would scroll by too fast."""
        size = format_size(frame.session.transcript.left_out)
        text = f" … {size} of output left out so far: it comes too fast …"
        return self.row([(text, self.style("dim"))], width)

    def scroll(self, rows: int) -> None:
        """Scrolls back by `rows` in the transcript, forward if negative."""
        self._back = max(0, self._back + rows)
        if self._frame is not None:
            self.show(self._frame)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.scroll(WHEEL)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.scroll(-WHEEL)

    def _wrapped(self, line: Line, width: int) -> "_Wrapped":
        """A line in rows. They are cached; when a line grows, only its last row is wrapped again."""
        key = (width, self.app.theme)
        at, rows = 0, list[Strip]()
        kept = self._kept.get(line.number)
        if kept is not None and kept.key == key and line.text.startswith(kept.text):
            if len(line.text) == len(kept.text):
                return kept
            at, rows = kept.last, kept.rows[:-1]
        texts = wrap(line.text[at:], max(1, width - 4))
        rows = rows + [self._row(line, i, text, width) for i, text in enumerate(texts, len(rows))]
        return _Wrapped(key, line.text, len(line.text) - len(texts[-1]), rows)

    def _row(self, line: Line, index: int, text: str, width: int) -> Strip:
        lead, style = {
            "prompt": (" ▸ ", self.style("active") + Style(bold=True)),
            "reply": ("   ", self.style("text")),
            "out": ("   ", self.style("text")),
            "log": (" ! ", self.style("dim")),
        }[line.who]
        return self.row([(lead if index == 0 and line.begins else "   ", style), (text, style)], width)


class _Wrapped(NamedTuple):
    """A line of output in rows. `last` is the position in its text where the last row begins."""

    key: tuple[int, str]
    text: str
    last: int
    rows: list[Strip]
