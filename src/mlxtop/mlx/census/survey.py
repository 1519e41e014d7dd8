"""Which part every array belongs to, and what to call its holder: down from what has a name, then up."""

import gc
import sys
import types
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mlxtop.core.census import PARTS, RANDOM_STATE, Census, Part
from mlxtop.core.census_text import LITTLE
from mlxtop.mlx.census import ages, owners
from mlxtop.mlx.census.buffers import Sharing
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
    telling_first,
    text,
)
from mlxtop.mlx.census.frames import FRAMES, frame_of, frames, is_guest, passed_from, place_of
from mlxtop.mlx.census.garbage import only_garbage, reached
from mlxtop.mlx.census.graph_layout import Known
from mlxtop.mlx.census.graphs import buffers
from mlxtop.mlx.census.heap import CHUNK, CONTAINERS, Heap, Kind, TimeUp
from mlxtop.mlx.census.rows import Claim, Lines, Row
from mlxtop.mlx.census.tracebacks import dead_frames
from mlxtop.mlx.variables import variables_of

LEVELS = 8
"""How far up the holders of an array are followed where no variable leads to it."""
MODELS = 5_000
"""How many objects are gone through for the names of models of one class."""
WIDE = 5_000
"""How many containers are opened below one variable; what lies beyond is found from the array upwards."""
_HOLDERS: tuple[Kind, ...] = ("holder", "exception", *CONTAINERS, "set", "like a cache")
_CACHES: tuple[Kind, ...] = ("cache", "like a cache")
_CACHE_NAMES = frozenset(("keys", "values", "state"))


ROWS, LINES = 0.5, 0.92
"""The share of the time for telling that reading arrays takes, and that of all the time for lines."""
GRAPHS = 0.6
"""The share of the time left that looking into graphs may take: what is found there has to be told, too."""
FEW = 2_000
"""How many arrays that are not computed come before what is."""
_Found = tuple[Row, Any]
"""An array, and what is told of it."""
_Told = tuple[Row, list[str]]
"""A buffer, and the holders of its views."""


class _Trail(NamedTuple):
    """An array on the way to a holder with a name."""

    key: int  # id of the array
    path: str  # from the container that was reached to the array: `.layers.0`
    outline: str  # what to say if nothing with a name is reached: `list of 12 in dict of 3`


def _known(row: Row, array: Any) -> Known:
    buffer = row.nbytes if row.computed else 0
    return Known(array, row.shape, row.own, row.dtype, buffer, row.computed)


class _Keys:
    """Keys in the container that was asked of last: of thousands in one table, each would look through it."""

    def __init__(self, heap: Heap) -> None:
        self._heap = heap
        self._container = 0
        self._keys: Mapping[int, str] = {}

    def of(self, container: Any, child: Any) -> str:
        """The key of `child` in a container that lives as long as the census; empty where it is not in it."""
        if type(child) is types.CellType:
            return self._heap.key_of(container, child)
        if id(container) != self._container:
            self._heap.tick()
            self._container, self._keys = id(container), self._heap.keys_of(container)
        return self._keys[id(child)]


