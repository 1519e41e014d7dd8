"""The heap: what the garbage collector knows, what is inside of it, and what refers to what."""

import gc
import sys
import time
import types
import weakref
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, get_args

from mlxtop.mlx.census.foreign import (
    GLOBALS,
    MEMBERS,
    MRO,
    OTHERS,
    Found,
    class_module,
    class_name,
    class_of,
    derives,
    join,
    key_name,
    layout_of,
    text,
)

Kind = Literal[
    "array", "module", "cache", "like a cache", "optimizer", "dict", "list", "tuple", "set",
    "function", "exception", "compiled", "holder", "leaf"
]  # fmt: skip
Pair = tuple[Any, Any]
"""An owner and what it refers to, or a key and its value."""

LONG = 100_000
"""A container with more entries is not opened: its arrays are counted, but not named after it."""
MANY = 2_000
"""A container with more entries is a table: its keys are no names."""
DEEP = 12
"""How far down containers are opened from something with a name."""
CHUNK = 512
"""Objects between two looks at the clock."""
SEARCH, SEARCH_LEAST = 0.8, 0.4
"""The share of the time after which what was found is told, and that where there are very many arrays."""
TELL = 6e-6
"""Seconds that an array takes to be told, about."""
SCAN = 0.5
"""The share of the time that finding the arrays, modules, caches and optimizers may take."""
OWNERS = 0.65
"""The share of the time after which owners of KV caches and exceptions are no longer looked for."""

