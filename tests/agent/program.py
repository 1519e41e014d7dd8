"""A real Python program with an agent in it, and a viewer that speaks to that agent byte by byte."""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mlxtop.ipc import protocol

PATIENCE = 40.0
"""Seconds within which anything is expected to happen on a loaded machine."""
MX = "import os, sys, time\nimport mlx.core as mx\nkept = mx.ones((256, 256)); mx.eval(kept)\n"
"""A program's beginning: `KEPT` bytes are active, or a few more."""
KEPT = range(256 * 256 * 4, 256 * 256 * 4 + 4096)
BUSY = "x = mx.ones((64, 64))\nwhile True:\n    x = x + 1; mx.eval(x); time.sleep(0.001)\n"
IDLE = "print('up', flush=True); sys.stdin.readline()\n"
"""A program's end: it waits until its standard input is closed or a line comes."""
BROKEN = """
from mlxtop.agent.agent import Agent
broken = []
def tick(self, now, real=Agent.tick):
    if broken: raise ZeroDivisionError("a bug of ours")
    real(self, now)
Agent.tick = tick
print("up", flush=True); sys.stdin.readline(); broken.append(1)
sys.stdin.readline(); sys.exit(5)
"""
"""A program's end whose agent breaks after the first line of input."""
LEISURE = "from mlxtop.agent import agent; agent.LEAVE_WITHIN = 1_000.0"
"""All that is to be told at the end is told, however loaded the machine is."""
PATIENT = "from mlxtop.agent import server; server.HELLO_WITHIN = 1_000.0"
"""Nobody is dropped for not having greeted: whoever is dropped was dropped for what they said."""
Message = dict[str, Any]


def until(what: Callable[[], Any], timeout: float = PATIENCE) -> Any:
    """Asks `what` until the answer is true, and returns it."""
    end = time.monotonic() + timeout
    while not (answer := what()):
        assert time.monotonic() < end, f"still {answer!r} after {timeout} s"
        time.sleep(0.01)
    return answer


