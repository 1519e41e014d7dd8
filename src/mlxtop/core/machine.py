"""What the machine says of its own memory: not MLX's, and not of this process alone."""

from collections.abc import Mapping

from mlxtop.core.record import Record

LEVELS = ("normal", "warning", "critical")
"""Of pressure, the worst last."""


class System(Record):
    """One reading. Sizes are bytes; `None` is what this machine does not have, or does not tell."""

    pressure: str | None = None
    """One of `LEVELS`. macOS: as Activity Monitor colours it. Linux: from `stalled`."""
    stalled: float | None = None
    """Linux: share of the last 10 s in which some task waited for memory (PSI), from 0 to 1."""
    available: int | None = None
    """What can be had without swapping."""
    swap_used: int | None = None
    swap_total: int | None = None
    """Swap there is at this moment: macOS makes more when it needs it."""
    compressed: int | None = None
    """What the compressor takes up; Linux: zswap."""
    wired: int | None = None
    """macOS: memory that cannot be paged out, the GPU's among it."""
    wired_limit: int | None = None
    """macOS: `iogpu.wired_limit_mb`, where somebody set it: the GPU's working set then."""
    gpu: float | None = None
    """How busy the GPU is, from 0 to 1."""
    thermal: str | None = None
    """macOS: thermal pressure, `nominal` to `sleeping`. NVIDIA: `nominal`, or `slowed` by heat."""
    cgroup_limit: int | None = None
    """Linux: the least memory limit of the process's container and those around it."""
    cgroup_used: int | None = None
    """What counts against it: charged pages but for file pages that can be dropped."""
    device_used: int | None = None
    """A GPU's own memory that is not free, whoever uses it."""
    device_total: int | None = None
    pss: int | None = None
    """Linux: the process's proportional set size: shared pages count in shares. Read seldom: it is dear."""
    pss_age: float = 0.0
    """Seconds since it was read."""

    def to_json(self) -> dict[str, object]:
        """The data of a `system` event: what is known, by its field's name."""
        return {name: value for name, value in self.fields().items() if value is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "System":
        """The reading that a `system` event tells. Raises `ValueError` for what is none."""
        return cls().replace(**{name: _checked(name, data.get(name)) for name in cls.defaults})


_TEXTS = {"pressure": LEVELS, "thermal": None}
_NUMBERS = {"stalled": 1.0, "gpu": 1.0, "pss_age": 1e12}
"""The most that each can be."""


def _checked(name: str, value: object) -> object:
    if value is None:
        return System.defaults[name]
    if name in _TEXTS:
        right = isinstance(value, str) and value in (_TEXTS[name] or (value,))
    elif name in _NUMBERS:
        right = isinstance(value, int | float) and value is not True and 0 <= value <= _NUMBERS[name]
    else:
        right = value == 0 or _size(value) is not None
    if not right:
        raise ValueError(f"{name} of a machine cannot be {str(value)[:20]!r}")
    return value


def _size(value: object) -> int | None:
    return value if type(value) is int and 0 < value < 2**63 else None
