"""A screen of a command, from its opening to what it says last. Importing this imports Textual."""

import os
from collections import deque
from collections.abc import Callable, Iterable

from mlxtop.cli.hard_exit import show, tell
from mlxtop.core.text import plain
from mlxtop.tui.app import MlxtopApp
from mlxtop.tui.terminal import terminal

KEPT = 500
"""Lines that are kept of what was printed."""


def run_app(make: Callable[[], MlxtopApp], printed: Callable[[str], None] | None = None) -> MlxtopApp:
    """Shows what `make` makes until it is closed; then tells why, if no person closed it.

    Keys are read from the terminal even where standard input is something else. `printed` gets each line
    that is printed meanwhile; the last ones are shown after a crash. Raises `UsageError` when there is no
    terminal.
    """
    lines: deque[str] = deque(maxlen=KEPT)

    def write(line: str) -> None:
        lines.append(line)
        if printed is not None:
            printed(line)

    with terminal(write, not os.isatty(0)):
        app = make()
        app.run()
    tell_end(app, lines)
    return app


def tell_end(app: MlxtopApp, printed: Iterable[str]) -> None:
    """Prints why the screen was closed, if no person closed it; after a crash, what was `printed` meanwhile.

    Call it once the terminal is restored.
    """
    if app.crashed:
        show("\n".join([*map(plain, printed), ""]))
        tell("the screen crashed. Please report this.")
    elif app.last_word is not None:
        tell(app.last_word)
