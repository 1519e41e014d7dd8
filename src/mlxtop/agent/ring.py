"""The last samples of a program that nobody may be looking at, in one block of memory."""

from __future__ import annotations

from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ROW = Struct("<d11q")
ROWS = 6_000
"""Ten minutes at ten samples a second: half a megabyte."""


class Ring:
    """Rows of one float and eleven integers. Rows are numbered from the first ever added."""

    def __init__(self, rows: int = ROWS) -> None:
        self._rows = rows
        self._block = bytearray(rows * _ROW.size)
        self.end = 0
        """The number that the next row will have."""

    def add(self, *row: Any) -> None:
        _ROW.pack_into(self._block, self.end % self._rows * _ROW.size, *row)
        self.end += 1

    @property
    def begin(self) -> int:
        """The number of the oldest row still here."""
        return max(0, self.end - self._rows)

    def rows(self, start: int, most: int) -> list[tuple[Any, ...]]:
        """Up to `most` rows from number `start` on."""
        return [
            _ROW.unpack_from(self._block, n % self._rows * _ROW.size)
            for n in range(start, min(self.end, start + most))
        ]
