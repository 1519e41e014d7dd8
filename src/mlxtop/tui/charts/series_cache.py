"""The columns of one member, kept from frame to frame: only those that can still change are asked for."""

from mlxtop.core.sample import UNKNOWN
from mlxtop.core.sample_store import Samples

DRAWN = ("active", "total")
_NEVER = -(2**62)


class SeriesCache:
    """The highest `active` and `total` of each column on the fleet's time axis; `UNKNOWN` where nothing was.

    Columns are numbered from the fleet's time 0; `offset` is the fleet's time when the member's clock stood
    at 0. Samples never go back in time, so a column behind the last one is drawn from memory: 64 members
    cost what their new samples cost.
    """

    def __init__(self, history: Samples, offset: float) -> None:
        self.offset = offset
        self.active: list[int] = []
        self.total: list[int] = []
        self._history = history
        self._first = 0
        self._width = 0.0
        self._settled = _NEVER
        """The number of the first column that may still change."""

    def update(self, first: int, count: int, width: float, until: float) -> None:
        """Brings the columns from number `first` on up to date; what happened after `until` is left out."""
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


def add(traces: list[list[int]], count: int) -> list[int]:
    """The sum of several traces, column by column; `UNKNOWN` where none of them has anything.

    It adds the members' highest, so it is never below what was held at any moment of a column.
    """
    if not traces:
        return [UNKNOWN] * count
    # Most columns are known in all traces or in none: adding first and mending after is the short way.
    return [
        total if min(parts) >= 0 else sum(p for p in parts if p > 0) if max(parts) >= 0 else UNKNOWN
        for parts, total in ((parts, sum(parts)) for parts in zip(*traces, strict=True))
    ]
