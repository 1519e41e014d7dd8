"""What the benchmarks share: figures and their table, and a pseudo-terminal to run a subject in."""

import argparse
import compileall
import inspect
import json
import os
import platform
import queue
import random
import re
import signal
import statistics
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import pexpect
import psutil

from benchmarks.subjects import MAILBOX

HOME = Path(__file__).parents[1]
INTRODUCTION = (
    "Written by `make bench` (`python -m benchmarks`). A spread is the middle half of the values, or the "
    "95 % interval of the median; a bar is what a figure is held against, `of bar` the one over the other."
)
MLXTOP = str(Path(sys.executable).with_name("mlxtop"))


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number, how far it spreads, and the bar it is held against, if there is one."""

    what: str
    value: float
    unit: str
    spread: str
    bar: tuple[str, float] | None = None
    """`("≤", 4.0)` or `("≥", 0.97)`, in the same unit."""

    def cells(self) -> tuple[str, ...]:
        value = f"{_number(self.value)} {self.unit}".rstrip()
        if self.bar is None:
            return self.what, value, "", "", self.spread
        sign, bar = self.bar
        return (
            self.what,
            value,
            f"{sign} {bar:g} {self.unit}".rstrip(),
            f"{self.value / bar:.2f}",
            self.spread,
        )


class Table:
    """Prints figures as they come, under one head, with the machine at the end."""

    WIDTHS = (62, 12, 11, 7)
    HEAD = ("", "measured", "bar", "of bar", "spread")

    def __init__(self) -> None:
        # As installed: where PYTHONDONTWRITEBYTECODE is set, a changed file would be compiled at every start.
        compileall.compile_dir(HOME / "src", quiet=2)
        self._began, self._load = time.monotonic(), os.getloadavg()[0]
        self._rows: list[tuple[str, ...]] = []
        self._print(*self.HEAD)

    def add(self, figure: Figure) -> None:
        self._rows.append(figure.cells())
        self._print(*figure.cells())

    def end(self, path: Path | None = None) -> None:
        """Says where and under what load all this was measured; writes all of it to `path`, as Markdown."""
        where = (
            f"{machine()}\n{time.monotonic() - self._began:.0f} s; load {self._load:.1f} before, "
            f"{os.getloadavg()[0]:.1f} after (the benchmarks' own included)"
        )
        print(f"\n{where}")
        if path is not None:
            path.write_text(self._markdown(where), encoding="utf-8")

    def _print(self, what: str, value: str, bar: str, ratio: str, spread: str) -> None:
        a, b, c, d = self.WIDTHS
        print(f"{what:<{a}}{value:>{b}}{bar:>{c}}{ratio:>{d}}   {spread}".rstrip(), flush=True)

    def _markdown(self, where: str) -> str:
        """What belongs to the figure above it is set in."""
        rows = [self.HEAD, ("---", "---:", "---:", "---:", "---"), *self._rows]
        lines = ["| " + " | ".join(cell.replace("  ", "&emsp;", 1) for cell in row) + " |" for row in rows]
        return "\n".join(["# Figures", "", INTRODUCTION, "", *where.splitlines(), "", *lines, ""])


def main(measure: Callable[..., Iterable[Figure]]) -> None:
    """Runs one benchmark alone. Its parameters are its options."""
    parser = argparse.ArgumentParser(
        description=sys.modules["__main__"].__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, parameter in inspect.signature(measure).parameters.items():
        default = parameter.default
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"[default: {default}]")
    options = vars(parser.parse_args())
    table = Table()
    for figure in measure(**options):
        table.add(figure)
    table.end()


def machine() -> str:
    """The machine and the versions that a figure depends on."""
    names = ("mlx", "mlx-lm", "textual")
    cpu = platform.processor()
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        cpu = found[1] if found else cpu
    return (
        f"{cpu or platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in names)
    )


# Spread


def quartiles(values: Sequence[float]) -> str:
    """The middle half of the values, and how many there are."""
    if len(values) < 2:
        return f"n {len(values)}"
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"half in {_number(low)}–{_number(high)}, n {len(values)}"


def interval(values: Sequence[float], draws: int = 4000) -> str:
    """The 95 % interval of the median, by drawing samples of the values again and again."""
    chance = random.Random(0)
    medians = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(draws))
    low, high = medians[int(draws * 0.025)], medians[int(draws * 0.975)]
    return f"95 % in {_number(low)}–{_number(high)}, {quartiles(values)}"


def tail(values: Sequence[float]) -> str:
    """Where the slow ones lie."""
    late = statistics.quantiles(values, n=20, method="inclusive")[-1]
    return f"p95 {_number(late)}, most {_number(max(values))}, n {len(values)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


# Subjects


def subject(name: str, *arguments: str) -> list[str]:
    """The command of one of `benchmarks.subjects`."""
    return [sys.executable, "-m", f"benchmarks.subjects.{name}", *arguments]


class Terminal:
    """A program in a pseudo-terminal of its own. A thread reads away what it writes and does nothing else,
    so that watching costs next to nothing. A subject of ours also tells things, by `subjects.tell`."""

    def __init__(self, command: Sequence[str], columns: int = 120, rows: int = 40) -> None:
        self._folder = TemporaryDirectory()
        mailbox = Path(self._folder.name, "mailbox")
        os.mkfifo(mailbox)
        # Open for both, so that neither side waits for the other to come or to go.
        self._mail = os.fdopen(os.open(mailbox, os.O_RDWR), "r+b", buffering=0)
        self._told: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._written = bytearray()
        self._chunks: list[tuple[int, float]] = []
        self._news = threading.Condition()
        environment = {"TERM": "xterm-256color", "COLORTERM": "truecolor", MAILBOX: str(mailbox)}
        self.began = time.perf_counter()
        self._child = pexpect.spawn(
            command[0],
            list(command[1:]),
            dimensions=(rows, columns),
            cwd=str(HOME),
            env={**os.environ, **environment},
        )
        self.process = psutil.Process(self._child.pid)
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._drain, self._listen)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill(signal.SIGKILL)
        self._child.wait()
        self._mail.write(b"null\n")
        for thread in self._threads:
            thread.join()
        self._child.close()
        self._mail.close()
        self._folder.cleanup()

    def _drain(self) -> None:
        while True:
            try:
                data = os.read(self._child.child_fd, 1 << 16)
            except OSError:
                return
            now = time.perf_counter()
            if not data:
                return
            with self._news:
                self._written += data
                self._chunks.append((len(self._written), now))
                self._news.notify_all()

    def _listen(self) -> None:
        for line in iter(self._mail.readline, b"null\n"):
            self._told.put(json.loads(line))

    # What it writes and reads

    def type(self, keys: str) -> tuple[int, float]:
        """Sends keys; returns how much had been written until then, and the moment."""
        with self._news:
            written = len(self._written)
        now = time.perf_counter()
        os.write(self._child.child_fd, keys.encode())
        return written, now

    def shown(self, pattern: bytes, since: int = 0, timeout: float = 60) -> float:
        """The moment at which the output from byte `since` on had come to contain `pattern`, a regular
        expression. Raises `TimeoutError`."""
        with self._news:
            if not self._news.wait_for(lambda: self._find(pattern, since), timeout):
                text = bytes(self._written[since:][-2000:])
                raise TimeoutError(f"{pattern!r} did not appear within {timeout} s, but {text!r}")
            return self._chunks[bisect_left(self._chunks, (self._find(pattern, since) or 0, 0.0))][1]

    def _find(self, pattern: bytes, since: int) -> int | None:
        """Where `pattern` ends. The match must not outlive this call: it keeps the buffer from growing."""
        found = re.compile(pattern).search(self._written, since)
        return found.end() if found else None

    def ended(self, timeout: float = 60) -> tuple[float, int | None]:
        """The moment it ended, within five milliseconds, and its exit code; `None` when a signal ended it.
        Raises `TimeoutError`."""
        deadline = time.monotonic() + timeout
        while self._child.isalive():
            if time.monotonic() > deadline:
                raise TimeoutError(f"it still ran after {timeout:g} s")
            time.sleep(0.005)
        return time.perf_counter(), self._child.exitstatus

    # What it tells

    def hear(self, timeout: float = 120) -> Any:
        """The next thing told. Raises `TimeoutError`, at once when the subject is gone."""
        deadline = time.monotonic() + timeout
        while self._child.isalive() and time.monotonic() < deadline:
            with suppress(queue.Empty):
                return self._told.get(timeout=1)
        text = bytes(self._written[-2000:]).decode(errors="replace")
        raise TimeoutError(f"nothing was told within {timeout:g} s; the last output is:\n{text}")

    def turn(self) -> Any:
        """Lets a subject that stops itself after each turn (`benchmarks.subjects.rest`) have one more."""
        self.go()
        told = self.hear()
        deadline = time.monotonic() + 10
        while self.process.status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
            time.sleep(0.005)
        return told

    def go(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGSTOP)
