"""A program that has the terminal: job control, as a shell does it."""

import os
import select
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from mlxtop.cli import streams
from mlxtop.sessions.program import CannotStartError, Program

LOOK_EVERY = 1.0
"""Seconds between two checks of a program when no signal has arrived."""


class Foreground:
    """Puts the program in the terminal's foreground, so that only the program gets Ctrl-C.

    Does nothing without a terminal, or when mlxtop itself is not in the foreground.
    """

    def __init__(self) -> None:
        self._tty = _terminal()

    def start(self, command: Sequence[str], trace: str | None = None) -> Program:
        """Starts a program in the foreground, with mlxtop's own streams. See `Program`."""

        def first() -> None:
            self.take()
            streams.close_again()

        try:
            return Program(command, screen=False, first=first, trace=trace)
        except CannotStartError:
            self.back()
            raise

    def take(self) -> None:
        """Moves the calling process to the foreground.

        The child calls it before it runs the program: a background process may not read the terminal.
        """
        _give(self._tty, os.getpgrp())

    def wait(self, program: Program) -> None:
        """Waits until `program` has ended. When it is stopped (Ctrl-Z), mlxtop stops too."""
        with _signals() as arrived:
            while program.code is None:
                if program.stopped():
                    self._stop_with_it(program)
                elif program.code is None and select.select([arrived], [], [], LOOK_EVERY)[0]:
                    with suppress(OSError):
                        os.read(arrived, 4096)

    def back(self) -> None:
        """Moves mlxtop back to the foreground."""
        _give(self._tty, os.getpgrp())

    def _stop_with_it(self, program: Program) -> None:
        self.back()
        os.kill(os.getpid(), signal.SIGSTOP)
        _give(self._tty, program.pid)
        program.signal(signal.SIGCONT)


@contextmanager
def _signals() -> Iterator[int]:
    """A file descriptor that becomes readable when a signal arrives, SIGCHLD included. Main thread only.

    `waitid`, which waits for a stop without reaping, is not in macOS's Python before 3.13.
    """
    arrived, into = os.pipe()
    os.set_blocking(arrived, False)
    os.set_blocking(into, False)
    handler = signal.signal(signal.SIGCHLD, lambda *_: None)
    before = signal.set_wakeup_fd(into, warn_on_full_buffer=False)
    try:
        yield arrived
    finally:
        signal.set_wakeup_fd(before)
        signal.signal(signal.SIGCHLD, handler)
        os.close(arrived)
        os.close(into)


def _terminal() -> int | None:
    """A descriptor of the terminal; `None` if mlxtop is not in its foreground."""
    try:
        tty = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    if os.tcgetpgrp(tty) == os.getpgrp():
        return tty
    os.close(tty)
    return None


def _give(tty: int | None, group: int) -> None:
    if tty is None:
        return
    # A background group that sets the foreground is stopped unless it ignores this.
    kept = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    with suppress(OSError):
        os.tcsetpgrp(tty, group)
    signal.signal(signal.SIGTTOU, kept)
