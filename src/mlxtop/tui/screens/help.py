"""The help: every key, and how to read the screen."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

WORDS = (
    ("active", "memory in live arrays: weights, KV cache, what a step is working on"),
    ("cache", "freed buffers MLX keeps for the next step; a limit or a clear gives them back"),
    ("peak", "the most that active has been since the last reset; it leaves out the cache"),
    ("speed", "tokens a second; for a program under watch, its calls of mx.eval a second"),
    ("total", "active + cache: what MLX holds"),
    ("left", "of the GPU's working set, of its own memory, of the container, or of the machine's memory"),
    ("pressure", "macOS's; on Linux a warning when some tasks wait for memory, critical when all do"),
    ("stalled", "Linux: how much of the last ten seconds some task waited for memory"),
    ("beyond", "what the system charges the process on top of that: Python, libraries, mlxtop"),
)
SIGNS = (
    ("█ ▒", "the lowest (full colour) and the highest (softer) value of a column's stretch of time"),
    ("╌", "in the cache chart the cache limit, in active and peak the budget"),
    ("◆", "a mark"),
    ("▼ ▲", "a limit changed"),
    ("✕ ↺", "cache cleared, peak reset"),
    ("% !", "an alarm of the budget, an error"),
)
PROSE = (
    "A limit change waits for a safe point of MLX and shows as pending until it is carried out; then the "
    "speed before and after stand side by side.",
    "A budget is compared with the footprint, what the system charges the process. Its alarm colours the "
    "name in the first row and the status row.",
)


class Manual(NamedTuple):
    """How to read a screen: its words, its signs, and what takes sentences."""

    words: Sequence[tuple[str, str]] = WORDS
    signs: Sequence[tuple[str, str]] = SIGNS
    prose: Sequence[str] = PROSE


class Help(ModalScreen[None]):
    """Lists the given bindings, and how to read the screen; Escape, q or ? closes it."""

    BINDINGS = [Binding("escape,q,question_mark", "dismiss", "Close")]

    def __init__(self, bindings: list[Binding], manual: Manual) -> None:
        super().__init__()
        self._manual = manual
        self._bindings_shown = bindings

    def compose(self) -> ComposeResult:
        keys = [(b.key_display or b.key.split(",")[0], b.tooltip) for b in self._bindings_shown]
        parts: list[RenderableType] = [
            Text("Keys", style="bold"),
            _rows(keys),
            Text("\nHow to read the screen", style="bold"),
        ]
        words, signs, prose = self._manual
        parts += [_rows(words), "", _rows(signs), *(Text(f"\n{text}") for text in prose)]
        with VerticalScroll(classes="dialog wide"):
            yield Static(Group(*parts))


def _rows(pairs: Iterable[tuple[str, str]]) -> Table:
    """Two columns of plain text, which wraps in the second."""
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=8)
    for word, meaning in pairs:
        table.add_row(Text(f" {word}", style="bold"), Text(meaning))
    return table
