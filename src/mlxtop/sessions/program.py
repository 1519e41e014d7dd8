"""The program that `mlxtop run` starts: its environment, its output, its end."""

import os
import secrets
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mlxtop.agent import boot
from mlxtop.core.errors import MlxtopError, UsageError
from mlxtop.core.files import append
from mlxtop.core.limits import LimitName
from mlxtop.ipc import environment, sockets
from mlxtop.sessions import log_files
from mlxtop.sessions.tail import Tail

PATIENCE = ((signal.SIGINT, 3.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
"""How a program is stopped: a signal, and seconds to wait before the next."""

LOG_MOST = 2**28
"""Bytes of a log that nobody asked for, at most: to be watched must not fill a program's disk."""


class CannotStartError(MlxtopError):
    """The command could not be run. The exit codes are those of a shell."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


class Program:
    """A child process that lets agents in.

    With `screen` its output goes to `log` wherever ours is a terminal, because the terminal is the
    screen's; to a file, so that it goes on whatever becomes of us. With `limits` (bytes) it starts with
    those. One that is not `spoken_to` finds nothing to read. `first` is called in the child before the
    command. Raises `MlxtopError` when the command cannot be started, `UsageError` when the log cannot be
    written.
    """

    def __init__(
        self,
        argv: Sequence[str],
        screen: bool,
        log: Path | None = None,
        limits: Mapping[LimitName, int] | None = None,
        spoken_to: bool = True,
        first: Callable[[], None] | None = None,
    ) -> None:
        self.argv = list(argv)
        self._limits = limits or {}
        self._spoken_to = spoken_to
        # Held again by a handler of signals that comes in between.
        self._waiting = threading.RLock()
        self.run = secrets.token_hex(4)
        """Tells the agents of this run from all others."""
        self.sockets = _sockets()
        """The folder in which its agents open their sockets; `None` where none is safe to use."""
        self.log: Path | None = None
        self._kept = log is not None
        self.output: Tail | None = None
        """What it prints, where that goes to a log that can be read as it grows."""
        into = -1
        if screen or log is not None:
            into = self._open_log(log)
        try:
            self._process = self._start(screen, into, first)
        except OSError as error:
            self.forget_log()
            raise _cannot_start(argv[0], error) from error
        finally:
            if into >= 0:
                os.close(into)
        self.pid = self._process.pid

    def _open_log(self, log: Path | None) -> int:
        path = log
        try:
            if path is None:
                path, into = log_files.new(self.run)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                into = append(path)
            if stat.S_ISREG(os.fstat(into).st_mode):
                self.output = Tail(path, most=LOG_MOST if log is None else None)
        except OSError as error:
            raise UsageError(
                f"The log {path or ''} cannot be written: {error.strerror}; choose another with --log."
            ) from error
        self.log = path.absolute()
        return into

    def _start(self, screen: bool, into: int, first: Callable[[], None] | None) -> "subprocess.Popen[bytes]":
        streams: dict[str, int] = {}
        if into >= 0:
            streams = {
                name: into for fd, name in ((1, "stdout"), (2, "stderr")) if not screen or os.isatty(fd)
            }
        if not self._spoken_to:
            streams["stdin"] = subprocess.DEVNULL
        elif screen and os.isatty(0):
            # The keyboard is the screen's: lines are typed through it.
            streams["stdin"] = subprocess.PIPE
        # A session of its own lets it live on when our terminal closes; a group of its own gets the
        # terminal's Ctrl-C alone.
        group = None if screen else 0
        env = child_environment(self.run, self.log)
        if self.sockets is not None:
            env[environment.SOCKETS] = self.sockets
        if self._limits:
            env[environment.LIMITS] = " ".join(f"{name}={size}" for name, size in self._limits.items())
        return subprocess.Popen(
            self.argv,
            env=env,
            preexec_fn=first,
            stdin=streams.get("stdin"),
            stdout=streams.get("stdout"),
            stderr=streams.get("stderr"),
            start_new_session=screen,
            process_group=group,
        )

    # While it runs

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; `None` while it runs."""
        with self._waiting:
            return self._process.poll()

    def stopped(self) -> bool:
        """Whether it was stopped (Ctrl-Z) since this was last asked.

        No other thread may be in a `wait` without a time-out.
        """
        with self._waiting:
            if self._process.returncode is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
                if pid and os.WIFSTOPPED(status):
                    return True
                if pid:
                    self._process.returncode = os.waitstatus_to_exitcode(status)
        return False

    @property
    def exit_code(self) -> int:
        """Its exit code as a shell tells it: 128 and more for a signal; 0 while it runs."""
        code = self.code or 0
        return 128 - code if code < 0 else code

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for its end; whether it came."""
        if timeout is None:
            self._process.wait()
            return True
        end, pause = time.monotonic() + timeout, 0.0005
        while self.code is None:
            left = end - time.monotonic()
            if left <= 0:
                return False
            pause = min(pause * 2, left, 0.05)
            time.sleep(pause)
        return True

    def how(self) -> str:
        """How it ended, in a few words."""
        code = self.code
        if code is None:
            return "it runs"
        if code >= 0:
            return f"ended with exit code {code}"
        name = signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"
        hint = " (the system does that when memory runs out)" if -code == signal.SIGKILL else ""
        return f"was killed by {name}{hint}"

    def send_input(self, text: str) -> None:
        """Types a line into its standard input, if that is ours to give."""
        stdin = self._process.stdin
        if stdin is not None:
            with suppress(OSError, ValueError):
                stdin.write(text.encode() + b"\n")
                stdin.flush()

    @property
    def listens(self) -> bool:
        """Whether `say` reaches it."""
        return self._process.stdin is not None

    def signal(self, number: int) -> None:
        """Sends a signal to it and to the children in its group."""
        if self.code is None:
            with suppress(OSError):
                os.killpg(self.pid, number)

    def stop(self) -> None:
        """Ends it, gently first, and waits for that."""
        for number, seconds in PATIENCE:
            self.signal(number)
            if self.wait(seconds):
                return

    def forget_log(self) -> None:
        """Removes the log if nobody asked to keep it."""
        if self.log is not None and not self._kept:
            with suppress(OSError):
                self.log.unlink()


def child_environment(run: str, log: Path | None) -> dict[str, str]:
    """Our environment, with what lets agents into the program and its children."""
    env = dict(os.environ)
    env[environment.RUN] = run
    if log is not None:
        env[environment.LOG] = str(log)
    rest = env.get("PYTHONPATH")
    env["PYTHONPATH"] = f"{boot.BOOTSTRAP}{os.pathsep}{rest}" if rest else boot.BOOTSTRAP
    return env


def _sockets() -> str | None:
    try:
        return sockets.folder()
    except OSError:
        return None


def _cannot_start(name: str, error: OSError) -> CannotStartError:
    if isinstance(error, FileNotFoundError):
        return CannotStartError(
            f"{name}: there is no such program; give its path, or activate its environment.", 127
        )
    return CannotStartError(f"{name} cannot be run: {error.strerror}.", 126)
