"""What a program says about itself: snapshots, marks, phases, and a limit for a while.

`mark` and `phase` are heard by the session that watches the program, if there is one; without one they
cost a microsecond and change nothing.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mlxtop.core.snapshot import Snapshot
from mlxtop.core.units import DEFAULT, UNLIMITED, parse_size
from mlxtop.mlx import allocator, hooks

Listener = Callable[[str, str, Snapshot], None]

_listeners: list[Listener] = []
_default_cache_limit: int | None = None


def snapshot() -> Snapshot:
    """MLX's counters now, in bytes; `time` is `time.monotonic()`.

    Raises `NoBackendError` when MLX is missing or has no backend here.
    """
    return allocator.snapshot(time.monotonic())


def mark(name: str = "mark") -> Snapshot:
    """Names this moment on the time axis of whoever watches, and returns its snapshot to measure from."""
    now = snapshot()
    _tell("mark", name, now)
    return now


class _Phase:
    """A phase that was begun; as a context manager it ends where the block ends."""

    def __enter__(self) -> "_Phase":
        return self

    def __exit__(self, *_: object) -> None:
        _tell("phase", "idle", snapshot())


def phase(name: str) -> _Phase:
    """Says what the program does from here on: `prefill`, `train`, any word of its own.

    Called plainly the phase lasts until the next one; in a `with` statement it ends in `idle`.
    """
    _tell("phase", name, snapshot())
    return _Phase()


@contextmanager
def cache_limit(size: str | int) -> Iterator[int]:
    """Sets MLX's cache limit for a `with` block and puts the old one back after it.

    `size` is bytes or what the command line takes: `0`, `20M`, `unlimited`, `default` (what MLX had
    before mlxtop first changed it). Yields the limit in bytes. Raises `UsageError` for a size that is none,
    `NoBackendError` when MLX cannot run here.
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


def listen(listener: Listener) -> Callable[[], None]:
    """Has `listener(kind, name, snapshot)` told of every mark and phase; returns how to stop it."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def _tell(kind: str, name: str, now: Snapshot) -> None:
    for listener in tuple(_listeners):
        listener(kind, name, now)
