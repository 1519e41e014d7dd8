"""Runs commands in somebody else's program at its safe points, and sees to it that one comes.

A safe point is a moment on a thread of the program's between two calls of `eval`. A program that comes by
none is helped along by the agent's thread.
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock
from collections import deque

from mlxtop.core.commands import TakeCensus
from mlxtop.core.events import ErrorRaised
from mlxtop.core.record import Record
from mlxtop.mlx import backend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from mlxtop.agent.event_log import EventLog
    from mlxtop.core.commands import Command

SAFE_WITHIN = 0.25
"""Seconds to wait for the program to come by a safe point, before another way is looked for."""
IDLE_SHARE = 0.2
"""Share of a core below which a program counts as doing nothing."""
OVERDUE = 1.5
"""Seconds after which a command runs beside a program whose main thread was to be stopped, and was not."""
MOST = 100
"""Commands that may wait for a safe point."""


class FindLimits(Record):
    """Reads the limits of a program that ran before the agent came."""


if TYPE_CHECKING:
    QueuedCommand = Command | FindLimits
    Execute = Callable[[QueuedCommand, int | None], None]


class CommandQueue:
    """What was asked for and not done yet; `execute(command, id)` does it.

    `safe_point` is called where the main thread had to be stopped.
    """

    def __init__(self, event_log: EventLog, safe_point: Callable[[bool], None], execute: Execute) -> None:
        self._event_log = event_log
        self._safe_point = safe_point
        self._execute = execute
        self._settle = backend.load().synchronize
        self._pending: Any = None
        self.begin()

    def begin(self) -> None:
        """Forgets what was asked for: a fork's child obeys nobody yet."""
        self._todo: deque[tuple[QueuedCommand, int | None]] = deque()
        self.due = False
        """Whether a safe point has something to do: the one thing a program's step asks for."""
        self.inside = False
        """Whether the program is in an `eval`: it will come by at its next."""
        self._draining = allocate_lock()
        self._cpu_then = (0.0, 0.0)
        self._stopping: float | None = None
        """Since when the main thread is to be stopped."""

    def lower(self) -> None:
        """Puts `due` down if nothing is asked for: it was put up for something else."""
        self.due = False
        if self._todo:
            # It may have been asked for just now.
            self.due = True

    @property
    def waiting(self) -> int:
        """How many commands have not run yet."""
        return len(self._todo)

    def submit(self, command: QueuedCommand, command_id: int | None = None) -> None:
        """Has a command carried out at the next safe point; a census at the next one after an `eval`, where
        most of what the program holds is computed. Raises `ValueError` when too many wait already."""
        if len(self._todo) >= MOST:
            raise ValueError("too many commands")
        now = time.monotonic()
        if not self._todo:
            self._cpu_then = now, sum(os.times()[:2])
            self._stopping = None
        self._todo.append((command, command_id))
        self.due = True

    def drain(self, before: bool) -> None:
        """Carries out what was asked, on this thread of the program's; `before` an `eval`, what may be."""
        if self._todo and self._draining.acquire(blocking=False):
            try:
                # With the GIL free: on the CPU backend the setters wait with it held.
                self._settle()
                self._run_all(before)
            finally:
                self._draining.release()

    def drain_overdue(self, now: float) -> None:
        """Runs commands that no safe point has come for: a program that waits for a request comes by
        none, nor does one that never calls `eval`.

        Then the agent's thread, which calls this, obeys: at once where setters only take a lock (Metal,
        CUDA), else when the program does nothing that they would wait for. One that computes is stopped for a
        moment on its main thread.
        """
        if not self._todo:
            # Nothing is asked for, or the program came by just now.
            return
        then, cpu_then = self._cpu_then
        if now - then < SAFE_WITHIN:
            return
        quiet = (sum(os.times()[:2]) - cpu_then) / (now - then) < IDLE_SHARE
        self._cpu_then = now, sum(os.times()[:2])
        # A worker that never calls `eval` has little queued: what the setters wait for is short.
        never = not self.inside and self._stopping is not None and now - self._stopping > OVERDUE
        # Beside a thread that works, a census finds what that has replaced when it is told. On a busy machine
        # a program that works may look quiet: it is asked to stop once, and given as long again.
        count = any(isinstance(command, TakeCensus) for command, _ in tuple(self._todo))
        asked = self._stopping is not None or not count
        stop = not asked if quiet else not never
        if stop and not backend.sets_limits_at_once():
            self._stopping = self._stopping or now
            self._interrupt()
        elif self._draining.acquire(blocking=False):
            try:
                self._run_all()
            finally:
                self._draining.release()

    def _run_all(self, before: bool = False) -> None:
        # Put down first: what is asked for from here on raises it again.
        self.due = False
        later = []
        while self._todo:
            queued = self._todo.popleft()
            command, command_id = queued
            if before and isinstance(command, TakeCensus):
                later.append(queued)
                continue
            try:
                self._execute(command, command_id)
            except Exception as error:
                self._event_log.emit(ErrorRaised(f"{type(error).__name__}: {error}", "limit"), command_id)
        if later:
            self._todo.extendleft(reversed(later))
            self.due = True

    def _interrupt(self) -> None:
        """Has the main thread come by a safe point between two of its instructions, as a signal would."""
        import ctypes

        if self._pending is None:

            def come_by(_: object) -> int:
                self._safe_point(False)
                return 0

            # Kept for good: Python may call it whenever it likes.
            self._pending = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(come_by)
        ctypes.pythonapi.Py_AddPendingCall(self._pending, None)
