"""Tests the terminal: size, colours, and the width of the characters that mlxtop draws."""

import os
import re
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console

from mlxtop.doctor.finding import Finding, Section

GLYPHS = "⣿▁█▒╌│◆▼▲✕↺—…"
"""One character of each kind that the screens draw. Each has to be one column wide."""
ANSWERS_WITHIN = 1.0
"""Seconds to wait for the terminal's answer, also over a slow connection."""
_POSITION = re.compile(rb"\x1b\[\d+;(\d+)R")
_TAKEN: Mapping[str, str] = {
    "Apple_Terminal": "PgUp, PgDn, Home and End scroll Terminal's window: press them with Shift or Fn.",
    "vscode": "ctrl+p may open the editor's own list: test it with `mlxtop doctor --keys`.",
}
"""By TERM_PROGRAM: the keys that a terminal keeps for itself. Apple's are in Terminal > Settings > Keyboard,
VS Code's in its settings under terminal.integrated.commandsToSkipShell."""


def check(section: Section) -> Iterator[Finding]:
    """Checks the environment and, if there is one, the terminal. Leaves nothing on the screen."""
    yield section.ok("TERM", _name(os.environ))
    yield _encoding(section)
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        yield section.missing("terminal", "—", "Run `mlxtop doctor` in the terminal that you use.")
        return
    try:
        yield _size(section, fd)
        yield _colours(section, fd)
        yield _glyphs(section, fd)
    finally:
        os.close(fd)
    yield _keys(section, os.environ)


def _name(environ: Mapping[str, str]) -> str:
    names = ("TERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "COLORTERM")
    found = [
        f"{name}={environ[name]}" if name != "TERM" else environ[name] for name in names if name in environ
    ]
    inside = [
        name for name, sign in (("tmux", "TMUX"), ("screen", "STY"), ("ssh", "SSH_TTY")) if environ.get(sign)
    ]
    return " ".join(found) + (f", inside {' and '.join(inside)}" if inside else "")


def _encoding(section: Section) -> Finding:
    encoding = sys.getfilesystemencoding()
    if encoding.lower().replace("-", "") == "utf8":
        return section.ok("encoding", encoding)
    return section.missing("encoding", encoding, "Set LANG to a UTF-8 locale, for example C.UTF-8.")


def _size(section: Section, fd: int) -> Finding:
    columns, rows = os.get_terminal_size(fd)
    value = f"{columns}×{rows}"
    if columns >= 80 and rows >= 24:
        return section.ok("size", value)
    return section.missing("size", value, "The screen needs at least 80×24 to show everything.")


def _colours(section: Section, fd: int) -> Finding:
    with os.fdopen(os.dup(fd), "w", encoding="utf-8") as file:
        system = Console(file=file, force_terminal=True).color_system
    if os.environ.get("NO_COLOR"):
        return section.ok("colours", "none, because NO_COLOR is set")
    if system == "truecolor":
        return section.ok("colours", "16 million")
    value = {"256": "256", "standard": "16"}.get(system or "", "none")
    return section.missing("colours", value, "If the terminal supports more, set COLORTERM=truecolor.")


def _glyphs(section: Section, fd: int) -> Finding:
    """Draws each character and asks the terminal for the cursor's position after it."""
    with _raw(fd):
        if _column(fd, "") is None:
            return section.missing("glyphs", "—", "The terminal does not report its cursor's position.")
        wide = [glyph for glyph in GLYPHS if _column(fd, glyph) != 2]
        os.write(fd, b"\r\x1b[K")
    if not wide:
        return section.ok("glyphs", f"{GLYPHS} one column each")
    return section.missing(
        "glyphs",
        f"{''.join(wide)} not one column wide",
        "Choose another font, or set ambiguous-width characters to narrow.",
    )


def _column(fd: int, text: str) -> int | None:
    """The cursor's column, from 1, after `text` was drawn at the start of the line; `None` without answer."""
    os.write(fd, f"\r{text}\x1b[6n".encode())
    answer, end = b"", time.monotonic() + ANSWERS_WITHIN
    while (left := end - time.monotonic()) > 0 and select.select([fd], [], [], left)[0]:
        answer += os.read(fd, 64)
        if found := _POSITION.search(answer):
            return int(found[1])
    return None


@contextmanager
def _raw(fd: int) -> Iterator[None]:
    """Sets the terminal so that its answers arrive at once and are not shown."""
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)


def _keys(section: Section, environ: Mapping[str, str]) -> Finding:
    advice = _TAKEN.get(environ.get("TERM_PROGRAM", ""))
    if environ.get("TMUX"):
        advice = "tmux uses its prefix key (ctrl+b) itself; mlxtop does not need it."
        return section.ok("keys", advice)
    if advice:
        return section.missing("keys", "some may not arrive", advice)
    return section.ok("keys", "no known conflicts; test them with `mlxtop doctor --keys`")
