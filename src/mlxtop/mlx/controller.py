"""Sets MLX's limits, clears its cache, resets its peak, and reports every change, whoever made it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from mlxtop.core.events import Kind
from mlxtop.core.limits import LIMIT_NAMES, MLX_DEFAULT, LimitName
from mlxtop.core.units import DEFAULT, Size
from mlxtop.mlx import allocator
from mlxtop.mlx.hooks import AllocatorHooks, Call, Change

if TYPE_CHECKING:
    from mlxtop.core.census import Census

Emit = Callable[..., None]
"""Called as `emit(kind, **data)`: see `core/events.py`."""


class KnownLimit(NamedTuple):
    """A limit, in bytes; `None` is what nobody knows."""

    value: int | None = None
    source: str = ""
    """Who set it."""
    default: int | None = None
    """What MLX starts with."""


UNKNOWN_LIMIT = KnownLimit()


class AllocatorController:
    """The limits, the cache, the peak, Python's garbage and the count of arrays of this process.

    `emit` is told of every change, those by other code included, on the thread that made it. Call the
    methods where it is safe: on the thread that owns MLX, between two evaluations. `settle` lets queued work
    finish first, with the GIL free: on the CPU backend MLX's setters wait for it with the GIL held.
    """

    def __init__(self, emit: Emit, settle: Callable[[], None] = lambda: None) -> None:
        self._emit = emit
        self._settle = settle
        self._hooks = AllocatorHooks(self._on_call)
        self._limits: dict[LimitName, KnownLimit] = {}
        self._asked: int | None = None
        self._census_budget: float | None = None
        """Seconds for the next census, after one that was too short."""

    def install(self) -> None:
        """Wraps MLX's functions."""
        self._hooks.install()

    def remove(self) -> None:
        """Leaves MLX's functions as they were."""
        self._hooks.remove()

    def limits(self) -> dict[LimitName, KnownLimit]:
        """Each limit as it is, as far as it is known."""
        return dict(self._limits)

    def default(self, name: LimitName) -> int | None:
        """What MLX starts with, in bytes; `None` where that is not known."""
        return self._limits.get(name, UNKNOWN_LIMIT).default

    def read_fresh_limits(self) -> None:
        """Reads the limits of a process in which nobody has set one yet."""
        found = self._hooks.read_limits(fresh=True)
        for name in LIMIT_NAMES:
            self._record_found(name, found[name], MLX_DEFAULT, found[name])

    def set_limit(self, name: LimitName, size: Size, source: str) -> None:
        """Sets a limit to bytes or to MLX's default; reports when MLX refuses, and the limit that holds."""
        value = self.default(name) if size == DEFAULT else int(size)
        if value is None:
            return
        self._settle()
        self._asked = value
        try:
            self._hooks.set(name, value, source)
        except Exception as error:
            self._refuse(name, value, f"MLX refused the {name} limit: {error}.")
        finally:
            self._asked = None

    def clear_cache(self, source: str) -> None:
        """Gives the cached buffers back, in the name of `source`."""
        self._settle()
        self._hooks.call("clear_cache", source)

    def reset_peak(self, source: str) -> None:
        """Has the peak start again from what is active, in the name of `source`."""
        self._hooks.call("reset_peak_memory", source)

    def collect(self, source: str) -> None:
        """Runs Python's garbage collector."""
        objects, freed = allocator.collect()
        self._emit(Kind.COLLECT, objects=objects, freed=freed, who=source)

    def census(self) -> None:
        """Counts the live arrays, the next time longer where the time was too short."""
        self._take_census()

    def _take_census(self) -> "Census":
        # Most programs never ask for it.
        from mlxtop.mlx.census import BUDGET, longer, take

        found = take(self._census_budget or BUDGET)
        self._census_budget = longer(found, self._census_budget or BUDGET)
        self._emit(Kind.CENSUS, **found.to_json())
        return found

    def _refuse(self, name: LimitName, value: int, why: str) -> None:
        now = self._limits.get(name, UNKNOWN_LIMIT)
        self._emit(Kind.ERROR, message=why, phase="limit")
        self._emit(Kind.LIMIT, knob=name, old=now.value, new=now.value, who=now.source, asked=value)

    def _record_found(self, name: LimitName, value: int, source: str, default: int | None) -> None:
        self._limits[name] = KnownLimit(value, source, default)
        self._emit(Kind.LIMIT, knob=name, old=value, new=value, who=source)

    # On the thread of whoever made the change

    def _on_call(self, what: Change | Call) -> None:
        match what:
            case Change(name, old, new, source):
                self._limits[name] = KnownLimit(new, source, self.default(name))
                asked = {} if self._asked is None else {"asked": self._asked}
                self._report(Kind.LIMIT, knob=name, old=old, new=new, who=source, **asked)
            case Call("clear_cache", size, source):
                self._report(Kind.CLEAR, who=source, freed=size)
            case Call(_, size, source):
                self._report(Kind.RESET, who=source, peak=size)

    def _report(self, kind: Kind, **data: Any) -> None:
        self._emit(kind, **data)
