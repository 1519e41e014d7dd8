"""The last act of a command that ran MLX."""

import os
from contextlib import suppress
from typing import NoReturn

import click

from mlxtop.cli.streams import flush
from mlxtop.core.files import OutputError
from mlxtop.core.text import block


def leave(code: int) -> NoReturn:
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


def tell(sentence: str) -> None:
    """Says something of ours on standard error, where there is one. Names in it may be foreign text."""
    show(f"mlxtop: {sentence}\n")


def show(text: str) -> None:
    """Prints lines on standard error, with nothing in them that a terminal would obey."""
    with suppress(OSError, ValueError):
        click.echo(block(text), nl=False, err=True)
