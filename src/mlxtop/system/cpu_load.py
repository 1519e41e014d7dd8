"""The processor time that other programs use: neither this process nor its children."""

import os
import time

import psutil

IDLE = ("idle", "iowait")
PARTS_OF_OTHERS = ("guest", "guest_nice")
"""Linux includes these in `user` and `nice`."""


class Load:
    """Measures the share of all processors used by others since its creation or the last call of `others`."""

    def __init__(self) -> None:
        self._processors = os.cpu_count() or 1
        self._then = self._read()

    def others(self) -> float | None:
        """Returns the share from 0 to 1; `None` if it is unknown or less than 50 ms have passed."""
        before, after = self._then, self._read()
        self._then = after
        if before is None or after is None:
            return None
        (then, all_then, own_then), (now, all_now, own_now) = before, after
        room = (now - then) * self._processors
        # The system counts in hundredths of a second for each processor.
        if now - then < 0.05:
            return None
        return min(1.0, max(0.0, (all_now - all_then) - (own_now - own_then)) / room)

    def _read(self) -> tuple[float, float, float] | None:
        try:
            times = psutil.cpu_times()._asdict()
        except (psutil.Error, OSError):
            # Linux without /proc.
            return None
        used = sum(value for name, value in times.items() if name not in (*IDLE, *PARTS_OF_OTHERS))
        mine = os.times()  # psutil has no times of children on macOS
        own = mine.user + mine.system + mine.children_user + mine.children_system
        return time.monotonic(), used, own
