"""The base of all panels: painted once per frame, repainted only where a row changed."""

from collections.abc import Iterable
from typing import Generic, TypeVar

from rich.cells import cell_len
from rich.color import Color, blend_rgb
from rich.segment import Segment
from rich.style import Style
from textual.color import Color as TextualColor
from textual.containers import Horizontal
from textual.geometry import Region
from textual.strip import Strip

from mlxtop.tui.textual_compat import Background, Rows

Part = tuple[str, Style]


class PanelRow(Horizontal, Background):
    """Panels side by side."""


F = TypeVar("F", contravariant=True)
"""The frame that a panel is painted from: see `tui/frame.py` and `tui/fleet_frame.py`."""


class Panel(Generic[F], Rows, can_focus=False):
    """A panel that draws a frame as rows of text.

    A subclass returns its rows from `paint`. `show` paints and repaints the rows that have changed.
    """

    ALLOW_SELECT = False
    STREAMS = False
    """Whether the panel shows streaming data, which is painted more often."""
    DEFAULT_CSS = "Panel { height: 1; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._strips: list[Strip] = []
        self._rows: dict[tuple[int, tuple[Part, ...]], Strip] = {}
        self._rows_before: dict[tuple[int, tuple[Part, ...]], Strip] = {}
        """The rows of this frame and of the one before, by their width and parts: most are the same."""
        self._styles: dict[str, Style] = {}
        self._frame: F | None = None

    def paint(self, frame: F, width: int, height: int) -> list[Strip]:
        """The rows to show. Missing rows are blank, rows beyond `height` are dropped."""
        raise NotImplementedError

    def show(self, frame: F) -> None:
        """Takes a new frame and repaints the rows that changed."""
        if regions := self.update_frame(frame):
            self.refresh(*regions)

    def update_frame(self, frame: F) -> list[Region]:
        """Takes a new frame. Returns the regions that changed, for the caller to repaint."""
        self._frame = frame
        width, height = self.size
        if not width or not height:
            return []
        self._rows_before, self._rows = self._rows, {}
        strips = self._fill(self.paint(frame, width, height), width, height)
        old, self._strips = self._strips, strips
        if len(old) != height:
            return [Region(0, 0, width, height)]
        changed = [y for y in range(height) if old[y] is not strips[y] and old[y] != strips[y]]
        if changed and changed[-1] - changed[0] == len(changed) - 1:
            # Fewer regions are less work for Textual.
            return [Region(0, changed[0], width, len(changed))]
        return [Region(0, y, width, 1) for y in changed]

    def render_line(self, y: int) -> Strip:
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self.style("text"))

    def on_resize(self) -> None:
        self._repaint()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, self._themed)

    def _themed(self, _theme: object) -> None:
        # The new theme's styles are computed after this signal.
        self.call_after_refresh(self._restyle)

    def _restyle(self) -> None:
        self._styles.clear()
        self._rows.clear()
        self._repaint()

    def style(self, name: str) -> Style:
        """The style for a colour of `tui.theme`, on this panel's background.

        `text` is the theme's foreground; `title` and `key` are bold. Component classes are not used:
        twenty-three per panel would take a fifth of the time to the first frame.
        """
        found = self._styles.get(name)
        if found is None:
            variable = {"text": "foreground", "title": "label"}.get(name, name)
            colour = TextualColor.parse(self.app.theme_variables[variable]).rich_color
            found = self.rich_style + Style(color=colour, bold=name in ("title", "key"))
            self._styles[name] = found
        return found

    def soft(self, name: str) -> Style:
        """The style for a colour halfway to the background."""
        key = f"{name} soft"
        found = self._styles.get(key)
        if found is None:
            found = self.style(name)
            if found.color is not None and found.bgcolor is not None:
                half = blend_rgb(found.bgcolor.get_truecolor(), found.color.get_truecolor(), 0.55)
                found += Style(color=Color.from_triplet(half))
            self._styles[key] = found
        return found

    def on(self, ground: str, name: str, bold: bool = False) -> Style:
        """The style for the colour `name` on the colour `ground`, or on the panel's if that is empty."""
        key = f"{name} on {ground} {bold}"
        found = self._styles.get(key)
        if found is None:
            found = self.style(name) + Style(bgcolor=self.style(ground).color if ground else None, bold=bold)
            self._styles[key] = found
        return found

    def row(self, parts: Iterable[Part], width: int) -> Strip:
        """One row from parts of text, cut or filled to `width` cells."""
        key = width, tuple(parts)
        found = self._rows[key] = self._rows_before.get(key) or self._new_row(key[1], width)
        return found

    def _new_row(self, parts: Iterable[Part], width: int) -> Strip:
        segments = [Segment(text, style) for text, style in parts if text]
        # Most text is ASCII: its width is its length.
        length = sum([len(text) if text.isascii() else cell_len(text) for text, _, _ in segments])
        if length < width:
            segments.append(Segment(" " * (width - length), self.style("text")))
        elif length > width:
            return Strip(segments, length).adjust_cell_length(width, self.style("text"))
        return Strip(segments, width)

    def _repaint(self) -> None:
        self._strips = []
        if self._frame is not None and self.is_attached:
            self.show(self._frame)

    def _fill(self, strips: list[Strip], width: int, height: int) -> list[Strip]:
        blank = Strip.blank(width, self.style("text"))
        return [*strips[:height], *[blank] * (height - len(strips))]
