"""Two runs on one time axis: seconds since both began, or since both came to the same mark or phase."""

from collections.abc import Sequence
from math import ceil, floor
from typing import Final, NamedTuple

import numpy as np

from mlxtop.core.errors import UsageError
from mlxtop.core.events import Event, MarkAdded, PhaseChanged
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.text import one_line
from mlxtop.diff.series import Sampled, Series

SPEED: Final = "steps"
DRAWN = ("active", "total", "cache", "footprint", SPEED)
"""What can be drawn, by the names of `Series`."""
NAMES_TOLD = 8


class Side(NamedTuple):
    """One run on the axis. `zero` is the moment of its own time where the axis has 0."""

    series: Series
    events: Sequence[Event]
    zero: float

    @property
    def begin(self) -> float:
        """Where it begins on the axis, in seconds."""
        return float(self.series.time[0]) - self.zero

    @property
    def end(self) -> float:
        return float(self.series.time[-1]) - self.zero

    def has(self, name: str) -> bool:
        """Whether there is anything to draw."""
        column = self.series["decode" if name == SPEED else name]
        return bool((column > 0).any())

    def values(self, name: str, start: float, width: float, count: int) -> list[float | None]:
        """The highest value in each of `count` columns, in bytes; of the speed steps a second of work.

        `None` where a column has no sample.
        """
        edges = np.searchsorted(self.series.time, self.zero + start + width * np.arange(count + 1))
        if name == SPEED:
            return self._speeds(edges.tolist())
        column = np.maximum(self.series["high"], self.series[name]) if name == "active" else self.series[name]
        return [
            float(high) if a < b and (high := column[a:b].max()) != UNKNOWN else None
            for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        ]

    def _speeds(self, edges: list[int]) -> list[float | None]:
        steps, work = self.series["steps"], self.series["decode"]
        found: list[float | None] = []
        before = max(edges[0] - 1, 0)
        for edge in edges[1:]:
            last = max(edge - 1, 0)
            spent = int(work[last] - work[before])
            found.append(float(steps[last] - steps[before]) / spent * 1e6 if spent > 0 else None)
            before = last if spent > 0 else before
        return found

    def phases(self, start: float, width: float, count: int) -> list[str]:
        """The phase at the end of each column; empty where there is none."""
        times = self.zero + start + width * np.arange(1, count + 1)
        places = (np.searchsorted(self.series.time, times) - 1).tolist()
        begun, over = self.zero + start + width * np.arange(count) <= self.series.time[-1], len(self.series)
        found = []
        for place, there in zip(places, begun.tolist(), strict=True):
            number = int(self.series["phase"][place]) if there and 0 <= place < over else UNKNOWN
            found.append(self.series.phases[number] if 0 <= number < len(self.series.phases) else "")
        return found


def aligned(letter: str, found: Sampled, mark: str | None = None) -> Side:
    """A run with its beginning at 0, or its first `mark` or phase of that name. Raises `UsageError`."""
    zero = float(found.series.time[0])
    if mark is None:
        return Side(*found, zero)
    names: dict[str, float] = {}
    for event in found.events:
        match event.data:
            case MarkAdded(name) | PhaseChanged(name):
                names.setdefault(name, event.time)
    if mark not in names:
        told = ", ".join(map(one_line, list(names)[:NAMES_TOLD])) or "none"
        raise UsageError(f"{letter} has no mark or phase '{one_line(mark)}' to align at: it has {told}.")
    return Side(*found, names[mark])


def span(a: Side, b: Side) -> tuple[float, float]:
    """The whole seconds on the axis within which both lie."""
    begin, end = floor(min(a.begin, b.begin)), ceil(max(a.end, b.end))
    return float(begin), float(max(end, begin + 1))
