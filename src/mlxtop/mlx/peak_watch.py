"""How high memory rose in stretches of this program's time, and where: for a test, and for a notebook's cell.

MLX's peak is looked at before and after each `mx.eval`: where it rose there, the program's line is known.
What rose between two looks was done by other means: by printing an array, say, or by work that `async_eval`
left.
"""

from __future__ import annotations

import gc
import sys
import time
from functools import wraps
from typing import Generic, TypeVar

from mlxtop.mlx import allocator, backend, census, step_peaks
from mlxtop.mlx.hooks import is_ours, place
from mlxtop.mlx.replaced import Replaced
from mlxtop.mlx.step_peaks import RESET, StepPeaks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from mlxtop.core.census import Census
    from mlxtop.core.snapshot import Snapshot
    from mlxtop.mlx.hooks import Place

Where = TypeVar("Where")
FARTHER = 1.25
"""A peak so many times as high as that of the last census is worth another one."""
CENSUS = 0.5
"""Seconds of processor time for such a census."""
STILL, WAIT, PAUSE = 3, 0.5, 0.001
"""MLX's threads give temporary buffers back a moment after the work is done: so many readings alike are a
rest, so many seconds is it waited for, with so many between two readings."""


class Window(Generic[Where]):
    """A stretch of time. Sizes are bytes."""

    def __init__(self, start: int, exact: bool) -> None:
        self.start = start
        """Active at its beginning."""
        self.exact = exact
        """Whether MLX's peak began anew with it. Otherwise a peak below the program's last is not seen."""
        self.peak = start
        """The most that was active in it."""
        self.where: Where | None = None
        """Where the peak was; `None` where nothing rose, or nobody knows."""
        self.in_eval = False
        """Whether that was inside `mx.eval` or `mx.async_eval`."""
        self.after: Place | None = None
        """Where the last evaluation before the peak was."""
        self.alarm: int | None = None
        """Right after an evaluation that rose above this a census is taken."""
        self.census: Census | None = None
        """What was alive right after an evaluation that rose above `alarm`."""
        self.counted = start
        """How high that evaluation was: it may not be the highest."""

    def rise(self, peak: int, where: Where | None, in_eval: bool, after: Place | None) -> None:
        """Takes a higher peak in."""
        self.peak, self.where, self.in_eval, self.after = peak, where, in_eval, after
        if in_eval and self.alarm is not None and peak > self.alarm:
            self.alarm, self.counted = int(peak * FARTHER), peak
            self.census = census.take(CENSUS)


class PeakWatch(Generic[Where]):
    """Stands around `mx.eval` from `install` to `remove`. Windows may lie within each other.

    `where` makes a place of the frame that called MLX, at new peaks only. MLX's peak begins anew with each
    window, and from `remove` on the program's own counts from there. A `shared` watch leaves it alone where
    the program or the agent would see that, and the program's peak stays its own.

    What goes wrong in here is in `failure`, and never reaches the program. Raises `NoBackendError` when MLX
    cannot run here. It evaluates nothing.
    """

    def __init__(self, where: Callable[[FrameType], Where], shared: bool = False) -> None:
        self._mx: Any = backend.load()
        self._where = where
        self._own = None if shared else StepPeaks()
        self._peaks = self._own or step_peaks.current()
        self._windows: list[Window[Where]] = []
        self._turn, self._known = -1, 0
        self._after: Place | None = None
        self._replaced = Replaced()
        self._on = False
        self.here: Where | None = None
        """Where the program is, as far as whoever measures knows: what rises between two looks rises here."""
        self.failure: Exception | None = None

    def install(self) -> None:
        """Wraps MLX's functions."""
        if self._own is not None:
            self._own.install()
        for module, name in (
            (self._mx, "eval"), (self._mx, "async_eval"), (self._mx, RESET), (self._mx.metal, RESET)
        ):  # fmt: skip
            if function := getattr(module, name, None):
                self._replaced.put(module, name, self._wrap(function, name != RESET))
        self._on = True

    def remove(self) -> None:
        """Gives MLX its own functions back. What others put over ours stays; ours do nothing any more."""
        self._on = False
        self._replaced.give_back()
        if self._own is not None:
            self._own.remove()

    def open(self) -> Window[Where]:
        """Begins a window. Set its `alarm` for a census."""
        self.look()
        exact = self._peaks.restart()
        if self._own is not None and not exact:
            self._own.reset()
        window: Window[Where] = Window(self.active(), exact or self._own is not None)
        self._turn, self._known = self._peaks.look()
        self._windows.append(window)
        return window

    def look(self) -> None:
        """Brings the windows up to now."""
        self._bring_up(None)

    def close(self, window: Window[Where]) -> None:
        """Ends a window."""
        self.look()
        self._windows.remove(window)

    def active(self) -> int:
        """Bytes in live arrays."""
        return int(self._mx.get_active_memory())

    def cache(self) -> int:
        """Bytes in freed buffers that MLX keeps."""
        return int(self._mx.get_cache_memory())

    def _bring_up(self, evaluated: FrameType | None) -> None:
        """What rose since the last look rose in the evaluation that this frame called, or by other means."""
        turn, peak = self._peaks.look()
        tells = turn != self._turn or peak > self._known
        self._turn, self._known = turn, peak
        lower = [window for window in self._windows if peak > window.peak] if tells else ()
        if lower:
            where = self.here if evaluated is None else self._where(evaluated)
            for window in lower:
                window.rise(peak, where, evaluated is not None, self._after)
        if evaluated is not None:
            self._after = place(evaluated)

    def _wrap(self, function: Any, evaluates: bool) -> Any:
        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if not self._on:
                return function(*args, **kwargs)
            self._guarded(None)
            try:
                return function(*args, **kwargs)
            finally:
                self._guarded(sys._getframe(1) if evaluates else None)

        return wrapper

    def _guarded(self, evaluated: FrameType | None) -> None:
        try:
            self._bring_up(evaluated)
        except Exception as error:
            if not is_ours(error):
                raise
            self._on = False
            self.failure = self.failure or error


def at_rest() -> Snapshot:
    """The counters once they stand still, with the time at which that began to be waited for."""
    now, alike = allocator.snapshot(time.monotonic()), 1
    end = now.time + WAIT
    while alike < STILL and time.monotonic() < end:
        time.sleep(PAUSE)
        later = allocator.snapshot(now.time)
        now, alike = later, alike + 1 if later == now else 1
    return now


def settle(collect: bool = True) -> int:
    """Waits for MLX's work, after Python has collected its garbage. Returns what is active then, in bytes."""
    if collect:
        gc.collect()
    backend.load().synchronize()
    return at_rest().active


def settle_to(most: int) -> int:
    """As `settle`, but collects nothing, which takes 30 ms, where no more than `most` bytes are active."""
    mx = backend.load()
    mx.synchronize()
    active = int(mx.get_active_memory())
    return active if active <= most else settle()


def start_afresh(collect: bool = True) -> int:
    """As `settle`, with an empty cache: a buffer from there may be larger than what is asked for."""
    active = settle(collect)
    backend.load().clear_cache()
    return active
