"""A census of the live arrays in this process: which part each belongs to, and who holds it.

It runs inside somebody else's program, so it runs none of that program's code: no property, `__getattr__`,
`__len__`, `__eq__` or `__repr__` of a foreign object. It asks the garbage collector what exists and what
refers to what, and reads names through the interpreter's own descriptors. No array is evaluated.
"""

import gc
import heapq
import inspect
import sys
import threading
import time
import types
import weakref
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple, get_args

from mlxtop.core.census import LARGEST, LONGEST, PARTS, Census, Holding, Part

_Kind = Literal[
    "array", "module", "cache", "like a cache", "optimizer", "dict", "list", "tuple", "set",
    "function", "holder", "leaf"
]  # fmt: skip
_Found = tuple[str, Any]
_Pair = tuple[Any, Any]

NOBODY = "—"
LONG = 100_000
"""A container with more entries is not opened: its arrays are counted, but not named after it."""
LEVELS = 8
"""How far up the holders of an array are followed where no variable leads to it."""
DEEP = 12
"""How far down containers are opened from something with a name."""
WIDE = 5_000
"""How many containers are opened below one variable; what lies beyond is found from the array upwards."""
CHUNK = 512
"""Objects between two looks at the clock."""
SCAN = 0.6
"""The share of the time that finding the arrays, modules, caches and optimizers may take."""

_MRO: Any = vars(type)["__mro__"]
_NAME: Any = vars(type)["__name__"]
_MEMBERS: Any = vars(type)["__dict__"]
_GLOBALS: Any = vars(types.ModuleType)["__dict__"]
_CONTAINERS: tuple[_Kind, ...] = ("dict", "list", "tuple")
_TELLING: tuple[_Kind, ...] = ("array", "module", "optimizer", "cache", "like a cache")
_ANONYMOUS = (dict, list, tuple, set, frozenset, deque)
_CACHES = "mlx_lm.models.cache"
_CACHE_NAMES = frozenset(("keys", "values", "state"))
_FRAMES: dict[type, str] = {
    types.GeneratorType: "gi_frame",
    types.CoroutineType: "cr_frame",
    types.AsyncGeneratorType: "ag_frame",
}
_SNAPSHOTS = sys.version_info < (3, 13)  # before PEP 667 a frame keeps the dict that `f_locals` makes
_BUILT_IN: tuple[tuple[_Kind, type], ...] = (
    ("dict", dict),
    ("list", list),
    ("tuple", tuple),
    ("set", set),
    ("function", types.FunctionType),
)
# Objects the collector knows in thousands that never refer to an array themselves.
_LEAVES = (
    types.BuiltinFunctionType,
    types.ClassMethodDescriptorType,
    types.CodeType,
    types.GetSetDescriptorType,
    types.MappingProxyType,
    types.MemberDescriptorType,
    types.MethodDescriptorType,
    types.MethodWrapperType,
    types.ModuleType,
    types.WrapperDescriptorType,
    weakref.ReferenceType,
    classmethod,
    property,
    staticmethod,
)


BUDGET, BUDGET_MOST = 0.25, 4.0


def longer(found: Census, budget: float) -> float:
    """The time to give the next census, when `found` was given `budget`: a person who asks again can wait."""
    return budget if found.whole else min(BUDGET_MOST, 4 * budget)


def take(budget: float = BUDGET) -> Census:
    """The arrays alive now: weights, KV caches, optimizer state and the rest, each array counted once.

    `budget` is in seconds of this thread's processor time; at its end `whole` is False and what was found so
    far is returned. When time ran out before every array was placed, those without a place are left out; when
    it ran out after that, they are `other` and some holders are `—`. May be called in any thread; it holds
    the GIL most of the time, so call it at a safe point. Raises nothing; without MLX everything is 0.

    Not seen: arrays that only C++ holds (a compiled function's constants), and objects that `gc.freeze()`
    hid. Seen too large: a view, and an array that was not computed yet; Python cannot tell them apart.
    """
    began = time.perf_counter()
    now = time.time()
    array = _class("mlx.core", "array")
    if array is None:
        return Census(active=0, time=now)
    active, whole = 0, True
    objects = gc.get_objects()  # before there is anything of the census's own to find
    survey = _Survey(array, budget)
    try:
        active = sys.modules["mlx.core"].get_active_memory()
        survey.run(objects)
    except Exception:
        # Out of time, or an object stranger than any thought of here: what was found until then holds.
        whole = False
    parts, counts, holdings = survey.result()
    return Census(active, parts, counts, holdings, whole, time.perf_counter() - began, now)


