"""Where programs under watch live in a test: sockets, logs and a home of its own, and an end for all of them."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

import psutil

from tests.agent.program import until
from tests.e2e.screen import MLXTOP, Screen, environment

BIN = Path(sys.executable).parent
BUSY = """\
import os, signal, sys, time
import mlx.core as mx
kept = mx.ones((1024, 1024)); mx.eval(kept)
print("it is up", flush=True)
x = mx.ones((64, 64))
while True:
    x = x * 1.0001; mx.eval(x); time.sleep(0.005)
"""
"""A program that holds 4 MiB and works until it is ended."""


class Place:
    """What one test starts, in an environment that nothing else shares."""

    def __init__(self) -> None:
        # Short: a socket's path has little room.
        self.folder = Path(tempfile.mkdtemp(prefix="mx", dir="/tmp"))
        for name in ("run", "state", "home"):
            (self.folder / name).mkdir(0o700)
        self.env = {
            "HOME": str(self.folder / "home"),
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            # No C++ compiler in the way of the first training step.
            "MLX_DISABLE_COMPILE": "1",
        }
        self._screens: list[Screen] = []
        self._started: list[subprocess.Popen[bytes]] = []

    def script(self, code: str, name: str = "program.py") -> Path:
        path = self.folder / name
        path.write_text(code, encoding="utf-8")
        return path

    def screen(self, *arguments: str | Path, **options: Any) -> Screen:
        """`mlxtop ARGUMENTS` in a terminal."""
        env = {**self.env, **options.pop("env", {})}
        screen = Screen(*arguments, env=env, **options)
        self._screens.append(screen)
        return screen

    def run(self, *command: str | Path, **options: Any) -> Screen:
        """`mlxtop run -- COMMAND` in a terminal; a Python script is run by our Python."""
        return self.screen("run", "--", *python(command), **options)

    def start(self, *command: str | Path, **more: str) -> int:
        """Starts a program that mlxtop did not start, and returns its process."""
        process = subprocess.Popen(
            python(command),
            env=environment({**self.env, **more}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._started.append(process)
        return process.pid

    def alone(self, *command: str | Path, **options: Any) -> "subprocess.CompletedProcess[str]":
        """Runs a command without a terminal, to its end."""
        if "input" not in options:
            options["stdin"] = subprocess.DEVNULL
        return subprocess.run(
            python(command), env=environment(self.env), capture_output=True, text=True, timeout=120, **options
        )

    def ps(self) -> dict[int, dict[str, Any]]:
        """`mlxtop ps --json` by process, without those of others."""
        done = self.alone(MLXTOP, "ps", "--json")
        assert done.returncode == 0, done.stderr
        ours = self.processes()
        return {row["pid"]: row for row in json.loads(done.stdout) if row["pid"] in ours}

    def processes(self, *but: int) -> set[int]:
        """All that live here, whoever started them, apart from `but`."""
        found = set()
        for pid in psutil.pids():
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                if (
                    process.environ().get("XDG_RUNTIME_DIR") == self.env["XDG_RUNTIME_DIR"]
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    found.add(pid)
        return found - set(but)

    def only(self, *but: int) -> int:
        """The one process that lives here, apart from `but`."""
        (pid,) = self.processes(*but)
        return pid

    def logs(self) -> list[Path]:
        return [path for path in (self.folder / "state").rglob("*.log") if path.is_file()]

    def end(self) -> None:
        for screen in self._screens:
            screen.close()
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._started:
            process.wait()
        rmtree(self.folder, ignore_errors=True)


def python(command: Sequence[str | Path]) -> list[str]:
    """A command whose first word is a script → the same with our Python before it."""
    words = [str(word) for word in command]
    return [sys.executable, *words] if words[0].endswith(".py") else words


def running(screen: Screen) -> Screen:
    """Waits for the dashboard of a program that names no phase of its own, in full."""
    screen.value(r"^ mlxtop .* ● run (?s:.*)where it goes(?s:.*) cache +[\d.]+ [KMG]?i?B ")
    return screen


def leave(screen: Screen, choice: str) -> int:
    """Presses `q`, chooses how to leave, and returns mlxtop's exit code. The terminal must be as it was."""
    screen.press("q")
    # The first choice is chosen to begin with.
    dialog = screen.value(rf"│ +((?:(?:Stop|Leave|Restore) [^\n]*\n[^\n]*│ +)*){choice}(?s:.*)Enter selects")
    screen.press(*["down"] * dialog[1].count("\n"), "enter")
    code = screen.exit()
    assert screen.left() == []
    return code


def after(screen: Screen) -> str:
    """What was written once the picture was gone: what a person reads in their own terminal."""
    return bytes(screen.raw).rpartition(b"\x1b[?1049l")[2].rpartition(b"\x1b[?1006l")[2].decode()


def gone(pid: int) -> None:
    """Waits for the end of a process."""
    until(lambda: not alive(pid))


def alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False
