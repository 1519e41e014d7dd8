"""The output of a program in a file, read as it grows."""

import codecs
import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from mlxtop.core.transcript import Transcript

READ_MOST = 2**18
"""Bytes taken at a look: of lines of the usual length, more than a transcript keeps."""


class Tail:
    """Follows the regular file `path` from its end on, or from `back` bytes before it.

    With `most` the file is ours alone, and is emptied when it has grown beyond so many bytes. Raises
    `OSError` when that fails, and for anything but a regular file: a pipe may have nothing to read and a
    device no end.
    """

    def __init__(self, path: Path, back: int = 0, most: int | None = None) -> None:
        access = os.O_RDONLY if most is None else os.O_RDWR
        self._file = os.open(path, access | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        self._most = most
        found = os.fstat(self._file)
        if not stat.S_ISREG(found.st_mode):
            os.close(self._file)
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        self._at = max(0, found.st_size - back)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def poll(self, transcript: Transcript) -> None:
        """Writes what came since the last look. Of more than `READ_MOST` bytes, the end: the rest is told as
        left out."""
        with suppress(OSError):
            size = os.fstat(self._file).st_size
            # Somebody may have emptied it.
            self._at = min(self._at, size)
            left_out = size - self._at - READ_MOST
            if left_out > 0:
                self._skip(transcript, left_out)
            data = os.pread(self._file, min(READ_MOST, size - self._at), self._at)
            self._at += len(data)
            if self._most is not None and size > self._most:
                # Whoever writes does so at the end, wherever that is.
                os.ftruncate(self._file, 0)
                self._at = 0
            transcript.behind = left_out > 0
            if text := self._decode(data):
                transcript.write("out", text)

    def _skip(self, transcript: Transcript, size: int) -> None:
        self._at += size
        # On to where a line begins, if one does.
        ahead = os.pread(self._file, 2**12, self._at)
        begins = ahead.find(b"\n") + 1
        self._at += begins
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        transcript.leave_out(size + begins)
