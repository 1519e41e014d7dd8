"""Where in a notebook something happened, in words: `cell 5, line 3`."""

from collections.abc import Callable
from types import FrameType
from typing import NamedTuple

from mlxtop.mlx.hooks import outside, place_text

Number = Callable[[str], str | None]
"""The number of the cell whose code has this file name; `None` for other code."""


class Call(NamedTuple):
    """A line that runs."""

    path: str
    line: int
    function: str


class Statement(NamedTuple):
    """The lines of a statement of a cell, from the first to the last."""

    path: str
    first: int
    last: int


class Places:
    """Names places. `number` tells a cell's number."""

    def __init__(self, number: Number) -> None:
        self._number = number

    def of(self, frame: FrameType) -> tuple[Call, ...]:
        """The line outside of mlxtop that led to `frame`, and the cells' lines that led to that, outwards."""
        at: FrameType | None = outside(frame)
        found: list[Call] = []
        while at is not None:
            code = at.f_code
            if not found or self._number(code.co_filename) is not None:
                found.append(Call(code.co_filename, at.f_lineno, code.co_name))
            at = at.f_back
        return tuple(found)

    def cell_of(self, frame: FrameType) -> Call | None:
        """The line of the innermost cell around `frame`."""
        return next((call for call in self.of(frame) if self._number(call.path) is not None), None)

    def text(self, place: tuple[Call, ...] | Statement) -> str:
        """`cell 5, line 3`, `cell 5, line 3 (mlx_lm/generate.py:463)`, `cell 5, lines 3 to 9`."""
        if isinstance(place, Statement):
            lines = f"line {place.first}"
            if place.last > place.first:
                lines = f"lines {place.first} to {place.last}"
            return f"{self.cell(place.path)}, {lines}"
        cells = [call for call in place if self._number(call.path) is not None]
        below = "" if place[0] in cells[:1] else place_text((place[0].path, place[0].line))
        # The innermost cell, and the one that runs; what lies between is left out.
        found = ", from ".join(map(self._call, cells[:1] + cells[1:][-1:]))
        return f"{found} ({below})" if found and below else found or below

    def _call(self, call: Call) -> str:
        inside = "" if call.function == "<module>" else f" in {call.function}()"
        return f"{self.cell(call.path)}, line {call.line}{inside}"

    def cell(self, path: str) -> str:
        """`cell 5`."""
        number = self._number(path)
        return "the cell" if number is None else f"cell {number}"
