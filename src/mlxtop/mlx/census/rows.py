"""What a census lists: one line a buffer, and one for those alike."""

import heapq
from typing import NamedTuple

from mlxtop.core.census import LARGEST, LONGEST, PARTS, SHORTER, VIEWS, Holding, Part, alike
from mlxtop.mlx.census.foreign import NOBODY, OTHERS

ALIKE = 5
"""From so many on, arrays that are alike are one line."""
TABLE = 10
"""From so many on, arrays are one line whose names differ in one word: the keys of a dict."""
UNCOMPUTED = 30
"""How many lines what is not computed may take: however small it is, its graph may be large."""


MOST_TOLD = 2_000
"""How many lines are looked at for one that could stand for several."""


class Claim(NamedTuple):
    """The part of an array, and what to call its holder."""

    part: Part
    holder: str
    owner: int = 0
    """The id of the KV cache or the exception that it belongs to."""
    common: str = ""
    """What to call all that its owner holds, beside the owner's own name."""
    apart: bool = False
    """Whether what its owner holds takes a line each: a model's weights."""


class Row(NamedTuple):
    """A buffer, by the array that it is named after."""

    nbytes: int
    own: int
    """Bytes that the array's shape stands for."""
    claim: Claim
    shape: tuple[int, ...]
    dtype: str
    computed: bool
    graphs: tuple[tuple[int, Claim], ...] = ()
    """The arrays, not computed, whose graphs alone have it, by a number."""

    def rank(self) -> tuple[int, bool, int, int]:
        """The least names a buffer that several share."""
        holder = self.claim.holder
        return PARTS.index(self.claim.part), holder == NOBODY, -self.own, len(holder)


class _Line:
    """Rows alike."""

    def __init__(self, holder: str, row: Row) -> None:
        self.holder = holder
        self.nbytes = self.count = 0
        self.rows: list[tuple[Row, list[str]]] = []
        self.largest = row
        self.owners: set[int] = set()
        self.graphs: set[int] = set()
        self.views: list[str] = []

    def add(self, row: Row, views: list[str]) -> None:
        self.nbytes += row.nbytes
        self.count += 1
        self.owners.add(row.claim.owner)
        for number, claim in row.graphs:
            self.graphs.add(number)
            self.owners.add(claim.owner)
        self.views += views
        if self.count < ALIKE:
            self.rows.append((row, views))
        if row.own > self.largest.own:
            self.largest = row


_Told = tuple[int, Row, list[str], _Line | None]
"""Bytes, the array to show, the holders of views, and the line where it stands for all of it."""


def _told(line: _Line) -> list[_Told]:
    if line.count < ALIKE:
        return [(row.nbytes, row, views, None) for row, views in line.rows]
    return [(line.nbytes, line.largest, line.views, line)]


def _tables(found: list[_Told]) -> list[_Told]:
    """Folds what has names like `sessions.a81f.hidden in app.py`, where one word is the key of a table."""
    tables: dict[tuple[Part, tuple[int, ...], str, str], list[_Told]] = {}
    for told in found[:MOST_TOLD]:
        _, row, _, line = told
        if line is None and row.claim.part in ("other", "garbage"):
            for holder in _without_a_word(row.claim.holder):
                tables.setdefault((row.claim.part, row.shape, row.dtype, holder), []).append(told)
    taken: set[int] = set()
    lines: list[_Told] = []
    for key, alike_ones in sorted(tables.items(), key=lambda table: -len(table[1])):
        members = [told for told in alike_ones if id(told) not in taken]
        if len(members) >= TABLE:
            taken.update(map(id, members))
            line = _Line(key[-1], members[0][1])
            for _, row, views, _ in members:
                line.add(row, views)
            lines += _told(line)
    return [told for told in found if id(told) not in taken] + lines


def _without_a_word(holder: str) -> list[str]:
    """The name once with each of its words but the first as `[…]`."""
    path, place, where = holder.partition(" in ")
    words = path.split(".")
    masked = (".".join([words[i - 1] + OTHERS, *words[i + 1 :]]) for i in range(1, len(words)))
    return [".".join([*words[: i - 1], end]) + place + where for i, end in enumerate(masked, 1)]


def _size(told: _Told) -> int:
    return told[0]


class Lines:
    """Folds rows that are alike; `owners` has the names of those that `Claim.owner` stands for.

    `ages` has for how many seconds they are known.
    """

    def __init__(self, owners: dict[int, str], ages: dict[int, float]) -> None:
        self._owners = owners
        self._ages = ages
        self._lines: dict[object, _Line] = {}

    def add(self, row: Row, views: list[str]) -> None:
        """Adds a buffer, and the holders of its views."""
        claim = row.claim
        owner = self._owners.get(claim.owner, "")
        if claim.apart:
            holder = f"{owner}: {claim.holder.partition(': ')[2]}" if owner else claim.holder
            claim, owner = Claim(claim.part, holder), ""
            row = row._replace(claim=claim)
        kind = claim.part, row.computed, bool(row.graphs)
        if owner or claim.common:
            holder = ": ".join(filter(None, (owner, claim.common)))
            key: object = (*kind, holder)
        elif claim.owner:
            holder = alike(claim.holder).partition(":")[0]  # `KVCache … of 6`
            key = (*kind, holder)
        else:
            holder = alike(claim.holder)
            key = (*kind, holder, row.shape, row.dtype)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line(holder, row)
        line.add(row, views)

    def holdings(self) -> tuple[Holding, ...]:
        """The largest, first what is computed."""
        computed, waiting = list[_Told](), list[_Told]()
        for line in self._lines.values():
            (computed if line.largest.computed else waiting).extend(_told(line))
        computed, waiting = _tables(computed), _tables(waiting)
        last = heapq.nlargest(UNCOMPUTED, waiting, key=_size)
        first = heapq.nlargest(LARGEST - len(last), computed, key=_size)
        return tuple(self._holding(*told) for told in (*first, *last))

    def _holding(self, nbytes: int, row: Row, views: list[str], line: _Line | None) -> Holding:
        owners = ({row.claim.owner} if line is None else line.owners) - {0}
        return Holding(
            part=row.claim.part,
            nbytes=nbytes,
            shape=row.shape,
            dtype=row.dtype,
            holder=(self._full(row.claim) if line is None else line.holder)[:LONGEST],
            computed=row.computed,
            arrays=1 if line is None else line.count,
            owners=len(owners),
            views=tuple(dict.fromkeys(view[:SHORTER] for view in views[: 4 * VIEWS]))[:VIEWS],
            view_count=len(views),
            graphs=len(row.graphs if line is None else line.graphs),
            age=max((self._ages[owner] for owner in owners if owner in self._ages), default=None),
        )

    def _full(self, claim: Claim) -> str:
        owner = self._owners.get(claim.owner, "")
        return f"{owner}: {claim.holder}" if owner else claim.holder
