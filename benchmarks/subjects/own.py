"""Measuring from the inside what the threads that sample and draw use of the processor."""

import threading
import time
from typing import Any

import psutil

from benchmarks.subjects import tell
from mlxtop.system import self_usage


class Frames:
    """Counts the calls of a method that is called once a frame."""

    def __init__(self, owner: type, method: str) -> None:
        self.count = 0
        original = getattr(owner, method)

        def counted(*arguments: Any) -> Any:
            self.count += 1
            return original(*arguments)

        setattr(owner, method, counted)


def own_cost(frames: Frames, seconds: float, **what: Any) -> None:
    """Measures for `seconds`, then tells the share of a core by mlxtop's own count and by the system's, and
    the processor time of a frame in ms: everything those threads did, divided by the frames."""
    then, count, cpu, system = time.monotonic(), frames.count, self_usage.cpu(), _python_threads()
    time.sleep(seconds)
    span, frames_drawn, spent = time.monotonic() - then, frames.count - count, self_usage.cpu() - cpu
    tell(
        **what,
        share=spent / span * 100,
        system_share=(_python_threads() - system) / span * 100,
        frame=spent / max(1, frames_drawn) * 1000,
        frames=frames_drawn / span,
    )


def _python_threads() -> float:
    """Seconds of processor time of all of Python's threads but the one that owns MLX, as the system tells."""
    ours = {thread.native_id for thread in threading.enumerate() if thread.name != self_usage.ENGINE}
    threads = psutil.Process().threads()
    return sum(thread.user_time + thread.system_time for thread in threads if thread.id in ours)
