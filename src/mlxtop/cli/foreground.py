"""A program that has the terminal: job control, as a shell does it."""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mlxtop.sessions.program import Program

LOOK_EVERY = 1.0
"""Seconds between looks at a program even if no signal says that it changed."""


class Foreground:
    """The place in the terminal's foreground, so that Ctrl-C reaches the program alone.

    Where there is no terminal, or it is not ours to give, nothing is lent.
    """

    def __init__(self) -> None:
        self._tty = _terminal()

    def take(self) -> None:
        """Called in the child before its first line: it must not read before the terminal is its own."""
        _give(self._tty, os.getpgrp())

    def wait(self, program: Program) -> None:
        """Waits until `program` has ended. When it is stopped (Ctrl-Z) so are we, and with us it goes on."""
        with _signals() as arrived:
            while program.code is None:
                if program.stopped():
                    self._stop_with_it(program)
                elif program.code is None and select.select([arrived], [], [], LOOK_EVERY)[0]:
                    with suppress(OSError):
                        os.read(arrived, 4096)

    def back(self) -> None:
        """Has the terminal again."""
        _give(self._tty, os.getpgrp())

    def _stop_with_it(self, program: Program) -> None:
        self.back()
        os.kill(os.getpid(), signal.SIGSTOP)
        _give(self._tty, program.pid)
        program.signal(signal.SIGCONT)


@contextmanager
def _signals() -> Iterator[int]:
    """A descriptor that is readable once a signal came, a child's change too. On the main thread only.

    The kernel's own wait for a stop without taking the end (`waitid`) is not in macOS's Python before 3.13.
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
    """The terminal, if we are in its foreground."""
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
