"""Setting MLX's limits, and knowing who else does.

MLX has no getter for the cache and the wired limit, and before 0.32.3 none for the memory limit: a setter
returns what was before. So mlxtop asks once, or knows MLX's defaults, and from then on stands between MLX's
setters and their callers. A reference that a program took to a setter before leads past us.
"""

from __future__ import annotations

import os
import sys
from functools import wraps

from mlxtop.core.limits import LIMIT_NAMES
from mlxtop.core.record import Record
from mlxtop.core.units import UNLIMITED
from mlxtop.mlx import backend
from mlxtop.mlx.replaced import Replaced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from mlxtop.core.limits import LimitName

SETTERS: dict[LimitName, str] = {
    "cache": "set_cache_limit",
    "memory": "set_memory_limit",
    "wired": "set_wired_limit",
}
CALLS = {"clear_cache": "get_cache_memory", "reset_peak_memory": "get_peak_memory"}
CPU_CACHE_LIMIT = 32 * 2**20
"""What MLX's CPU backend starts with (0.31 and 0.32); a test compares it with MLX's own answer."""
known_limits: dict[LimitName, int] = {}
"""The limits of this process in bytes, as far as a controller knows them."""
Place = tuple[str, int]
"""A file and a line in it."""


class Change(Record):
    """A limit was set from `old` to `new` bytes by `source`.

    A command of a viewer asked for `asked` bytes, and `answers` is its number; `None` for other code.
    """

    name: LimitName
    old: int
    new: int
    source: str
    asked: int | None = None
    answers: int | None = None


class Call(Record):
    """Somebody called `clear_cache` or `reset_peak_memory`; `size` is the cache or the peak before it."""

    name: str
    size: int
    source: str
    answers: int | None = None


class AllocatorHooks:
    """Stands between MLX's setters and whoever calls them, and tells `notice` of every call.

    `notice` runs on the caller's thread, right after the call. `remove` puts MLX's own functions back.
    """

    def __init__(self, notice: Callable[[Change | Call], None]) -> None:
        self._mx: Any = backend.load()
        self._notice = notice
        self._original: dict[str, Any] = {}
        self._replaced = Replaced()

    def install(self) -> None:
        """Wraps MLX's functions, and their deprecated likes in `mx.metal`, which call the same C++ directly.

        Touches nothing of MLX's state.
        """
        for name in (*SETTERS.values(), *CALLS):
            self._original[name] = getattr(self._mx, name)
        for module in (self._mx, self._mx.metal):
            for limit, name in SETTERS.items():
                if setter := getattr(module, name, None):
                    self._replaced.put(module, name, self._wrap_setter(limit, setter))
            for name, size in CALLS.items():
                if call := getattr(module, name, None):
                    wrapper = self._wrap_call(name, call, getattr(self._mx, size))
                    self._replaced.put(module, name, wrapper)

    def active(self) -> int:
        """What live arrays hold now, in bytes: what the cache gives back is none of it."""
        return int(self._mx.get_active_memory())

    def read_limits(self, fresh: bool = False) -> dict[LimitName, int]:
        """The limits now, in bytes, found by setting each once and back where there is no getter.

        Call it at rest, on the thread that owns MLX, where nobody else sets them meanwhile. No probe evicts
        anything. The wired limit is left alone where it does something, as a probe may empty Metal's
        residency sets: it is known where memory is never wired, and in a `fresh` process, in which nobody
        has set it.
        """
        found: dict[LimitName, int] = {"memory": self._memory(), "cache": self._there_and_back("cache")}
        if fresh or backend.no_wiring() is not None:
            found["wired"] = 0
        return found

    def _memory(self) -> int:
        getter = getattr(self._mx, "get_memory_limit", None)
        return self._there_and_back("memory") if getter is None else int(getter())

    def _there_and_back(self, limit: LimitName) -> int:
        setter = self._setter(limit)
        found = int(setter(UNLIMITED))
        setter(found)
        return found

    def remove(self) -> None:
        """Gives MLX its own functions back."""
        self._replaced.give_back()
        self._original.clear()

    def set(self, name: LimitName, value: int, source: str, command_id: int | None = None) -> Change:
        """Sets a limit in the name of `source`. Waits for MLX where MLX waits; raises what MLX raises.

        The change tells what MLX took: 0 where nothing is wired, or cached. Set the wired limit at rest only.
        """
        old = int(self._setter(name)(value))
        change = Change(name, old, taken(name, value), source, value, command_id)
        self._notice(change)
        return change

    def call(self, name: str, source: str, command_id: int | None = None) -> None:
        """`clear_cache` or `reset_peak_memory` in the name of `source`."""
        size = self._mx.get_cache_memory() if name == "clear_cache" else self._mx.get_peak_memory()
        self._original[name]()
        self._notice(Call(name, size, source, command_id))

    def _setter(self, limit: LimitName) -> Any:
        name = SETTERS[limit]
        return self._original.get(name) or getattr(self._mx, name)

    def _wrap_setter(self, name: LimitName, setter: Any) -> Any:
        @wraps(setter)
        def wrapper(limit: int) -> int:
            old = setter(limit)
            if self._replaced:
                self._notice(Change(name, old, taken(name, limit), caller()))
            return int(old)

        return wrapper

    def _wrap_call(self, name: str, function: Any, size: Callable[[], int]) -> Any:
        @wraps(function)
        def wrapper() -> None:
            before = size()
            function()
            if self._replaced:
                self._notice(Call(name, before, caller()))

        return wrapper


