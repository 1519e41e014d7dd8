"""Waiting for a program that has the terminal: job control, as a shell does it."""

import os
import signal
from contextlib import suppress

from mlxtop.session.program import Program


def foreground(program: Program) -> None:
    """Waits until `program` has ended.

    Where there is a terminal, the program's group is in its foreground meanwhile, so that Ctrl-C reaches the
    program alone; when the program is stopped (Ctrl-Z) so are we, and with us it goes on.
    """
    tty = _terminal()
    _give(tty, program.pid)
    try:
        while True:
            with suppress(ChildProcessError):
                info = os.waitid(os.P_PID, program.pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
                if info is not None and info.si_code == os.CLD_STOPPED:
                    os.waitid(os.P_PID, program.pid, os.WSTOPPED)
                    _stop_with_it(tty, program)
                    continue
            program.wait()
            return
    finally:
        _give(tty, os.getpgrp())
        if tty is not None:
            os.close(tty)


def _terminal() -> int | None:
    """The terminal, if we are in its foreground and it is ours to give."""
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


def _stop_with_it(tty: int | None, program: Program) -> None:
    _give(tty, os.getpgrp())
    os.kill(os.getpid(), signal.SIGSTOP)
    _give(tty, program.pid)
    program.signal(signal.SIGCONT)
