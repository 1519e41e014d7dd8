"""Finds lost commits in the write-ahead log of a recording whose writer was killed.

SQLite reads such a log up to the first frame with a wrong checksum and ignores later ones without an error.
The format is in https://www.sqlite.org/fileformat2.html, sections 4.1 and 4.2.
"""

import struct
import sys
from array import array
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

LARGEST = 2**26
"""Bytes. SQLite moves a log into the database long before it is this large."""
HEADER = struct.Struct(">IIII8sII")
FRAME = struct.Struct(">II8sII")
MAGIC = 0x377F0682
"""The magic number. It is one higher if checksums use big-endian words."""


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
    """Returns whether the log beside `database` has commits after a frame that cannot be read."""
    with suppress(OSError, struct.error):
        wal = database.with_name(f"{database.name}-wal")
        if HEADER.size < wal.stat().st_size <= LARGEST and wal.is_file():
            return _loses(wal.read_bytes())
    return False


def _loses(data: bytes) -> bool:
    magic, _, page, _, salt, *stored = HEADER.unpack_from(data)
    big = magic == MAGIC + 1
    found = _Sum().over(data[:24], big)
    if magic & ~1 != MAGIC or found != tuple(stored):
        return True
    good = True
    for at in range(HEADER.size, len(data) - FRAME.size - page + 1, FRAME.size + page):
        _, commits, of, *stored = FRAME.unpack_from(data, at)
        if of != salt:
            # From an earlier cycle: the log is overwritten from its beginning.
            return False
        begin = at + FRAME.size
        found = found.over(data[at : at + 8], big).over(data[begin : begin + page], big)
        if not good and commits:
            return True
        # Only the last frame may be incomplete, while a writer is writing it.
        good = good and found == tuple(stored)
    return False
