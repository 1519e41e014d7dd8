"""Which arrays nothing but garbage holds, found without running the collector.

The collector's own criterion, asked of a few objects: those are garbage all of whose references come from
among themselves. What is not looked at counts as alive, so nothing that can be reached is called garbage.
"""

import gc
import sys
import types
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from mlxtop.mlx.census.foreign import derives
from mlxtop.mlx.census.heap import CHUNK, Heap, Kind

_LEVELS = 12
"""How far up the holders of an array are followed."""
_MOST = 20_000
"""Objects that are looked at, at most."""
_WALKED = 300_000
"""Objects that are gone through from the variables downwards, at most."""
_OWNERS: tuple[Kind, ...] = (
    "holder", "dict", "list", "tuple", "set", "function", "module", "cache", "like a cache", "optimizer",
    "exception", "compiled"
)  # fmt: skip


def reached(heap: Heap, roots: Iterable[Any], sought: set[int]) -> set[int]:
    """Which of the objects `sought`, by their ids, can be reached from `roots`: as far as was looked."""
    seen: set[int] = set()
    level = [root for root in roots if heap.is_opened(root)]
    while level and len(seen) < _WALKED and not sought <= seen:
        below = []
        for start in range(0, len(level), CHUNK):
            heap.tick()
            for thing in gc.get_referents(*level[start : start + CHUNK]):
                if id(thing) not in seen and gc.is_tracked(thing):
                    seen.add(id(thing))
                    if heap.is_opened(thing):
                        below.append(thing)
        level = below
    return sought & seen


def only_garbage(heap: Heap, objects: list[Any], arrays: set[int]) -> tuple[set[int], set[int]]:
    """Those of `arrays` that only garbage holds, and those that only the census still holds, by their ids.

    `objects` is what the heap was made of. Afterwards `heap.things` is empty: each of its references would
    count as one of the program's.
    """
    members = _above(heap, arrays)
    for things in heap.things.values():
        things.clear()
    own = Counter(key for key in members if key in heap.arrays)
    for start in range(0, len(objects), CHUNK):
        heap.tick()
        own.update(filter(members.__contains__, map(id, objects[start : start + CHUNK])))
    # Asked twice: a thread of the program may have moved a reference while we counted.
    closed = _closed(members, own) & _closed(members, own)
    dropped = _dropped({key: members[key] for key in closed})
    return (closed - dropped) & arrays, dropped & arrays


def _above(heap: Heap, arrays: set[int]) -> dict[int, Any]:
    """The arrays and what leads to them, as far as that may be garbage."""
    members = {key: heap.arrays[key] for key in arrays}
    sought = dict(members)
    for _ in range(_LEVELS):
        above = {}
        for owner, _ in heap.owners(sought, _OWNERS):
            if id(owner) not in members and not _is_root(owner):
                above[id(owner)] = owner
        if not above or len(members) + len(above) > _MOST:
            break
        members.update(above)
        sought = above
    return members


def _is_root(owner: Any) -> bool:
    """What is taken to be alive: the variables of modules, classes, frames."""
    return (type(owner) is dict and "__builtins__" in owner) or derives(type(owner), type, types.FrameType)


def _closed(members: dict[int, Any], own: Mapping[int, int]) -> set[int]:
    """The members to which nothing outside refers, directly or not. `own` counts the census's own references
    to each, that of `members` aside."""
    known: list[Any] = []
    things = [*members.values(), known]
    counts = list(map(sys.getrefcount, things))
    # Two references to this one are known, the name and the list; the others are made by counting.
    extra = counts.pop() - 2
    inner = Counter(map(id, gc.get_referents(*things)))
    alive = [
        key
        for key, count in zip(members, counts, strict=True)
        if count - extra - 2 - own.get(key, 0) - inner[key] != 0
    ]
    seen = set(alive)
    while alive:
        for child in gc.get_referents(members[alive.pop()]):
            if id(child) in members and id(child) not in seen:
                seen.add(id(child))
                alive.append(id(child))
    return members.keys() - seen


def _dropped(closed: dict[int, Any]) -> set[int]:
    """What no cycle leads to. Such garbage does not last: the program dropped it, and only we hold it."""
    inner = Counter(id(child) for thing in closed.values() for child in gc.get_referents(thing))
    loose = [key for key in closed if not inner[key]]
    dropped = set(loose)
    while loose:
        for child in gc.get_referents(closed[loose.pop()]):
            key = id(child)
            inner[key] -= 1
            if key in closed and not inner[key] and key not in dropped:
                dropped.add(key)
                loose.append(key)
    return dropped
