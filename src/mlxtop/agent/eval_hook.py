"""The program's steps: `eval` and `async_eval` are where it comes by, on the thread that owns its work."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from mlxtop.agent.command_queue import CommandQueue
from mlxtop.mlx import backend

WAITED = 0.25
"""Seconds between two steps below which a program never counts as waiting."""


class EvalHook:
    """Counts the program's steps; calls `safe_point` before and after one when a command is due."""

    def __init__(self, commands: CommandQueue, safe_point: Callable[[bool], None]) -> None:
        self.count = 0
        self.busy = 0
        """Microseconds from step to step in which the program did not wait."""
        self._commands = commands
        self._safe_point = safe_point
        self._last, self._usual = 0.0, 0.0

    def install(self) -> None:
        """Wraps MLX's functions."""
        mx: Any = backend.load()
        for name in ("eval", "async_eval"):
            setattr(mx, name, self._wrap(getattr(mx, name)))

    def _wrap(self, function: Any) -> Any:
        commands = self._commands

        @wraps(function)
        def step(*args: Any, **kwargs: Any) -> Any:
            if commands.due:
                self._safe_point(True)
            now = time.perf_counter()
            gap = now - self._last
            # A gap far longer than usual is a program that waits, not a step that takes long.
            if gap < WAITED or gap < 8 * self._usual:
                self.busy += int(gap * 1e6)
                self.count += 1
            self._usual += (min(gap, 60.0) - self._usual) / 8
            self._last = now
            commands.inside = True
            try:
                return function(*args, **kwargs)
            finally:
                commands.inside = False
                if commands.due:
                    self._safe_point(False)

        return step
