"""Setting MLX's limits, and knowing who else does.

MLX has no getter for the cache and the wired limit: a setter returns what was before. So mlxtop asks
once, or knows MLX's defaults, and from then on stands between MLX's setters and their callers.
"""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

from mlxtop.core.limits import KNOBS, Knob
from mlxtop.core.units import UNLIMITED
from mlxtop.probe import backend

SETTERS: dict[Knob, str] = {
    "cache": "set_cache_limit",
    "memory": "set_memory_limit",
    "wired": "set_wired_limit",
}
CALLS = {"clear_cache": "get_cache_memory", "reset_peak_memory": "get_peak_memory"}
CPU_CACHE_LIMIT = 32 * 2**20
"""What MLX's CPU backend starts with (0.31 and 0.32); a test compares it with MLX's own answer."""


class Change(NamedTuple):
    """A limit was set: `knob` from `old` to `new` bytes by `who`."""

    knob: Knob
    old: int
    new: int
    who: str


class Call(NamedTuple):
    """Somebody called `clear_cache` or `reset_peak_memory`; `size` is the cache or the peak before it."""

    name: str
    size: int
    who: str


class Watch:
    """Stands between MLX's setters and whoever calls them, and tells `notice` of every call.

    `notice` runs on the caller's thread, right after the call. `remove` puts MLX's own functions back.
    """

    def __init__(self, notice: Callable[[Change | Call], None]) -> None:
        self._mx: Any = backend.load()
        self._notice = notice
        self._original: dict[str, Any] = {}

    def install(self) -> None:
        """Wraps MLX's functions. Touches nothing of MLX's state."""
        for knob, name in SETTERS.items():
            self._original[name] = setter = getattr(self._mx, name)
            setattr(self._mx, name, self._wrap_setter(knob, setter))
        for name, size in CALLS.items():
            self._original[name] = function = getattr(self._mx, name)
            setattr(self._mx, name, self._wrap_call(name, function, getattr(self._mx, size)))

    def ask(self) -> dict[Knob, int]:
        """The limits now, in bytes, found by setting each once and back.

        Call it where nobody else sets them meanwhile, on the thread that owns MLX. No probe evicts anything.
        """
        found: dict[Knob, int] = {"memory": int(self._mx.get_memory_limit())}
        probes: dict[Knob, int] = {"cache": UNLIMITED, "wired": 0}
        for knob, probe in probes.items():
            setter = self._setter(knob)
            found[knob] = int(setter(probe))
            setter(found[knob])
        return found

    def remove(self) -> None:
        """Gives MLX its own functions back."""
        for name, function in self._original.items():
            setattr(self._mx, name, function)
        self._original.clear()

    def set(self, knob: Knob, value: int, who: str) -> Change:
        """Sets a limit in the name of `who`. Waits for MLX where MLX waits; raises what MLX raises.

        The change tells what MLX took: a backend without wired memory answers 0.
        """
        setter = self._setter(knob)
        old = setter(value)
        new = value
        if knob == "wired":
            # The CPU backend ignores the wired limit; only asking again tells.
            new = setter(value)
        change = Change(knob, old, new, who)
        self._notice(change)
        return change

    def call(self, name: str, who: str) -> None:
        """`clear_cache` or `reset_peak_memory` in the name of `who`."""
        size = self._mx.get_cache_memory() if name == "clear_cache" else self._mx.get_peak_memory()
        self._original[name]()
        self._notice(Call(name, size, who))

    def _setter(self, knob: Knob) -> Any:
        name = SETTERS[knob]
        return self._original.get(name) or getattr(self._mx, name)

    def _wrap_setter(self, knob: Knob, setter: Any) -> Any:
        @wraps(setter)
        def wrapper(limit: int) -> int:
            old = setter(limit)
            self._notice(Change(knob, old, limit, caller()))
            return int(old)

        return wrapper

    def _wrap_call(self, name: str, function: Any, size: Callable[[], int]) -> Any:
        @wraps(function)
        def wrapper() -> None:
            before = size()
            function()
            self._notice(Call(name, before, caller()))

        return wrapper


def caller() -> str:
    """File and line of the code outside mlxtop that called MLX: `mlx_lm/generate.py:463`."""
    frame = sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in ("mlxtop", "contextlib"):
        frame = frame.f_back
    parts = frame.f_code.co_filename.replace("\\", "/").split("/")
    return f"{'/'.join(parts[-2:])}:{frame.f_lineno}"


def defaults() -> dict[Knob, int]:
    """What MLX starts with, in bytes, without asking by setting: right for a process in which nobody has set
    a limit yet.

    The cache limit of Metal and CUDA is the memory limit; the CPU backend has its own. Nothing is wired.
    """
    mx = backend.load()
    memory = int(mx.get_memory_limit())
    return {"cache": CPU_CACHE_LIMIT if backend.name() == "CPU" else memory, "memory": memory, "wired": 0}


def apply(limits: dict[Knob, int]) -> dict[Knob, int]:
    """Sets the given limits at once on the calling thread and returns what each was, in bytes."""
    mx = backend.load()
    return {knob: int(getattr(mx, SETTERS[knob])(limits[knob])) for knob in KNOBS if knob in limits}
