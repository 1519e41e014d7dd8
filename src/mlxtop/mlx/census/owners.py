"""Who owns a KV cache or an exception: down from the variables of the program, level by level.

Never deeper in Python than one call, however long a chain of dicts is (mlx-lm's prompt trie has one a token).
"""

import gc
import types
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from mlxtop.mlx.census.foreign import OTHERS, class_module, class_name, derives, is_anonymous, text
from mlxtop.mlx.census.frames import FRAMES, frame_of, place_of
from mlxtop.mlx.census.heap import CHUNK, CONTAINERS, OWNERS, Heap
from mlxtop.mlx.variables import variables_of

MOST = 10_000_000
FEW = 4
"""A dict with more entries than this is a table: its keys are no names."""
_CLOSED = (type, types.FrameType, types.TracebackType, types.CodeType)


class Root(NamedTuple):
    """Variables to begin with, and where they are."""

    variables: dict[str, Any]
    place: str


class _Step(NamedTuple):
    """From an owner to what it holds. `key` is empty where the owner only passes it on."""

    owner: Any
    key: str


def find(
    heap: Heap, units: dict[int, Any], roots: Iterable[Root], found: dict[int, str], most: int = MOST
) -> None:
    """Puts the name of the owner of each of `units`, by its id, into `found`, as far as `roots` lead to it.

    No more than `most` objects are gone through. Raises `TimeUp`; what was found until then is in `found`.
    """
    left = units.keys() - found.keys()
    seen: set[int] = set()
    for root in roots:
        if not left or len(seen) > most:
            return
        parents: dict[int, Any] = {}
        for unit in _below(heap, root.variables, left, seen, parents):
            heap.tick(OWNERS)
            found[id(unit)] = _name(_steps(heap, unit, parents), root)
            left.discard(id(unit))


def _below(
    heap: Heap, variables: dict[str, Any], sought: set[int], seen: set[int], parents: dict[int, Any]
) -> Iterator[Any]:
    """What is `sought` below some variables; `parents` gets what holds each object that was come by."""
    level: list[Any] = [variables]
    looked = 0
    while level and sought:
        below = []
        for thing in level:
            looked += 1
            if looked % CHUNK == 0:
                heap.tick(OWNERS)
            for child in gc.get_referents(thing):
                key = id(child)
                if key in seen or not gc.is_tracked(child):
                    continue
                if key in sought:
                    parents[key] = thing
                    yield child
                if _is_entered(heap, child):
                    seen.add(key)
                    parents[key] = thing
                    below.append(child)
        level = below


def _is_entered(heap: Heap, thing: Any) -> bool:
    kind = heap.kind(thing)
    if kind in ("array", "leaf", "module", "optimizer") or derives(type(thing), *_CLOSED):
        return False
    return heap.is_opened(thing) and not (type(thing) is dict and "__builtins__" in thing)


def _steps(heap: Heap, unit: Any, parents: dict[int, Any]) -> list[_Step]:
    """The way from a unit up to the variables, which are its last owner."""
    steps, child = [], unit
    while (owner := parents.get(id(child))) is not None:
        above = parents.get(id(owner))
        if above is None:
            steps.append(_Step(owner, heap.key_of(owner, child)))
        elif type(owner) is dict and not is_anonymous(above) and owner is heap.dict_of(above):
            steps.append(_Step(above, heap.key_of(owner, child)))
            owner = above
        else:
            steps.append(_Step(owner, _key(heap, above, owner, child)))
        child = owner
    return steps


def _key(heap: Heap, above: Any, owner: Any, child: Any) -> str:
    """What to call `child` in its owner, which is in `above`."""
    cls = type(owner)
    if cls is tuple and type(above) is types.FunctionType:
        names = zip(above.__code__.co_freevars, owner, strict=False)
        return next((name for name, cell in names if cell is child), "")
    if is_anonymous(owner):
        if heap.kind(child) == "module" and (key := heap.key_of(owner, child)):
            return f"[{key}]"  # the model's path, most often
        return (_word(owner, child) if cls is dict and len(owner) <= FEW else "") or OTHERS
    if derives(cls, *FRAMES):
        frame = frame_of(owner)
        return "" if frame is None else heap.key_of(variables_of(frame), child)
    if derives(cls, types.CellType, types.MethodType, types.FunctionType):
        return ""
    return heap.key_of(owner if heap.kind(owner) in CONTAINERS else heap.attributes(owner), child)


def _word(names: dict[Any, Any], child: Any) -> str:
    """The key of `child` if it is a word that may stand for it."""
    found = next((text(key) for key, value in dict.copy(names).items() if value is child), "")
    return found if found.isidentifier() and not found.startswith("__") else ""


def _name(steps: list[_Step], root: Root) -> str:
    """`Scheduler.requests[…].prompt_cache`, from the outermost object that says what it is for."""
    *inner, last = steps
    path = ""
    for step, above in zip(inner, steps[1:], strict=True):
        path = _under(step.key, path)
        if derives(type(step.owner), *FRAMES):
            frame = frame_of(step.owner)
            return f"{path} in {place_of(frame)}" if frame is not None else path
        if is_anonymous(step.owner) or not step.key:
            continue
        in_container = above is not last and is_anonymous(above.owner)
        if not in_container and class_module(type(above.owner)) != class_module(type(step.owner)):
            return f"{class_name(type(step.owner))}.{path}"
    return f"{_under(last.key, path)} in {root.place}"


def _under(key: str, path: str) -> str:
    """`key` before `path`; one `[…]` stands for a whole chain of them."""
    if not path or not key:
        return key or path
    if path.startswith("["):
        return path if key == OTHERS and path.startswith(OTHERS) else key + path
    return f"{key}.{path}"
