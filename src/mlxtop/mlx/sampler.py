"""Reads at fixed times. The grid does not drift, and a tick that comes too late is skipped, not bunched."""

import sys
import threading
import time
from collections.abc import Callable

from mlxtop.system import self_usage, timeslice

HURRIED = 0.02
"""Seconds: at shorter intervals whoever runs just then makes many a tick late."""


class Sampler(threading.Thread):
    """Calls `tick(now)` every `interval` seconds, on the grid that begins when it starts.

    `late(n)` is told of `n` grid points that passed before their tick could run. An interval below
    `HURRIED` lowers this process's `sys.setswitchinterval` to a quarter of it, and has the thread ask the
    system for the shortest slice. What `tick` raises ends it, and goes to `failed`.
    """

    def __init__(
        self,
        interval: float,
        tick: Callable[[float], None],
        late: Callable[[int], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        super().__init__(name="mlxtop-sampler", daemon=True)
        self._interval = interval
        self._tick = tick
        self._late = late
        self._failed = failed
        # A lock's timed acquire is the cheapest sleep that another thread can end.
        self._stop_lock = threading.Lock()
        self._stop_lock.acquire()
        self.ticks = 0
        self.skipped = 0

    @self_usage.counted()
    def run(self) -> None:
        try:
            self._sample()
        except BaseException as error:
            if self._failed is None:
                raise
            self._failed(error)

    def _sample(self) -> None:
        if self._interval < HURRIED:
            # A tick waits for whoever runs: other Python code, by default for five milliseconds, and on the
            # cores, which MLX keeps busy, for a slice of about as long.
            sys.setswitchinterval(min(sys.getswitchinterval(), self._interval / 4))
            timeslice.shorten()
        origin, interval, n = time.monotonic(), self._interval, 0
        while True:
            due = origin + n * interval
            wait = due - time.monotonic()
            # Asked even when late, or a run whose every tick is late would never end.
            if self._stop_lock.acquire(timeout=max(wait, 0)):
                return
            now = time.monotonic()
            missed = int((now - due) / interval)
            if missed > 0:
                n += missed
                self.skipped += missed
                if self._late:
                    self._late(missed)
            self._tick(now)
            self.ticks += 1
            n += 1

    def stop(self) -> None:
        """Ends the thread before its next tick and waits for it."""
        if self._stop_lock.locked():
            self._stop_lock.release()
        if self.is_alive() and threading.current_thread() is not self:
            self.join()
