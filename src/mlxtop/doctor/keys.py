"""Tests which of mlxtop's keys arrive in this terminal: a person presses each."""

import os
from collections.abc import Iterator

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.events import Key
from textual.keys import format_key
from textual.widgets import Static

from mlxtop.core.errors import UsageError
from mlxtop.doctor.finding import Finding, Section
from mlxtop.tui.app import MlxtopApp
from mlxtop.tui.screens.dashboard import Dashboard
from mlxtop.tui.screens.replay import Replay
from mlxtop.tui.terminal import terminal

END = "ctrl+c"


def keys() -> dict[str, str]:
    """Every key that a screen binds, and how it is shown on the screen."""
    found: dict[str, str] = {}
    for owner in (MlxtopApp, Dashboard, Replay):
        for binding in owner.BINDINGS:
            if isinstance(binding, Binding):
                first, *others = binding.key.split(",")
                found[first] = binding.key_display or format_key(first)
                found.update((name, format_key(name)) for name in others)
    return found


def check(section: Section) -> Iterator[Finding]:
    """Shows the keys until Ctrl-C. A key that was not pressed counts as one that did not arrive."""
    try:
        # The report may go to a file or a pipe meanwhile.
        with terminal(lambda _: None, not os.isatty(0)):
            arrived = KeyCheck().run() or frozenset()
    except UsageError as error:
        yield section.missing("keys", "—", str(error))
        return
    absent = [shown for name, shown in keys().items() if name not in arrived and name != END]
    if absent:
        yield section.missing(
            "keys",
            f"did not arrive, or were not pressed: {' '.join(absent)}",
            "Check the key bindings of your terminal.",
        )
    else:
        yield section.ok("keys", "all arrived")


class KeyCheck(App[frozenset[str]], inherit_bindings=False):
    """Lists the keys. Each turns green when it arrives. Ctrl-C returns those that did."""

    ENABLE_COMMAND_PALETTE = False
    CSS = "Screen { padding: 1 2; }"
    BINDINGS = [Binding(END, "end", priority=True)]

    def __init__(self) -> None:
        super().__init__()
        self._arrived: set[str] = set()

    def compose(self) -> ComposeResult:
        yield Static("Press each of these keys once. A key that arrives turns green. Ctrl-C ends the test.\n")
        yield Static(id="keys")

    def on_mount(self) -> None:
        self._draw()

    def on_key(self, event: Key) -> None:
        self._arrived.update(event.aliases)
        self._draw()

    def action_end(self) -> None:
        self.exit(frozenset(self._arrived))

    def _draw(self) -> None:
        text = Text()
        for name, shown in keys().items():
            if name != END:
                text.append(shown, style="bold green" if name in self._arrived else "dim")
                text.append("   ")
        self.query_one("#keys", Static).update(text)
