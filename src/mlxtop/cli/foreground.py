"""A program that has the terminal: job control, as a shell does it."""

import os
import signal
from contextlib import suppress

from mlxtop.session.program import Program


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
        while program.code is None:
            with suppress(ChildProcessError):
                info = os.waitid(os.P_PID, program.pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
                if info is not None and info.si_code == os.CLD_STOPPED:
                    os.waitid(os.P_PID, program.pid, os.WSTOPPED)
                    self._stop_with_it(program)
                    continue
            program.wait()

    def back(self) -> None:
        """Has the terminal again."""
        _give(self._tty, os.getpgrp())

    def _stop_with_it(self, program: Program) -> None:
        self.back()
        os.kill(os.getpid(), signal.SIGSTOP)
        _give(self._tty, program.pid)
        program.signal(signal.SIGCONT)


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
