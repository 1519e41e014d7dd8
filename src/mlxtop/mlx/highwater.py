"""The highest total and footprint of a stretch of time.

MLX keeps a peak of active memory only, so these are sampled: what is shorter than an interval may be missed.
"""

import threading

from mlxtop.core.errors import MlxtopError, fatal
from mlxtop.mlx import allocator
from mlxtop.mlx.sampler import Sampler
from mlxtop.system import footprint

INTERVAL = 0.001
FOOTPRINT_EVERY = 10
"""Samples between two reads of the footprint, which costs more."""


class HighWater:
    """Samples from `start` to `stop`. `take` tells the highest since it was last called."""

    def __init__(self) -> None:
        self._read = allocator.reader()
        self._footprint = footprint.reader()
        self._lock = threading.Lock()
        self._sampler = Sampler(INTERVAL, self._tick, failed=self._fail)
        self._failure: MlxtopError | None = None
        self._total = self._most = self._ticks = 0

    def start(self) -> None:
        self._sampler.start()

    def stop(self) -> None:
        self._sampler.stop()

    def take(self) -> tuple[int, int | None]:
        """The highest active + cache and the highest footprint, in bytes; `None` where it cannot be read.

        Raises `MlxtopError` when sampling failed meanwhile: what was not seen must not count as small.
        """
        if self._failure is not None:
            raise self._failure
        self._tick(0.0, last=True)
        with self._lock:
            total, most = self._total, self._most
            self._total = self._most = 0
        return total, most or None

    def _fail(self, error: BaseException) -> None:
        self._failure = fatal("Sampling", error)

    def _tick(self, _now: float, last: bool = False) -> None:
        active, cache, _ = self._read()
        self._ticks += 1
        most = self._footprint() if last or self._ticks % FOOTPRINT_EVERY == 0 else None
        with self._lock:
            self._total = max(self._total, active + cache)
            self._most = max(self._most, most or 0)
