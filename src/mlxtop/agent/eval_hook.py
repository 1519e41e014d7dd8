"""The program's steps: `eval` and `async_eval` are where it comes by, on the thread that owns its work."""

from __future__ import annotations

import sys
import time
from functools import wraps

from mlxtop.agent.step_clock import StepClock
from mlxtop.agent.training import TrainingWatch
from mlxtop.mlx import backend
from mlxtop.mlx.hooks import is_ours, outside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from mlxtop.agent.command_queue import CommandQueue
    from mlxtop.mlx.step_peaks import Begun, Rise, StepPeaks
    from mlxtop.mlx.trace.tracer import Tracer


class EvalHook:
    """Times the program's steps, has `peaks` look how high each rises and `training` whose it is, and a trace
    know its line and phase.

    Calls `safe_point` before and after a step when a command is due, `note(rise, how, what was evaluated)`
    after one that rose high, and `fail` with an error of ours: none reaches the program.
    """

    def __init__(
        self,
        commands: CommandQueue,
        safe_point: Callable[[bool], None],
        peaks: StepPeaks,
        training: TrainingWatch,
        note: Callable[[Rise, str, Any], None],
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
        self._training = training
        self._note = note
        self._fail = fail

    def install(self) -> None:
        """Wraps MLX's functions."""
        mx: Any = backend.load()
        for name in ("eval", "async_eval"):
            setattr(mx, name, self._wrap(getattr(mx, name), queued=name == "async_eval"))

    def _wrap(self, function: Any, queued: bool) -> Any:
        commands, clock, begin, end = self._commands, self.clock, self._peaks.begin, self._peaks.end
        train = self._training.step

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
                    train(sys._getframe(1))
                    if tracer is not None:
                        token = self._trace(tracer, sys._getframe(1))
                except Exception as error:
                    fail_or_raise(error, self._fail)
                return function(*args, **kwargs)
            finally:
                commands.inside = False
                clock.add(began, time.perf_counter(), queued)
                try:
                    if token is not None:
                        tracer.end(token)  # type: ignore[union-attr]  # it gave the token
                    rise = end(begun)
                    if rise is not None:
                        self._note(rise, "async" if queued else "", args)
                except Exception as error:
                    fail_or_raise(error, self._fail)
                if commands.due:
                    self._safe_point(False)

        return step

    def _trace(self, tracer: Tracer, frame: FrameType) -> int:
        return tracer.begin(outside(frame), self._phase(), self.clock.count + 1)


def fail_or_raise(error: Exception, fail: Callable[[Exception], None]) -> None:
    """Tells of an error of ours. What the program's handler of a signal raised meanwhile is its own."""
    if not is_ours(error):
        raise error
    fail(error)


def kv_tokens(evaluated: Any, path: str) -> int | None:
    """How many tokens the KV caches have whose states mlx-lm evaluates after a part of a prompt, a batch's
    padding included. `None` where something else is evaluated, or by other code than `path`'s.

    A state is keys and values, of batch × heads × tokens × size, and in newer mlx-lm the count itself: the
    arrays may have room for more.
    """
    if "/mlx_lm/" not in path and "/mlx_vlm/" not in path:
        return None
    states = evaluated[0] if evaluated else None
    match states[0] if type(states) is list and states else None:
        case (keys, _):
            count = None
        case (keys, _, int(count), *_):
            pass
        case (keys, _, _, _, int(count)):
            # A batch's, whose rows have their own in an array.
            pass
        case _:
            return None
    # Quantized ones are three arrays.
    shape: Any = getattr(next(iter(keys), None) if isinstance(keys, tuple) else keys, "shape", ())
    if len(shape) != 4:
        return None
    # A cache that rotates has seen more than it keeps.
    return int(shape[2]) if count is None else min(count, int(shape[2]))
