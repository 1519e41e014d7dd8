"""MLX's three limits as plain data, and the steps that the keys take."""

from __future__ import annotations

from mlxtop.core.record import Record
from mlxtop.core.units import UNLIMITED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from mlxtop.core.facts import Facts

    LimitName = Literal["cache", "memory", "wired"]
else:
    LimitName = str

LIMIT_NAMES: tuple[LimitName, ...] = ("cache", "memory", "wired")

MLX_DEFAULT = "MLX's default"
"""Who set a limit that nobody has touched."""

MIB = 2**20
GIB = 2**30
LADDER: tuple[int, ...] = (
    0,
    2 * MIB,
    20 * MIB,  # what mlx-swift's "Running on iOS" suggests for an LLM
    100 * MIB,
    256 * MIB,
    GIB,
    4 * GIB,
    16 * GIB,
    64 * GIB,
)


class Limit(Record):
    """One of MLX's limits as it stands. Sizes are bytes; `None` is what nobody knows yet."""

    value: int | None = None
    source: str = ""
    """Where the value came from: `MLX's default`, `flag`, `keyboard`, or a file and line."""
    pending: int | None = None
    """Asked for, and not yet carried out by the thread that owns MLX."""
    default: int | None = None
    """What MLX started with."""
    command_id: int | None = None
    """The number of the command that is pending."""

    @property
    def wanted(self) -> int | None:
        """What the value will be once nothing is pending."""
        return self.value if self.pending is None else self.pending

    def asked(self, value: int, command_id: int | None = None) -> Limit:
        """The limit once a command has asked for `value` bytes."""
        return self.replace(pending=value, command_id=command_id)

    def found(self, value: int | None, source: str, default: int | None) -> Limit:
        """The limit as an agent found it."""
        if default is None and source == MLX_DEFAULT:
            default = value
        return self.replace(value=value, source=source, default=default)

    def changed(
        self, value: int | None, source: str, asked: int | None = None, answers: int | None = None
    ) -> Limit:
        """The limit after a change. It is pending until the change that `answers` the command; an agent of
        mlxtop 0.1 tells only what was `asked` for."""
        default = value if self.default is None and source == MLX_DEFAULT else self.default
        answered = self.pending == asked if answers is None else self.command_id == answers
        if answered:
            return Limit(value, source, None, default)
        return self.replace(value=value, source=source, default=default)


RECLAIMED = 0.95
"""Of Metal's recommended working set: above it MLX gives cached buffers back before it takes new ones."""


def cache_ceiling(facts: Facts, memory: int | None, active: int) -> int | None:
    """Bytes the cache can come to beside `active`, whatever its limit; `None` where only its limit holds it.

    Metal reclaims what would take active + cache above min(memory limit, 0.95 × recommended working set):
    `gc_limit_` in mlx/backend/metal/allocator.cpp. CUDA reclaims above the memory limit:
    mlx/backend/cuda/allocator.cpp. The CPU backend knows the cache limit only.
    """
    if memory is None or facts.backend not in ("Metal", "CUDA"):
        return None
    if facts.backend == "Metal":
        if not facts.working_set:
            return None
        memory = min(memory, int(RECLAIMED * facts.working_set))
    return max(0, memory - active)


def rungs(default: int | None) -> list[int]:
    """The ladder up to MLX's default, which is its last rung but `unlimited`."""
    if default is None:
        return [*LADDER, UNLIMITED]
    return [*(rung for rung in LADDER if rung < default), default, UNLIMITED]


def step(limit: Limit, direction: Literal[-1, 1]) -> int:
    """The next rung below or above where the limit is going; the same where the ladder ends."""
    ladder = rungs(limit.default)
    here = limit.wanted if limit.wanted is not None else ladder[-1]
    if direction < 0:
        return max((rung for rung in ladder if rung < here), default=here)
    return min((rung for rung in ladder if rung > here), default=here)
