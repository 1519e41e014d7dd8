"""Everything that depends on Textual's internals. Review this file for each new version of Textual.

Written for Textual 8.2. What each part depends on, and why:

- `ANSI_SEQUENCES_KEYS`, `XTermParser` and its parser's steps: `keyboard.py` decides what a key is, because
  Textual's own parser makes keys of terminal replies and raises on some sequences.
- `Driver`: `LinuxDriver._file`, `stop_application_mode`, `run_input_thread` and `_run_input_thread`.
- `Background` and `Rows`: `Widget.render_lines` without Textual's styling of every row.
- `repaint`: the compositor's visible widgets and update, `App._display`, and what may lie over a widget.
- `is_seen`: the stack of screens.
- `KeysFirstApp`: `App.on_event`, to see a key before the screen's own queue does.
- `PastingInput`: `Input._on_paste`.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from rich.console import Console
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual._compositor import CompositorUpdate
from textual._parser import ParseEOF, ParseTimeout, Peek1, Read1, TokenCallback
from textual._xterm_parser import BRACKETED_PASTE_END, BRACKETED_PASTE_START, XTermParser
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Event, Key, Paste
from textual.geometry import Region, Size
from textual.screen import ModalScreen, Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input
from textual.widgets._toast import Toast
from textual.widgets._tooltip import Tooltip

__all__ = [
    "ANSI_SEQUENCES_KEYS",
    "BRACKETED_PASTE_END",
    "BRACKETED_PASTE_START",
    "Background",
    "Driver",
    "KeysFirstApp",
    "ParseEOF",
    "ParseTimeout",
    "PastingInput",
    "Peek1",
    "Read1",
    "Rows",
    "TokenCallback",
    "XTermParser",
    "is_seen",
    "repaint",
]

HANG_UP_WITHIN = 0.5
"""Seconds that a signal may come after the terminal has gone."""


# The terminal


class Driver(LinuxDriver):
    """Clears the screen at the end: tmux (3.3a) shows the alternate screen's content after a resize.

    A closed terminal does not block it.

    A subclass reads the keyboard in `read_keys`, on the input thread, until `exit_event` is set.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._file = _Lasting(self._file)  # type: ignore[assignment]  # it does what the thread needs

    def read_keys(self) -> None:
        raise NotImplementedError

    def stop_application_mode(self) -> None:
        self.write("\x1b[2J")
        super().stop_application_mode()

    def run_input_thread(self) -> None:
        self.read_keys()

    def _run_input_thread(self) -> None:
        # Textual's own ends the application with code 0.
        try:
            self.run_input_thread()
        except BaseException as error:
            # Where the terminal is gone, SIGHUP comes too and says more.
            if not self.exit_event.wait(HANG_UP_WITHIN):
                self._app.call_later(_end, self._app, error)


class _Lasting:
    """A file whose write errors are dropped.

    An error would end Textual's writing thread; its queue would then fill up and block the screen.
    """

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._file.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._file.flush()


def _end(app: App[Any], error: BaseException) -> None:
    if app.return_code is None:
        why = getattr(error, "strerror", None) or error or type(error).__name__
        app.exit(None, 1, f"Could not read the keyboard: {why}.")


# Painting


def _plain(widget: Widget, row: Strip) -> Strip:
    """The row, without colours when `NO_COLOR` is set."""
    if not widget.app.no_color:
        return row
    for taken in widget.get_line_filters():
        row = row.apply_filter(taken, widget.background_colors[1])
    return row


class Background(Widget):
    """A plain background of one colour. Textual's own painting of it costs as much as three charts per
    frame."""

    def render_lines(self, crop: Region) -> list[Strip]:
        return [_plain(self, Strip.blank(crop.width, self.rich_style))] * crop.height


class Rows(Widget):
    """A widget without border or padding that returns its finished rows. It skips Textual's styling of every
    row, which costs more than painting, and applies only `NO_COLOR`."""

    @property
    def size(self) -> Size:
        """Textual finds it anew each time it is asked, from the screen, the border and the padding."""
        return self._size

    def render_lines(self, crop: Region) -> list[Strip]:
        rows = [_plain(self, self.render_line(y)) for y in crop.line_range]
        if crop.x == 0 and crop.width == self.size.width:
            return rows
        return [row.crop(crop.x, crop.right) for row in rows]


def repaint(screen: Screen[Any], changes: Sequence[tuple[Rows, Region]]) -> None:
    """Repaints a region of each widget, in the widget's coordinates, all at once.

    The rows go to the terminal as they are. Textual would look at every widget of the screen for every row,
    which costs as much as painting them. It does so where something may lie over the rows.
    """
    visible = screen._compositor.visible_widgets
    if (
        screen is not screen.app.screen
        or screen.app._batch_count
        or any(isinstance(widget, Toast | Tooltip) for widget in visible)
    ):
        for widget, region in changes:
            widget.refresh(region)
        return
    rows: list[tuple[int, int, Strip]] = []
    for widget, region in changes:
        if widget in visible:
            place, clip = visible[widget]
            seen = clip.intersection(region.translate(place.offset))
            strips = widget.render_lines(seen.translate(-place.offset))
            rows += [(seen.x, y, strip) for y, strip in zip(seen.line_range, strips, strict=True)]
    screen.app._display(screen, _RowsUpdate(rows))  # type: ignore[arg-type]  # it asks an update for no more


class _RowsUpdate(CompositorUpdate):
    """Rows of the screen, each with the column and the line where it begins."""

    def __init__(self, rows: Sequence[tuple[int, int, Strip]]) -> None:
        self.rows = rows

    def render_segments(self, console: Console) -> str:
        return "".join([f"\x1b[{y + 1};{x + 1}H{strip.render(console)}" for x, y, strip in self.rows])


def is_seen(screen: Screen[Any]) -> bool:
    """Whether `screen` is on top, or covered only by dialogs.

    Textual's `is_current` is also true for a screen below another. Painting it would repaint the one above.
    """
    stack = screen.app.screen_stack
    return screen in stack and all(isinstance(one, ModalScreen) for one in stack[stack.index(screen) + 1 :])


# Input


class KeysFirstApp(App[None]):
    """An application that sees each key before any screen does."""

    async def take_key(self, event: Key) -> bool:
        """Handles a key. Returns whether it was handled; the screen then does not get it."""
        raise NotImplementedError

    async def on_event(self, event: Event) -> None:
        if not isinstance(event, Key) or not await self.take_key(event):
            await super().on_event(event)


class PastingInput(Input):
    """An input line whose subclass decides how pasted text is inserted."""

    def pasted(self, text: str) -> str:
        """The text to insert for the pasted `text`."""
        raise NotImplementedError

    def _on_paste(self, event: Paste) -> None:
        event.prevent_default()
        event.stop()
        self.insert_text_at_cursor(self.pasted(event.text))
