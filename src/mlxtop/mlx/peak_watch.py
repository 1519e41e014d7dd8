"""Peaks of stretches of a program's time, and the steps that made them, seen from inside the program."""

import gc
import sys
import time
from collections.abc import Callable
from functools import wraps
from types import FrameType
from typing import Any

from mlxtop.core.census import Census
from mlxtop.mlx import backend, census
from mlxtop.mlx.hooks import Place, is_ours, outside, place
from mlxtop.mlx.step_peaks import Rise, StepPeaks

DEPTH = 20
"""How many places of a step's stack are kept."""
FARTHER = 1.25
"""A peak so many times as high as that of the last census is worth another one."""
CENSUS = 0.5
"""Seconds of processor time for such a census."""
STILL, WAIT, PAUSE = 3, 0.5, 0.001
"""MLX's threads give temporary buffers back a moment after the work is done: so many readings alike are a
rest, so many seconds is it waited for, with so many between two readings."""


class Window:
    """A stretch of time. Sizes are bytes."""

    def __init__(self, start: int) -> None:
        self.start = start
        """Active at its beginning."""
        self.peak = start
        """The most that was active in it."""
        self.alarm: int | None = None
        """Right after a step that rose above this a census is taken."""
        self.census: Census | None = None
        """What was alive right after a step that rose above `alarm`."""
        self.counted = start
        """How high that step was: it may not be the highest."""
        self.stack: tuple[Place, ...] = ()
        """Who called the highest step, the innermost first; empty where none is known."""
        self.in_step = False
        """Whether an `mx.eval` made the peak; if not, the stack is that of the last one before it."""

    def rose(self, peak: int, stack: tuple[Place, ...], in_step: bool) -> bool:
        """Takes a rise in, and returns whether it is the highest."""
        if peak <= self.peak:
            return False
        self.peak, self.stack, self.in_step = peak, stack, in_step
        return True


class PeakWatch:
    """Stands around `mx.eval` from `install` to `remove`. Windows may lie within each other.

    The program sees MLX's peak as if nobody looked, until `remove`: from then on it counts from the beginning
    of the last window. What goes wrong in here is in `failure`, and never reaches the program. Raises
    `NoBackendError` when MLX cannot run here.
    """

    def __init__(self) -> None:
        self._mx: Any = backend.load()
        self._peaks = StepPeaks(self._between)
        # MLX's peak is reset at the beginning of windows only: so it tells the program more after `remove`.
        self._peaks.exact = False
        self._windows: list[Window] = []
        self._last: tuple[Place, ...] = ()
        self._replaced: list[tuple[str, Any, Any]] = []
        self._on = False
        self.failure: Exception | None = None

    def install(self) -> None:
        """Wraps MLX's functions."""
        self._peaks.install()
        for name in ("eval", "async_eval"):
            function = getattr(self._mx, name)
            wrapper = self._wrap(function)
            self._replaced.append((name, function, wrapper))
            setattr(self._mx, name, wrapper)
        self._on = True

    def remove(self) -> None:
        """Gives MLX its own functions back. What others put over ours stays; ours do nothing any more."""
        self._on = False
        for name, function, wrapper in self._replaced:
            if getattr(self._mx, name) is wrapper:
                setattr(self._mx, name, function)
        self._replaced.clear()
        self._peaks.remove()

    def open(self) -> Window:
        """Begins a window. Set its `alarm` for a census."""
        self._take()
        window = Window(self.active())
        self._peaks.reset()
        self._windows.append(window)
        return window

    def look(self) -> None:
        """Brings the windows up to now."""
        self._take()

    def close(self, window: Window) -> None:
        """Ends a window."""
        self._take()
        self._windows.remove(window)

    def active(self) -> int:
        """Bytes in live arrays."""
        return int(self._mx.get_active_memory())

    def cache(self) -> int:
        """Bytes in freed buffers that MLX keeps."""
        return int(self._mx.get_cache_memory())

    def _take(self) -> None:
        high = self._peaks.take_high()
        for window in self._windows:
            window.rose(high, self._last, False)

    def _wrap(self, function: Any) -> Callable[..., Any]:
        begin, end = self._peaks.begin, self._peaks.end

        @wraps(function)
        def step(*args: Any, **kwargs: Any) -> Any:
            if not self._on:
                return function(*args, **kwargs)
            begun = None
            try:
                # Here and in no function between: it looks who has called it.
                begun = begin()
            except Exception as error:
                self._fail(error)
            try:
                return function(*args, **kwargs)
            finally:
                try:
                    self._note(end(begun), sys._getframe(1))
                except Exception as error:
                    self._fail(error)

        return step

    def _note(self, rise: Rise | None, frame: FrameType) -> None:
        if rise is None:
            self._last = (place(frame),)
            return
        self._last = _stack(frame)
        peak = rise[0]
        for window in self._windows:
            if window.rose(peak, self._last, True) and window.alarm is not None and peak > window.alarm:
                window.alarm, window.counted = int(peak * FARTHER), peak
                window.census = census.take(CENSUS)

    def _between(self, rise: Rise) -> None:
        for window in self._windows:
            window.rose(rise[0], self._last, False)

    def _fail(self, error: Exception) -> None:
        if not is_ours(error):
            raise error
        self._on = False
        self.failure = self.failure or error


def settle(collect: bool = True) -> int:
    """Waits for MLX's work, after Python has collected its garbage. Returns what is active then, in bytes."""
    if collect:
        gc.collect()
    mx = backend.load()
    mx.synchronize()
    last, alike, end = int(mx.get_active_memory()), 1, time.monotonic() + WAIT
    while alike < STILL and time.monotonic() < end:
        time.sleep(PAUSE)
        now = int(mx.get_active_memory())
        last, alike = now, alike + 1 if now == last else 1
    return last


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


def _stack(frame: FrameType) -> tuple[Place, ...]:
    found: list[Place] = []
    at: FrameType | None = outside(frame)
    while at is not None and len(found) < DEPTH:
        found.append((at.f_code.co_filename, at.f_lineno))
        at = at.f_back
    return tuple(found)
