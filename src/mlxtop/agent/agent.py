"""The agent: its parts put into the program it lives in, and what a viewer may ask of them.

    counters ──> Ring ──> Server ──> viewers
    whoever sets MLX's limits ──> ProgramController ──> EventLog ──> Server ──> viewers
    viewers ──> Server ──> CommandQueue ──> a safe point in `mx.eval` ──> ProgramController ──> MLX

Whatever goes wrong in here is told to viewers and never reaches the program.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from _thread import allocate_lock

from mlxtop import __version__
from mlxtop.agent import last_error, worker
from mlxtop.agent.collector_watch import EVERY, LEAST, CollectorWatch
from mlxtop.agent.command_queue import CommandQueue, FindLimits
from mlxtop.agent.controller import ProgramController
from mlxtop.agent.eval_hook import EvalHook, fail_or_raise, kv_tokens
from mlxtop.agent.event_log import EventLog
from mlxtop.agent.ring import Ring
from mlxtop.agent.server import UNSEEN, Server
from mlxtop.agent.training import TrainingWatch
from mlxtop.core.announcements import listeners, loss_listeners
from mlxtop.core.commands import AddMark, SetInterval, SetLimit, SetTrace
from mlxtop.core.events import MarkAdded, PhaseChanged
from mlxtop.core.parsing import whole
from mlxtop.core.suppress import suppress
from mlxtop.core.units import DEFAULT, UNKNOWN
from mlxtop.ipc import command_json, environment, protocol, sockets
from mlxtop.mlx import device
from mlxtop.mlx.hooks import place
from mlxtop.mlx.step_log import StepLog
from mlxtop.mlx.step_peaks import StepPeaks
from mlxtop.system import footprint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from mlxtop.agent.command_queue import QueuedCommand
    from mlxtop.core.facts import Facts
    from mlxtop.mlx.step_peaks import Rise

INTERVAL = 0.1
LEAVE_WITHIN = 2.0
"""Seconds at most that a program's end waits until viewers were told all: its last moments count, too."""
PHASES_MOST = 1000

_agent: Agent | None = None


def start(run: str = "", late: bool = False) -> None:
    """Starts the agent of this process; once is enough. `late`: the program may have set limits before."""
    global _agent
    if _agent is None:
        _agent = Agent("" if run == "1" else run, late)
        _agent.start()


