"""Packs columns of integers: differences of the smallest sufficient type, then zlib. Little-endian.

A column is a typecode of `array` (b, h, i or q), the first value in 8 bytes, and the differences. Those of
type q wrap around, so any 64-bit value can follow any other.
"""

import struct
import zlib
from array import array
from collections.abc import Sequence
from itertools import accumulate
from operator import sub

_HEAD = struct.Struct("<cq")
_CODES = (("b", 2**7), ("h", 2**15), ("i", 2**31))
MOST_ROWS = 1_000_000
"""The most rows accepted for a block. Written blocks have fewer."""


class DamagedError(Exception):
    """The bytes are not the output of `pack`."""


def pack(columns: Sequence[Sequence[int]]) -> bytes:
    """Packs columns of equal length, with at least one row."""
    parts = []
    for column in columns:
        steps = list(map(sub, column[1:], column))
        least, most = min(steps, default=0), max(steps, default=0)
        code = next((code for code, bound in _CODES if -bound <= least and most < bound), "q")
        if code == "q":
            steps = list(map(_wrap, steps))
        parts += [_HEAD.pack(code.encode(), column[0]), array(code, steps).tobytes()]
    return zlib.compress(b"".join(parts), 6)


def unpack(data: bytes, count: int, rows: int, least: int | None = None) -> list["array[int]"]:
    """Returns `count` columns of `rows` integers, or at `least` so many. Raises `DamagedError`."""
    if not 1 <= rows <= MOST_ROWS:
        raise DamagedError(f"a block of {rows} rows")
    try:
        return _unpack(data, count, rows, count if least is None else least)
    except (zlib.error, struct.error, ValueError, OverflowError) as error:
        raise DamagedError(str(error)) from error


def _unpack(data: bytes, count: int, rows: int, least: int) -> list["array[int]"]:
    most = count * (_HEAD.size + 8 * rows)
    inflate = zlib.decompressobj()
    flat = inflate.decompress(data, most + 1)
    if not inflate.eof:
        raise DamagedError("it is truncated, or longer than declared")
    columns, at = [], 0
    for n in range(count):
        if at == len(flat) and n >= least:
            break
        code, first = _HEAD.unpack_from(flat, at)
        steps = array(code.decode("ascii"))
        if steps.typecode not in "bhiq":
            raise DamagedError("its type is unknown")
        at += _HEAD.size
        end = at + steps.itemsize * (rows - 1)
        if end > len(flat):
            raise DamagedError("it is truncated")
        steps.frombytes(flat[at:end])
        add = (lambda a, b: _wrap(a + b)) if steps.typecode == "q" else None
        columns.append(array("q", accumulate(steps, add, initial=first)))
        at = end
    if at != len(flat):
        raise DamagedError("it is longer than declared")
    return columns


def _wrap(number: int) -> int:
    """Returns a number wrapped to 64 bits with a sign."""
    return (number + 2**63) % 2**64 - 2**63
