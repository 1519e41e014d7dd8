"""A terminal for the tests: it runs `mlxtop` in a pseudo-terminal and keeps the picture a person would see."""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyte
from wcwidth import wcwidth

MLXTOP = str(Path(sys.executable).with_name("mlxtop"))
PATIENCE = 30.0
"""Seconds to wait for something to show; what never comes fails late, what comes costs nothing."""

KEYS = {
    "enter": "\r", "escape": "\x1b", "tab": "\t", "shift+tab": "\x1b[Z", "backspace": "\x7f", "space": " ",
    "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D", "home": "\x1b[H", "end": "\x1b[F",
    "pageup": "\x1b[5~", "pagedown": "\x1b[6~", "ctrl+c": "\x03", "ctrl+p": "\x10", "ctrl+q": "\x11",
    "ctrl+u": "\x15",
}  # fmt: skip

# What pyte 0.8.2 does not know and would take for text or for a colour: kitty's keyboard protocol
# (CSI > 13 u, CSI < u, CSI = u), mode queries (CSI ? 2026 $ p), device control and its kin.
_UNKNOWN = re.compile(rb"\x1b\[[<=>][\d;:]*[@-~]|\x1b\[\??[\d;]*\$[@-~]|\x1b[P_^X].*?\x1b\\", re.DOTALL)
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[P_^X][^\x1b]*\x1b?)?$")

# Modes an application may switch on, and how they must stand once it has gone.
_MODE = re.compile(rb"\x1b\[\?([\d;]+)([hl])")
_OFF = {47, 1047, 1049, 9, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 2004, 2026, 2031, 2048}
_ON = {7, 25}


