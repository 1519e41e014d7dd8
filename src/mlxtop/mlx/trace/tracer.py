"""A trace of this process's allocations: what begins and ends it, and which line a step comes from."""

import os
import sys
import time
from pathlib import Path
from types import CodeType, FrameType

from mlxtop.mlx import backend
from mlxtop.mlx.trace import native
from mlxtop.mlx.trace.native import TraceCounters

EVENTS = 2**19
"""The events that a file keeps, of 32 bytes each: the last ones count."""
DEEPEST = 32
"""Frames of Python's stack that are looked at in a step."""
FRAMES = range(DEEPEST)
MOST_CONTEXTS = 4096
NO_ROOM = 2**32 - 1
"""The context of steps that find no room for theirs."""
TRIES, LOOKS = 3, 20
PAUSE = 0.005
"""Seconds: by then who was in MLX's own functions when they were replaced has left them."""


class TraceRefused(Exception):
    """This process cannot be traced: one sentence that says why."""


def refusal() -> str | None:
    """Why this process cannot be traced, in one sentence; `None` where it can. Changes nothing."""
    if backend.name() == "CUDA":
        return (
            "MLX allocates on CUDA in a way that no trace sees: "
            "the true peaks of steps are known there, by the key P."
        )
    library = native.load()
    if library is None:
        return native.ABSENT
    try:
        # Where MLX cannot make its allocator, this says so; in C it would end the program.
        backend.load().get_active_memory()
    except RuntimeError as error:
        return f"MLX's allocator cannot be used here: {error}"
    refused: bytes | None = library.mlxtop_trace_refusal()
    return None if refused is None else refused.decode()


class Tracer:
    """Writes each allocation of MLX's into the file at `path`, of which it keeps the last `events`.

    Allocations of less than `min_size` bytes are counted, but are no events. A process has one trace at a
    time, and a fork's child is not traced.
    """

    def __init__(self, path: str, events: int = EVENTS, min_size: int = 0) -> None:
        self.path = path
        self.last = TraceCounters()
        """What was counted when the trace ended."""
        self._events, self._min_size = events, min_size
        self._library = native.load()
        self._pid = os.getpid()
        self._contexts: dict[tuple[int | str, ...], int] = {}
        self._code: list[list[CodeType]] = []
        """Kept, so that no other code gets the address of one that a context is known by."""

    def start(self) -> None:
        """Begins, best while MLX rests: what is active then is known to the byte.

        Raises `TraceRefused`, and changes nothing then.
        """
        refused = refusal()
        if refused or self._library is None:
            raise TraceRefused(refused or native.ABSENT)
        mx = backend.load()
        name = f"{mx.__version__} {backend.name().lower()}"
        command = b"".join(os.fsencode(part) + b"\0" for part in sys.orig_argv)
        failed: bytes | None = self._library.mlxtop_trace_start(
            os.fsencode(self.path), self._events, self._min_size, name.encode(), command, len(command)
        )
        if failed is not None:
            raise TraceRefused(f"No trace was written to {self.path}: {failed.decode()}")
        follows = False
        try:
            follows = any(self._follows() for _ in range(TRIES))
        finally:
            if not follows:
                self.stop()
                Path(self.path).unlink()
        if not follows:
            raise TraceRefused(
                f"No trace was written to {self.path}: the sums of MLX's allocations could not be followed. "
                "Try it when fewer threads use MLX."
            )

    def _follows(self) -> bool:
        """Whether an array is seen to come and to go, and MLX's sum is the trace's."""
        time.sleep(PAUSE)
        return self._settled() is not None and self._sees_an_array() and self._settled() == 0

    def _settled(self) -> int | None:
        """As `native.settle`, with patience for threads that do nothing but allocate."""
        assert self._library is not None
        for _ in range(LOOKS):
            difference = native.settle(self._library)
            if difference is not None:
                return difference
            time.sleep(PAUSE)
        return None

    def _sees_an_array(self) -> bool:
        before = self.counters.allocations
        try:
            known = backend.load().array([1.0] * 16)
        except RuntimeError:
            # MLX's own limits are reached.
            return False
        seen = self.counters.allocations > before
        del known
        return seen

    def stop(self) -> None:
        """Gives MLX its own functions back and closes the file. Once is enough."""
        if self.is_on and self._library is not None:
            self.last = native.stop(self._library)

    @property
    def is_on(self) -> bool:
        """Whether this process is being traced."""
        on = self._library is not None and self._pid == os.getpid() and self._library.mlxtop_trace_is_on()
        return bool(on)

    @property
    def counters(self) -> TraceCounters:
        """What was counted so far. Any thread may ask."""
        return native.read(self._library) if self.is_on and self._library is not None else self.last

    def begin(self, frame: FrameType, phase: str, step: int, layer: str = "") -> int:
        """A step begins on this thread, or a call of a `layer`, from `frame`. Returns what `end` needs."""
        if self._library is None:
            return 0
        return int(self._library.mlxtop_trace_begin(self._context(frame, phase, layer), step))

    def end(self, token: int) -> None:
        """The step is over, on its own thread."""
        if self._library is not None:
            self._library.mlxtop_trace_end(token)

    def set_phase(self, name: str) -> None:
        """The program does something else from now on."""
        if self._library is not None:
            self._library.mlxtop_trace_phase(self._text(name))

    def _context(self, frame: FrameType, phase: str, layer: str) -> int:
        # Lines take longer to find than instructions: they are looked up once for each stack.
        place: list[int | str] = [phase, layer]
        one: FrameType | None = frame
        for _ in FRAMES:
            if one is None:
                break
            # An instruction's address: it lies within its code.
            place.append(id(one.f_code) + one.f_lasti)
            one = one.f_back
        key = tuple(place)
        known = self._contexts.get(key)
        if known is None and len(self._contexts) < MOST_CONTEXTS:
            known = self._contexts[key] = self._new_context(frame, phase, layer)
        return NO_ROOM if known is None else known

    def _new_context(self, frame: FrameType, phase: str, layer: str) -> int:
        frames = _stack(frame)
        self._code.append([one.f_code for one in frames])
        lines = [_line(one) for one in frames if not _is_ours(one)]
        named = [f"layer:0 {'_'.join(layer.split())}"] if layer else []
        return self._text("\n".join((phase, *named, *lines)))

    def _text(self, text: str) -> int:
        content = text.encode("utf-8", "replace")
        return int(self._library.mlxtop_trace_text(content, len(content))) if self._library else 0


def _stack(frame: FrameType | None) -> list[FrameType]:
    """Innermost first."""
    frames: list[FrameType] = []
    while frame is not None and len(frames) < DEEPEST:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _is_ours(frame: FrameType) -> bool:
    return bool(frame.f_globals.get("__name__", "").startswith("mlxtop."))


def _line(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}".replace("\n", " ")
