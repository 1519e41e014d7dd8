"""What the live arrays of a program are, and who holds them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, get_args

Part = Literal["weights", "kv", "optimizer", "other", "garbage"]
"""`garbage`: only objects hold it that nothing reaches any more; Python's collector frees it."""
PARTS: Final[tuple[Part, ...]] = get_args(Part)

LARGEST = 100
"""How many holdings a census lists."""
VIEWS = 4
"""How many views of a buffer are named."""
RANDOM_STATE = "mx.random.state"
"""The holder of the key that MLX's random numbers come from: small, as is all that it is computed from."""
LONGEST = 400
"""How many characters of a holder's name are kept."""
SHORTER = 60
"""How many of a view's: a census of names of emoji still fits a line of the agent's protocol."""
_MOST = 2**63 - 1
_MOST_DIMENSIONS = 64
_LATEST = 1e11  # seconds: beyond it the calendar of some systems ends
_DIGIT = re.compile(r"\d")
_KEY = re.compile(r"(?<=[\w\]])(?:\.\d+|\[\d+\])(?=[.\[ ]|$)")
_NUMBER = re.compile(r" \d+ (?=of \d+:)")


class Holding(NamedTuple):
    """One array, or `arrays` alike, and who holds them.

    `holder` and `views` are foreign text: show them through `core.text.one_line`.
    """

    part: Part
    nbytes: int
    """Bytes of the buffers behind them, each counted once: what their end gives back.

    Of arrays that are not computed, what they will take."""
    shape: tuple[int, ...]
    """Of the largest of them."""
    dtype: str
    holder: str
    """`Model: layers.0.weight`, `Scheduler.requests[…].prompt_cache`, `x in train.py:88 step()`, or `—`.

    `[…]` stands for an index or a key in which those alike differ, `—` for a holder that nobody knows."""
    computed: bool = True
    """False when it has no memory yet: then it counts in no part."""
    arrays: int = 1
    """How many arrays those are, views aside."""
    owners: int = 0
    """By how many KV caches or exceptions they are held; 0 where arrays are not told by owner."""
    views: tuple[str, ...] = ()
    """Who holds views of the same buffers: the first `VIEWS` of `view_count`."""
    view_count: int = 0
    graphs: int = 0
    """In the graphs of how many arrays they are, which are not computed; 0 where the holder has them itself.

    `shape` is then that of an array that no variable leads to, and `nbytes` what it covers of its buffer."""
    age: float | None = None
    """Seconds since a census first saw the oldest of those KV caches; None where none did before this one."""


def alike(holder: str) -> str:
    """What a holder's name has in common with that of the next layer or request: `layers[…].weight` of
    `layers.3.weight`."""
    if not _DIGIT.search(holder):
        return holder
    return _NUMBER.sub(" … ", _KEY.sub("[…]", holder))