class _TimeUp(Exception):
    pass


class _Trail(NamedTuple):
    """An array on the way to a holder with a name."""

    key: int  # id of the array
    path: str  # from the container that was reached to the array: `.layers.0`
    outline: str  # what to say if nothing with a name is reached: `list of 12 in dict of 3`


class _Survey:
    """One look at the heap. Dropped as a whole afterwards: it may hold no reference to itself."""

    def __init__(self, array: type, budget: float) -> None:
        began = time.thread_time()
        self._deadline = began + budget
        self._scan_until = began + SCAN * budget
        self._array = array
        self._module = _class("mlx.nn", "Module")
        self._optimizer = _class("mlx.optimizers", "Optimizer")
        self._kinds: dict[int, _Kind] = {}
        self._types: list[type] = []  # keeps what `_kinds` has the ids of
        self._layouts: dict[int, tuple[Any, list[_Found]]] = {}
        self._heap: dict[_Kind, list[Any]] = {kind: [] for kind in get_args(_Kind)}
        self._arrays: dict[int, Any] = {}
        self._claims: dict[int, tuple[Part, str]] = {}
        self._placed = False

    def run(self, objects: list[Any]) -> None:
        """Finds, places and names, the most telling first. Raises `_TimeUp`."""
        whole = self._scan(objects)
        self._weights()
        self._caches()
        self._optimizers()
        if not whole:
            raise _TimeUp
        self._placed = True
        self._variables()
        self._sort(objects)
        self._number_caches()
        self._search()

    def result(self) -> tuple[dict[Part, int], dict[Part, int], tuple[Holding, ...]]:
        """Bytes and arrays of each part, and the largest holdings."""
        sizes, counts = dict.fromkeys(PARTS, 0), dict.fromkeys(PARTS, 0)
        rows = []
        unknown: tuple[Part, str] = ("other", NOBODY)
        for key, array in self._arrays.items():
            if key not in self._claims and not self._placed:
                continue
            part, holder = self._claims.get(key, unknown)
            try:
                nbytes = int(self._read(array, "nbytes"))
            except Exception:
                continue  # made by `__new__` alone: there is no array in it
            sizes[part] += nbytes
            counts[part] += 1
            rows.append((nbytes, part, holder, key))
        largest = heapq.nlargest(LARGEST, rows, key=lambda row: row[0])
        return sizes, counts, tuple(self._holding(*row) for row in largest)

    def _holding(self, nbytes: int, part: Part, holder: str, key: int) -> Holding:
        array = self._arrays[key]
        shape = tuple(int(size) for size in self._read(array, "shape"))
        dtype = str(self._read(array, "dtype")).rpartition(".")[2]
        return Holding(part, nbytes, shape, dtype, holder[:LONGEST])

    def _read(self, array: Any, name: str) -> Any:
        return _MEMBERS.__get__(self._array)[name].__get__(array)

    def _tick(self) -> None:
        if time.thread_time() > self._deadline:
            raise _TimeUp

    def _scan(self, objects: list[Any]) -> bool:
        """Finds what is telling among all objects. Returns whether there was time for all."""
        dull: set[int] = set()
        for start in range(0, len(objects), CHUNK):
            if time.thread_time() > self._scan_until:
                return False
            chunk = objects[start : start + CHUNK]
            # Most have nothing but dull types in them, which is seen without a step of Python for each.
            if dull.issuperset(map(id, map(type, chunk))):
                continue
            for thing in chunk:
                kind = self._kind(thing)
                if kind == "array":
                    self._arrays[id(thing)] = thing
                elif kind in _TELLING:
                    self._heap[kind].append(thing)
                else:
                    dull.add(id(type(thing)))
        return True

    def _sort(self, objects: list[Any]) -> None:
        """Puts everything that may refer to an array, or to what refers to one, with its kind."""
        kinds, heap = self._kinds, self._heap
        for start in range(0, len(objects), CHUNK):
            self._tick()
            for thing in objects[start : start + CHUNK]:
                kind = kinds[id(type(thing))]
                if kind != "leaf" and kind not in _TELLING:
                    heap[kind].append(thing)
        heap["dict"] = [thing for thing in heap["dict"] if dict.__len__(thing) <= LONG]
        heap["list"] = [thing for thing in heap["list"] if list.__len__(thing) <= LONG]
        heap["tuple"] = [thing for thing in heap["tuple"] if tuple.__len__(thing) <= LONG]
        heap["set"] = [thing for thing in heap["set"] if set.__len__(thing) <= LONG]

    def _kind(self, thing: Any) -> _Kind:
        cls = type(thing)
        kind = self._kinds.get(id(cls))
        if kind is None:
            kind = self._kinds[id(cls)] = self._kind_of(cls)
            self._types.append(cls)
        return kind

    def _kind_of(self, cls: type) -> _Kind:
        if _derives(cls, self._array):
            return "array"
        if _derives(cls, self._module):
            return "module"
        if _derives(cls, self._optimizer):
            return "optimizer"
        if any(_text(_MEMBERS.__get__(base).get("__module__")) == _CACHES for base in _MRO.__get__(cls)):
            return "cache"
        for kind, base in _BUILT_IN:
            if _derives(cls, base):
                return kind
        if _derives(cls, *_LEAVES):
            return "leaf"
        return "like a cache" if _class_name(cls).endswith("Cache") else "holder"

    def _claim(self, part: Part, array: Any, holder: str) -> None:
        """The first part that claims an array has it; that part may still find a better name."""
        self._arrays.setdefault(id(array), array)
        if self._claims.setdefault(id(array), (part, holder))[0] == part == "kv":
            self._claims[id(array)] = (part, holder)

    # Going down from something with a name.

    def _inside(
        self, root: Any, wanted: Iterable[_Kind], through: Iterable[_Kind], seen: set[int], most: int = LONG
    ) -> Iterator[_Found]:
        """Path and object of what is `wanted` in `root`, level by level `through` containers not yet `seen`.

        No more than `most` containers are opened.
        """
        level = [("", root)]
        for _ in range(DEEP):
            below: list[_Found] = []
            for path, thing in level:
                if id(thing) in seen:
                    continue
                self._tick()
                seen.add(id(thing))
                for key, child in self._entries(thing):
                    kind = self._kind(child)
                    if kind in wanted:
                        yield _join(path, _key(key)), child
                    elif kind in through and len(below) < most and gc.is_tracked(child):
                        below.append((_join(path, _key(key)), child))
            most -= len(below)
            level = below

    def _weights(self) -> None:
        """What module trees hold, under the path in the tree and the class of its root."""
        modules = self._heap["module"]
        inner: set[int] = set()
        for module in modules:
            children = self._inside(module, ["module"], _CONTAINERS, set())
            inner.update(id(child) for _, child in children if child is not module)
        roots = [module for module in modules if id(module) not in inner]
        seen: set[int] = set()
        # A ring of modules has no root: whichever comes first stands for it.
        for root, name in [*_numbered(roots), *((module, _class_name(type(module))) for module in modules)]:
            for path, array in self._inside(root, ["array"], ["module", *_CONTAINERS], seen):
                self._claim("weights", array, f"{name}: {path}")

    def _caches(self) -> None:
        """What KV caches hold: mlx-lm's own, and what is called a cache and has keys, values or a state."""
        self._heap["cache"] += [c for c in self._heap["like a cache"] if self._is_cache(c)]
        for cache, name in _numbered(self._heap["cache"]):
            self._claim_attributes("kv", cache, name)

    def _number_caches(self) -> None:
        """Names a cache after its place in a list of caches: there it is the layer's."""
        caches = {id(cache): cache for cache in self._heap["cache"]}
        lists = {id(owner): owner for owner, _ in self._owners(caches, ["list", "tuple"])}
        groups = [[child for _, child in self._entries(owner)] for owner in lists.values()]
        # The longest list last: it is the one with a cache for each layer.
        for group in sorted(groups, key=len):
            for i, cache in enumerate(group):
                if id(cache) in caches:
                    self._claim_attributes("kv", cache, f"{_class_name(type(cache))} {i + 1} of {len(group)}")

    def _is_cache(self, thing: Any) -> bool:
        found = self._inside(self._attributes(thing), ["array"], _CONTAINERS, set())
        return any(path.split(".")[0] in _CACHE_NAMES for path, _ in found)

    def _optimizers(self) -> None:
        for optimizer, name in _numbered(self._heap["optimizer"]):
            self._claim_attributes("optimizer", optimizer, name)

    def _claim_attributes(self, part: Part, owner: Any, name: str) -> None:
        # An optimizer keeps what it calls `state` in `_state`.
        for path, array in self._inside(self._attributes(owner), ["array"], _CONTAINERS, set()):
            self._claim(part, array, f"{name}: {path.lstrip('_')}")

    def _variables(self) -> None:
        """What a variable of the script or of a running function leads to."""
        seen: set[int] = set()
        main = sys.modules.get("__main__")
        if _derives(type(main), types.ModuleType):
            names = _GLOBALS.__get__(main)
            self._claim_variables(names, _module_file(names), seen)
        for frame in _frames():
            self._claim_variables(_locals(frame), _place(frame), seen)

    def _claim_variables(self, names: dict[str, Any], place: str, seen: set[int]) -> None:
        for name, value in dict.copy(names).items():
            kind = self._kind(value)
            if kind == "array":
                self._claim("other", value, f"{name} in {place}")
            elif kind in _CONTAINERS:
                for path, array in self._inside(value, ["array"], _CONTAINERS, seen, WIDE):
                    self._claim("other", array, f"{_join(name, path)} in {place}")

    # Going up from what no variable led to.

    def _search(self) -> None:
        """Follows who refers to the arrays that are left, and to the containers that do."""
        sought = {key: [_Trail(key, "", "")] for key in self._arrays if key not in self._claims}
        for _ in range(LEVELS):
            above: dict[int, list[_Trail]] = {}
            cells: dict[int, list[_Trail]] = {}
            for owner, child in self._owners(sought, ("holder", *_CONTAINERS, "set", "like a cache")):
                trails = sought.pop(id(child), [])
                if type(owner) is types.CellType:
                    cells.setdefault(id(owner), []).extend(trails)
                elif _is_anonymous(owner):
                    key, outline = self._key_of(owner, child), f"{_class_name(type(owner))} of {len(owner)}"
                    for trail in trails:
                        told = f"{trail.outline} in {outline}" if trail.outline else outline
                        self._claims[trail.key] = ("other", told)
                        above.setdefault(id(owner), []).append(
                            _Trail(trail.key, _join(key, trail.path), told)
                        )
                else:
                    self._name(trails, *self._holder(owner, child))
            self._closures(cells)
            sought = {**above, **cells}

    def _owners(self, sought: dict[int, Any], kinds: Iterable[_Kind]) -> Iterator[_Pair]:
        """Who refers to what is sought, and to which of it. May name the same object more than once."""
        for kind in kinds:
            things = self._heap[kind]
            for start in range(0, len(things) if sought else 0, CHUNK):
                self._tick()
                chunk = things[start : start + CHUNK]
                if sought.keys().isdisjoint(map(id, gc.get_referents(*chunk))):
                    continue
                for thing in chunk:
                    for child in gc.get_referents(thing):
                        if id(child) in sought:
                            yield thing, child

    def _holder(self, owner: Any, child: Any) -> tuple[str, str]:
        """What to call `child` in an owner that can be named, and the place of a variable."""
        cls = type(owner)
        if cls is dict:
            return self._key_of(owner, child), _module_file(owner)
        if _derives(cls, types.FrameType, *_FRAMES):
            frame = owner if cls is types.FrameType else getattr(owner, _FRAMES[cls])
            if frame is None:
                return NOBODY, ""
            return self._key_of(_locals(frame), child) or "a temporary", _place(frame)
        if _derives(cls, type):
            return _class_name(owner), ""
        inside = owner if self._kind(owner) in _CONTAINERS else self._attributes(owner)
        return _join(_class_name(cls), self._key_of(inside, child)), ""

    def _closures(self, cells: dict[int, list[_Trail]]) -> None:
        """Names what is left in a closure after its function."""
        for i, function in enumerate(self._heap["function"] if cells else ()):
            if i % CHUNK == 0:
                self._tick()
            code = function.__code__
            for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
                place = f"{_file(code.co_filename)}:{code.co_firstlineno} {code.co_name}()"
                self._name(cells.pop(id(cell), []), name, place)

    def _name(self, trails: list[_Trail], name: str, place: str) -> None:
        for trail in trails:
            full = _join(name, trail.path)
            self._claims[trail.key] = ("other", f"{full} in {place}" if place else full)

    def _key_of(self, container: Any, child: Any) -> str:
        """The key under which `child` itself, or what a cell holds, is found; empty where it is not."""
        if type(child) is types.CellType:
            child = next(iter(gc.get_referents(child)), None)
        return next((_key(key) for key, value in self._entries(container) if value is child), "")

    def _entries(self, thing: Any) -> Iterable[_Pair]:
        """Keys and values of a container, read as the built-in type it is made of."""
        match self._kind(thing):
            case "dict" | "module" if dict.__len__(thing) <= LONG:
                # A copy of a subclass would go through its `__iter__`, if it has one.
                return dict.copy(thing).items() if type(thing) is dict else list(dict.items(thing))
            case "list" if list.__len__(thing) <= LONG:
                return enumerate(list.copy(thing))
            case "tuple" if tuple.__len__(thing) <= LONG:
                return enumerate(tuple.__iter__(thing))
            case _:
                return ()

    def _attributes(self, thing: Any) -> dict[Any, Any]:
        """Attributes as they are kept, from the instance's dict and slots: no property runs."""
        cls = type(thing)
        layout = self._layouts.get(id(cls))
        if layout is None:
            layout = self._layouts[id(cls)] = _layout(cls)
        found: dict[Any, Any] = {}
        for name, slot in layout[1]:
            try:
                found[name] = slot.__get__(thing)
            except AttributeError:
                continue  # nothing was stored there
        if layout[0] is not None:
            attributes = layout[0].__get__(thing)
            if _derives(type(attributes), dict):
                found.update(dict.copy(attributes))
                # Asking for it may have made it: the search must find it between the object and its values.
                self._heap["dict"].append(attributes)
        return found


