"""The help screen: every key, and how to read the screen."""

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
    ("active", "memory of live arrays: weights, KV cache, temporary arrays"),
    ("cache", "freed buffers that MLX keeps for reuse; a lower limit or a clear frees them"),
    ("peak", "the highest value of active since the last reset; the cache is not included"),
    ("speed", "tokens per second; in a watched program, calls of mx.eval per second"),
    ("buffers", "live buffers, counted while a trace is written; Metal limits their number"),
    ("total", "active + cache: all memory that MLX holds"),
    ("left", "free memory of the GPU's working set, the GPU, the container or the machine"),
    (
        "pressure",
        "macOS's memory pressure; on Linux warning if some tasks wait for memory, critical if all do",
    ),
    ("stalled", "Linux: share of the last ten seconds in which a task waited for memory"),
    ("beyond", "memory of the process beyond MLX: Python, libraries, mlxtop"),
)
SIGNS = (
    ("█ ▒", "the lowest value (full colour) and the highest value (pale) in a column"),
    ("╌", "the cache limit in the cache chart, the limit of buffers in theirs, the budget in the others"),
    ("◆", "a mark"),
    ("▼ ▲", "a limit changed"),
    ("✕ ↺", "cache cleared, peak reset"),
    ("% !", "a budget alarm, an error"),
)
PROSE = (
    "A limit change waits until MLX reaches a safe point. Until then it is shown as pending. After it, the "
    "status row shows the speed before and after.",
    "A budget is compared with the footprint, the memory that the system counts for the process. An alarm "
    "colours mlxtop's name in the first row, and the status row.",
)


class Manual(NamedTuple):
    """How to read a screen: its words, its signs, and further sentences."""

    words: Sequence[tuple[str, str]] = WORDS
    signs: Sequence[tuple[str, str]] = SIGNS
    prose: Sequence[str] = PROSE


class Help(ModalScreen[None]):
    """Shows the given bindings and a manual. Escape, q or ? closes it."""

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
    """Two columns of plain text. The second one wraps."""
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=8)
    for word, meaning in pairs:
        table.add_row(Text(f" {word}", style="bold"), Text(meaning))
    return table