def caller() -> str:
    """File and line of the code outside mlxtop that called MLX: `mlx_lm/generate.py:463`."""
    return place_text(place(sys._getframe(2)))


def place(frame: FrameType) -> Place:
    """Where the code outside mlxtop is that led to `frame`. Cheap: text is made of it where it is told."""
    frame = outside(frame)
    return frame.f_code.co_filename, frame.f_lineno


def outside(frame: FrameType) -> FrameType:
    """The innermost frame outside mlxtop, from `frame` outwards."""
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in ("mlxtop", "contextlib"):
        frame = frame.f_back
    return frame


def is_ours(error: BaseException) -> bool:
    """Whether mlxtop's own code raised it: what the handler of a signal raised meanwhile is the program's."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is None or last.tb_frame.f_globals.get("__name__", "").startswith("mlxtop.")


def place_text(place: Place) -> str:
    """A file's last two names and the line."""
    path, line = place
    names = path.replace("\\", "/").split("/")
    return f"{'/'.join(names[-2:])}:{line}"


def taken(limit: LimitName, value: int) -> int:
    """What MLX makes of a limit of `value` bytes: its setters answer, too, where a limit does nothing."""
    if (limit == "wired" and backend.no_wiring()) or (limit == "cache" and not backend.keeps_a_cache()):
        return 0
    return value


def defaults(fresh: bool = True) -> dict[LimitName, int]:
    """What MLX starts with, in bytes, as far as that is known without setting anything.

    `fresh`: nobody has set a limit in this process yet. The cache limit of Metal and CUDA is the memory
    limit; the CPU backend has its own. Nothing is wired.
    """
    mx, name = backend.load(), backend.name()
    getter = getattr(mx, "get_memory_limit", None) if fresh else None
    memory = _memory_default(name) if getter is None else int(getter())
    found: dict[LimitName, int] = {"wired": 0}
    if memory is not None:
        found["memory"] = memory
    cache = taken("cache", CPU_CACHE_LIMIT) if name == "CPU" else memory
    if cache is not None:
        found["cache"] = cache
    return found


def _memory_default(name: backend.Name) -> int | None:
    """As the allocators' constructors have it, in mlx/backend/metal/allocator.cpp and mlx/backend/no_gpu/.

    CUDA's takes 0.95 of what cudaMemGetInfo calls the total, which MLX does not tell.
    """
    if name == "CPU":
        return int(0.8 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    info = backend.device_info()
    recommended, memory = info.get("max_recommended_working_set_size"), info.get("memory_size")
    if name == "CUDA" or recommended is None or memory is None:
        return None
    return int(min(1.5 * recommended, 0.95 * memory))


def apply(limits: dict[LimitName, int]) -> dict[LimitName, int]:
    """Sets the given limits at once on the calling thread and returns what each was, in bytes."""
    mx = backend.load()
    return {
        limit: int(getattr(mx, SETTERS[limit])(limits[limit])) for limit in LIMIT_NAMES if limit in limits
    }