def _class(module: str, name: str) -> type | None:
    """A class of a module that the program has imported already."""
    found = sys.modules.get(module)
    if not _derives(type(found), types.ModuleType):
        return None
    cls: Any = _GLOBALS.__get__(found).get(name)
    return cls if _derives(type(cls), type) else None


def _derives(cls: type, *bases: type | None) -> bool:
    """`issubclass`, but no metaclass is asked."""
    return any(base is found for found in _MRO.__get__(cls) for base in bases)


def _layout(cls: type) -> tuple[Any, list[_Found]]:
    """The interpreter's own descriptor of the instance's dict, if there is one, and those of its slots."""
    attributes, slots = None, []
    for base in _MRO.__get__(cls):
        for name, member in _MEMBERS.__get__(base).items():
            if type(member) is types.MemberDescriptorType:
                slots.append((name, member))
            elif name == "__dict__" and type(member) is types.GetSetDescriptorType and base is not type:
                attributes = attributes or member
    return attributes, slots


def _key(key: Any) -> str:
    if type(key) is int:
        return str(key)
    return _text(key) or _class_name(type(key))


def _text(thing: Any) -> str:
    """A string as a plain `str`, whatever it was derived from; empty for anything else."""
    return str.__str__(thing) if _derives(type(thing), str) else ""


