"""The help: every key, and how to read the screen."""

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

READING = """\
active   memory in live arrays: weights, KV cache, what a step is working on
cache    freed buffers MLX keeps for the next step; a limit or a clear gives them back
peak     the most that active has been since the last reset; it leaves out the cache
speed    tokens a second; for a program under watch, its calls of mx.eval a second
total    active + cache: what MLX holds
beyond   what the system charges the process on top of that: Python, libraries, mlxtop

A column shows the lowest (full colour) and the highest (dim) value of its stretch of time.
On the phase band: ◆ mark  ▼▲ limit  ✕ clear  ↺ peak reset  % budget  ! error
In the cache chart ╌ is the cache limit. A limit change waits for a safe point of MLX and
shows as pending until it is carried out; then the speed before and after stand side by side.
A budget is compared with the footprint, what the system charges the process; on active and peak ╌ is
the budget. Its alarm colours the name in the first row and the status row.
In a list of programs: total = active (blue) with the cache (yellow) on top, one scale for all;
↑ holds more than the others, ↓ less."""


class Help(ModalScreen[None]):
    """Lists the given bindings; Escape, q or ? closes it."""

    BINDINGS = [Binding("escape,q,question_mark", "dismiss", "Close")]

    def __init__(self, bindings: list[Binding]) -> None:
        super().__init__()
        self._bindings_shown = bindings

    def compose(self) -> ComposeResult:
        text = Text("Keys\n", style="bold")
        for binding in self._bindings_shown:
            key = binding.key_display or binding.key.split(",")[0]
            text.append(f"  {key:<8}", style="bold")
            text.append(f"{binding.tooltip}\n", style="not bold")
        text.append("\nHow to read the screen\n")
        text.append(READING, style="not bold")
        with VerticalScroll(classes="dialog wide"):
            yield Static(text)
