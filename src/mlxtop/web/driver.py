"""What Textual draws on and reads keys from when the terminal is a page in a browser."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TextIO

from textual import events
from textual.driver import Driver
from textual.geometry import Size

from mlxtop.tui.keyboard import KeyboardParser

if TYPE_CHECKING:
    from mlxtop.web.app import BrowserApp

WIDEST, TALLEST = 1_000, 400
"""The most columns and rows that are drawn: the page of a small font on a large screen has fewer."""
BEGIN = "\x1b[?1049h\x1b[?25l\x1b[?1000h\x1b[?1003h\x1b[?1015h\x1b[?1006h\x1b[?2004h"
"""The alternate screen without a cursor, the mouse, and pasted text in brackets."""


class BrowserDriver(Driver):
    """Sends what is drawn to the application's tab. It opens nothing and writes no file on this machine."""

    def __init__(self, app: "BrowserApp", **options: Any) -> None:
        super().__init__(app, **options)
        self._tab = app
        self._parser = KeyboardParser()

    @property
    def is_web(self) -> bool:
        return True

    def write(self, data: str) -> None:
        self._tab.draw(data)

    def start_application_mode(self) -> None:
        self.write(BEGIN)
        width, height = self._size or (80, 24)
        self.resize(width, height)

    def disable_input(self) -> None:
        pass

    def stop_application_mode(self) -> None:
        pass

    def type(self, text: str) -> None:
        """Takes what was typed, pasted or done with the mouse, as a terminal would send it."""
        for message in self._parser.feed(text):
            self.process_message(message)

    def tick(self) -> None:
        """Takes an escape that stands alone for the key."""
        for message in self._parser.tick():
            self.process_message(message)

    def resize(self, width: int, height: int) -> None:
        """Draws for a page of so many columns and rows from now on."""
        size = Size(*clamped(width, height))
        self._size = size.width, size.height
        self.send_message(events.Resize(size, size))

    def open_url(self, url: str, new_tab: bool = True) -> None:
        """Does nothing: the base class would start a browser on this machine."""

    def deliver_binary(
        self,
        binary: BinaryIO | TextIO,
        *,
        delivery_key: str,
        save_path: Path,
        open_method: Literal["browser", "download"] = "download",
        encoding: str | None = None,
        mime_type: str | None = None,
        name: str | None = None,
    ) -> None:
        """Does nothing: the base class would write a file on this machine."""


def clamped(width: int, height: int) -> tuple[int, int]:
    """The nearest size that can be drawn, in columns and rows."""
    return min(max(width, 1), WIDEST), min(max(height, 1), TALLEST)
