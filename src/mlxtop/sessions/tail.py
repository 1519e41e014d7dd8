"""Follows the output of a program in a file as it grows."""

import codecs
import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from mlxtop.core.transcript import Transcript

READ_MOST = 2**18
"""Bytes read per poll: more than a transcript keeps, with lines of usual length."""


class Tail:
    """Follows the regular file `path` from its end, or from `back` bytes before its end.

    With `most` the file belongs to mlxtop and is emptied when it is larger than `most` bytes. Raises
    `OSError` if it cannot be opened or is not a regular file.
    """

    def __init__(self, path: Path, back: int = 0, most: int | None = None) -> None:
        access = os.O_RDONLY if most is None else os.O_RDWR
        self._file = os.open(path, access | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        self._most = most
        found = os.fstat(self._file)
        if not stat.S_ISREG(found.st_mode):
            os.close(self._file)
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        self._at = max(0, found.st_size - back)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def poll(self, transcript: Transcript) -> None:
        """Writes new output to `transcript`. Of more than `READ_MOST` bytes only the end is written; the rest
        is counted as left out."""
        with suppress(OSError):
            size = os.fstat(self._file).st_size
            # Another program may have emptied the file.
            self._at = min(self._at, size)
            left_out = size - self._at - READ_MOST
            if left_out > 0:
                self._skip(transcript, left_out)
            data = os.pread(self._file, min(READ_MOST, size - self._at), self._at)
            self._at += len(data)
            if self._most is not None and size > self._most:
                # The program appends, so it continues at the new end.
                os.ftruncate(self._file, 0)
                self._at = 0
            transcript.behind = left_out > 0
            if text := self._decode(data):
                transcript.write("out", text)

    def _skip(self, transcript: Transcript, size: int) -> None:
        self._at += size
        # Continue at the beginning of the next line, if there is one.
        ahead = os.pread(self._file, 2**12, self._at)
        begins = ahead.find(b"\n") + 1
        self._at += begins
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        transcript.leave_out(size + begins)
