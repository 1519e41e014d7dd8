"""The output of a program in a file, read as it grows."""

import codecs
import os
from contextlib import suppress
from pathlib import Path

READ_MOST = 2**18
"""Bytes taken at a time."""


class Tail:
    """Follows `path` from its end on, or from `back` bytes before it. Raises `OSError` when that fails."""

    def __init__(self, path: Path, back: int = 0) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        size = os.lseek(self._file, 0, os.SEEK_END)
        os.lseek(self._file, max(0, size - back), os.SEEK_SET)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self) -> str:
        """What was written since the last call; empty when that is nothing."""
        with suppress(OSError):
            return self._decoder.decode(os.read(self._file, READ_MOST))
        return ""
