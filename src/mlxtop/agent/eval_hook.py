"""The program's steps: `eval` and `async_eval` are where it comes by, on the thread that owns its work."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from mlxtop.agent.command_queue import CommandQueue
from mlxtop.agent.step_clock import StepClock
from mlxtop.mlx import backend


class EvalHook:
    """Counts the program's steps; calls `safe_point` before and after one when a command is due."""

    def __init__(self, commands: CommandQueue, safe_point: Callable[[bool], None]) -> None:
        self.clock = StepClock()
        self._commands = commands
        self._safe_point = safe_point

    def install(self) -> None:
        """Wraps MLX's functions."""
        mx: Any = backend.load()
        for name in ("eval", "async_eval"):
            setattr(mx, name, self._wrap(getattr(mx, name), queued=name == "async_eval"))

    def _wrap(self, function: Any, queued: bool) -> Any:
        commands, clock = self._commands, self.clock

        @wraps(function)
        def step(*args: Any, **kwargs: Any) -> Any:
            if commands.due:
                self._safe_point(True)
            began = time.perf_counter()
            commands.inside = True
            try:
                return function(*args, **kwargs)
            finally:
                commands.inside = False
                clock.add(began, time.perf_counter(), queued)
                if commands.due:
                    self._safe_point(False)

        return step
