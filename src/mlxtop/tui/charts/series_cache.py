"""Caches the columns of one member: only columns that can still change are read again."""

from mlxtop.core.sample import UNKNOWN
from mlxtop.core.sample_store import Samples

DRAWN = ("active", "total")
_NEVER = -(2**62)
MOST_HELD = 16
"""Columns that may repeat the newest value."""


class SeriesCache:
    """The highest `active` and `total` of each column on the fleet's time axis, in bytes; else `UNKNOWN`.

    Columns are numbered from the fleet's time 0. `offset` is the fleet's time when the member's clock was 0.
    Samples come in order of time, so earlier columns are final and are taken from the cache.
    """

    def __init__(self, history: Samples, offset: float) -> None:
        self.offset = offset
        self.active: list[int] = []
        self.total: list[int] = []
        self._history = history
        self._first = 0
        self._width = 0.0
        self._settled = _NEVER
        """The number of the first column that can still change."""

    def update(self, first: int, count: int, width: float, until: float) -> None:
        """Updates `count` columns from number `first` on. Data after `until` is left out."""
        behind = first - self._first
        if width != self._width or not 0 <= behind <= len(self.total):
            self._settled, behind = _NEVER, len(self.total)
        self._first, self._width = first, width
        keep = max(0, min(self._settled - first, len(self.total) - behind, count))
        latest = self._history.latest
        start = (first + keep) * width - self.offset
        end = until - self.offset
        fresh = self._history.columns(start, width, count - keep, DRAWN, (), end) if keep < count else None
        # New lists: what is on the screen still shows the old ones.
        self.active = self.active[behind : behind + keep] + (fresh.hi["active"] if fresh else [])
        self.total = self.total[behind : behind + keep] + (fresh.hi["total"] if fresh else [])
        if latest is not None:
            # The column before the last sample's is held open too: a coarse bucket may begin there.
            seen = (min(latest.time, end) + self.offset) // width
            self._settled = int(seen) - 1

    def hold(self, first: int, count: int, width: float) -> bool:
        """Moves on to `count` columns from number `first` without reading: the newest value is repeated.

        Returns whether it could; else nothing changes.
        """
        behind = first - self._first
        if width != self._width or len(self.total) != count or not 0 <= behind < min(count, MOST_HELD):
            return False
        if behind:
            self.active = [*self.active[behind:], *self.active[-1:] * behind]
            self.total = [*self.total[behind:], *self.total[-1:] * behind]
            self._first = first
        return True


def add(traces: list[list[int]], count: int) -> list[int]:
    """The sum of several series, column by column; `UNKNOWN` where none has a value.

    It adds the highest values, so it is never less than the total at any moment of a column.
    """
    if not traces:
        return [UNKNOWN] * count
    # Most columns are known in all series or in none: add first, then correct the others.
    return [
        total if min(parts) >= 0 else sum(p for p in parts if p > 0) if max(parts) >= 0 else UNKNOWN
        for parts, total in ((parts, sum(parts)) for parts in zip(*traces, strict=True))
    ]
