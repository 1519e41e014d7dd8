"""The program that `mlxtop run` starts: environment, output, signals and exit code."""

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
from mlxtop.sessions.death import ErrorFile
from mlxtop.sessions.tail import Tail

PATIENCE = ((signal.SIGINT, 3.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
"""How a program is stopped: signals, each with the seconds to wait before the next."""

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL)
"""Signals that end a program."""

LOG_MOST = 2**28
"""Largest size in bytes of a log without --log: watching must not fill the disk."""


class CannotStartError(MlxtopError):
    """The command could not be run. `exit_code` is that of a shell: 126 or 127."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


class Program:
    """A child process whose Python processes start agents.

    With `screen`, output that would go to the terminal goes to `log` instead; a file lasts when mlxtop ends.
    `limits` are set in bytes when it imports MLX. Without `spoken_to` its standard input is empty. `first` is
    called in the child before the command. `trace` is what `ipc.environment.TRACE` says to it. Raises
    `CannotStartError` when the command cannot be started, `UsageError` when the log cannot be written.
    """

    def __init__(
        self,
        argv: Sequence[str],
        screen: bool,
        log: Path | None = None,
        limits: Mapping[LimitName, int] | None = None,
        spoken_to: bool = True,
        first: Callable[[], None] | None = None,
        trace: str | None = None,
    ) -> None:
        self.argv = list(argv)
        self._limits = limits or {}
        self._spoken_to = spoken_to
        self._trace = trace
        # Re-entrant: a signal handler may take it again.
        self._waiting = threading.RLock()
        self.run = secrets.token_hex(4)
        """The name of this run, which its agents share."""
        self.sockets = _sockets()
        """The folder for its agents' sockets; `None` if none is safe to use."""
        self.log: Path | None = None
        self._kept = log is not None
        self.output: Tail | None = None
        """Its output, if that goes to a log that can be followed."""
        self.errors: ErrorFile | None = None
        """Its standard error, if that does not go to the log."""
        self.told_to_end = False
        """Whether mlxtop has sent it one of the signals `ENDS`."""
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
                f"Could not write the log {path or ''}: {error.strerror}. Choose another with --log."
            ) from error
        self.log = path.absolute()
        return into

    def _start(self, screen: bool, into: int, first: Callable[[], None] | None) -> "subprocess.Popen[bytes]":
        streams: dict[str, int] = {}
        if into >= 0:
            streams = {
                name: into for fd, name in ((1, "stdout"), (2, "stderr")) if not screen or os.isatty(fd)
            }
        if "stderr" not in streams:
            self.errors = ErrorFile(2)
        if not self._spoken_to:
            streams["stdin"] = subprocess.DEVNULL
        elif screen and os.isatty(0):
            # The screen has the keyboard: lines are typed into the program through it.
            streams["stdin"] = subprocess.PIPE
        # With a session of its own it survives when our terminal closes. With a group of its own it alone
        # gets the terminal's Ctrl-C.
        group = None if screen else 0
        env = child_environment(self.run, self.log)
        if self.sockets is not None:
            env[environment.SOCKETS] = self.sockets
        env.pop(environment.TRACE, None)
        if self._trace is not None:
            env[environment.TRACE] = self._trace
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
        """Whether it was stopped (Ctrl-Z) since the last call.

        No other thread may be in a `wait` without a timeout.
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
        """Its exit code as in a shell: 128 plus the signal's number for a signal; 0 while it runs."""
        code = self.code or 0
        return 128 - code if code < 0 else code

    def wait(self, timeout: float | None = None) -> bool:
        """Waits `timeout` seconds for its end, or without limit. Returns whether it has ended."""
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
            return "is running"
        if code >= 0:
            return f"ended with exit code {code}"
        name = signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"
        return f"was killed by {name}"

    def send_input(self, text: str) -> None:
        """Writes a line to its standard input, if mlxtop has it."""
        stdin = self._process.stdin
        if stdin is not None:
            with suppress(OSError, ValueError):
                stdin.write(text.encode() + b"\n")
                stdin.flush()

    @property
    def listens(self) -> bool:
        """Whether `send_input` reaches it."""
        return self._process.stdin is not None

    def signal(self, number: int) -> None:
        """Sends a signal to it and to the children in its group."""
        if self.code is None:
            self.told_to_end = self.told_to_end or number in ENDS
            with suppress(OSError):
                os.killpg(self.pid, number)

    def stop(self) -> None:
        """Ends it with the signals of `PATIENCE`, and waits for its end."""
        for number, seconds in PATIENCE:
            self.signal(number)
            if self.wait(seconds):
                return

    def forget_log(self) -> None:
        """Removes the log, unless --log was given."""
        if self.log is not None and not self._kept:
            with suppress(OSError):
                self.log.unlink()


def child_environment(run: str, log: Path | None) -> dict[str, str]:
    """Our environment, with the variables that start agents in the program and its children."""
    env = dict(os.environ)
    env[environment.RUN] = run
    env[environment.VIEWER] = str(os.getpid())
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
            f"Could not find the program {name}: give its path, or activate its environment.", 127
        )
    return CannotStartError(f"Could not run {name}: {error.strerror}.", 126)
