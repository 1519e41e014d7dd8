"""The last act of a command that ran MLX."""

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from mlxtop.tui.app import MlxtopApp

from mlxtop.cli.streams import flush
from mlxtop.core.files import OutputError
from mlxtop.core.text import block, plain


def hard_exit(code: int) -> NoReturn:
    """Ends the process at once.

    MLX may be in the middle of a step that nothing can end, and even when it is not, an interpreter that
    tears down gigabytes of a GPU's memory takes seconds that the system needs none of.
    """
    try:
        flush()
    except OutputError as error:
        tell(str(error))
        code = code or error.exit_code
    except (OSError, ValueError):
        # The terminal may be gone.
        pass
    os._exit(code)


def tell_last(app: "MlxtopApp") -> None:
    """Says why the screen is gone, where it did not go as asked. To be called once the terminal is back."""
    if app.last_word is not None:
        tell(app.last_word)


def tell(sentence: str) -> None:
    """Says something of ours on standard error, where there is one. Names in it may be foreign text."""
    show(f"mlxtop: {sentence}\n")


class Printed:
    """What was printed while a screen was up: it tells what the screen's own failure was."""

    def __init__(self, write: Callable[[str], None] | None = None) -> None:
        self._write = write
        self._lines: deque[str] = deque(maxlen=500)

    def __call__(self, line: str) -> None:
        self._lines.append(line)
        if self._write is not None:
            self._write(line)

    def tell(self, crashed: bool) -> None:
        """After a crash, says that there was one, and what was printed."""
        if crashed:
            show("\n".join([*map(plain, self._lines), ""]))
            tell("the screen failed; please report this.")


def show(text: str) -> None:
    """Prints lines on standard error, with nothing in them that a terminal would obey."""
    with suppress(OSError, ValueError):
        click.echo(block(text), nl=False, err=True)
