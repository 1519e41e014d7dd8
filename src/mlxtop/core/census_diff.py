"""What appeared and vanished between two censuses of one program, by holder and shape."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from mlxtop.core.census import LARGEST, Census, Holding, Part, alike

_LINE = re.compile(r":\d+(?= \S+\(\))")
"""The line of a running function in `x in train.py:88 step()`."""
Shape = tuple[int, ...]


def shape_text(shape: Shape) -> str:
    """`32×128`, or `scalar`."""
    return "×".join(map(str, shape)) or "scalar"


class Change(NamedTuple):
    """Arrays of one holder and shape, before and after. `holder` is foreign text, see `Holding`."""

    part: Part
    holder: str
    dtype: str
    computed: bool
    shape: Shape
    """The shape now; of what vanished, the shape before."""
    shape_before: Shape
    """Another one where the same holder holds arrays of another shape now."""
    before: int
    """Bytes."""
    after: int
    arrays_before: int
    """Arrays."""
    arrays_after: int
    in_graphs: bool = False
    """Whether only graphs of what is not computed hold them."""

    @property
    def nbytes(self) -> int:
        """Bytes more, or less."""
        return self.after - self.before

    @property
    def arrays(self) -> int:
        """Arrays more, or fewer."""
        return self.arrays_after - self.arrays_before

    @property
    def shapes(self) -> str:
        """`32×128`, or `32×64 → 32×128` where one took the place of the other."""
        before, now = shape_text(self.shape_before), shape_text(self.shape)
        return now if before == now else f"{before} → {now}"

    @property
    def label(self) -> str:
        """The holder, and whether it has them in graphs only."""
        return f"{self.holder} (by graphs of what is not computed)" if self.in_graphs else self.holder

    @property
    def verb(self) -> str:
        """What happened to them: `appeared`, `vanished`, `grew` or `shrank`."""
        if not self.arrays_before:
            return "appeared"
        if not self.arrays_after:
            return "vanished"
        return "grew" if (self.nbytes, self.arrays) > (0, 0) else "shrank"


class CensusDiff(NamedTuple):
    """The later census minus the earlier one. Sizes are bytes."""

    seconds: float
    """Between the two."""
    active: int
    changes: tuple[Change, ...]
    """The largest first. What one of the censuses has no room to list has not appeared or vanished."""
    others: int
    """The growth of arrays that are computed but not listed: a census lists its largest only."""
    whole: bool
    """False when one of the censuses ran out of time."""

    def to_json(self) -> dict[str, object]:
        """Plain data for `json.dumps`."""
        return {
            "seconds": self.seconds,
            "active": self.active,
            "others": self.others,
            "whole": self.whole,
            "changes": [
                {
                    **change._asdict(),
                    "shape": list(change.shape),
                    "shape_before": list(change.shape_before),
                    "nbytes": change.nbytes,
                    "arrays": change.arrays,
                }
                for change in self.changes
            ],
        }


def diff(earlier: Census, later: Census) -> CensusDiff:
    """What changed from one census of a program to a later one."""
    before, after = _Lines(earlier), _Lines(later)
    changes = [
        change
        for key in {**before.lines, **after.lines}
        for change in _changes(before.lines.get(key, {}), after.lines.get(key, {}))
        if (change.nbytes or change.arrays) and _is_sure(change, before, after)
    ]
    changes.sort(key=lambda change: (-abs(change.nbytes), -abs(change.arrays), change.holder))
    growth = later.accounted - earlier.accounted
    return CensusDiff(
        later.time - earlier.time,
        later.active - earlier.active,
        tuple(changes),
        growth - sum(change.nbytes for change in changes if change.computed),
        earlier.whole and later.whole,
    )


class _Lines:
    """The holdings of a census by who holds them, and then by shape."""

    def __init__(self, census: Census) -> None:
        self.lines: dict[tuple[object, ...], dict[Shape, list[Holding]]] = defaultdict(dict)
        for holding in census.holdings:
            # A variable is the same one when its function has gone on to another line.
            holder = alike(_LINE.sub("", holding.holder))
            key = holding.part, holder, holding.dtype, holding.computed, bool(holding.graphs)
            self.lines[key].setdefault(holding.shape, []).append(holding)
        full = len(census.holdings) >= LARGEST
        self.least = min((holding.nbytes for holding in census.holdings), default=0) if full else -1
        """What is not larger may be missing: the list is full."""


def _changes(before: dict[Shape, list[Holding]], after: dict[Shape, list[Holding]]) -> Iterable[Change]:
    """The changes of one holder: shapes that both censuses have, then those that took the place of others."""
    for shape in before.keys() & after.keys():
        yield _change(before[shape], after[shape])
    gone = sorted((shape for shape in before if shape not in after), key=lambda shape: -_bytes(before[shape]))
    new = sorted((shape for shape in after if shape not in before), key=lambda shape: -_bytes(after[shape]))
    for old, young in zip(gone, new, strict=False):
        yield _change(before[old], after[young])
    yield from (_change(before[shape], []) for shape in gone[len(new) :])
    yield from (_change([], after[shape]) for shape in new[len(gone) :])


def _change(before: list[Holding], after: list[Holding]) -> Change:
    now = (after or before)[0]
    return Change(
        now.part,
        now.holder if len(before) <= 1 and len(after) <= 1 else alike(now.holder),
        now.dtype,
        now.computed,
        now.shape,
        (before or after)[0].shape,
        _bytes(before),
        _bytes(after),
        sum(holding.arrays for holding in before),
        sum(holding.arrays for holding in after),
        bool(now.graphs),
    )


def _bytes(holdings: list[Holding]) -> int:
    return sum(holding.nbytes for holding in holdings)


def _is_sure(change: Change, before: _Lines, after: _Lines) -> bool:
    """Whether a list that lacks it had room for it."""
    return (change.arrays_before > 0 or change.after > before.least) and (
        change.arrays_after > 0 or change.before > after.least
    )
