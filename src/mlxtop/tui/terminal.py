"""Reserves the terminal for the screen.

Output of libraries, in Python or in C, would appear in the middle of the screen. While the screen is up,
standard output and standard error go to a pipe whose lines are added to the transcript. Textual draws on the
terminal itself.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from mlxtop.core.errors import UsageError
from mlxtop.system import self_usage
from mlxtop.tui.keyboard import read_keyboard
from mlxtop.tui.textual_compat import Driver

LONGEST = 2**16
"""Characters after which a line without an end is taken as it is."""


class TerminalDriver(Driver):
    """Reads the keyboard by `tui.keyboard`."""

    def read_keys(self) -> None:
        read_keyboard(self.fileno, self.process_message, self.exit_event)


@contextmanager
def terminal(write: Callable[[str], None], took_stdin: bool = False) -> Iterator[None]:
    """Until the block ends, Textual has the terminal and `write` gets each line of other output.

    `took_stdin`: standard input was a pipe that has been read; keys are then read from the terminal. Raises
    `UsageError` when there is no terminal.
    """
    screen = _open_terminal()
    kept = {fd: os.dup(fd) for fd in (0, 1, 2)}
    names = {name: getattr(sys, name) for name in ("__stdout__", "__stderr__", "stdout", "stderr")}
    out, into = os.pipe()
    reader = threading.Thread(target=_read_lines, args=(out, write), name="mlxtop-output", daemon=True)
    file = open(screen, "w", encoding="utf-8", closefd=True)  # noqa: SIM115, PTH123 - lives as long as the block
    if took_stdin or not os.isatty(0):
        os.dup2(screen, 0)
    for fd in (1, 2):
        os.dup2(into, fd)
    os.close(into)
    sys.__stdout__ = sys.__stderr__ = file  # type: ignore[misc]  # Textual draws on sys.__stderr__
    reader.start()
    try:
        yield
    finally:
        _flush(sys.stdout, sys.stderr)
        for fd, copy in kept.items():
            os.dup2(copy, fd)
            os.close(copy)
        for name, value in names.items():
            setattr(sys, name, value)
        # With the last copies of the pipe's end closed, the reader comes to the end of what was written.
        reader.join(timeout=0.2)
        with suppress(OSError):
            file.close()


def check() -> None:
    """Raises `UsageError` when there is no terminal to draw on."""
    os.close(_open_terminal())


def _open_terminal() -> int:
    if os.environ.get("TERM") == "dumb":
        raise UsageError(
            "This terminal cannot show a screen (TERM=dumb): use another terminal, or --headless."
        )
    for fd in (1, 2):
        if os.isatty(fd):
            try:
                return os.open(os.ttyname(fd), os.O_RDWR)
            except OSError:
                # In a container the terminal of whoever entered it has no name.
                return os.dup(fd)
    try:
        return os.open("/dev/tty", os.O_RDWR)
    except OSError as error:
        raise UsageError("No terminal to draw on: start mlxtop in one.") from error


@self_usage.counted()
def _read_lines(fd: int, write: Callable[[str], None]) -> None:
    with open(fd, encoding="utf-8", errors="replace", newline="\n") as lines:
        while line := lines.readline(LONGEST):
            # A progress bar redraws its line: only what it drew last counts.
            text = line.rstrip("\r\n").rpartition("\r")[2]
            if text:
                write(text)


def _flush(*files: TextIO | None) -> None:
    for file in files:
        with suppress(OSError, ValueError, AttributeError):
            file.flush()  # type: ignore[union-attr]  # None is suppressed with the rest
