"""The screen that compares the cache limits of a run in full."""

from collections.abc import Callable

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from mlxtop.tui.binding import key
from mlxtop.tui.frame import Frame
from mlxtop.tui.panels.limit_comparison import LimitComparison
from mlxtop.tui.screens.help import Manual

REDRAW_EVERY = 1.0
BESIDE = 6
"""Rows of the screen that are not the table's."""
PIECE = {
    True: "A piece of work is one generation, from its first prompt token to the last token of its answer, "
    "under one limit. It is compared with generations whose prompts differ in length by at most an eighth. "
    "The earlier messages of a chat count as prompt.",
    False: "A piece of work is five seconds in one phase under one limit, of which the program worked at "
    "least one second. It is compared with pieces in the same phase.",
}
READING = """\
Speed is the median of the pieces. Half of the pieces are within the range next to it. Cache and total are \
the highest values while the program worked.

The changes compare each limit with the first limit under which there was work. The change of speed has a \
99 % interval. It needs three comparable pieces on each side. “cannot tell” means that the interval includes \
zero. The changes of total and cache are over the same pieces.

Limits are tried one after the other, so other programs can make a limit look slower than it is. Return to \
the first limit from time to time: its new pieces are added to the old ones."""


WORDS = (
    ("half within", "the range of speed of the middle half of the pieces of work"),
    ("cache", "the highest value of the cache while the program worked"),
    ("total", "the highest value of active + cache"),
    ("change", "of the speed, compared with the first limit that had work; 99 % interval"),
    ("of total", "change in bytes over comparable work; of cache the same"),
    ("work", "number of pieces of work under this limit"),
)


class Compare(Screen[None]):
    """Shows the limits of `frame`, updated once a second."""

    DEFAULT_CSS = """
    Compare VerticalScroll {
        height: 1fr; padding: 1 1 0 1; color: $dim;
        scrollbar-size-vertical: 1; scrollbar-background: $background; scrollbar-color: $faint;
    }
    """
    MANUAL = Manual(words=WORDS, signs=(("▸", "the limit in force"),), prose=())
    BINDINGS = [key("escape,v", "dismiss", "back", "Go back to the dashboard", True, "esc")]

    def __init__(self, frame: Callable[[], Frame]) -> None:
        super().__init__()
        self._frame = frame

    def compose(self) -> ComposeResult:
        yield LimitComparison()
        with VerticalScroll():
            piece = PIECE[self._frame().session.steps_are == "tokens"]
            yield Static(Text(f"{piece}\n\n{READING}"))
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.set_interval(REDRAW_EVERY, self.draw)
        self.call_after_refresh(self.draw)

    def draw(self) -> None:
        """Draws the present state."""
        frame, table = self._frame(), self.query_one(LimitComparison)
        # The text moves down only when a limit is added.
        table.styles.height = max(3, min(len(frame.uses) + 3, self.size.height - BESIDE))
        table.show(frame)