@dataclass(frozen=True, slots=True)
class Census:
    """The arrays of a program at one moment. All sizes are bytes.

    Each buffer counts once, with all it has room for, however many views share it: the parts never add up
    to more than `active`. Before MLX 0.32.3 nothing tells a view from an array with a buffer of its own:
    there each counts with the bytes its shape stands for, and they may.
    """

    active: int
    """What MLX's allocator said when the census began."""
    parts: Mapping[Part, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    """Bytes of each part; every part is there."""
    counts: Mapping[Part, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    """Arrays of each part; every part is there."""
    holdings: tuple[Holding, ...] = ()
    """The largest, at most `LARGEST`: first what is computed, largest first, then what is not."""
    whole: bool = True
    """False when time ran out: then the parts are a lower bound, or some holders are not named."""
    seconds: float = 0.0
    """How long it took."""
    time: float = 0.0
    """When it was taken: seconds since 1970 on the clock of the program that was looked at."""
    lazy: int = 0
    """Bytes of the arrays that are not computed yet, once they are. Their graphs may hold more, or less."""
    lazy_count: int = 0
    """How many those are."""
    lazy_known: bool = True
    """False where MLX (before 0.32.3) cannot tell them apart: then they count in the parts."""
    in_graphs: int = 0
    """Bytes of the parts that only graphs of arrays hold which are not computed."""
    in_flight: int = 0
    """Bytes of `active` that queued work gave back while the census looked: no array has them."""
    compiled: int = 0
    """How many functions the program has compiled. Arrays that they keep as constants cannot be seen."""
    frozen: int = 0
    """How many objects `gc.freeze()` hides from every census."""

    @property
    def accounted(self) -> int:
        """Bytes of `active` that have a name."""
        return sum(self.parts.values())

    @property
    def rest(self) -> int:
        """Bytes of `active` that have none, and are not in flight."""
        return max(0, self.active - self.accounted - self.in_flight)

    @property
    def explained(self) -> float | None:
        """The parts' share of `active`, 1.0 for all of it; `None` when nothing is active."""
        return self.accounted / self.active if self.active else None

    def to_json(self) -> dict[str, object]:
        """Plain data for `json.dumps`; `from_json` reads it."""
        return {
            "active": self.active,
            "parts": dict(self.parts),
            "counts": dict(self.counts),
            "lazy": self.lazy,
            "lazy_count": self.lazy_count,
            "lazy_known": self.lazy_known,
            "in_graphs": self.in_graphs,
            "in_flight": self.in_flight,
            "compiled": self.compiled,
            "frozen": self.frozen,
            "holdings": [
                {**holding._asdict(), "shape": list(holding.shape), "views": list(holding.views)}
                for holding in self.holdings
            ],
            "whole": self.whole,
            "seconds": self.seconds,
            "time": self.time,
        }

    @classmethod
    def from_json(cls, data: object) -> "Census":
        """What `to_json` made. A part that is missing is 0, a field nobody knows is passed over.

        Raises `ValueError` for anything that is not a census.
        """
        census = _mapping(data)
        holdings = census.get("holdings", [])
        if not isinstance(holdings, list) or len(holdings) > LARGEST:
            raise ValueError(f"holdings must be a list of at most {LARGEST}")
        return cls(
            active=_count(census.get("active")),
            parts=_by_part(census.get("parts", {})),
            counts=_by_part(census.get("counts", {})),
            lazy=_count(census.get("lazy", 0)),
            lazy_count=_count(census.get("lazy_count", 0)),
            in_graphs=_count(census.get("in_graphs", 0)),
            in_flight=_count(census.get("in_flight", 0)),
            compiled=_count(census.get("compiled", 0)),
            frozen=_count(census.get("frozen", 0)),
            holdings=tuple(_holding(entry) for entry in holdings),
            lazy_known=_truth(census.get("lazy_known", True)),
            whole=_truth(census.get("whole", True)),
            seconds=_seconds(census.get("seconds", 0.0)),
            time=_seconds(census.get("time", 0.0)),
        )


def _holding(data: object) -> Holding:
    entry = _mapping(data)
    part, shape, views = entry.get("part"), entry.get("shape"), entry.get("views", [])
    if part not in PARTS:
        raise ValueError("a holding's part must be one of " + ", ".join(PARTS))
    if not isinstance(shape, list) or len(shape) > _MOST_DIMENSIONS:
        raise ValueError("a holding's shape must be a list of sizes")
    if not isinstance(views, list) or len(views) > VIEWS:
        raise ValueError(f"a holding's views must be a list of at most {VIEWS} names")
    return Holding(
        part=part,
        nbytes=_count(entry.get("nbytes")),
        shape=tuple(map(_count, shape)),
        dtype=_text(entry.get("dtype")),
        holder=_text(entry.get("holder")),
        computed=_truth(entry.get("computed", True)),
        arrays=_count(entry.get("arrays", 1)),
        owners=_count(entry.get("owners", 0)),
        views=tuple(_text(view)[:SHORTER] for view in views),
        view_count=_count(entry.get("view_count", 0)),
        graphs=_count(entry.get("graphs", 0)),
        age=None if entry.get("age") is None else _seconds(entry.get("age")),
    )


def _mapping(data: object) -> Mapping[str, object]:
    if not isinstance(data, dict):
        raise ValueError("a census is made of objects with names")
    return data


def _by_part(data: object) -> dict[Part, int]:
    values = _mapping(data)
    return {part: _count(values.get(part, 0)) for part in PARTS}


def _count(data: object) -> int:
    if not isinstance(data, int) or isinstance(data, bool) or not 0 <= data <= _MOST:
        raise ValueError("a size or a number of arrays must be a whole number from 0 to 2⁶³ - 1")
    return data


def _truth(data: object) -> bool:
    if not isinstance(data, bool):
        raise ValueError("whole and the like must be true or false")
    return data


def _seconds(data: object) -> float:
    if isinstance(data, int) and not isinstance(data, bool):
        data = float(_count(data))
    if not isinstance(data, float) or not 0 <= data <= _LATEST:
        raise ValueError("a time must be a number of seconds")
    return data


def _text(data: object) -> str:
    if not isinstance(data, str):
        raise ValueError("a name must be text")
    return data[:LONGEST]
