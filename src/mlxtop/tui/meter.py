"""Measures the cost of mlxtop itself, for the header."""

import time
from collections.abc import Callable

from mlxtop.system import self_usage
from mlxtop.tui.frame import Own

WINDOW = 2.0
"""Seconds over which the share of a core is measured."""


class Meter:
    """Measures the processor time of mlxtop's threads. `memory` returns its memory in bytes."""

    def __init__(self, memory: Callable[[], int | None]) -> None:
        self._memory = memory
        self._then, self._cpu_then = time.monotonic(), 0.0
        self._own = Own()

    def read(self) -> Own:
        """The cost during the last complete window."""
        now, cpu = time.monotonic(), self_usage.cpu()
        if now - self._then >= WINDOW:
            share = (cpu - self._cpu_then) / (now - self._then) if self._cpu_then else None
            self._own = Own(share, self._memory())
            self._then, self._cpu_then = now, cpu
        return self._own
