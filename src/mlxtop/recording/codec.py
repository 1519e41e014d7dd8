"""Packs columns of integers: differences of the smallest sufficient type, then zlib. Little-endian.

A column is a typecode of `array` (b, h, i or q), the first value in 8 bytes, and the differences. Those of
type q wrap around, so any 64-bit value can follow any other.
"""

import struct
import zlib
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import sub
from typing import NamedTuple

_HEAD = struct.Struct("<cq")
_CODES = (("b", 2**7), ("h", 2**15), ("i", 2**31))
_SIZES = {b"b": 1, b"h": 2, b"i": 4, b"q": 8}
MOST_ROWS = 1_000_000
"""The most rows accepted for a block. Written blocks have fewer."""


class DamagedError(Exception):
    """The bytes are not the output of `pack`."""


class Packed(NamedTuple):
    """A column: its first value, and the differences as bytes of a typecode."""

    typecode: str
    first: int
    steps: bytes


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
    return [_summed(*packed) for packed in parts(data, count, rows, least)]


def parts(data: bytes, count: int, rows: int, least: int | None = None) -> list[Packed]:
    """Returns the columns of `unpack` with their differences not yet summed up. Raises `DamagedError`."""
    if not 1 <= rows <= MOST_ROWS:
        raise DamagedError(f"a block of {rows} rows")
    try:
        return list(_parts(data, count, rows, count if least is None else least))
    except (zlib.error, struct.error, ValueError, OverflowError) as error:
        raise DamagedError(str(error)) from error


def _parts(data: bytes, count: int, rows: int, least: int) -> Iterator[Packed]:
    most = count * (_HEAD.size + 8 * rows)
    inflate = zlib.decompressobj()
    flat = inflate.decompress(data, most + 1)
    if not inflate.eof:
        raise DamagedError("it is truncated, or longer than declared")
    at = 0
    for n in range(count):
        if at == len(flat) and n >= least:
            break
        code, first = _HEAD.unpack_from(flat, at)
        size = _SIZES.get(code)
        if size is None:
            raise DamagedError("its type is unknown")
        at += _HEAD.size
        end = at + size * (rows - 1)
        if end > len(flat):
            raise DamagedError("it is truncated")
        yield Packed(code.decode(), first, flat[at:end])
        at = end
    if at != len(flat):
        raise DamagedError("it is longer than declared")


def _summed(typecode: str, first: int, data: bytes) -> "array[int]":
    if not any(data):
        # Most columns stand still most of the time.
        return array("q", [first]) * (len(data) // _SIZES[typecode.encode()] + 1)
    steps = array(typecode)
    steps.frombytes(data)
    add = (lambda a, b: _wrap(a + b)) if typecode == "q" else None
    return array("q", accumulate(steps, add, initial=first))


def _wrap(number: int) -> int:
    """Returns a number wrapped to 64 bits with a sign."""
    return (number + 2**63) % 2**64 - 2**63
