"""Turning MLX's knobs on the thread that owns it, and telling of each turn, whoever made it."""

from collections.abc import Callable

from mlxtop.core.events import Kind
from mlxtop.core.limits import KNOBS, MLX_DEFAULT, Knob
from mlxtop.core.units import DEFAULT
from mlxtop.inference.commands import SetLimit
from mlxtop.mlx import allocator, backend, census
from mlxtop.mlx.hooks import Call, Change, Watch


class Knobs:
    """Limits, cache, peak and garbage. Everything here waits for queued work first, where MLX would.

    `emit(kind, **data)` hears of every turn, those of other people's code included.
    """

    def __init__(self, emit: Callable[..., None]) -> None:
        self._emit = emit
        self._mx = backend.load()
        self._asked: int | None = None
        self._budget = census.BUDGET
        """Seconds for the next census."""
        self._watch = Watch(self._noticed)
        self._watch.install()
        self._defaults = self._watch.ask(fresh=True)
        self._stand: dict[Knob, tuple[int, str]] = {}
        for knob in KNOBS:
            value = self._defaults[knob]
            self._stand[knob] = value, MLX_DEFAULT
            emit(Kind.LIMIT, knob=knob, old=value, new=value, who=MLX_DEFAULT)

    def close(self) -> None:
        """Leaves MLX's functions as they were."""
        self._watch.remove()

    def set_limit(self, command: SetLimit) -> None:
        """Sets a limit; when MLX refuses, tells that and what stands instead."""
        value = self._defaults[command.knob] if command.value == DEFAULT else int(command.value)
        self._settle()
        self._asked = value
        try:
            self._watch.set(command.knob, value, command.who)
        except Exception as error:
            self._emit(Kind.ERROR, message=f"MLX refused the {command.knob} limit: {error}.", phase="limit")
            now, who = self._stand[command.knob]
            self._emit(Kind.LIMIT, knob=command.knob, old=now, new=now, who=who, asked=value)
        finally:
            self._asked = None

    def clear_cache(self, who: str) -> None:
        self._settle()
        self._watch.call("clear_cache", who)

    def reset_peak(self, who: str) -> None:
        self._watch.call("reset_peak_memory", who)

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

    def _noticed(self, what: Change | Call) -> None:
        match what:
            case Change(knob, old, new, who):
                self._stand[knob] = new, who
                self._emit(Kind.LIMIT, knob=knob, old=old, new=new, who=who, asked=self._asked)
            case Call("clear_cache", size, who):
                self._emit(Kind.CLEAR, freed=size, who=who)
            case Call(_, size, who):
                self._emit(Kind.RESET, peak=size, who=who)