class Survey:
    """One look at the heap. Dropped as a whole afterwards: it may hold no reference to itself."""

    def __init__(self, array: type, budget: float, began: float) -> None:
        self._heap = Heap(array, budget, began)
        self._keys = _Keys(self._heap)
        self._claims: dict[int, Claim] = {}
        self._owners: dict[int, str] = {}
        self._ages: dict[int, float] = {}
        self._units: dict[int, Any] = {}
        self._models: dict[int, Any] = {}
        self._placed = False
        self._told_all = True
        """Whether there was time to tell of every array."""
        self._rows_until = 1.0
        self._compiled = 0
        self._hurried = False
        """Whether an owner was not found for want of time."""
        self._garbage: set[int] = set()
        self._dropped: set[int] = set()
        """Arrays that the program had when the census began, and has no more."""

    def run(self, objects: list[Any]) -> None:
        """Finds, places and names, the most telling first. Raises `TimeUp`."""
        whole = self._heap.scan(objects)
        self._weights()
        self._caches()
        self._optimizers()
        self._compiled = self._heap.compiled()
        if not whole:
            raise TimeUp
        self._placed = True
        self._variables()
        self._dead_frames()
        self._heap.sort(objects)
        self._number_caches()
        self._find_owners()
        self._find_random_state(objects)
        self._search()
        self._find_garbage(objects)
        if self._hurried:
            raise TimeUp

    def result(self, active: int = 0) -> Census:
        """Bytes and arrays of each part, and the largest holdings; of the rest of a census nothing.

        Where they do not add up to `active`, what is left is looked for in graphs.
        """
        self._begin_telling()
        computed, waiting, dropped = list[_Found](), list[_Found](), list[Any]()
        for row, array in self._rows():
            if id(array) not in self._dropped:
                (computed if row.computed else waiting).append((row, array))
            elif row.computed:
                dropped.append(array)
        told = self._unique(computed)
        in_graphs = list[_Told]()
        if self._told_all and active - sum(row.nbytes for row, _ in told) > LITTLE * active:
            in_graphs = [(row, []) for row in self._in_graphs(waiting, computed)]
        told += in_graphs
        sizes, counts = dict.fromkeys(PARTS, 0), dict.fromkeys(PARTS, 0)
        for row, _ in told:
            sizes[row.claim.part] += row.nbytes
            counts[row.claim.part] += 1
        return Census(
            active=0,
            parts=sizes,
            counts=counts,
            lazy=sum(row.nbytes for row, _ in waiting),
            lazy_count=len(waiting),
            lazy_known=self._heap.knows_buffers,
            holdings=self._lines(told, [(row, []) for row, _ in waiting]).holdings(),
            whole=self._told_all,
            compiled=self._compiled,
            in_graphs=sum(row.nbytes for row, _ in in_graphs),
            in_flight=self._unshared(dropped, [array for _, array in computed]),
        )

    def _begin_telling(self) -> None:
        used = min(self._heap.used, 1.0)
        self._rows_until = used + ROWS * (1 - used)

    def _unique(self, computed: list[_Found]) -> list[_Told]:
        """Each buffer by the array that names it, the largest first, and the holders of its views."""
        buckets: dict[int, list[_Found]] = {}
        for found in computed:
            buckets.setdefault(found[0].nbytes, []).append(found)
        told = []
        for nbytes in sorted(buckets, reverse=True):
            bucket = sorted(buckets[nbytes], key=lambda pair: pair[0].rank())
            groups, told_apart = self._groups(nbytes, [array for _, array in bucket])
            self._told_all = self._told_all and told_apart
            for group in groups:
                row, *views = (bucket[place][0] for place in sorted(group))
                told.append((row, [view.claim.holder for view in views]))
        return told

    def _lines(self, told: list[_Told], waiting: list[_Told]) -> Lines:
        """The lines, as far as there is time: the largest, and some of what is not computed, come first."""
        lines = Lines(self._owners, self._ages)
        for i, (row, views) in enumerate([*waiting[:FEW], *told, *waiting[FEW:]]):
            if i % CHUNK == CHUNK - 1 and self._heap.is_over(LINES):
                self._told_all = False
                break
            lines.add(row, views)
        return lines

    def _rows(self) -> Iterator[tuple[Row, Any]]:
        """Every array that has a place, or may be told without one, as far as there is time."""
        unknown = Claim("other", NOBODY)
        for i, (key, array) in enumerate(self._heap.arrays.items()):
            if i % CHUNK == 0 and self._heap.is_over(self._rows_until):
                self._told_all = False
                return
            if key not in self._claims and not self._placed:
                continue
            claim = self._claims.get(key, unknown)
            if key in self._garbage:
                claim = claim._replace(part="garbage")
            try:
                own, shape, dtype = self._heap.nbytes(array), self._heap.shape(array), self._heap.dtype(array)
                size = self._heap.buffer_size(array) if self._heap.knows_buffers else own
            except ValueError:
                yield Row(own, own, claim, shape, dtype, computed=False), array
            except Exception:
                continue  # made by `__new__` alone: there is no array in it
            else:
                yield Row(size, own, claim, shape, dtype, computed=True), array

    def _in_graphs(self, waiting: list[_Found], computed: list[_Found]) -> Iterator[Row]:
        """What only graphs of arrays have that are not computed: the first of their holders stands for it."""
        waiting = sorted(waiting, key=lambda pair: pair[0].rank())
        began = self._heap.used
        found = buffers(
            self._heap.array,
            [_known(*pair) for pair in waiting],
            [_known(*pair) for pair in computed],
            lambda share: self._heap.is_over(began + share * GRAPHS * (1 - began)),
        )
        for buffer in found:
            graphs = tuple((place, waiting[place][0].claim) for place in sorted(buffer.roots))
            size, shape = buffer.nbytes, buffer.shape
            yield Row(size, size, graphs[0][1], shape, buffer.dtype, computed=True, graphs=graphs)

    def _groups(self, nbytes: int, arrays: list[Any]) -> tuple[list[list[int]], bool]:
        """The arrays by the buffer that they share, and whether there was time to tell them apart.

        Where there was not, as many stand for themselves as there are buffers, and the rest is left out.
        """
        apart = [[place] for place in range(len(arrays))]
        if not self._heap.knows_buffers or not nbytes or len(arrays) == 1:
            return apart, True
        try:
            return Sharing(arrays, nbytes, self._heap.buffer_size, self._tick_last).groups(), True
        except (TimeUp, ValueError):  # the latter: the program changed one of them meanwhile
            return apart[: self._count(nbytes, arrays)], False

    def _unshared(self, arrays: list[Any], others: list[Any]) -> int:
        """Bytes of the buffers of arrays that no others share."""
        if not arrays or not self._heap.knows_buffers:
            return 0
        try:
            return self._heap.buffer_size(arrays + others) - self._heap.buffer_size(others)
        except ValueError:
            return 0

    def _tick_last(self) -> None:
        if self._heap.is_over(LINES):
            raise TimeUp

    def _count(self, nbytes: int, arrays: list[Any]) -> int:
        try:
            return self._heap.buffer_size(arrays) // nbytes
        except ValueError:
            return 1

    def _claim(self, claim: Claim, array: Any) -> None:
        """The first part that claims an array has it; that part may still find a better name."""
        self._heap.arrays.setdefault(id(array), array)
        if self._claims.setdefault(id(array), claim).part == claim.part == "kv":
            self._claims[id(array)] = claim

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
                self._claim(Claim("weights", f"{name}: {path}", id(root), apart=True), array)
        kinds = Counter(type(root) for root in roots)
        self._models = {id(root): root for root in roots if kinds[type(root)] > 1}

    def _caches(self) -> None:
        """What KV caches hold: mlx-lm's own, and what is called a cache and has keys, values or a state."""
        self._heap.things["cache"] += [c for c in self._heap.things["like a cache"] if self._is_cache(c)]
        for cache, name in numbered(self._heap.things["cache"]):
            if self._claim_attributes("kv", cache, name, cache):
                self._units[id(cache)] = cache

    def _number_caches(self) -> None:
        """Names a cache after its place in a list of caches, the layer's, and has the list own it."""
        caches = dict(self._units)
        lists = {id(owner): owner for owner, _ in self._heap.owners(caches, ["list", "tuple"])}
        groups = [(owner, [child for _, child in self._heap.entries(owner)]) for owner in lists.values()]
        # The longest list last: it is the one with a cache for each layer.
        for owner, group in sorted(groups, key=lambda pair: len(pair[1])):
            for i, cache in enumerate(group):
                if id(cache) in caches:
                    name = f"{class_name(type(cache))} {i + 1} of {len(group)}"
                    self._claim_attributes("kv", cache, name, owner)
        self._units = {**caches, **lists}

    def _find_owners(self) -> None:
        """Names what owns the KV caches, and the exceptions whose frames are over."""
        needed = {claim.owner for claim in self._claims.values()}
        units = {key: unit for key, unit in self._units.items() if key in needed}
        models = self._models
        self._units = self._models = {}  # or they would count as alive
        self._ages = ages.of(self._first_caches(units))
        try:
            owners.find(self._heap, units, self._roots(), self._owners)
            # A class names one model; of several of a class, the variable or the path that leads to each.
            owners.find(self._heap, models, self._roots(), self._owners, MODELS)
        except TimeUp:
            self._hurried = True

    def _first_caches(self, units: dict[int, Any]) -> dict[int, Any]:
        """The cache that tells the age of each unit: itself, or the first in its list."""
        found = {}
        for key, unit in units.items():
            candidates = (unit, *(child for _, child in self._heap.entries(unit)))
            cache = next((one for one in candidates if self._heap.kind(one) in _CACHES), None)
            if cache is not None:
                found[key] = cache
        return found

    def _roots(self) -> Iterator[owners.Root]:
        """Variables: the script's, those of functions that run, those of all modules."""
        main = sys.modules.get("__main__")
        if derives(type(main), types.ModuleType):
            names = GLOBALS.__get__(main)
            yield owners.Root(names, module_file(names))
        for frame in frames():
            if not is_guest(frame):
                yield owners.Root(variables_of(frame), place_of(frame))
        for module in dict.copy(sys.modules).values():
            if derives(type(module), types.ModuleType):
                names = GLOBALS.__get__(module)
                if not text(names.get("__name__")).startswith("mlxtop."):
                    yield owners.Root(names, module_file(names))

    def _is_cache(self, thing: Any) -> bool:
        found = self._heap.inside(self._heap.attributes(thing), ["array"], CONTAINERS, set())
        return any(path.split(".")[0] in _CACHE_NAMES for path, _ in found)

    def _optimizers(self) -> None:
        for optimizer, name in numbered(self._heap.things["optimizer"]):
            self._claim_attributes("optimizer", optimizer, name)

    def _claim_attributes(self, part: Part, holder: Any, name: str, owner: Any = None) -> bool:
        """Claims what the attributes lead to; returns whether that is any array."""
        # An optimizer keeps what it calls `state` in `_state`.
        found = list(self._heap.inside(self._heap.attributes(holder), ["array"], CONTAINERS, set()))
        for path, array in found:
            key = 0 if owner is None else id(owner)
            self._claim(Claim(part, f"{name}: {path.lstrip('_')}", key), array)
        return bool(found)

    def _variables(self) -> None:
        """What a variable of the script or of a running function leads to."""
        seen: set[int] = set()
        main = sys.modules.get("__main__")
        if derives(type(main), types.ModuleType):
            names = GLOBALS.__get__(main)
            self._claim_variables(names, module_file(names), seen)
        running = frames()
        for frame in running:
            if not is_guest(frame):
                self._claim_variables(variables_of(frame), place_of(frame), seen)
        for frame in filter(is_guest, running):
            for _, array in self._reached(variables_of(frame), seen):
                self._claim(Claim("other", f"passed to MLX in {passed_from(frame)}"), array)

    def _claim_variables(self, names: dict[str, Any], place: str, seen: set[int]) -> None:
        for path, array in self._reached(names, seen):
            self._claim(Claim("other", f"{path} in {place}"), array)

    def _reached(self, names: dict[str, Any], seen: set[int]) -> Iterator[tuple[str, Any]]:
        """Path and array of what some variables lead to through containers."""
        for name, value in telling_first(dict.copy(names)).items():
            kind = self._heap.kind(value)
            if kind == "array":
                yield name, value
            elif kind in CONTAINERS:
                for path, array in self._heap.inside(value, ["array"], CONTAINERS, seen, WIDE):
                    yield join(name, path), array

    def _dead_frames(self) -> None:
        """What only the frames of a traceback hold: they are over, but somebody keeps the exception."""
        seen: set[int] = set()
        first: dict[int, str] = {}
        running = {id(frame) for frame in frames()}
        for exception, frame in dead_frames(self._heap.things["exception"], running):
            self._heap.tick()
            key, function = id(exception), frame.f_code.co_name
            for path, array in self._reached(variables_of(frame), seen):
                self._units[key] = exception
                name = class_name(type(exception))
                common = f"{name} keeps {first.setdefault(key, function)}() alive"
                holder = f"{name} keeps {path} of {function}(), which is over"
                self._claim(Claim("other", holder, key, common), array)

    # Going up from what no variable led to.

    def _search(self) -> None:
        """Follows who refers to the arrays that are left, and to the containers that do."""
        sought = {key: [_Trail(key, "", "")] for key in self._heap.arrays if key not in self._claims}
        for _ in range(LEVELS):
            above: dict[int, list[_Trail]] = {}
            cells: dict[int, list[_Trail]] = {}
            for i, (owner, child) in enumerate(self._heap.owners(sought, _HOLDERS)):
                if i % CHUNK == 0:
                    self._heap.tick()
                trails = sought.pop(id(child), [])
                if type(owner) is types.CellType:
                    cells.setdefault(id(owner), []).extend(trails)
                elif is_anonymous(owner):
                    key = self._keys.of(owner, child)
                    outline = f"{class_name(type(owner))} of {len(owner)}"
                    for trail in trails:
                        told = f"{trail.outline} in {outline}" if trail.outline else outline
                        self._claims[trail.key] = Claim("other", told)
                        above.setdefault(id(owner), []).append(_Trail(trail.key, join(key, trail.path), told))
                else:
                    self._name(trails, *self._holder(owner, child))
            self._closures(cells)
            sought = {**above, **cells}

    def _find_random_state(self, objects: list[Any]) -> None:
        """Names the key of MLX's random numbers: since 0.32 only C++ refers to the list of one that has it.

        Unnamed it would be looked for in the whole heap, in every program.
        """
        lists = self._heap.things["list"]
        for thing in lists:
            array = next(iter(list.copy(thing)), None) if list.__len__(thing) == 1 else None
            if id(array) in self._claims or self._heap.kind(array) != "array" or not self._is_key(array):
                continue
            above = gc.get_referrers(thing)
            if all(owner is objects or owner is lists or type(owner) is types.FrameType for owner in above):
                self._claim(Claim("other", RANDOM_STATE), array)

    def _is_random_state(self, key: int) -> bool:
        return key in self._claims and self._claims[key].holder == RANDOM_STATE

    def _is_key(self, array: Any) -> bool:
        return self._heap.shape(array) == (2,) and self._heap.dtype(array) == "uint32"

    def _find_garbage(self, objects: list[Any]) -> None:
        """Tells what no variable leads to, and nothing that one leads to, from the rest."""
        left = {key for key in self._heap.arrays if not self._is_random_state(key)}
        for roots in (self._variable_roots(), self._module_roots()):
            if left:
                left -= reached(self._heap, roots, left)
        if left:
            self._garbage, self._dropped = only_garbage(self._heap, objects, left)

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
            return self._keys.of(owner, child), module_file(owner)
        if derives(cls, types.FrameType, *FRAMES):
            frame = owner if cls is types.FrameType else frame_of(owner)
            if frame is None:
                return NOBODY, ""
            return self._heap.key_of(variables_of(frame), child) or "a temporary", place_of(frame)
        if derives(cls, type):
            return class_name(owner), ""
        if self._heap.kind(owner) in CONTAINERS:
            return join(class_name(cls), self._keys.of(owner, child)), ""
        return join(class_name(cls), self._heap.key_of(self._heap.attributes(owner), child)), ""

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
            self._claims[trail.key] = Claim("other", f"{full} in {place}" if place else full)
