"""Sets MLX's limits, clears its cache, resets its peak, and reports every change, whoever made it."""

from __future__ import annotations

from mlxtop.core.commands import ClearCache, Collect, ResetPeak, SetLimit, SetTrace, TakeCensus
from mlxtop.core.events import (
    CacheCleared,
    CensusTaken,
    ErrorRaised,
    GarbageCollected,
    LimitChanged,
    PeakReset,
)
from mlxtop.core.limits import LIMIT_NAMES, MLX_DEFAULT
from mlxtop.core.record import Record
from mlxtop.core.units import DEFAULT, UNKNOWN
from mlxtop.mlx import backend
from mlxtop.mlx.collector import HeldOff, collect
from mlxtop.mlx.hooks import AllocatorHooks, Call, Change, known_limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from mlxtop.core.census import Census
    from mlxtop.core.commands import Command
    from mlxtop.core.events import EventData
    from mlxtop.core.limits import LimitName
    from mlxtop.core.units import Size
    from mlxtop.mlx.trace.tracer import Tracer
    from mlxtop.mlx.tracing import Tracing

    class Emit(Protocol):
        """Hears of what happens, and of the number of the command that it answers."""

        def __call__(self, data: EventData, answers: int | None = None) -> None: ...

else:
    Emit = object


class KnownLimit(Record):
    """A limit, in bytes; `None` is what nobody knows."""

    value: int | None = None
    source: str = ""
    """Who set it."""
    default: int | None = None
    """What MLX starts with."""


UNKNOWN_LIMIT = KnownLimit()


class AllocatorController:
    """The limits, the cache, the peak, Python's garbage and the count of arrays of this process.

    `emit` is told of every change, those by other code included, on the thread that made it; what a command
    did carries the command's number, `command_id`. Call the methods where it is safe: on the thread that owns
    MLX, between two evaluations. `settle` lets queued work finish first, with the GIL free: on the CPU
    backend MLX's setters wait for it with the GIL held.
    """

    def __init__(self, emit: Emit, settle: Callable[[], None] = lambda: None) -> None:
        self._emit = emit
        self._settle = settle
        self._hooks = AllocatorHooks(self._on_call)
        self._limits: dict[LimitName, KnownLimit] = {}
        self._tracing: Tracing | None = None
        """`None` where no trace was ever asked for."""
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

    def execute(self, command: Command, command_id: int | None = None) -> None:
        """Carries out a command that concerns the allocator; any other does nothing."""
        match command:
            case SetLimit(name, size, source):
                self.set_limit(name, size, source, command_id)
            case ClearCache(source):
                self.clear_cache(source, command_id)
            case ResetPeak(source):
                self.reset_peak(source, command_id)
            case Collect(source):
                self.collect(source, command_id)
            case TakeCensus():
                self.census(command_id)
            case SetTrace(on, source, path):
                self.trace(on, source, path, command_id)

    def set_limit(self, name: LimitName, size: Size, source: str, command_id: int | None = None) -> None:
        """Sets a limit to bytes or to MLX's default; reports when MLX refuses, and the limit that holds."""
        value = self.default(name) if size == DEFAULT else int(size)
        if value is None:
            return
        if not backend.sets_limits_at_once():
            self._settle()
        try:
            self._hooks.set(name, value, source, command_id)
        except Exception as error:
            self._refuse(name, value, f"MLX refused the {name} limit: {error}.", command_id)

    def clear_cache(self, source: str, command_id: int | None = None) -> None:
        """Gives the cached buffers back, in the name of `source`."""
        self._settle()
        self._hooks.call("clear_cache", source, command_id)

    def reset_peak(self, source: str, command_id: int | None = None) -> None:
        """Has the peak start again from what is active, in the name of `source`."""
        self._hooks.call("reset_peak_memory", source, command_id)

    def collect(self, source: str, command_id: int | None = None) -> None:
        """Runs Python's garbage collector."""
        objects, freed = collect()
        self._emit(GarbageCollected(source, objects, freed), command_id)

    def census(self, command_id: int | None = None) -> None:
        """Counts the live arrays, the next time longer where the time was too short."""
        self._take_census(command_id)

    def trace(self, on: bool, source: str, path: str = "", command_id: int | None = None) -> None:
        """Starts a trace of every allocation, or stops it; reports why it cannot."""
        if on:
            self._settle()
            self._begin_tracing().start(source, path, command_id=command_id)
        elif self._tracing is not None:
            self._tracing.stop(source, command_id)

    def trace_with(self, text: str) -> None:
        """Starts the trace that `ipc.environment.TRACE` asks for."""
        self._begin_tracing().start_with(text)

    def forget_trace(self) -> None:
        """In a fork's child: the trace is the parent's."""
        if self._tracing is not None:
            self._tracing.forget()

    @property
    def tracer(self) -> Tracer | None:
        """The trace that is being written."""
        return None if self._tracing is None else self._tracing.tracer

    @property
    def buffers(self) -> int:
        """Live buffers that were allocated since a trace began; `UNKNOWN` without one."""
        tracer = self.tracer
        return UNKNOWN if tracer is None else tracer.counters.buffers

    def _begin_tracing(self) -> Tracing:
        if self._tracing is None:
            # Most programs never ask for it.
            from mlxtop.mlx.tracing import Tracing

            self._tracing = Tracing(self._emit)
        return self._tracing

    def _take_census(self, command_id: int | None) -> Census:
        # The import, too, makes enough objects for the collector to run.
        with HeldOff():
            # Most programs never ask for it.
            from mlxtop.mlx.census import BUDGET, longer, take

            found = take(self._census_budget or BUDGET)
        self._census_budget = longer(found, self._census_budget or BUDGET)
        self._emit(CensusTaken(found), command_id)
        return found

    def _refuse(self, name: LimitName, value: int, why: str, command_id: int | None) -> None:
        now = self._limits.get(name, UNKNOWN_LIMIT)
        self._emit(ErrorRaised(why, "limit"), command_id)
        self._emit(LimitChanged(name, now.value, now.value, now.source, asked=value), command_id)

    def _record_found(self, name: LimitName, value: int, source: str, default: int | None) -> None:
        self._limits[name] = KnownLimit(value, source, default)
        known_limits[name] = value
        self._emit(LimitChanged(name, value, value, source, default=default, found=True))

    # On the thread of whoever made the change

    def _on_call(self, what: Change | Call) -> None:
        match what:
            case Change(name, old, new, source, asked, answers):
                self._limits[name] = KnownLimit(new, source, self.default(name))
                known_limits[name] = new
                self._report(LimitChanged(name, old, new, source, asked), answers)
            case Call("clear_cache", size, source, answers):
                total = size + self._hooks.active()
                self._report(CacheCleared(source, size, total=total), answers)
            case Call(_, size, source, answers):
                self._report(PeakReset(source, size), answers)

    def _report(self, data: EventData, answers: int | None) -> None:
        self._emit(data, answers)
