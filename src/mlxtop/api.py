"""What a program imports: snapshots, metrics, marks, phases, and a cache limit for a block of code.

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
from mlxtop.mlx import allocator, backend, hooks, step_peaks
from mlxtop.system import footprint

if TYPE_CHECKING:
    from mlxtop.core.announcements import Listener
    from mlxtop.core.limits import LimitName

_default_cache_limit: int | None = None


def snapshot() -> Snapshot:
    """Returns MLX's counters in bytes; `time` is `time.monotonic()`.

    Raises `NoBackendError` if MLX or its backend is not installed.
    """
    return allocator.snapshot(time.monotonic())


def metrics() -> dict[str, int]:
    """Returns MLX's memory as names and numbers, for any logger: `wandb.log(mlxtop.metrics(), step=step)`.

    Every value is a whole number of bytes. What is not known is left out.

    - `mlx/active`: in live arrays
    - `mlx/cache`: in freed buffers that are kept for reuse
    - `mlx/total`: both together, what MLX holds
    - `mlx/peak`: the highest `active` since the program's start, or since it last reset MLX's peak
    - `mlx/peak_step`: the highest `active` since the last call of this function, or the last report of a
      `TrainingCallback`; at the first call, `mlx/peak`
    - `mlx/footprint`: what the system charges the process (`phys_footprint` on macOS, RSS on Linux)
    - `mlx/limit/memory`: MLX's memory limit, from MLX 0.32.3 on or in a watched program
    - `mlx/limit/cache`, `mlx/limit/wired`: MLX's other limits, which only a watched program knows

    It works in any program, also when nobody watches it. Call it on one thread. For `mlx/peak_step` it resets
    MLX's peak, and wraps `mx.get_peak_memory` and `mx.reset_peak_memory`, so that the program sees the same
    peak as without it. Where a module has taken one of these by `from mlx.core import`, MLX's peak is left
    alone, and `mlx/peak_step` is known only when the peak rose.

    Raises `NoBackendError` if MLX or its backend is not installed.
    """
    peaks = step_peaks.current()
    active, cache, peak = peaks.read()
    found = {"mlx/active": active, "mlx/cache": cache, "mlx/total": active + cache, "mlx/peak": peak}
    high = peaks.take_high(step_peaks.REPORTER)
    if high or peaks.exact:
        found["mlx/peak_step"] = max(high, active)
    if peaks is step_peaks.own:
        # Nobody resets it at each step.
        peaks.end(peaks.begin())
    charged = footprint.reader()()
    if charged is not None:
        found["mlx/footprint"] = charged
    return {**found, **{f"mlx/limit/{name}": size for name, size in _limits().items()}}


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


def _limits() -> "dict[LimitName, int]":
    getter = getattr(backend.load(), "get_memory_limit", None)
    memory: dict[LimitName, int] = {} if getter is None else {"memory": int(getter())}
    return {**hooks.known_limits, **memory}


def _tell(kind: str, name: str, now: Snapshot) -> None:
    for listener in tuple(listeners):
        listener(kind, name, now)