CONTAINERS: tuple[Kind, ...] = ("dict", "list", "tuple")
_TELLING: tuple[Kind, ...] = (
    "array", "module", "optimizer", "cache", "like a cache", "exception", "compiled"
)  # fmt: skip
_CACHES = "mlx_lm.models.cache"
_COMPILED = ("gc_func", "_gc_func")
_CENSUS = __name__.rpartition(".")[0]
_LIBRARIES = ("mlx.", "mlx_lm.")
_BUILT_IN: tuple[tuple[Kind, type], ...] = (
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


class TimeUp(Exception):
    """The time for the census is over."""


class Heap:
    """The objects of this process by their kind, read for `budget` seconds of this thread's processor time
    from `began` on.

    Whatever takes long raises `TimeUp` at its share of them; `scan` returns.
    """

    def __init__(self, array: type, budget: float, began: float) -> None:
        self._began, self._budget = began, budget
        self._search = SEARCH
        self.array = array
        self._properties = {
            name: MEMBERS.__get__(array)[name].__get__ for name in ("nbytes", "shape", "dtype")
        }
        self._dtypes: dict[Any, str] = {}
        self._buffer_size = GLOBALS.__get__(sys.modules["mlx.core"]).get("get_array_buffer_size")
        self._module = class_of("mlx.nn", "Module")
        self._optimizer = class_of("mlx.optimizers", "Optimizer")
        self._kinds: dict[int, Kind] = {}
        self._types: list[type] = []  # keeps what `_kinds` has the ids of
        self._layouts: dict[int, tuple[Any, list[Found]]] = {}
        self.arrays: dict[int, Any] = {}
        """Every array found, by its id."""
        self.things: dict[Kind, list[Any]] = {kind: [] for kind in get_args(Kind)}
        """What else may lead to one, by its kind."""

    def scan(self, objects: list[Any]) -> bool:
        """Finds what is telling among all objects. Returns whether there was time for all."""
        dull: set[int] = set()
        for start in range(0, len(objects), CHUNK):
            if self.is_over(SCAN):
                return False
            chunk = objects[start : start + CHUNK]
            # Most have nothing but dull types in them, which is seen without a step of Python for each.
            if dull.issuperset(map(id, map(type, chunk))):
                continue
            for thing in chunk:
                kind = self.kind(thing)
                if kind == "array":
                    self.arrays[id(thing)] = thing
                elif kind in _TELLING:
                    self.things[kind].append(thing)
                else:
                    dull.add(id(type(thing)))
        self._search = max(SEARCH_LEAST, SEARCH - TELL * len(self.arrays) / self._budget)
        return True

    def sort(self, objects: list[Any]) -> None:
        """Puts everything that may refer to an array, or to what refers to one, with its kind."""
        kinds, heap = self._kinds, self.things
        for start in range(0, len(objects), CHUNK):
            self.tick()
            for thing in objects[start : start + CHUNK]:
                kind = kinds[id(type(thing))]
                if kind != "leaf" and kind not in _TELLING:
                    heap[kind].append(thing)
        heap["dict"] = [thing for thing in heap["dict"] if dict.__len__(thing) <= LONG]
        heap["list"] = [thing for thing in heap["list"] if list.__len__(thing) <= LONG]
        heap["tuple"] = [thing for thing in heap["tuple"] if tuple.__len__(thing) <= LONG]
        heap["set"] = [thing for thing in heap["set"] if set.__len__(thing) <= LONG]

    def kind(self, thing: Any) -> Kind:
        """What `thing` is to a census, by its class."""
        cls = type(thing)
        kind = self._kinds.get(id(cls))
        if kind is None:
            kind = self._kinds[id(cls)] = self._kind_of(cls)
            self._types.append(cls)
        return kind

    def _kind_of(self, cls: type) -> Kind:
        if derives(cls, self.array):
            return "array"
        if derives(cls, self._module):
            return "module"
        if derives(cls, self._optimizer):
            return "optimizer"
        if any(class_module(base) == _CACHES for base in MRO.__get__(cls)):
            return "cache"
        for kind, base in _BUILT_IN:
            if derives(cls, base):
                return kind
        if derives(cls, *_LEAVES) or class_module(cls).startswith(_CENSUS):
            return "leaf"
        if derives(cls, BaseException):
            return "exception"
        if class_name(cls) in _COMPILED:
            return "compiled"
        return "like a cache" if class_name(cls).endswith("Cache") else "holder"

    def inside(
        self, root: Any, wanted: Iterable[Kind], through: Iterable[Kind], seen: set[int], most: int = LONG
    ) -> Iterator[Found]:
        """Path and object of what is `wanted` in `root`, level by level `through` containers not yet `seen`.

        No more than `most` containers are opened.
        """
        level = [("", root)]
        for _ in range(DEEP):
            below: list[Found] = []
            for path, thing in level:
                if id(thing) in seen:
                    continue
                seen.add(id(thing))
                common = self._common(thing)
                for i, (key, child) in enumerate(self.entries(thing)):
                    if i % CHUNK == 0:
                        self.tick()
                    kind = self.kind(child)
                    if kind in wanted:
                        yield join(path, common or key_name(key)), child
                    elif kind in through and len(below) < most and gc.is_tracked(child):
                        below.append((join(path, common or key_name(key)), child))
            most -= len(below)
            level = below

    def owners(self, sought: dict[int, Any], kinds: Iterable[Kind]) -> Iterator[Pair]:
        """Who refers to what is sought, and to which of it. May name the same object more than once."""
        for kind in kinds:
            things = self.things[kind]
            for start in range(0, len(things) if sought else 0, CHUNK):
                self.tick()
                chunk = things[start : start + CHUNK]
                if sought.keys().isdisjoint(map(id, gc.get_referents(*chunk))):
                    continue
                for thing in chunk:
                    for child in gc.get_referents(thing):
                        if id(child) in sought:
                            yield thing, child

    def key_of(self, container: Any, child: Any) -> str:
        """The key under which `child` itself, or what a cell holds, is found; empty where it is not."""
        if type(child) is types.CellType:
            child = next(iter(gc.get_referents(child)), None)
        return next((key_name(key) for key, value in self.entries(container) if value is child), "")

    def keys_of(self, container: Any) -> Mapping[int, str]:
        """The keys by the ids of what they stand for."""
        if common := self._common(container):
            return defaultdict(lambda: common)
        found = defaultdict[int, str](str)
        for key, value in self.entries(container):
            found.setdefault(id(value), key_name(key))
        return found

    def _common(self, container: Any) -> str:
        """What stands for each key of a table; empty for what has names for keys."""
        kind = self.kind(container)
        for name, built_in in _BUILT_IN[:3]:
            if kind == name and MEMBERS.__get__(built_in)["__len__"](container) > MANY:
                return OTHERS
        return ""

    def entries(self, thing: Any) -> Iterable[Pair]:
        """Keys and values of a container, read as the built-in type it is made of."""
        match self.kind(thing):
            case "dict" | "module" if dict.__len__(thing) <= LONG:
                # A copy of a subclass would go through its `__iter__`, if it has one.
                return dict.copy(thing).items() if type(thing) is dict else list(dict.items(thing))
            case "list" if list.__len__(thing) <= LONG:
                return enumerate(list.copy(thing))
            case "tuple" if tuple.__len__(thing) <= LONG:
                return enumerate(tuple.__iter__(thing))
            case _:
                return ()

    def attributes(self, thing: Any) -> dict[Any, Any]:
        """Attributes as they are kept, from the instance's dict and slots: no property runs."""
        found: dict[Any, Any] = {}
        for name, slot in self._layout(thing)[1]:
            try:
                found[name] = slot.__get__(thing)
            except AttributeError:
                continue  # nothing was stored there
        names = self.dict_of(thing)
        if names is not None:
            found.update(dict.copy(names))
            # Asking for it may have made it: the search must find it between the object and its values.
            self.things["dict"].append(names)
        return found

    def dict_of(self, thing: Any) -> dict[Any, Any] | None:
        """The dict of an instance's attributes, if it has one."""
        descriptor = self._layout(thing)[0]
        names = None if descriptor is None else descriptor.__get__(thing)
        return names if derives(type(names), dict) else None

    def _layout(self, thing: Any) -> tuple[Any, list[Found]]:
        cls = type(thing)
        layout = self._layouts.get(id(cls))
        if layout is None:
            layout = self._layouts[id(cls)] = layout_of(cls)
        return layout

    def nbytes(self, array: Any) -> int:
        """What an array's shape stands for, by MLX's own descriptor, as all that is read of one."""
        return int(self._properties["nbytes"](array))

    def shape(self, array: Any) -> tuple[int, ...]:
        return tuple(self._properties["shape"](array))

    def dtype(self, array: Any) -> str:
        dtype = self._properties["dtype"](array)
        name = self._dtypes.get(dtype)
        if name is None:
            name = self._dtypes[dtype] = str(dtype).rpartition(".")[2]
        return name

    @property
    def knows_buffers(self) -> bool:
        """Whether this MLX tells how large buffers are, and by that what is computed."""
        return self._buffer_size is not None

    def buffer_size(self, arrays: Any) -> int:
        """Bytes of the buffers behind an array or a list of them, each buffer counted once.

        `get_array_buffer_size` (MLX 0.32.3) reads the arrays' own state: it evaluates nothing, waits for
        nothing, and raises `ValueError` for what is not computed. Whatever else tells walks the graph, which
        recurses.
        """
        return int(self._buffer_size(arrays))

    def compiled(self) -> int:
        """How many functions the program itself has compiled: those of MLX and mlx-lm have no constants."""
        functions = (inner for outer in self.things["compiled"] for inner in gc.get_referents(outer))
        names = (inner.__globals__ for inner in functions if type(inner) is types.FunctionType)
        return sum(not text(found.get("__name__")).startswith(_LIBRARIES) for found in names)

    def is_opened(self, thing: Any) -> bool:
        """Whether what is inside of it is looked at."""
        kind = self.kind(thing)
        for name, built_in in _BUILT_IN[:4]:
            if kind == name:
                return bool(MEMBERS.__get__(built_in)["__len__"](thing) <= LONG)
        return kind not in ("leaf", "array") and not derives(type(thing), type)

    def tick(self, share: float = 1.0) -> None:
        """Raises `TimeUp` when that share of the time is over, or all but what telling takes."""
        if self.is_over(min(share, self._search)):
            raise TimeUp

    def is_over(self, share: float = 1.0) -> bool:
        """Whether that share of the time is over."""
        return self.used > share

    @property
    def used(self) -> float:
        """The share of the time that is over."""
        return (time.thread_time() - self._began) / self._budget
