"""What holds for a whole session: the device MLX runs on, its ceilings, and the versions in play."""

from __future__ import annotations

from mlxtop.core.parsing import count, text, truth
from mlxtop.core.record import Record
from mlxtop.core.text import block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

UNNAMED = "—"
"""A device or a backend that was not told."""
TEXT = 200
"""Letters of a text that are kept."""
ARGUMENTS, ARGUMENT = 50, 300
"""Words of a command line that are kept, and letters of a word."""


class Facts(Record):
    """Sizes are bytes; `None` is what the device does not name, or what was not told."""

    device: str = UNNAMED
    """The device's name: `Apple M3 Max`."""
    backend: str = UNNAMED
    """`Metal`, `CUDA` or `CPU`."""
    unified: bool = True
    """Whether the device shares the system's memory."""
    no_wiring: str | None = None
    """Why the wired limit does nothing here, in a word or two."""
    architecture: str | None = None
    memory: int | None = None
    """The device's memory."""
    working_set: int | None = None
    """What Metal recommends not to exceed."""
    max_buffer: int | None = None
    """The largest single buffer."""
    resource_limit: int | None = None
    """The most buffers at once, cached ones included: Metal's, or what `MLXTOP_BUFFER_LIMIT` says."""
    system_memory: int | None = None
    cgroup_limit: int | None = None
    """The container's memory limit."""
    os: str | None = None
    platform: str | None = None
    python: str | None = None
    mlx: str | None = None
    mlx_lm: str | None = None
    mlxtop: str | None = None
    pid: int | None = None
    argv: tuple[str, ...] = ()
    model: str | None = None
    """What mlx-lm runs, where mlxtop drives it."""
    cache_limit: int | None = None
    """MLX's default, where a sweep learned it."""

    @property
    def known(self) -> bool:
        """Whether anything was told: MLX is loaded."""
        return self != _NOTHING

    def to_json(self) -> dict[str, object]:
        """Plain data by the fields' names; `from_json` reads it."""
        told = self.fields()
        told["argv"] = list(self.argv)
        return {name: value for name, value in told.items() if value is not None or name not in _ADDED}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Facts:
        """Facts of unknown origin. What is missing, wrong or not known here is left out."""
        return cls().replace(**{name: _checked(name, data.get(name)) for name in cls.defaults})


_NOTHING = Facts()
_ADDED = ("model", "cache_limit", "resource_limit")
"""What only some sessions have."""


def words(argv: object) -> tuple[str, ...]:
    """A command line of unknown origin: so many words of bounded length."""
    given = argv[:ARGUMENTS] if isinstance(argv, list) else []
    return tuple(block(word[:ARGUMENT]) for word in given if isinstance(word, str))


def _checked(name: str, value: object) -> object:
    try:
        return _CHECKS[name](value)
    except ValueError:
        return Facts.defaults[name]


def _text(value: object) -> str:
    return text(value, TEXT)


def _size(value: object) -> int:
    return count(value, 1, 2**63)


def _pid(value: object) -> int:
    return count(value, 0, 2**31)


_CHECKS: Mapping[str, Callable[[object], object]] = {
    **dict.fromkeys(
        (
            "device", "backend", "no_wiring", "architecture", "os", "platform", "python", "mlx", "mlx_lm",
            "mlxtop", "model",
        ),
        _text,
    ),
    **dict.fromkeys(
        (
            "memory", "working_set", "max_buffer", "resource_limit", "system_memory", "cgroup_limit",
            "cache_limit",
        ),
        _size,
    ),
    "unified": truth,
    "pid": _pid,
    "argv": words,
}  # fmt: skip
