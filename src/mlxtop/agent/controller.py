"""Controls the allocator of a program that mlxtop did not write."""

from __future__ import annotations

import sys

from mlxtop.agent.event_log import Repeatable
from mlxtop.core.events import LimitChanged
from mlxtop.core.limits import LIMIT_NAMES, MLX_DEFAULT
from mlxtop.core.units import UNKNOWN
from mlxtop.mlx import backend
from mlxtop.mlx.controller import AllocatorController
from mlxtop.mlx.hooks import Change, defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mlxtop.agent.event_log import EventLog
    from mlxtop.core.events import EventData
    from mlxtop.core.limits import LimitName
    from mlxtop.core.units import Size
    from mlxtop.mlx.hooks import Call

WIRED_STAYS = (
    "The wired limit of a running program cannot be changed safely: start the program with "
    "mlxtop run --wired-limit SIZE."
)


class ProgramController(AllocatorController):
    """Reports to `event_log`, where changes that a program makes again and again become one event.

    `late`: the program may have set limits before, so they are not known until they are read. No failure
    reaches the program.
    """

    def __init__(self, event_log: EventLog, late: bool) -> None:
        super().__init__(event_log.emit)
        self._event_log = event_log
        self._late = late
        self.begin()

    def begin(self) -> None:
        """Forgets the last census: it was of another process."""
        self.kept = (UNKNOWN, UNKNOWN)
        """Bytes of weights and KV caches as the last census found them."""
        self._census_budget = None

    def assume_defaults(self) -> None:
        """Takes MLX's defaults for the limits, where nobody can have set one before the agent came."""
        if not self._late:
            for name, value in defaults().items():
                if name not in self._limits:
                    self._record_found(name, value, MLX_DEFAULT, value)

    def start_with(self, text: str) -> None:
        """Sets `cache=20971520 memory=…`: the program is just importing MLX, nothing is queued yet."""
        for word in text.split():
            given, _, size = word.partition("=")
            for name in LIMIT_NAMES:
                if name == given and size.isdecimal():
                    super().set_limit(name, int(size), "flag")

    def find_limits(self) -> None:
        """Reads the limits of a program that ran before the agent came, once, by setting them."""
        switch = sys.getswitchinterval()
        try:
            # So that no other thread of the program comes between a limit and its return.
            sys.setswitchinterval(1.0)
            found = self._hooks.read_limits()
        finally:
            sys.setswitchinterval(switch)
        known = defaults(fresh=False)
        if found["memory"] == found["cache"]:
            # Both begin with the same odd number, which MLX does not tell everywhere.
            known = {"memory": found["memory"], "cache": found["cache"], **known}
        for name, value in found.items():
            if name not in self._limits:
                default = known.get(name)
                source = "" if default is None else MLX_DEFAULT if value == default else "program"
                self._record_found(name, value, source, default)

    def set_limit(self, name: LimitName, size: Size, source: str, command_id: int | None = None) -> None:
        """Sets a limit of a program that runs; reports a refusal, and the limit that holds.

        The wired limit must not change while MLX has work queued on any stream, which nobody can know here.
        """
        if name == "wired" and backend.no_wiring() is None:
            self._refuse(name, int(size), WIRED_STAYS, command_id)
        else:
            super().set_limit(name, size, source, command_id)

    def census(self, command_id: int | None = None) -> None:
        """Counts the live arrays, and keeps what the weights and the KV caches hold."""
        parts = self._take_census(command_id).parts
        self.kept = parts.get("weights", 0), parts.get("kv", 0)

    # On the thread of whoever made the change

    def _on_call(self, what: Change | Call) -> None:
        try:
            if isinstance(what, Change) and not self._late and self.default(what.name) is None:
                self._record_found(what.name, what.old, MLX_DEFAULT, what.old)
            super()._on_call(what)
        except Exception as error:
            self._event_log.fail(error)

    def _report(self, data: EventData, answers: int | None) -> None:
        # The limits that a program starts with are asked for by no viewer.
        commanded = answers is not None or (isinstance(data, LimitChanged) and data.asked is not None)
        if not commanded and isinstance(data, Repeatable):
            self._event_log.emit_often(data)
        else:
            self._emit(data, answers)
