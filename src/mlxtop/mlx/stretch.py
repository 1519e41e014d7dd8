"""How high memory rose in a stretch of this program, and where.

MLX's peak is made to begin anew at the start, and looked at before and after each `mx.eval`: where it rose
there, the program's line is known. What rose between two looks was done by other means: by printing an array,
say, or by work that `async_eval` left behind.
"""

from __future__ import annotations

import sys
import time
from functools import wraps
from typing import Generic, TypeVar

from mlxtop.mlx import allocator, backend, step_peaks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from mlxtop.core.snapshot import Snapshot

Place = TypeVar("Place")
PATIENCE, PAUSE = 50, 0.001
"""How often the counters are read again at the end, and the seconds between."""
WRAPPED = ("eval", "async_eval", "reset_peak_memory")


class Stretch(Generic[Place]):
    """From `start` to `stop`. `where` makes a place of the frame that called MLX, at new peaks only.

    Raises `NoBackendError` when MLX cannot run here. It evaluates nothing.
    """

    def __init__(self, where: Callable[[FrameType], Place]) -> None:
        self._mx: Any = backend.load()
        self._where = where
        self._peaks = step_peaks.current()
        self._running = False
        self.here: Place | None = None
        """Where the program is, as far as whoever measures knows: what rises between two looks rises here."""
        self.place: Place | None = None
        """Where the peak was; `None` where nothing rose, or nobody knows."""
        self.in_eval = False
        """Whether that was inside `mx.eval` or `mx.async_eval`."""

    def start(self) -> None:
        self.exact = self._peaks.restart()
        """Whether the peak is this stretch's. Otherwise one below the program's last is not seen."""
        self.before = self.after = allocator.snapshot(time.monotonic())
        self.peak = self.before.active
        """The most that was active, in bytes."""
        self._turn, self._known = self._peaks.look()
        self._running = True
        for name in WRAPPED:
            setattr(self._mx, name, self._wrap(name, getattr(self._mx, name)))

    def stop(self) -> None:
        """Gives MLX its functions back, where nobody else has put others in their place meanwhile."""
        self.look()
        self._running = False
        for name in WRAPPED:
            function = getattr(self._mx, name)
            if getattr(function, "stretch", None) is self:
                setattr(self._mx, name, function.__wrapped__)
        self.after = self._at_rest()
        self.peak = max(self.peak, self.after.active)

    def _at_rest(self) -> Snapshot:
        """The counters once they stand still: MLX's threads give buffers back a moment after the work."""
        now = allocator.snapshot(time.monotonic())
        for _ in range(PATIENCE):
            time.sleep(PAUSE)
            later = allocator.snapshot(now.time)
            if later == now:
                break
            now = later
        return now

    def look(self) -> None:
        """Looks whether memory rose since the last look, by other means than an evaluation."""
        rose = self._rose()
        if rose > self.peak:
            self.peak, self.place, self.in_eval = rose, self.here, False

    def _rose(self) -> int:
        """The most that was active since the last look, in bytes; 0 where MLX's peak does not tell."""
        turn, peak = self._peaks.look()
        rose = peak if turn != self._turn or peak > self._known else 0
        self._turn, self._known = turn, peak
        return rose

    def _wrap(self, name: str, function: Any) -> Any:
        evaluates = name != "reset_peak_memory"

        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if not self._running:
                return function(*args, **kwargs)
            self.look()
            try:
                return function(*args, **kwargs)
            finally:
                rose = self._rose()
                if evaluates and rose > self.peak:
                    self.peak, self.place, self.in_eval = rose, self._where(sys._getframe(1)), True

        wrapper.stretch = self  # type: ignore[attr-defined]
        return wrapper
