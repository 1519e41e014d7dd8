"""The cache limits of the run compared, with all there is to know of each."""

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
    True: "A piece of work is one generation, from its first prompt token to the last of its answer, under "
    "one limit. It is compared with generations after prompts as long, give or take an eighth; what a chat "
    "remembers counts as prompt.",
    False: "A piece of work is five seconds in one phase under one limit, at least a fifth of them at work. "
    "It is compared with work in the same phase.",
}
READING = """\
The speed is that of the middle piece; half of the pieces lie within the range beside it. Cache and total \
are the most they were while something ran.

The change is against the first limit with work: of speed with its 99 % interval, once each side has three \
pieces that are alike, and “cannot tell” when that interval reaches over zero; of total and cache over the \
same work.

Limits are tried one after the other: a machine that is busy meanwhile speaks against the limit in force. \
Come back to the first limit now and then; its new work is added to the old."""


WORDS = (
    ("half within", "half of the pieces of work were that fast"),
    ("cache", "the most the cache was while something ran"),
    ("total", "the most that active + cache was"),
    ("change", "of the speed against the first limit with work, with its 99 % interval"),
    ("of total", "bytes more or less over the same work; of cache likewise"),
    ("work", "pieces of work that ended under this limit"),
)


class Compare(Screen[None]):
    """Shows what `frame` knows of the limits, once a second."""

    DEFAULT_CSS = """
    Compare VerticalScroll {
        height: 1fr; padding: 1 1 0 1; color: $dim;
        scrollbar-size-vertical: 1; scrollbar-background: $background; scrollbar-color: $faint;
    }
    """
    MANUAL = Manual(words=WORDS, signs=(("▸", "the limit in force"),), prose=())
    BINDINGS = [key("escape,v", "dismiss", "back", "Back to the dashboard", True, "esc")]

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
        """Draws the present state of things."""
        frame, table = self._frame(), self.query_one(LimitComparison)
        # Limits come one by one: the text moves down then, and at no other time.
        table.styles.height = max(3, min(len(frame.uses) + 3, self.size.height - BESIDE))
        table.show(frame)
