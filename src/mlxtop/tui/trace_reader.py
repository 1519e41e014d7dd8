"""Reads the trace that a program writes, on a thread of its own: the screen never waits for a file.

Nor does it wait for NumPy: what needs it is imported on that thread.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING

from mlxtop.core.errors import MlxtopError
from mlxtop.core.text import one_line
from mlxtop.core.units import format_size
from mlxtop.system import self_usage

if TYPE_CHECKING:
    from mlxtop.trace.composition import Composition
    from mlxtop.trace.moments import Moments
    from mlxtop.trace.reader import TraceFile

LOOK_EVERY = 1.0
"""Seconds between two looks at the header."""
SHARE = 30
"""The pause after reading it all is at least so many times the processor time that it took."""
OLDER = "That moment is older than the events that the trace keeps: --events keeps more."
EARLIER = "The trace had not begun at that moment."
Span = tuple[float, float]
"""Seconds of the session's clock: of one column of a chart."""


@dataclass(frozen=True, slots=True)
class Row:
    """Bytes that have a name in common. The name is safe to show."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Shown:
    """What was alive at the peak, or when most was in the span that a person chose."""

    span: Span | None = None
    total: int = 0
    buffers: int = 0
    operations: Sequence[Row] = ()
    lines: Sequence[Row] = ()
    sizes: Sequence[Row] = ()
    note: str = ""
    """Why there is nothing to see, in one sentence."""


class TraceReader(threading.Thread):
    """Reads the trace at `path` until it is stopped, and calls `changed` when `shown` is another one.

    `started` is when the session's clock was 0, in seconds since the epoch.
    """

    def __init__(self, path: str, started: float, changed: Callable[[], None]) -> None:
        super().__init__(name="mlxtop-trace", daemon=True)
        self.path = path
        self.shown = Shown(note="reading the trace …")
        self._origin = started
        self._changed = changed
        self._span: Span | None = None
        self._wake = threading.Event()
        self._stopping = False

    def ask(self, span: Span | None) -> None:
        """Has it show when most was alive in `span`; `None`: the peak."""
        self._span = span
        self._wake.set()

    def stop(self) -> None:
        """Has it end soon."""
        self._stopping = True
        self._wake.set()

    @self_usage.counted()
    def run(self) -> None:
        from mlxtop.trace.moments import Moments

        seen: object = None
        pause = 0.0
        while not self._stopping:
            span = self._span
            began = time.monotonic()
            try:
                with _open(self.path) as trace:
                    now = (span, trace.header.peak, trace.header.peaks_written, trace.header.closed)
                    if now != seen and (span is not None or began >= pause):
                        seen, spent = now, time.thread_time()
                        self._show(read(Moments(trace), span, self._origin))
                        pause = began + SHARE * (time.thread_time() - spent)
            except (MlxtopError, OSError) as error:
                self._show(Shown(span, note=one_line(str(error))))
            if self._wake.wait(LOOK_EVERY):
                self._wake.clear()

    def _show(self, shown: Shown) -> None:
        if shown != self.shown:
            self.shown = shown
            self._changed()


def _open(path: str) -> "TraceFile":
    """A program told of this file: only a plain one of ours or of root's is read."""
    from mlxtop.trace.reader import TraceError, TraceFile

    found = os.stat(path)  # noqa: PTH116
    if not S_ISREG(found.st_mode) or (os.getuid() != 0 and found.st_uid != os.getuid()):
        raise TraceError(f"{one_line(path)} is not a file of this user: it is not read.")
    return TraceFile(Path(path))


def read(moments: "Moments", span: Span | None, started: float) -> Shown:
    """What a trace says of its peak, or of a span of the session."""
    from mlxtop.trace.composition import by_line, by_operation
    from mlxtop.trace.sizes import by_size

    if span is None:
        at, note = moments.peak, "Nothing was allocated yet."
    else:
        at, note = _highest(moments, span, started)
    if at is None:
        return Shown(span, note=note)
    blocks = moments.blocks(at.index)
    return Shown(
        span,
        at.total,
        at.count,
        [Row(one_line(part.name), part.bytes) for part in by_operation(at, moments.sites)],
        [Row(_short(part.name), part.bytes) for part in by_line(at, moments.sites)],
        []
        if blocks is None
        else [Row(f"{format_size(s.least)} to {format_size(s.limit)}", s.bytes) for s in by_size(blocks)],
    )


def _highest(moments: "Moments", span: Span, started: float) -> "tuple[Composition | None, str]":
    """What was alive when most was, or why that is not known."""
    header = moments.header
    # By the time of day: the program's clock may be another than ours.
    begin, end = (
        header.origin_monotonic_ns + round((started + time) * 1e9) - header.origin_wall_ns for time in span
    )
    if end < header.origin_monotonic_ns:
        return None, EARLIER
    return moments.highest(max(begin, header.origin_monotonic_ns), end), OLDER


def _short(line: str) -> str:
    """The last two names of a line's path."""
    path, slash, name = line.rpartition("/")
    return one_line(f"{path.rpartition('/')[2]}/{name}" if slash else line)
