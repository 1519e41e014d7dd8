"""The terminal as the screen's alone.

What libraries print, in Python or in C, would land in the middle of the picture. While the screen is up,
standard output and standard error lead into a pipe whose lines go to the transcript, and Textual draws on
the terminal itself.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from textual.drivers.linux_driver import LinuxDriver

from mlxtop.core.errors import UsageError
from mlxtop.system import self_usage
from mlxtop.tui.keyboard import read_keyboard

if TYPE_CHECKING:
    from textual.app import App

LONGEST = 2**16
"""Letters after which a line that does not end is taken as it is."""
HANG_UP_WITHIN = 0.5
"""Seconds that a signal may come after the terminal has gone."""


class CleanDriver(LinuxDriver):
    """Leaves an empty screen behind: tmux (3.3a), resized meanwhile, shows what was on the alternate screen
    when that is left. A terminal that is gone does not hold it up."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._file = _Lasting(self._file)  # type: ignore[assignment]  # it does what the thread needs

    def stop_application_mode(self) -> None:
        self.write("\x1b[2J")
        super().stop_application_mode()

    def run_input_thread(self) -> None:
        read_keyboard(self.fileno, self.process_message, self.exit_event)

    def _run_input_thread(self) -> None:
        # Textual's own ends the application with code 0.
        try:
            self.run_input_thread()
        except BaseException as error:
            # Where the terminal is gone, SIGHUP comes too and says more.
            if not self.exit_event.wait(HANG_UP_WITHIN):
                self._app.call_later(_end, self._app, error)


class _Lasting:
    """A file whose errors are dropped. Textual's writing thread ends with the first one; then its queue
    fills, and whoever writes waits for ever."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._file.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._file.flush()


def _end(app: "App[Any]", error: BaseException) -> None:
    if app.return_code is None:
        why = getattr(error, "strerror", None) or error or type(error).__name__
        app.exit(None, 1, f"the keyboard cannot be read any more: {why}.")


@contextmanager
def terminal(write: Callable[[str], None], took_stdin: bool = False) -> Iterator[None]:
    """Gives the terminal to Textual and every other line of output to `write`, until the block ends.

    `took_stdin` says that standard input was a pipe and is used up: the keyboard is then the terminal.
    Raises `UsageError` when there is no terminal.
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
            "This terminal says that it cannot show a screen (TERM=dumb): use another, or --headless."
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
        raise UsageError("There is no terminal to draw on: start mlxtop in one.") from error


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
