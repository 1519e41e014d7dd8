"""A trace of this process as a command starts and stops it: told by events, refused in one sentence."""

import sys
from collections.abc import Callable
from functools import wraps
from types import FrameType
from typing import TYPE_CHECKING, Any

from mlxtop.core.events import ErrorRaised, TraceStarted, TraceStopped
from mlxtop.mlx import backend, trace_files
from mlxtop.mlx.hooks import outside
from mlxtop.mlx.replaced import Replaced
from mlxtop.mlx.trace.tracer import EVENTS, Tracer, TraceRefused, refusal

if TYPE_CHECKING:
    from mlxtop.mlx.controller import Emit
    from mlxtop.mlx.trace.layers import Layers


class Tracing:
    """Starts and stops traces, one at a time; `emit` is told of each.

    Call the methods where it is safe: on the thread that owns MLX, between two evaluations.
    """

    def __init__(self, emit: "Emit") -> None:
        self._emit = emit
        self._path = ""
        self._layers: Layers | None = None
        self.tracer: Tracer | None = None
        """The trace that is being written."""

    def start(
        self,
        source: str,
        path: str = "",
        events: int = EVENTS,
        min_size: int = 0,
        command_id: int | None = None,
    ) -> None:
        """Starts a trace into `path`, or into a file of its own. Tells why it cannot."""
        try:
            if self.tracer is not None:
                raise TraceRefused(f"A trace is being written already, into {self._path}.")
            if (why := refusal()) is not None:
                raise TraceRefused(why)
            path = path or trace_files.new()
            tracer = _started(path, events, min_size)
        except TraceRefused as error:
            self._emit(ErrorRaised(str(error), "trace"), command_id)
        except OSError as error:
            why = f"No trace: {path or 'its folder'} cannot be written ({error.strerror or error})."
            self._emit(ErrorRaised(why, "trace"), command_id)
        else:
            self.tracer, self._path = tracer, tracer.path
            self._emit(TraceStarted(tracer.path, source), command_id)

    def start_with(self, text: str) -> None:
        """Starts what `ipc.environment.TRACE` asks for: the program is just importing MLX."""
        options = {"events": EVENTS, "min_size": 0, "layers": 0}
        while (word := text.partition(" ")[0].partition("="))[0] in options and word[2].isdecimal():
            options[word[0]] = int(word[2])
            text = text.partition(" ")[2]
        self.start("flag", text, options["events"], options["min_size"])
        if options["layers"] and self.tracer is not None:
            self._name_layers(self.tracer)

    def _name_layers(self, tracer: Tracer) -> None:
        from mlxtop.mlx.trace.layers import Layers

        layers = Layers(tracer)
        try:
            layers.install()
        except Exception as error:
            layers.remove()
            self._emit(ErrorRaised(f"The trace names no layers: {error}.", "layers"), None)
        else:
            self._layers = layers

    def stop(self, source: str, command_id: int | None = None) -> None:
        """Completes the trace; without one it does nothing."""
        tracer = self.tracer
        self.forget()
        if tracer is not None:
            tracer.stop()
            self._emit(TraceStopped(self._path, source), command_id)

    def forget(self) -> None:
        """In a fork's child: the trace is the parent's."""
        layers, self.tracer, self._layers = self._layers, None, None
        if layers is not None:
            layers.remove()


def _started(path: str, events: int, min_size: int) -> Tracer:
    """A trace that has begun, into `path`, or where another process has taken it beside it."""
    for candidate in (trace_files.own(path), trace_files.numbered(path)):
        tracer = Tracer(candidate, events, min_size)
        try:
            tracer.start()
        except TraceRefused:
            # Two workers may begin at the same moment.
            if candidate != path or not trace_files.exists(path):
                raise
        else:
            break
    return tracer


class EvalLines:
    """Has a trace name the lines that call `mx.eval` and `mx.async_eval`, while it is installed.

    `phase` says what is being done. An agent needs none: it stands there anyway.
    """

    def __init__(self, tracer: Tracer, phase: Callable[[], str]) -> None:
        self._mx: Any = backend.load()
        self._tracer = tracer
        self._phase = phase
        self._steps = 0
        self._replaced = Replaced()

    def install(self) -> None:
        for name in ("eval", "async_eval"):
            self._replaced.put(self._mx, name, self._wrap(getattr(self._mx, name)))

    def remove(self) -> None:
        self._replaced.give_back()

    def _wrap(self, function: Any) -> Any:
        @wraps(function)
        def step(*args: Any, **kwargs: Any) -> Any:
            if not self._replaced:
                return function(*args, **kwargs)
            token = self._begin(sys._getframe(1))
            try:
                return function(*args, **kwargs)
            finally:
                self._tracer.end(token)

        return step

    def _begin(self, frame: FrameType) -> int:
        self._steps += 1
        return self._tracer.begin(outside(frame), self._phase(), self._steps)
