"""What the terminal can show: its size, its colours, and how wide it draws our signs."""

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
"""One of each kind that the screens draw; each has to take one column."""
ANSWERS_WITHIN = 1.0
"""Seconds that a terminal has for an answer, over a slow connection."""
_POSITION = re.compile(rb"\x1b\[\d+;(\d+)R")
_TAKEN: Mapping[str, str] = {
    "Apple_Terminal": "PgUp, PgDn, Home and End scroll the window here: press them with Shift or Fn.",
    "vscode": "ctrl+p may open the editor's own list here: `mlxtop doctor --keys` tells.",
}
"""By TERM_PROGRAM: the keys that a terminal keeps for itself. Apple's are in Terminal > Settings > Keyboard,
VS Code's in its settings under terminal.integrated.commandsToSkipShell."""


def check(section: Section) -> Iterator[Finding]:
    """Asks the environment and, if there is a terminal, the terminal itself. Leaves nothing on it."""
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
    return section.missing("encoding", encoding, "Set LANG to a UTF-8 locale, C.UTF-8 for one.")


def _size(section: Section, fd: int) -> Finding:
    columns, rows = os.get_terminal_size(fd)
    value = f"{columns}×{rows}"
    if columns >= 80 and rows >= 24:
        return section.ok("size", value)
    return section.missing("size", value, "Everything has its place from 80×24 on.")


def _colours(section: Section, fd: int) -> Finding:
    with os.fdopen(os.dup(fd), "w", encoding="utf-8") as file:
        system = Console(file=file, force_terminal=True).color_system
    if os.environ.get("NO_COLOR"):
        return section.ok("colours", "none, as NO_COLOR asks")
    if system == "truecolor":
        return section.ok("colours", "16 million")
    value = {"256": "256", "standard": "16"}.get(system or "", "none")
    return section.missing("colours", value, "If the terminal has more, set COLORTERM=truecolor.")


def _glyphs(section: Section, fd: int) -> Finding:
    """Draws each sign and asks where the cursor is after it."""
    with _raw(fd):
        if _column(fd, "") is None:
            return section.missing("glyphs", "—", "The terminal does not say where its cursor is.")
        wide = [glyph for glyph in GLYPHS if _column(fd, glyph) != 2]
        os.write(fd, b"\r\x1b[K")
    if not wide:
        return section.ok("glyphs", f"{GLYPHS} one column each")
    return section.missing(
        "glyphs",
        f"{''.join(wide)} not one column wide",
        "Choose another font, or narrow ambiguous characters.",
    )


def _column(fd: int, text: str) -> int | None:
    """The column of the cursor, from 1, after `text` was drawn at the start of the line."""
    os.write(fd, f"\r{text}\x1b[6n".encode())
    answer, end = b"", time.monotonic() + ANSWERS_WITHIN
    while (left := end - time.monotonic()) > 0 and select.select([fd], [], [], left)[0]:
        answer += os.read(fd, 64)
        if found := _POSITION.search(answer):
            return int(found[1])
    return None


@contextmanager
def _raw(fd: int) -> Iterator[None]:
    """The terminal's answers come as they are sent, and are not drawn."""
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)


def _keys(section: Section, environ: Mapping[str, str]) -> Finding:
    advice = _TAKEN.get(environ.get("TERM_PROGRAM", ""))
    if environ.get("TMUX"):
        advice = "tmux keeps its prefix (ctrl+b) for itself; mlxtop does not use it."
        return section.ok("keys", advice)
    if advice:
        return section.missing("keys", "some may not arrive", advice)
    return section.ok("keys", "none is known not to arrive; `mlxtop doctor --keys` tries each")