class Agent:
    """One for a process and its forks' children. Serves itself through `Server`."""

    def __init__(self, run: str, late: bool) -> None:
        self.run = run
        self.interval = INTERVAL
        # First: it looks whether the program has references to MLX's functions.
        self._peaks = StepPeaks(lambda rise: self._on_rise(rise, "between"), self._on_peak_read)
        self.event_log = EventLog(self.wake)
        self.controller = ProgramController(self.event_log, late)
        self.command_queue = CommandQueue(self.event_log, self._safe_point, self._execute)
        self._training = TrainingWatch(lambda: self.phases[self._phase], self._set_phase, self.event_log.now)
        self._eval_hook = EvalHook(
            self.command_queue, self._safe_point, self._peaks, self._training, self._on_rise,
            self.event_log.fail, lambda: self.phases[self._phase],
        )  # fmt: skip
        self._late = late
        self._begin()

    def _begin(self) -> None:
        """What every process has of its own: its clock, its rows, its thread."""
        self._pid = os.getpid()
        self._started = time.time()
        self.event_log.begin()
        self.command_queue.begin()
        self.controller.begin()
        self._peaks.begin_process()
        self._training.begin_process()
        self._step_log = StepLog(self._peaks)
        self.phases = ["run"]
        self._phase = 0
        self._naming = allocate_lock()
        self.ring = Ring()
        self._last: tuple[tuple[int, ...], int] = (0,), UNKNOWN
        """The last sample and its live buffers; its time is `_at`."""
        self._at = 0.0
        self.still = 0
        """How many samples in a row were like the one before."""
        self.resting = self._left_out = False
        """Whether samples are taken seldom, and whether any were left out since the last."""
        self._collector = CollectorWatch()
        self._footprint = footprint.Recent()
        self.facts: Facts | None = None
        self.last_error: dict[str, str] = {}
        """The exception that ends the program, see `last_error.read`; empty until then, and without one."""
        self._server = Server(self)
        self.event_log.emit(PhaseChanged(self.phases[0]))

    def start(self) -> None:
        """Wraps MLX's functions and starts the thread. Raises `OSError` where a socket has no place."""
        # Here, on the program's own thread: what opens files beside a program that closes all of them would
        # in the end close one of the program's.
        self._read_facts()
        self._server.open()
        self._peaks.install()
        self.controller.install()
        self._eval_hook.install()
        listeners.append(self._on_api_call)
        loss_listeners.append(self._training.take)
        if self._late:
            self.command_queue.submit(FindLimits())
        else:
            self.controller.start_with(os.environ.get(environment.LIMITS, ""))
            self._trace_from_the_start()
        self._server.start()
        # A daemon thread that lives when Python ends can crash a program whose worker threads used MLX.
        atexit.register(self._on_exit)
        os.register_at_fork(after_in_child=self._after_fork)

    def _trace_from_the_start(self) -> None:
        """Traces if the environment says so: this process has no array yet."""
        text = os.environ.get(environment.TRACE)
        if text:
            self.controller.trace_with(text)
            self._eval_hook.tracer = self.controller.tracer

    # In the program's own threads

    def _safe_point(self, before: bool) -> None:
        """The program comes by: `before` a step, after it, or stopped between two instructions."""
        try:
            if self._pid != os.getpid():
                self._revive()
            if self.resting:
                self.wake()
            self.command_queue.drain(before)
        except Exception as error:
            self.event_log.fail(error)

    def wake(self, soon: bool = True) -> None:
        """There is something to see, or to tell `soon`."""
        if soon or self.resting:
            self._server.wake()
        if self.resting:
            self.resting, self.still = False, 0
            self.command_queue.lower()

    def _on_api_call(self, kind: str, name: str, now: Any) -> None:
        """The program said something of itself by `mlxtop.mark` or `mlxtop.phase`."""
        if kind == "mark":
            self._mark(name, "program", (now.active, now.cache, now.peak))
        else:
            self._set_phase(name)

    def _on_rise(self, rise: Rise, how: str, evaluated: Any = ()) -> None:
        """A step rose higher than those that are told, or memory rose `between` two."""
        line = None if how == "between" else place(sys._getframe(1))
        tokens = None if line is None else kv_tokens(evaluated, line[0])
        self._step_log.note(self.event_log.now(), rise, self.phases[self._phase], line, tokens, how)

    def _on_peak_read(self, frame: FrameType) -> None:
        """`frame` of the program asks for MLX's peak."""
        try:
            self._training.report(frame)
        except Exception as error:
            fail_or_raise(error, self.event_log.fail)

    def _set_phase(self, name: str) -> None:
        name = str(name)[: command_json.NAME]
        with self._naming:
            if name not in self.phases:
                if len(self.phases) >= PHASES_MOST:
                    return
                self.phases.append(name)
            self._phase = self.phases.index(name)
        self.event_log.emit(PhaseChanged(name))

    def _after_fork(self) -> None:
        """The child of a fork has no agent until it uses MLX itself: most never do."""
        try:
            self._server.forget()
            self.event_log.begin()
            self.command_queue.begin()
            self._peaks.begin_process()
            self.controller.forget_trace()
            self._eval_hook.tracer = None
            self._naming = allocate_lock()
            self.command_queue.due = True
        except Exception:
            pass

    def _revive(self) -> None:
        """A forked child uses MLX: it becomes a session of its own."""
        self._begin()
        self._read_facts()
        self._server.open()
        self._trace_from_the_start()
        self._server.start()

    def _on_exit(self) -> None:
        if self._pid == os.getpid():
            with suppress(Exception):
                self.last_error = last_error.read()
            with suppress(Exception):
                self.controller.trace(False, "mlxtop")
            self._server.stop(LEAVE_WITHIN)
            peak = self._peaks.peak()
            if not self._server.met and peak:
                sockets.leave_message(
                    f"ended before mlxtop read its memory; its peak was {peak / 2**20:.1f} MiB."
                )

    # In the agent's thread

    def tick(self, now: float) -> None:
        """Reads the counters."""
        active, cache, peak, high = self._peaks.sample()
        fell = self._last[0][0] - active
        if fell >= LEAST or not self.ring.end % EVERY:
            collected = self._collector.look(fell)
            if collected is not None:
                self.event_log.emit(collected)
        steps, recent = self._eval_hook.clock, self._footprint
        # A call that only gives back what is known takes a twentieth of a tick.
        charged = recent.bytes if now < recent.due else recent.at(now)
        row = (
            active, cache, peak, charged,
            steps.count, steps.count, steps.busy, self._phase, *self.controller.kept, high,
        )  # fmt: skip
        last = row, self.controller.buffers
        if last != self._last:
            self._last, self.still = last, 0
        else:
            self.still += 1
            if self._left_out:
                self._fill(now)
        self.ring.add(now - self.event_log.origin, *last)
        self._at, self._left_out = now, False

    def rest(self) -> bool:
        """Whether samples may be left out from here on, until the program does a step or tells something."""
        queue = self.command_queue
        if self.interval < INTERVAL or queue.inside or queue.waiting:
            return False
        # In this order: the flag is put down by whoever finds us resting.
        queue.due = self._left_out = self.resting = True
        return True

    def _fill(self, now: float) -> None:
        """Adds the samples that were left out between two that are alike: they were like those."""
        at = self._at + self.interval
        while at < now - self.interval / 2 < self._at + 2 * UNSEEN:
            self.ring.add(at - self.event_log.origin, *self._last)
            at += self.interval

    def tidy(self, now: float, last: bool = False) -> None:
        """Looks at what need not be seen at each tick, and tells what was held back; at the `last`, all."""
        self.event_log.flush_repeats(now)
        # Those that nothing replaces any more.
        for at, step in self._step_log.settled(float("inf") if last else self.event_log.now()):
            self.event_log.emit(step, at=at, soon=False)
        for at, report in self._training.settled():
            self.event_log.emit(report, at=at, soon=False)

    def _read_facts(self) -> None:
        """On what MLX runs, and the limits as it starts with them.

        Asking opens nothing that importing MLX has not opened already, CUDA's device included.
        """
        self.facts = device.facts(packages=False)
        self.controller.assume_defaults()

    def reopen(self) -> None:
        """The program closed our descriptors: a new socket is opened when it comes by a safe point."""
        self._pid, self.command_queue.due = -1, True

    def is_forked_child(self) -> bool:
        """Whether our socket is another process's by now: we are a fork's child."""
        return self._pid not in (os.getpid(), -1)

    def is_awaited(self) -> bool:
        """Whether a viewer that still runs started this program, which has used MLX."""
        # The program may have reset its peak.
        is_used = self._peaks.peak() > 0 or self._eval_hook.clock.count > 0
        return bool(self.run) and is_used and _is_alive(os.environ.get(environment.VIEWER, ""))

    def hello(self) -> dict[str, object]:
        """What a viewer is told first, `watched` aside. The counters are those of this moment."""
        names = ("active", "cache", "peak", "footprint")
        counters = dict(zip(names, (*self._peaks.read(), self._footprint.bytes), strict=True))
        return {
            "protocol": protocol.PROTOCOL,
            "mlxtop": __version__,
            "pid": self._pid,
            "argv": _argv(),
            "name": worker.name(),
            "started": self._started,
            "now": self.event_log.now(),
            "interval": self.interval,
            "run": self.run,
            "rank": _rank(),
            "log": os.environ.get(environment.LOG),
            "footprint": footprint.KIND,
            "counters": counters,
        }

    def handle_command(self, message: dict[str, object]) -> None:
        """What a viewer asks for. Raises `ValueError` for what makes no sense."""
        command, command_id = command_json.parse(message)
        match command:
            case AddMark(name, source):
                self._mark(name, source, self._peaks.read(), command_id)
            case SetInterval(seconds):
                self.interval = seconds
            case SetLimit(name, size) if size == DEFAULT and self.controller.default(name) is None:
                # Nobody knows what to set.
                return
            case _:
                self.command_queue.submit(command, command_id)

    def _execute(self, command: QueuedCommand, command_id: int | None) -> None:
        if isinstance(command, FindLimits):
            self.controller.find_limits()
        else:
            self.controller.execute(command, command_id)
            self._eval_hook.tracer = self.controller.tracer

    def stop_trace(self) -> None:
        """The viewer that started the trace has left: it ends at the next safe point."""
        # Of a hundred commands that wait, one was more urgent.
        with suppress(ValueError):
            self.command_queue.submit(SetTrace(False, "mlxtop"))

    def _mark(
        self, name: str, source: str, read: tuple[int, int, int], command_id: int | None = None
    ) -> None:
        mark = MarkAdded(str(name)[: command_json.NAME], source, *read, tokens=self._eval_hook.clock.count)
        self.event_log.emit(mark, command_id)


def _argv() -> list[str]:
    """The command as it was typed, `-m` and interpreter options included."""
    return [str(arg)[:300] for arg in getattr(sys, "orig_argv", sys.argv)[:50]]


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return True


def _rank() -> int | None:
    """The rank that `mlx.launch` or MPI gave this process."""
    for name in ("MLX_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"):
        rank = whole(os.environ.get(name, ""))
        if rank is not None:
            return rank
    return None