class _Picture(pyte.Screen):
    """pyte's screen, which also tells of text that ran over the end of its row.

    pyte 0.8.2 drops what follows a zero-width character that combines with nothing (a joiner, a variation
    selector): like an old terminal it now shows an emoji sequence's parts one by one.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.overruns: list[str] = []
        super().__init__(columns, rows)

    def draw(self, data: str) -> None:
        if not data.isascii():
            data = "".join(char for char in data if wcwidth(char) or unicodedata.combining(char))
        if self.cursor.x + (len(data) if data.isascii() else sum(map(_cells, data))) > self.columns:
            self.overruns.append(data)
        super().draw(data)


def _cells(char: str) -> int:
    return max(0, wcwidth(char))


class Screen:
    """`mlxtop ARGUMENTS` in a terminal of `columns` x `rows`. A context manager; leaving it ends what is left.

    `command` runs another command instead, its arguments in full. `env` adds to a plain environment that
    has nothing of the developer's own; a value of `None` takes a variable away.
    """

    def __init__(
        self,
        *arguments: str | Path,
        columns: int = 120,
        rows: int = 40,
        env: Mapping[str, str | None] | None = None,
        command: Sequence[str | Path] | None = None,
        cwd: Path | None = None,
        stderr: int | None = None,
    ) -> None:
        self.raw = bytearray()
        """Every byte the terminal was sent."""
        self.read_at = 0.0
        """When the last of them came."""
        self._picture = _Picture(columns, rows)
        self._stream = pyte.ByteStream(self._picture)
        self._changed = threading.Condition()
        self._held = b""
        self._ended = False
        self._master, self._slave = os.openpty()
        self._size(columns, rows)
        self.cooked = termios.tcgetattr(self._slave)
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [str(part) for part in command or (MLXTOP, *arguments)],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave if stderr is None else stderr,
            env=environment(env or {}),
            cwd=cwd,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(1, termios.TIOCSCTTY, 0),
        )
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What it shows

    def row(self, y: int) -> str:
        return self.lines()[y]

    def lines(self) -> list[str]:
        with self._changed:
            return list(self._picture.display)

    def text(self) -> str:
        return "\n".join(self.lines())

    def cell(self, x: int, y: int) -> Any:
        """The cell's `data`, `fg`, `bg`, `bold`, … as pyte has them: colours are names or six hex digits."""
        with self._changed:
            return self._picture.buffer[y][x]

    def find(self, text: str) -> tuple[int, int]:
        """Where `text` begins: column, row. Wide characters before it are not counted twice."""
        with self._changed:
            width = self._picture.columns
            for y in range(self._picture.lines):
                cells = [self._picture.buffer[y][x].data for x in range(width)]
                at = "".join(cells).find(text)
                if at >= 0:
                    used = 0
                    for x, data in enumerate(cells):
                        if used >= at and data:
                            return x, y
                        used += len(data)
        raise AssertionError(f"{text!r} is not on the screen:\n{self.dump()}")

    @property
    def title(self) -> str:
        """What the window is called: nobody but the application's own code may change it."""
        return str(self._picture.title)

    @property
    def overruns(self) -> list[str]:
        """Pieces of text that did not fit into their row."""
        return self._picture.overruns

    def unreadable(self) -> str:
        """All characters whose colour is that of their background."""
        with self._changed:
            cells = [
                self._picture.buffer[y][x]
                for y in range(self._picture.lines)
                for x in range(self._picture.columns)
            ]
        return "".join(cell.data for cell in cells if cell.data.strip() and cell.fg == cell.bg)

    def colours(self) -> set[str]:
        """All colours in the picture."""
        with self._changed:
            cells = [
                self._picture.buffer[y][x]
                for y in range(self._picture.lines)
                for x in range(self._picture.columns)
            ]
        return {cell.fg for cell in cells} | {cell.bg for cell in cells}

    def dump(self) -> str:
        """The picture for a person who reads why a test failed."""
        lines = self.lines()
        edge = "+" + "-" * self._picture.columns + "+"
        return "\n".join([edge, *(f"|{line}|" for line in lines), edge])

    # Waiting

    def wait_for(self, what: str | Callable[[str], object], within: float = PATIENCE, why: str = "") -> float:
        """Waits until a text stands on the screen, or a predicate of the whole text is true.

        Returns when that was written, by `time.monotonic`.
        """
        seen = (lambda text: what in text) if isinstance(what, str) else what
        end = time.monotonic() + within
        with self._changed:
            while not seen("\n".join(self._picture.display)):
                left = end - time.monotonic()
                if left <= 0 or self._ended:
                    state = f"it ended with {self.process.poll()}" if self._ended else f"not in {within} s"
                    wanted = why or (what if isinstance(what, str) else "what the test waits for")
                    raise AssertionError(f"{wanted!r}: {state}\n{self.dump()}")
                self._changed.wait(left)
            return self.read_at

    def value(self, pattern: str, within: float = PATIENCE) -> re.Match[str]:
        """Waits for a regular expression to match the screen, and returns the match."""
        found: list[re.Match[str]] = []

        def seen(text: str) -> bool:
            match = re.search(pattern, text, re.MULTILINE)
            if match is not None:
                found.append(match)
            return match is not None

        self.wait_for(seen, within, pattern)
        return found[-1]

    # What a person does

    def send(self, data: str | bytes) -> float:
        """Sends bytes as they are; returns when, by `time.monotonic`."""
        left = memoryview(data.encode() if isinstance(data, str) else data)
        now = time.monotonic()
        while left:
            left = left[os.write(self._master, left) :]
        return now

    def press(self, *keys: str) -> float:
        """Presses keys by name (`KEYS`) or letter; returns when the first was sent."""
        return min([self.send(KEYS.get(key, key)) for key in keys])

    def type(self, text: str) -> None:
        self.send(text)

    def paste(self, text: str) -> None:
        """Bracketed paste, as a terminal does it: a bracket in the text itself is taken away."""
        self.send("\x1b[200~" + text.replace("\x1b[201~", "") + "\x1b[201~")

    def click(self, x: int, y: int) -> None:
        self.send(f"\x1b[<0;{x + 1};{y + 1}M\x1b[<0;{x + 1};{y + 1}m")

    def scroll(self, x: int, y: int, direction: int) -> None:
        """One notch of the wheel, up when negative."""
        self.send(f"\x1b[<{64 if direction < 0 else 65};{x + 1};{y + 1}M")

    def resize(self, columns: int, rows: int) -> None:
        with self._changed:
            self._picture.resize(rows, columns)
            # A real terminal keeps what it can; here only what is drawn after this counts.
            self._picture.erase_in_display(2)
            self.overruns.clear()
        self._size(columns, rows)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    @property
    def foreground(self) -> int:
        """The process group that has the terminal."""
        return os.tcgetpgrp(self._master)

    def hang_up(self) -> None:
        """Closes the terminal's window."""
        os.close(self._slave)
        os.close(self._master)
        self._slave = self._master = -1

    # The end

    def exit(self, within: float = PATIENCE) -> int:
        """Waits for the end; returns the exit code, negative for a signal's number."""
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {within} s\n{self.dump()}") from None
        self._reader.join(within)
        return code

    def left(self) -> list[str]:
        """What the application left behind in the terminal; nothing, if it is well-bred."""
        last = {
            int(mode): switch == b"h"
            for match in _MODE.finditer(bytes(self.raw))
            for mode in match[1].split(b";")
            for switch in [match[2]]
        }
        wrong = [f"mode {mode} left on" for mode in sorted(_OFF) if last.get(mode, False)]
        wrong += [f"mode {mode} left off" for mode in sorted(_ON) if not last.get(mode, True)]
        if self.raw.count(b"\x1b[>") != self.raw.count(b"\x1b[<u"):
            wrong.append("kitty's keyboard protocol left on")
        now = termios.tcgetattr(self._slave)
        names = ("iflag", "oflag", "cflag", "lflag", "ispeed", "ospeed", "cc")
        wrong += [f"termios {n}" for n, a, b in zip(names, self.cooked, now, strict=True) if a != b]
        if b"Traceback" in self.raw:
            wrong.append("a traceback")
        return wrong

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._reader.join(5)
        for fd in (self._slave, self._master):
            if fd >= 0:
                os.close(fd)
        self._slave = self._master = -1

    # The terminal itself

    def _size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self) -> None:
        fd = self._master
        while True:
            over = self.process.poll() is not None
            try:
                ready = select.select([fd], [], [], 0 if over else 0.05)[0]
                data = os.read(fd, 65536) if ready else b""
            except OSError:
                break
            if data:
                self._feed(data)
            elif over:
                break
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _feed(self, data: bytes) -> None:
        now = time.monotonic()
        with self._changed:
            self.raw += data
            data = self._held + data
            unfinished = _UNFINISHED.search(data)
            cut = unfinished.start() if unfinished else len(data)
            data, self._held = data[:cut], data[cut:]
            self._stream.feed(_UNKNOWN.sub(b"", data))
            self.read_at = now
            self._changed.notify_all()


def environment(more: Mapping[str, str | None]) -> dict[str, str]:
    """A plain one: a colour terminal, UTF-8, no Hub, and of this process only where programs are."""
    plain: dict[str, str | None] = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.environ.get("HOME", "/"),
        "TMPDIR": os.environ.get("TMPDIR"),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_SCAN": os.environ.get("TRANSFORMERS_SCAN"),
    }
    return {name: value for name, value in {**plain, **more}.items() if value is not None}
