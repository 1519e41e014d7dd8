"""Standard input, output and error of mlxtop itself: closed ones, full ones, and what is said of them."""

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
    """Puts `/dev/null` in the place of closed standard streams, or a socket would get their number.

    It is open for reading only: what is written there fails, as it would with a closed stream. Call it before
    anything is opened.
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
    """In a child: closes what was closed when mlxtop was started, but for what the child was `given`."""
    for fd in _closed.difference(given):
        os.close(fd)


def flush() -> None:
    """Writes out what is still held. Raises `OutputError`."""
    sys.stdout.flush()
    sys.stderr.flush()


class _Raw(io.FileIO):
    """A standard stream that fails once, in a sentence, and then takes everything and drops it.

    Python flushes once more when it ends, and would end with code 120. `what` is `None` for standard error,
    whose failure nobody can be told of.
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
    """A text stream over `fd` that behaves as `old` did; `old` itself where that is over something else."""
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
