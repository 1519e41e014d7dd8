"""What a program imports: snapshots, marks, phases, and a cache limit for a block of code.

Marks and phases are sent to the session that watches the program. Without one they cost a microsecond and
have no effect.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlxtop.core.announcements import listeners
from mlxtop.core.snapshot import Snapshot
from mlxtop.core.units import DEFAULT, UNLIMITED, parse_size
from mlxtop.mlx import allocator, hooks

if TYPE_CHECKING:
    from mlxtop.core.announcements import Listener

_default_cache_limit: int | None = None


def snapshot() -> Snapshot:
    """Returns MLX's counters in bytes; `time` is `time.monotonic()`.

    Raises `NoBackendError` if MLX or its backend is not installed.
    """
    return allocator.snapshot(time.monotonic())


def mark(name: str = "mark") -> Snapshot:
    """Sets a mark on the viewer's time axis. Returns the snapshot at this moment.

    Raises `NoBackendError` if MLX or its backend is not installed.
    """
    now = snapshot()
    _tell("mark", name, now)
    return now


class _Phase:
    """A phase that has begun. As a context manager it ends with the block."""

    def __enter__(self) -> "_Phase":
        return self

    def __exit__(self, *_: object) -> None:
        _tell("phase", "idle", snapshot())


def phase(name: str) -> _Phase:
    """Begins a phase: `prefill`, `train`, or any other name.

    The phase lasts until the next call, or, in a `with` statement, until the end of the block; then the phase
    is `idle`. Raises `NoBackendError` if MLX or its backend is not installed.
    """
    _tell("phase", name, snapshot())
    return _Phase()


@contextmanager
def cache_limit(size: str | int) -> Iterator[int]:
    """Sets MLX's cache limit for a `with` block, and restores the previous limit after it.

    `size` is a number of bytes, or a size as on the command line: `0`, `20M`, `unlimited`, `default` (the
    limit before mlxtop first changed it). Yields the limit in bytes. Raises `UsageError` if `size` is not a
    size, `NoBackendError` if MLX or its backend is not installed.
    """
    global _default_cache_limit
    wanted = parse_size(size) if isinstance(size, str) else size
    if wanted == DEFAULT:
        value = _default_cache_limit
        if value is None:
            value = hooks.apply({"cache": UNLIMITED})["cache"]
            hooks.apply({"cache": value})
    else:
        value = int(wanted)
    old = hooks.apply({"cache": value})["cache"]
    if _default_cache_limit is None:
        _default_cache_limit = old
    try:
        yield value
    finally:
        hooks.apply({"cache": old})


def listen(listener: "Listener") -> Callable[[], None]:
    """Calls `listener(kind, name, snapshot)` at each mark and phase. Returns a function that ends this."""
    listeners.append(listener)
    return lambda: listeners.remove(listener)


def _tell(kind: str, name: str, now: Snapshot) -> None:
    for listener in tuple(listeners):
        listener(kind, name, now)
