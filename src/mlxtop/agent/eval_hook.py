"""The program's steps: `eval` and `async_eval` are where it comes by, on the thread that owns its work."""

from __future__ import annotations

import sys
import time
from functools import wraps

from mlxtop.agent.step_clock import StepClock
from mlxtop.mlx import backend
from mlxtop.mlx.hooks import outside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from mlxtop.agent.command_queue import CommandQueue
    from mlxtop.mlx.step_peaks import Begun, Rise, StepPeaks
    from mlxtop.mlx.trace.tracer import Tracer


class EvalHook:
    """Times the program's steps, has `peaks` look how high each rises, and a trace know its line and phase.

    Calls `safe_point` before and after a step when a command is due, `note(rise, how)` after one that rose
    high, and `fail` with an error of ours: none reaches the program.
    """

    def __init__(
        self,
        commands: CommandQueue,
        safe_point: Callable[[bool], None],
        peaks: StepPeaks,
        note: Callable[[Rise, str], None],
        fail: Callable[[Exception], None],
        phase: Callable[[], str],
    ) -> None:
        self.tracer: Tracer | None = None
        """The trace that is being written."""
        self._phase = phase
        self.clock = StepClock()
        self._commands = commands
        self._safe_point = safe_point
        self._peaks = peaks
        self._note = note
        self._fail = fail

    def install(self) -> None:
        """Wraps MLX's functions."""
        mx: Any = backend.load()
        for name in ("eval", "async_eval"):
            setattr(mx, name, self._wrap(getattr(mx, name), queued=name == "async_eval"))

    def _wrap(self, function: Any, queued: bool) -> Any:
        commands, clock, begin, end = self._commands, self.clock, self._peaks.begin, self._peaks.end

        @wraps(function)
        def step(*args: Any, **kwargs: Any) -> Any:
            if commands.due:
                self._safe_point(True)
            began = time.perf_counter()
            commands.inside = True
            begun: Begun | None = None
            # A step ends in the trace in which it began.
            tracer, token = self.tracer, None
            try:
                try:
                    begun = begin()
                    if tracer is not None:
                        token = self._trace(tracer, sys._getframe(1))
                except Exception as error:
                    self._fail_or_raise(error)
                return function(*args, **kwargs)
            finally:
                commands.inside = False
                clock.add(began, time.perf_counter(), queued)
                try:
                    if token is not None:
                        tracer.end(token)  # type: ignore[union-attr]  # it gave the token
                    rise = end(begun)
                    if rise is not None:
                        self._note(rise, "async" if queued else "")
                except Exception as error:
                    self._fail_or_raise(error)
                if commands.due:
                    self._safe_point(False)

        return step

    def _trace(self, tracer: Tracer, frame: FrameType) -> int:
        return tracer.begin(outside(frame), self._phase(), self.clock.count + 1)

    def _fail_or_raise(self, error: Exception) -> None:
        """Tells of an error of ours. What the program's handler of a signal raised meanwhile is its own."""
        last = error.__traceback__
        while last is not None and last.tb_next is not None:
            last = last.tb_next
        if last is not None and not last.tb_frame.f_globals.get("__name__", "").startswith("mlxtop."):
            raise error
        self._fail(error)
