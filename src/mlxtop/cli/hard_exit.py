"""How commands end: what they print last, and an exit that does not wait for MLX."""

import os
from contextlib import suppress
from shlex import quote
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlxtop.sessions.session import Session

from mlxtop.cli.streams import flush
from mlxtop.core.files import OutputError
from mlxtop.core.text import block


def hard_exit(code: int) -> NoReturn:
    """Flushes the standard streams and ends the process at once with exit code `code`.

    A step of MLX cannot be interrupted, and freeing gigabytes of GPU memory in order takes seconds. The
    system frees it faster.
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
    """Prints a message of mlxtop's on standard error. Control characters in it are removed."""
    show(f"mlxtop: {sentence}\n")


def tell_traces(sessions: "Iterable[Session]") -> None:
    """Prints where the last trace of each session is."""
    for session in sessions:
        if session.state.trace is not None:
            where = "See it" if session.process is not None else "See it on its host"
            tell(f"{session.title} was traced. {where} with: mlxtop trace show {quote(session.state.trace)}")


def show(text: str) -> None:
    """Prints lines on standard error. Control characters are removed."""
    with suppress(OSError, ValueError):
        click.echo(block(text), nl=False, err=True)
