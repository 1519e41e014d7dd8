"""mlxtop's standard streams: handles closed streams and failed writes."""

import errno
import io
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TextIO

from mlxtop.core.files import OutputError

_closed: set[int] = set()


def open_closed() -> None:
    """Opens `/dev/null` in place of closed standard streams, so that no socket gets their numbers.

    It is opened for reading only: writing fails, as with a closed stream. Call it before anything is opened.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            _closed.add(fd)
            null = os.open(os.devnull, os.O_RDONLY)
            if null != fd:
                os.dup2(null, fd)
                os.close(null)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = _stream(1, sys.stdout, "standard output")
    sys.stderr = _stream(2, sys.stderr, None)


def close_again(given: Iterable[int] = ()) -> None:
    """In a child: closes the streams that were closed when mlxtop started, except those in `given`."""
    for fd in _closed.difference(given):
        os.close(fd)


def flush() -> None:
    """Flushes standard output and error. Raises `OutputError` when that fails."""
    sys.stdout.flush()
    sys.stderr.flush()


class _Raw(io.FileIO):
    """A standard stream that raises `OutputError` at its first failed write and then drops all output.

    Python flushes once more at exit; an error there would change the exit code to 120. `what` is the stream's
    name, `None` for standard error, whose errors cannot be shown.
    """

    def __init__(self, fd: int, what: str | None) -> None:
        super().__init__(fd, "wb", closefd=False)
        self._what = what
        self._failed = False

    def write(self, data: "io.ReadableBuffer", /) -> int:  # type: ignore[name-defined]
        size = memoryview(data).nbytes
        if self._failed:
            return size
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            if self._what is not None:
                raise
        except OSError as error:
            self._failed = True
            if self._what is not None:
                why = "it is closed" if error.errno == errno.EBADF else error.strerror
                raise OutputError(f"{self._what} cannot be written: {why}.") from error
        return size


def _is_over(stream: TextIO, fd: int) -> bool:
    try:
        return stream.fileno() == fd
    except (OSError, ValueError):
        return False


def _stream(fd: int, old: TextIO | None, what: str | None) -> TextIO:
    """A text stream over `fd` with the settings of `old`; `old` itself if it does not write to `fd`."""
    if old is not None and not _is_over(old, fd):
        return old
    if old is not None:
        with suppress(OSError, ValueError):
            old.flush()
    interactive = os.isatty(fd)
    buffer = io.BufferedWriter(_Raw(fd, what))
    return io.TextIOWrapper(
        buffer,
        encoding=old.encoding if old is not None else "utf-8",
        errors=old.errors if old is not None else "backslashreplace",
        line_buffering=interactive or what is None,
    )