def _class_name(cls: type) -> str:
    return _text(_NAME.__get__(cls))


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path and key else path or key


def _numbered(things: list[Any]) -> list[tuple[Any, str]]:
    """Each with the name of its class, and a number where there are several."""
    names = [_class_name(type(thing)) for thing in things]
    totals, seen = Counter(names), Counter[str]()
    out = []
    for thing, name in zip(things, names, strict=True):
        seen[name] += 1
        out.append((thing, f"{name} {seen[name]} of {totals[name]}" if totals[name] > 1 else name))
    return out


def _frames() -> list[types.FrameType]:
    """The frames of all threads but the census's own, the outermost first."""
    found: list[types.FrameType] = []
    tops = sys._current_frames()
    frame: types.FrameType | None = None
    try:
        for frame in tops.values():
            stack = []
            while frame is not None:
                if frame.f_globals is not globals():
                    stack.append(frame)
                frame = frame.f_back
            found += reversed(stack)
    finally:
        tops.clear()  # it has this function's own frame in it, and would keep itself alive
        frame = None
    return found


def _locals(frame: types.FrameType) -> dict[str, Any]:
    """The variables of a frame, leaving nothing of them behind in it."""
    names = frame.f_locals
    if not frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        return dict.copy(names) if type(names) is dict else {}  # a module's or a class's own
    if not _SNAPSHOTS:
        return dict(names)
    copy = dict.copy(names)
    # The frame would keep what its variables were until it ends. But if the program called `locals()` it has
    # that dict, and where a tracer runs, what is missing in the dict would be deleted in the function.
    hooks = (frame.f_trace, sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile())
    if sys.getrefcount(names) <= 3 and all(hook is None for hook in hooks):
        for name in copy:
            names.pop(name, None)
    return copy


def _place(frame: types.FrameType) -> str:
    code = frame.f_code
    line = frame.f_lineno or code.co_firstlineno
    return f"{_file(code.co_filename)}:{line} {code.co_name}()"


def _is_anonymous(owner: Any) -> bool:
    """Whether it is a plain container, and not the variables of a module."""
    plain = any(type(owner) is container for container in _ANONYMOUS)
    return plain and not (type(owner) is dict and "__builtins__" in owner)


def _module_file(names: dict[str, Any]) -> str:
    return _file(_text(names.get("__file__")) or _text(names.get("__name__")))


def _file(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2] or NOBODY
