"""The write-ahead log of a recording whose writer was killed: whether commits in it are lost.

SQLite takes such a log up to the first frame whose checksum is wrong, and says nothing of those behind it.
The form of the file is in https://www.sqlite.org/fileformat2.html, sections 4.1 and 4.2.
"""

import struct
import sys
from array import array
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

LARGEST = 2**26
"""Bytes; a log is emptied into the database long before."""
HEADER = struct.Struct(">IIII8sII")
FRAME = struct.Struct(">II8sII")
MAGIC = 0x377F0682
"""One more where checksums are made of big-endian words."""


class _Sum(NamedTuple):
    one: int = 0
    two: int = 0

    def over(self, data: bytes, big: bool) -> "_Sum":
        words = array("I", data)
        if big != (sys.byteorder == "big"):
            words.byteswap()
        one, two = self
        for i in range(0, len(words), 2):
            one = (one + words[i] + two) & 0xFFFFFFFF
            two = (two + words[i + 1] + one) & 0xFFFFFFFF
        return _Sum(one, two)


def loses_commits(database: Path) -> bool:
    """Whether the log beside `database` holds commits behind one that cannot be read."""
    with suppress(OSError, struct.error):
        wal = database.with_name(f"{database.name}-wal")
        if HEADER.size < wal.stat().st_size <= LARGEST and wal.is_file():
            return _loses(wal.read_bytes())
    return False


def _loses(data: bytes) -> bool:
    magic, _, page, _, salt, *told = HEADER.unpack_from(data)
    big = magic == MAGIC + 1
    found = _Sum().over(data[:24], big)
    if magic & ~1 != MAGIC or found != tuple(told):
        return True
    good = True
    for at in range(HEADER.size, len(data) - FRAME.size - page + 1, FRAME.size + page):
        _, commits, of, *told = FRAME.unpack_from(data, at)
        if of != salt:
            # Of an earlier turn: the log is written again from its beginning.
            return False
        begin = at + FRAME.size
        found = found.over(data[at : at + 8], big).over(data[begin : begin + page], big)
        if not good and commits:
            return True
        # The last frame alone may be half written, by a writer that is at it.
        good = good and found == tuple(told)
    return False
