"""The last samples of a program that nobody may be looking at, in one block of memory."""

from __future__ import annotations

from struct import Struct

from mlxtop.core.units import UNKNOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from typing import Any

_ROW = Struct("<d11q")
ROWS = 6_000
"""Ten minutes at ten samples a second: half a megabyte."""


class Ring:
    """Rows of a time and eleven integers. Rows are numbered from the first ever added."""

    def __init__(self, rows: int = ROWS) -> None:
        self._rows = rows
        self._block = bytearray(rows * _ROW.size)
        self._buffers: array[int] | None = None
        """The live buffers of each row; `None` as long as no trace has counted any."""
        self.end = 0
        """The number that the next row will have."""

    def add(self, time: float, row: tuple[int, ...], buffers: int = UNKNOWN) -> None:
        """`buffers` are those that live, where a trace counts them."""
        at = self.end % self._rows
        _ROW.pack_into(self._block, at * _ROW.size, time, *row)
        if self._buffers is not None or buffers != UNKNOWN:
            self._add_buffers(at, buffers)
        self.end += 1

    def _add_buffers(self, at: int, buffers: int) -> None:
        if self._buffers is None:
            # Most programs are never traced.
            from array import array

            self._buffers = array("q", [UNKNOWN]) * self._rows
        self._buffers[at] = buffers

    @property
    def begin(self) -> int:
        """The number of the oldest row still here."""
        return max(0, self.end - self._rows)

    def rows(self, start: int, most: int) -> list[tuple[Any, ...]]:
        """Up to `most` rows from number `start` on: with their buffers once a trace has counted any."""
        numbers = [n % self._rows for n in range(start, min(self.end, start + most))]
        rows = [_ROW.unpack_from(self._block, n * _ROW.size) for n in numbers]
        buffers = self._buffers
        return rows if buffers is None else [(*row, buffers[n]) for n, row in zip(numbers, rows, strict=True)]
