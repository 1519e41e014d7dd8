"""MLX's limits in the program that the agent lives in: what they are, who set them, and setting them."""

import sys
from typing import Any

from mlxtop.agent.event_log import EventLog
from mlxtop.core.events import Kind
from mlxtop.core.limits import LIMIT_NAMES, MLX_DEFAULT, LimitName
from mlxtop.core.sample import UNKNOWN
from mlxtop.mlx import allocator, backend
from mlxtop.mlx.hooks import AllocatorHooks, Call, Change, defaults

KnownLimit = tuple[int | None, str, int | None]
"""A limit's value, who set it, and MLX's default; `None` is what nobody knows."""
NOT_KNOWN: KnownLimit = None, "", None
WIRED_STAYS = (
    "The wired limit of a running program cannot be changed safely: start the program with "
    "mlxtop run --wired-limit SIZE."
)


class AllocatorController:
    """Limits, cache, peak, garbage and the count of arrays. What turns one is called where it is safe; `news`
    tells of every turn, those of the program's own code included.

    `late`: the program may have set limits before, so what stands is not known until it is asked.
    """

    def __init__(self, news: EventLog, late: bool) -> None:
        self._news = news
        self._late = late
        self._watch = AllocatorHooks(self._on_call)
        self._limits: dict[LimitName, KnownLimit] = {}
        self._asked: int | None = None
        self.begin()

    def begin(self) -> None:
        """Forgets the last census: it was of another process."""
        self.kept = (UNKNOWN, UNKNOWN)
        """Bytes of weights and KV caches as the last census found them."""
        self._budget: float | None = None
        """Seconds for the next census, after one that was too short."""

    def install(self) -> None:
        """Wraps MLX's functions."""
        self._watch.install()

    def limits(self) -> dict[LimitName, KnownLimit]:
        """Each limit as it stands, as far as it is known."""
        return dict(self._limits)

    def default(self, knob: LimitName) -> int | None:
        """What MLX starts with, in bytes."""
        return self._limits.get(knob, NOT_KNOWN)[2]

    def assume_defaults(self) -> None:
        """Takes MLX's defaults for what stands, where nobody can have set a limit before the agent came."""
        if not self._late:
            for knob, value in defaults().items():
                if knob not in self._limits:
                    self._record_found(knob, value, MLX_DEFAULT, value)

    def start_with(self, text: str) -> None:
        """Sets `cache=20971520 memory=…`: the program is just importing MLX, nothing is queued yet."""
        for word in text.split():
            knob, _, size = word.partition("=")
            if size.isdecimal():
                for known in LIMIT_NAMES:
                    if known == knob:
                        self._set(known, int(size), "flag")

    # Wherever it is safe

    def find_limits(self) -> None:
        """The limits of a program that ran before the agent came, asked once by setting."""
        switch = sys.getswitchinterval()
        try:
            # So that no other thread of the program comes between a limit and its return.
            sys.setswitchinterval(1.0)
            found = self._watch.read_limits()
        finally:
            sys.setswitchinterval(switch)
        known = defaults(fresh=False)
        if found["memory"] == found["cache"]:
            # Both begin with the same odd number, which MLX does not tell everywhere.
            known = {"memory": found["memory"], "cache": found["cache"], **known}
        for knob, value in found.items():
            if knob not in self._limits:
                default = known.get(knob)
                who = "" if default is None else MLX_DEFAULT if value == default else "program"
                self._record_found(knob, value, who, default)

    def set_limit(self, knob: LimitName, value: int, who: str) -> None:
        """Sets a limit of a program that runs; tells when that is refused, and what stands instead.

        The wired limit must not change while MLX has work queued on any stream, which nobody can know here.
        """
        if knob == "wired" and backend.no_wiring() is None:
            self._refuse(knob, value, WIRED_STAYS)
        else:
            self._set(knob, value, who)

    def _set(self, knob: LimitName, value: int, who: str) -> None:
        self._asked = value
        try:
            self._watch.set(knob, value, who)
        except Exception as error:
            self._refuse(knob, value, f"MLX refused the {knob} limit: {error}.")
        finally:
            self._asked = None

    def _refuse(self, knob: LimitName, value: int, why: str) -> None:
        now, by, _ = self._limits.get(knob, NOT_KNOWN)
        self._news.emit(Kind.ERROR, message=why, phase="limit")
        self._news.emit(Kind.LIMIT, knob=knob, old=now, new=now, who=by, asked=value)

    def clear_cache(self, who: str) -> None:
        """Gives the cached buffers back, in the name of `who`."""
        self._watch.call("clear_cache", who)

    def reset_peak(self, who: str) -> None:
        """Has the peak start again from what is active, in the name of `who`."""
        self._watch.call("reset_peak_memory", who)

    def collect(self, who: str) -> None:
        """Runs Python's garbage collector."""
        objects, freed = allocator.collect()
        self._news.emit(Kind.COLLECT, objects=objects, freed=freed, who=who)

    def census(self) -> None:
        """Counts the live arrays; the next time longer, where the time was too short."""
        from mlxtop.mlx.census import BUDGET, longer, take

        found = take(self._budget or BUDGET)
        self._budget = longer(found, self._budget or BUDGET)
        self.kept = found.parts.get("weights", 0), found.parts.get("kv", 0)
        self._news.emit(Kind.CENSUS, **found.to_json())

    # In the thread of whoever turned a knob

    def _on_call(self, what: Change | Call) -> None:
        try:
            if isinstance(what, Change):
                self._changed(what)
            else:
                kind = Kind.CLEAR if what.name == "clear_cache" else Kind.RESET
                size: dict[str, Any] = {"freed" if kind is Kind.CLEAR else "peak": what.size}
                self._news.emit_often((kind, what.source), kind, who=what.source, **size)
        except Exception as error:
            self._news.fail(error)

    def _changed(self, change: Change) -> None:
        knob, old, new, who = change
        default = self.default(knob)
        if default is None and not self._late:
            default = old
            self._news.emit(Kind.LIMIT, knob=knob, old=old, new=new, who=MLX_DEFAULT)
        self._limits[knob] = new, who, default
        told = {"knob": knob, "old": old, "new": new, "who": who}
        if self._asked is not None:
            self._news.emit(Kind.LIMIT, **told, asked=self._asked)
        else:
            self._news.emit_often((Kind.LIMIT, knob, who), Kind.LIMIT, **told)

    def _record_found(self, knob: LimitName, value: int, who: str, default: int | None) -> None:
        self._limits[knob] = value, who, default
        self._news.emit(Kind.LIMIT, knob=knob, old=value, new=value, who=who)
