"""Which part every array belongs to, and what to call its holder: down from what has a name, then up."""

import heapq
import sys
import types
from typing import Any, NamedTuple

from mlxtop.core.census import LARGEST, LONGEST, PARTS, Census, Holding, Part
from mlxtop.mlx.census.foreign import (
    GLOBALS,
    NOBODY,
    class_name,
    derives,
    file_name,
    is_anonymous,
    join,
    module_file,
    numbered,
)
from mlxtop.mlx.census.frames import FRAMES, frames, place_of, variables_of
from mlxtop.mlx.census.garbage import only_garbage, reached
from mlxtop.mlx.census.heap import CHUNK, CONTAINERS, Heap, TimeUp

LEVELS = 8
"""How far up the holders of an array are followed where no variable leads to it."""
WIDE = 5_000
"""How many containers are opened below one variable; what lies beyond is found from the array upwards."""
_CACHE_NAMES = frozenset(("keys", "values", "state"))


class _Trail(NamedTuple):
    """An array on the way to a holder with a name."""

    key: int  # id of the array
    path: str  # from the container that was reached to the array: `.layers.0`
    outline: str  # what to say if nothing with a name is reached: `list of 12 in dict of 3`


class _Row(NamedTuple):
    """An array as it is told of."""

    nbytes: int
    part: Part
    holder: str
    key: int
    computed: bool


