"""What was asked of a model and what it answered, as lines of plain text in bounded memory."""

from collections import deque
from threading import Lock
from typing import Literal, NamedTuple

from mlxtop.core.text import block, plain
from mlxtop.core.units import format_size

Who = Literal["prompt", "reply", "log", "out"]
"""`reply` is what a model says, `out` what a program prints, `log` what mlxtop has to say."""
KEPT_LINES = 2_000
LONGEST_LINE = 4_000
"""A model that never ends its line gets one ended for it here, so that a line stays cheap to draw."""


class Line(NamedTuple):
    """One line, safe to show. `number` counts all lines since the beginning."""

    number: int
    who: Who
    text: str
    begins: bool = True
    """Whether somebody begins to speak here, rather than goes on."""


class Transcript:
    """The last `KEPT_LINES` lines. Any thread writes, any thread reads."""

    def __init__(self) -> None:
        self._lines: deque[Line] = deque(maxlen=KEPT_LINES)
        self._lock = Lock()
        self._next = 0
        self._returned = False
        self._held = ""
        self._unfinished = False
        """Whether a program's last line may still grow."""
        self.version = 0
        """Changes whenever something was written."""
        self.left_out = 0
        """Bytes of a program's output that were never read, because it came too fast."""
        self.behind = False
        """Whether output comes too fast just now."""

    def write(self, who: Who, text: str) -> None:
        """Appends `text`: a reply goes on where the reply stopped, and so does what a program prints, in
        which a lone CR goes back to the line's beginning. Anything else begins its own line."""
        if who == "out":
            self._print(text)
            return
        with self._lock:
            if who == "reply":
                # A line end may come in two pieces.
                text, returned = text.removeprefix("\n") if self._returned else text, text.endswith("\r")
                self._returned = returned
            if not text:
                return
        first, *rest = block(text).split("\n")
        with self._lock:
            last = self._lines[-1] if self._lines else None
            if last and who == "reply" == last.who:
                room = LONGEST_LINE - len(last.text)
                self._lines[-1] = last._replace(text=last.text + first[:room])
                if first[room:]:
                    self._append(who, first[room:])
            else:
                self._append(who, first, begins=True)
            for part in rest:
                self._append(who, part)
            self.version += 1

    def line(self, who: Who, text: str) -> None:
        """Appends one whole line that was shown before."""
        with self._lock:
            self._append(who, block(text), begins=True)
            self.version += 1

    def leave_out(self, size: int) -> None:
        """Tells that `size` bytes of a program's output are missing here; what comes next begins a line."""
        with self._lock:
            self._held, self._unfinished = "", False
            self.left_out += size
            self._append("log", f"… {format_size(size)} of output left out …", begins=True)
            self.version += 1

    def _print(self, text: str) -> None:
        """A program's output: progress bars redraw their line, colours mean nothing here."""
        with self._lock:
            text, self._held = self._held + text, ""
            if text.endswith(("\r", "\x1b")):
                # Whether it is half of something shows with what comes next.
                text, self._held = text[:-1], text[-1]
            pieces = plain(text).replace("\r\n", "\n").split("\n")
            if pieces == [""]:
                return
            # As most output is, and then no line needs to be made safe.
            safe = text.replace("\n", "").isprintable()
            whole = pieces[-1] == ""
            first, *rest = pieces[:-1] if whole else pieces
            last = self._lines[-1] if self._lines else None
            if last and last.who == "out" and self._unfinished:
                self._lines[-1] = last._replace(text=block(_redrawn(last.text + first))[-LONGEST_LINE:])
            else:
                self._append("out", block(_redrawn(first)), begins=True)
            # Lines that nobody keeps are only counted.
            gone = max(0, len(rest) - KEPT_LINES)
            self._next += gone
            for part in rest[gone:]:
                self._append("out", part if safe else block(_redrawn(part)))
            self._unfinished = not whole
            self.version += 1

    def _append(self, who: Who, text: str, begins: bool = False) -> None:
        for start in range(0, max(len(text), 1), LONGEST_LINE):
            self._lines.append(
                Line(self._next, who, text[start : start + LONGEST_LINE], begins and not start)
            )
            self._next += 1

    def since(self, number: int) -> list[Line]:
        """The kept lines from `number` on; the last of them may still grow."""
        with self._lock:
            skip = max(0, number - (self._next - len(self._lines)))
            return list(self._lines)[skip:]


def _redrawn(line: str) -> str:
    """What a line shows after its last return to the beginning."""
    return line.rpartition("\r")[2]
