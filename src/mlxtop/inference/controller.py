"""Sets MLX's limits on the thread that owns it, and reports every change, whoever made it."""

from collections.abc import Callable

from mlxtop.core.events import Kind
from mlxtop.core.limits import LIMIT_NAMES, MLX_DEFAULT, LimitName
from mlxtop.core.units import DEFAULT
from mlxtop.inference.commands import SetLimit
from mlxtop.mlx import allocator, backend, census
from mlxtop.mlx.hooks import AllocatorHooks, Call, Change


class AllocatorController:
    """Limits, cache, peak and garbage. Everything here waits for queued work first, where MLX would.

    `emit(kind, **data)` hears of every turn, those of other people's code included.
    """

    def __init__(self, emit: Callable[..., None]) -> None:
        self._emit = emit
        self._mx = backend.load()
        self._asked: int | None = None
        self._budget = census.BUDGET
        """Seconds for the next census."""
        self._hooks = AllocatorHooks(self._on_call)
        self._hooks.install()
        self._defaults = self._hooks.read_limits(fresh=True)
        self._limits: dict[LimitName, tuple[int, str]] = {}
        for knob in LIMIT_NAMES:
            value = self._defaults[knob]
            self._limits[knob] = value, MLX_DEFAULT
            emit(Kind.LIMIT, knob=knob, old=value, new=value, who=MLX_DEFAULT)

    def close(self) -> None:
        """Leaves MLX's functions as they were."""
        self._hooks.remove()

    def set_limit(self, command: SetLimit) -> None:
        """Sets a limit; when MLX refuses, tells that and what stands instead."""
        value = self._defaults[command.knob] if command.value == DEFAULT else int(command.value)
        self._settle()
        self._asked = value
        try:
            self._hooks.set(command.knob, value, command.who)
        except Exception as error:
            self._emit(Kind.ERROR, message=f"MLX refused the {command.knob} limit: {error}.", phase="limit")
            now, who = self._limits[command.knob]
            self._emit(Kind.LIMIT, knob=command.knob, old=now, new=now, who=who, asked=value)
        finally:
            self._asked = None

    def clear_cache(self, who: str) -> None:
        self._settle()
        self._hooks.call("clear_cache", who)

    def reset_peak(self, who: str) -> None:
        self._hooks.call("reset_peak_memory", who)

    def collect(self, who: str) -> None:
        """Runs Python's garbage collector."""
        objects, freed = allocator.collect()
        self._emit(Kind.COLLECT, objects=objects, freed=freed, who=who)

    def census(self) -> None:
        """Counts the live arrays; the next time longer, where the time was too short."""
        found = census.take(self._budget)
        self._budget = census.longer(found, self._budget)
        self._emit(Kind.CENSUS, **found.to_json())

    def _settle(self) -> None:
        """Lets queued work finish with the GIL free: on the CPU backend the setters wait with it held."""
        self._mx.synchronize()

    def _on_call(self, what: Change | Call) -> None:
        match what:
            case Change(knob, old, new, who):
                self._limits[knob] = new, who
                self._emit(Kind.LIMIT, knob=knob, old=old, new=new, who=who, asked=self._asked)
            case Call("clear_cache", size, who):
                self._emit(Kind.CLEAR, freed=size, who=who)
            case Call(_, size, who):
                self._emit(Kind.RESET, peak=size, who=who)