class Survey:
    """One look at the heap. Dropped as a whole afterwards: it may hold no reference to itself."""

    def __init__(self, array: type, budget: float) -> None:
        self._heap = Heap(array, budget)
        self._claims: dict[int, tuple[Part, str]] = {}
        self._placed = False
        self._garbage: set[int] = set()

    def run(self, objects: list[Any]) -> None:
        """Finds, places and names, the most telling first. Raises `TimeUp`."""
        whole = self._heap.scan(objects)
        self._weights()
        self._caches()
        self._optimizers()
        if not whole:
            raise TimeUp
        self._placed = True
        self._variables()
        self._heap.sort(objects)
        self._number_caches()
        self._search()
        self._find_garbage(objects)

    def result(self) -> Census:
        """Bytes and arrays of each part, and the largest holdings; of the rest of a census nothing."""
        sizes, counts = dict.fromkeys(PARTS, 0), dict.fromkeys(PARTS, 0)
        rows: list[_Row] = []
        unknown: tuple[Part, str] = ("other", NOBODY)
        waiting, waiting_count, known, whole = 0, 0, True, True
        for i, (key, array) in enumerate(self._heap.arrays.items()):
            if i % CHUNK == 0 and self._heap.is_over():
                whole = False
                break
            if key not in self._claims and not self._placed:
                continue
            part, holder = self._claims.get(key, unknown)
            if key in self._garbage:
                part = "garbage"
            try:
                nbytes = int(self._heap.read(array, "nbytes"))
                computed = self._heap.computed(array)
            except Exception:
                continue  # made by `__new__` alone: there is no array in it
            rows.append(_Row(nbytes, part, holder, key, computed is not False))
            if computed is False:
                waiting, waiting_count = waiting + nbytes, waiting_count + 1
                continue
            known = known and computed is not None
            sizes[part] += nbytes
            counts[part] += 1
        largest = heapq.nlargest(LARGEST, rows, key=lambda row: row.nbytes)
        return Census(
            active=0,
            parts=sizes,
            counts=counts,
            lazy=waiting,
            lazy_count=waiting_count,
            lazy_known=known,
            holdings=tuple(map(self._holding, largest)),
            whole=whole,
        )

    def _holding(self, row: _Row) -> Holding:
        array = self._heap.arrays[row.key]
        shape = tuple(int(size) for size in self._heap.read(array, "shape"))
        dtype = str(self._heap.read(array, "dtype")).rpartition(".")[2]
        return Holding(row.part, row.nbytes, shape, dtype, row.holder[:LONGEST], row.computed)

    def _claim(self, part: Part, array: Any, holder: str) -> None:
        """The first part that claims an array has it; that part may still find a better name."""
        self._heap.arrays.setdefault(id(array), array)
        if self._claims.setdefault(id(array), (part, holder))[0] == part == "kv":
            self._claims[id(array)] = (part, holder)

    # Going down from something with a name.

    def _weights(self) -> None:
        """What module trees hold, under the path in the tree and the class of its root."""
        modules = self._heap.things["module"]
        inner: set[int] = set()
        for module in modules:
            children = self._heap.inside(module, ["module"], CONTAINERS, set())
            inner.update(id(child) for _, child in children if child is not module)
        roots = [module for module in modules if id(module) not in inner]
        seen: set[int] = set()
        # A ring of modules has no root: whichever comes first stands for it.
        for root, name in [*numbered(roots), *((module, class_name(type(module))) for module in modules)]:
            for path, array in self._heap.inside(root, ["array"], ["module", *CONTAINERS], seen):
                self._claim("weights", array, f"{name}: {path}")

    def _caches(self) -> None:
        """What KV caches hold: mlx-lm's own, and what is called a cache and has keys, values or a state."""
        self._heap.things["cache"] += [c for c in self._heap.things["like a cache"] if self._is_cache(c)]
        for cache, name in numbered(self._heap.things["cache"]):
            self._claim_attributes("kv", cache, name)

    def _number_caches(self) -> None:
        """Names a cache after its place in a list of caches: there it is the layer's."""
        caches = {id(cache): cache for cache in self._heap.things["cache"]}
        lists = {id(owner): owner for owner, _ in self._heap.owners(caches, ["list", "tuple"])}
        groups = [[child for _, child in self._heap.entries(owner)] for owner in lists.values()]
        # The longest list last: it is the one with a cache for each layer.
        for group in sorted(groups, key=len):
            for i, cache in enumerate(group):
                if id(cache) in caches:
                    self._claim_attributes("kv", cache, f"{class_name(type(cache))} {i + 1} of {len(group)}")

    def _is_cache(self, thing: Any) -> bool:
        found = self._heap.inside(self._heap.attributes(thing), ["array"], CONTAINERS, set())
        return any(path.split(".")[0] in _CACHE_NAMES for path, _ in found)

    def _optimizers(self) -> None:
        for optimizer, name in numbered(self._heap.things["optimizer"]):
            self._claim_attributes("optimizer", optimizer, name)

    def _claim_attributes(self, part: Part, owner: Any, name: str) -> None:
        # An optimizer keeps what it calls `state` in `_state`.
        for path, array in self._heap.inside(self._heap.attributes(owner), ["array"], CONTAINERS, set()):
            self._claim(part, array, f"{name}: {path.lstrip('_')}")

    def _variables(self) -> None:
        """What a variable of the script or of a running function leads to."""
        seen: set[int] = set()
        main = sys.modules.get("__main__")
        if derives(type(main), types.ModuleType):
            names = GLOBALS.__get__(main)
            self._claim_variables(names, module_file(names), seen)
        for frame in frames():
            self._claim_variables(variables_of(frame), place_of(frame), seen)

    def _claim_variables(self, names: dict[str, Any], place: str, seen: set[int]) -> None:
        for name, value in dict.copy(names).items():
            kind = self._heap.kind(value)
            if kind == "array":
                self._claim("other", value, f"{name} in {place}")
            elif kind in CONTAINERS:
                for path, array in self._heap.inside(value, ["array"], CONTAINERS, seen, WIDE):
                    self._claim("other", array, f"{join(name, path)} in {place}")

    # Going up from what no variable led to.

    def _search(self) -> None:
        """Follows who refers to the arrays that are left, and to the containers that do."""
        sought = {key: [_Trail(key, "", "")] for key in self._heap.arrays if key not in self._claims}
        for _ in range(LEVELS):
            above: dict[int, list[_Trail]] = {}
            cells: dict[int, list[_Trail]] = {}
            for owner, child in self._heap.owners(sought, ("holder", *CONTAINERS, "set", "like a cache")):
                trails = sought.pop(id(child), [])
                if type(owner) is types.CellType:
                    cells.setdefault(id(owner), []).extend(trails)
                elif is_anonymous(owner):
                    key = self._heap.key_of(owner, child)
                    outline = f"{class_name(type(owner))} of {len(owner)}"
                    for trail in trails:
                        told = f"{trail.outline} in {outline}" if trail.outline else outline
                        self._claims[trail.key] = ("other", told)
                        above.setdefault(id(owner), []).append(_Trail(trail.key, join(key, trail.path), told))
                else:
                    self._name(trails, *self._holder(owner, child))
            self._closures(cells)
            sought = {**above, **cells}

    def _find_garbage(self, objects: list[Any]) -> None:
        """Tells what no variable leads to, and nothing that one leads to, from the rest."""
        left = set(self._heap.arrays)
        for roots in (self._variable_roots(), self._module_roots()):
            if left:
                left -= reached(self._heap, roots, left)
        if left:
            self._garbage = only_garbage(self._heap, objects, left)

    def _variable_roots(self) -> list[Any]:
        main = sys.modules.get("__main__")
        names = [GLOBALS.__get__(main)] if derives(type(main), types.ModuleType) else []
        return [*names, *(variables_of(frame) for frame in frames())]

    def _module_roots(self) -> list[Any]:
        modules = (module for module in dict.copy(sys.modules).values())
        return [GLOBALS.__get__(module) for module in modules if derives(type(module), types.ModuleType)]

    def _holder(self, owner: Any, child: Any) -> tuple[str, str]:
        """What to call `child` in an owner that can be named, and the place of a variable."""
        cls = type(owner)
        if cls is dict:
            return self._heap.key_of(owner, child), module_file(owner)
        if derives(cls, types.FrameType, *FRAMES):
            frame = owner if cls is types.FrameType else getattr(owner, FRAMES[cls])
            if frame is None:
                return NOBODY, ""
            return self._heap.key_of(variables_of(frame), child) or "a temporary", place_of(frame)
        if derives(cls, type):
            return class_name(owner), ""
        inside = owner if self._heap.kind(owner) in CONTAINERS else self._heap.attributes(owner)
        return join(class_name(cls), self._heap.key_of(inside, child)), ""

    def _closures(self, cells: dict[int, list[_Trail]]) -> None:
        """Names what is left in a closure after its function."""
        for i, function in enumerate(self._heap.things["function"] if cells else ()):
            if i % CHUNK == 0:
                self._heap.tick()
            code = function.__code__
            for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
                place = f"{file_name(code.co_filename)}:{code.co_firstlineno} {code.co_name}()"
                self._name(cells.pop(id(cell), []), name, place)

    def _name(self, trails: list[_Trail], name: str, place: str) -> None:
        for trail in trails:
            full = join(name, trail.path)
            self._claims[trail.key] = ("other", f"{full} in {place}" if place else full)