@contextmanager
def short_folder() -> Iterator[Path]:
    """A directory of one's own whose path leaves room for a socket's name."""
    path = Path(tempfile.mkdtemp(prefix="mx", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def environment(home: Path, run: str | None = "1", **more: str) -> dict[str, str]:
    """Ours, with `home` as the place for sockets, and nothing else of mlxtop's."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MLXTOP", "PYTHON"))}
    named = {} if run is None else {"MLXTOP": run}
    # From 3.12 on Python warns of a fork beside threads, of which the agent's is one.
    named["PYTHONWARNINGS"] = "ignore:This process:DeprecationWarning"
    return {**ours, "XDG_RUNTIME_DIR": str(home), **named, **more}


def descriptors(pid: int) -> list[str]:
    """What the open descriptors of a process lead to."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.append(str(entry.readlink()))
    return sorted(found)


def threads(pid: int) -> int:
    """How many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


class WatchedProgram:
    """A program under watch. `code` is what it runs, or the whole command where that is a list."""

    def __init__(self, home: Path, code: str | Sequence[str], run: str | None = "1", **more: str) -> None:
        self.home = home
        command = [sys.executable, "-c", code] if isinstance(code, str) else list(code)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(home, run, **more),
            start_new_session=True,
        )
        self.pid = self.process.pid
        self._read = bytearray()

    def line(self, timeout: float = PATIENCE) -> str:
        """The next line it prints."""
        end = time.monotonic() + timeout
        fd = self.process.stdout.fileno()  # type: ignore[union-attr]
        while b"\n" not in self._read:
            assert select.select([fd], [], [], max(0.0, end - time.monotonic()))[0], "it prints nothing"
            data = os.read(fd, 65_536)
            assert data, f"it ended: {self.process.stderr.read().decode()}"  # type: ignore[union-attr]
            self._read += data
        line, _, rest = self._read.partition(b"\n")
        self._read = rest
        return line.decode()

    def json(self) -> Any:
        return json.loads(self.line())

    def say(self, text: str = "") -> None:
        self.process.stdin.write(text.encode() + b"\n")  # type: ignore[union-attr]
        self.process.stdin.flush()  # type: ignore[union-attr]

    def end(self, timeout: float = PATIENCE) -> tuple[int, str]:
        """Lets it come to its end: exit code, and what it wrote to standard error."""
        with suppress(OSError):
            self.process.stdin.close()  # type: ignore[union-attr]
        self.process.stdin = None
        _, errors = self.process.communicate(timeout=timeout)
        return self.process.returncode, errors.decode()

    def kill(self) -> None:
        # With the children it may have; they are in its group.
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.communicate()

    def sockets(self) -> list[str]:
        return sorted(path.name for path in self.home.glob("mlxtop/*.sock"))

    def path(self, pid: int | None = None) -> str:
        """Where its agent listens, or that of another process in the same place."""
        pattern = f"mlxtop/{pid or self.pid}*.sock"
        return str(until(lambda: next(self.home.glob(pattern), None)))

    def connect(self, role: str | None = "control", pid: int | None = None) -> "Viewer":
        viewer = Viewer(self.path(pid))
        if role is not None:
            viewer.say("hello", protocol=protocol.PROTOCOL, mlxtop="0", pid=os.getpid(), role=role)
        return viewer

    def cpu(self) -> float:
        """Seconds of processor time it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Viewer:
    """One connection to an agent; everything it says is kept in `heard`."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        # The socket has its name before somebody listens.
        until(lambda: self.socket.connect_ex(path) == 0)
        self.heard: list[Message] = []
        self.gone = False
        self._inbox = bytearray()

    def say(self, kind: str, **fields: Any) -> None:
        self.raw(protocol.line(kind, **fields))

    def raw(self, data: bytes) -> None:
        self.socket.sendall(data)

    def hear(self, timeout: float) -> bool:
        """Takes in what comes within `timeout`; whether anything can still come."""
        if self.gone or not select.select([self.socket], [], [], max(0.0, timeout))[0]:
            return not self.gone
        try:
            data = self.socket.recv(2**20)
        except ConnectionError:
            data = b""
        self.gone = not data
        *lines, rest = bytes(self._inbox + data).split(b"\n")
        self._inbox = bytearray(rest)
        self.heard += [json.loads(line) for line in lines]
        return not self.gone

    def until(self, what: Callable[[Message], Any], timeout: float = PATIENCE) -> Message:
        """The first message, of those heard before too, for which `what` is true."""
        end, n = time.monotonic() + timeout, 0
        while True:
            for message in self.heard[n:]:
                n += 1
                if what(message):
                    return message
            left = end - time.monotonic()
            assert left > 0, f"not heard within {timeout} s; {self.kinds()}"
            assert self.hear(left) or len(self.heard) > n, f"gone before it was heard; {self.kinds()}"

    def message(self, kind: str, timeout: float = PATIENCE) -> Message:
        return self.until(lambda m: m["type"] == kind, timeout)

    def event(self, kind: str, timeout: float = PATIENCE, **data: Any) -> Message:
        """The first event of a kind whose data has at least `data`: its own data, with its `time`."""
        found = self.until(
            lambda m: m["type"] == "event" and m["kind"] == kind and data.items() <= m["data"].items(),
            timeout,
        )
        return {**found["data"], "time": found["time"]}

    def events(self, kind: str) -> list[Message]:
        """Of those heard so far."""
        return [m["data"] for m in self.heard if m["type"] == "event" and m["kind"] == kind]

    def rows(self) -> list[list[float]]:
        return [row for m in self.heard if m["type"] == "samples" for row in m["rows"]]

    def more(self) -> None:
        """Waits for two more messages with samples: by then all that was said before has been dealt with."""
        count = sum(m["type"] == "samples" for m in self.heard) + 2
        self.until(lambda _: sum(m["type"] == "samples" for m in self.heard) >= count)

    def end(self, timeout: float = PATIENCE) -> None:
        """Waits until the agent is gone."""
        end = time.monotonic() + timeout
        while self.hear(0.1):
            assert time.monotonic() < end, "the agent does not let go"

    def kinds(self) -> list[str]:
        return [m["kind"] if m["type"] == "event" else m["type"] for m in self.heard[-40:]]

    def close(self) -> None:
        self.socket.close()


class Start:
    """Starts subjects in one place; `stop` ends them all."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._all: list[WatchedProgram] = []

    def __call__(self, code: str | Sequence[str], run: str | None = "1", **more: str) -> WatchedProgram:
        program = WatchedProgram(self.home, code, run, **more)
        self._all.append(program)
        return program

    def up(self, code: str = "", run: str | None = "1", **more: str) -> WatchedProgram:
        """One that has used MLX, ran `code` and waits for its standard input to close."""
        program = self(MX + code + "\n" + IDLE, run, **more)
        assert program.line() == "up"
        return program

    def stop(self) -> None:
        for program in self._all:
            program.kill()


@contextmanager
def starting() -> Iterator[Start]:
    with short_folder() as home:
        start = Start(home)
        try:
            yield start
        finally:
            start.stop()
