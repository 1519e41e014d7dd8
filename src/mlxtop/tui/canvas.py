"""The base of all panels: painted once a frame, repainted only where a row changed."""

from collections.abc import Iterable

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from mlxtop.tui.frame import Frame
from mlxtop.tui.theme import COLOURS

Part = tuple[str, Style]


class Canvas(Widget, can_focus=False):
    """A panel that turns a `Frame` into rows of text.

    A subclass says what its rows are in `paint`. `show` paints, compares with what is on the screen, and
    asks Textual to repaint the rows that differ. Each colour of `tui.theme` is a component class.
    """

    COMPONENT_CLASSES = {f"c--{name}" for name in (*COLOURS, "text", "title")}
    DEFAULT_CSS = "\n".join(
        [
            "Canvas { height: 1; }",
            *(f"Canvas > .c--{name} {{ color: ${name}; }}" for name in COLOURS),
            "Canvas > .c--text { color: $foreground; }",
            "Canvas > .c--title { color: $label; text-style: bold; }",
        ]
    )

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._strips: list[Strip] = []
        self._styles: dict[str, Style] = {}
        self._frame: Frame | None = None

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        """The rows to show; missing rows are blank, rows beyond `height` are dropped."""
        raise NotImplementedError

    def show(self, frame: Frame) -> None:
        """Takes a new frame and repaints what changed."""
        self._frame = frame
        width, height = self.size
        if not width or not height:
            return
        strips = self._fill(self.paint(frame, width, height), width, height)
        old, self._strips = self._strips, strips
        if len(old) != height:
            self.refresh()
            return
        regions = [Region(0, y, width, 1) for y in range(height) if old[y] != strips[y]]
        if regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self.style("text"))

    def on_resize(self) -> None:
        self._repaint()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()
        self._repaint()

    def style(self, name: str) -> Style:
        """The style of a colour of the theme, on this panel's background."""
        found = self._styles.get(name)
        if found is None:
            found = self._styles[name] = self.get_component_rich_style(f"c--{name}")
        return found

    def row(self, parts: Iterable[Part], width: int) -> Strip:
        """One row from pieces of text, cut or filled to `width` cells."""
        return Strip([Segment(text, style) for text, style in parts if text]).adjust_cell_length(
            width, self.style("text")
        )

    def _repaint(self) -> None:
        self._strips = []
        if self._frame is not None and self.is_attached:
            self.show(self._frame)

    def _fill(self, strips: list[Strip], width: int, height: int) -> list[Strip]:
        blank = Strip.blank(width, self.style("text"))
        return [*strips[:height], *[blank] * (height - len(strips))]
