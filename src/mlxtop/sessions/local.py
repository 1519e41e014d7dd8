"""The session of a model that runs in this process."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import get_args

from mlxtop import api
from mlxtop.core.commands import (
    AddMark,
    Command,
    RecordEvent,
    SetControl,
    SetInterval,
    SetLimit,
    new_id,
)
from mlxtop.core.errors import MlxtopError, fatal
from mlxtop.core.events import (
    ErrorRaised,
    Event,
    EventData,
    LimitRequested,
    MarkAdded,
    PhaseChanged,
    TicksMissed,
    WorkloadDone,
)
from mlxtop.core.history import History
from mlxtop.core.playhead import Playhead
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.core.snapshot import Snapshot
from mlxtop.core.state import State
from mlxtop.core.timeline import Timeline
from mlxtop.core.transcript import Transcript
from mlxtop.core.units import DEFAULT
from mlxtop.inference.engine import Engine
from mlxtop.inference.engine_commands import Generate, Quit
from mlxtop.inference.options import Options
from mlxtop.inference.prompts import Prompt
from mlxtop.mlx import allocator
from mlxtop.mlx.sampler import Sampler
from mlxtop.sessions.session import Capability, Publisher
from mlxtop.system import footprint, self_usage


class LocalSession(Publisher):
    """Runs the workload in `options` and samples its memory. See `sessions.session.Session`.

    `interval` is in seconds.
    """

    footprint_kind = footprint.KIND
    steps_are = "tokens"
    agent_cost: float | None = None
    playhead: Playhead | None = None
    process: int | None = os.getpid()
    capabilities: frozenset[Capability] = frozenset(get_args(Command)) - {SetInterval, SetControl}

    def __init__(self, options: Options, interval: float = 0.1) -> None:
        super().__init__()
        self.title = options.name
        self.interval = interval
        self.history = History(interval)
        self.timeline = Timeline()
        self.transcript = Transcript()
        self.state = State()
        self.phases = [self.state.phase]
        self.own_memory: int | None = None
        self.started = time.time()
        """Seconds since the epoch when the session's clock stood at 0."""
        self.done = threading.Event()
        """Set when the workload has finished or failed."""
        self._origin = time.monotonic()
        self._phase = 0
        self._read: Callable[[], tuple[int, int, int]] = lambda: (0, 0, 0)
        self._sampler: Sampler | None = None
        self._engine = Engine(options, self._emit, self.transcript.write)
        self._opener = threading.Thread(target=self._watch, name="mlxtop-open", daemon=True)
        self._closed = self._finished = False
        self._failure: MlxtopError | None = None
        self._unlisten: Callable[[], None] = lambda: None

    # Life

    def open(self) -> None:
        """Starts the engine, and the sampler once MLX is loaded. Returns at once."""
        self._footprint = footprint.Recent()
        self.own_memory = footprint.reader()()
        self._unlisten = api.listen(self._on_api_call)
        self._engine.start()
        self._opener.start()

    @self_usage.counted()
    def _watch(self) -> None:
        self._engine.wait_ready()
        try:
            self._sample()
        except BaseException as error:
            self._fail(error)

    def _sample(self) -> None:
        with self._lock:
            if self._engine.failure is not None or self._closed:
                return
            self._read = allocator.reader()
            self._tick(time.monotonic())
            self._mark("start", "mlxtop", None)
            self._sampler = Sampler(self.interval, self._tick, self._late, self._fail)
            self._sampler.start()

    def _fail(self, error: BaseException) -> None:
        """Records that sampling has failed: the display does not change any more while the model works."""
        self._failure = fatal("Sampling", error)
        # A listener may be what failed.
        with suppress(BaseException):
            self._emit(ErrorRaised(str(self._failure), "sampling"))

    def finish(self) -> None:
        """Takes the last sample and ends sampling."""
        if self._sampler is not None and not self._finished:
            self._finished = True
            self._sampler.stop()
            self._tick(time.monotonic())
            self._tell_steps(inf)

    def close(self, timeout: float) -> bool:
        """Ends the run. Returns False if MLX is still working after `timeout` seconds.

        In that case only `os._exit` ends the process without waiting for MLX.
        """
        self._unlisten()
        self._unlisten = lambda: None
        with self._lock:
            # `_sample` holds the lock, too: it starts the sampler before this, or not at all.
            self._closed = True
        self.finish()
        self._engine.submit(Quit())
        if not self._engine.ident:
            return True
        self._engine.join(timeout)
        return not self._engine.is_alive()

    @property
    def failure(self) -> MlxtopError | None:
        """The error that ended the thread that owns MLX or the sampler; `None` without one."""
        return self._engine.failure or self._failure

    # What happens

    def now(self) -> float:
        return time.monotonic() - self._origin

    def _emit(self, data: EventData, answers: int | None = None) -> None:
        with self._lock:
            if isinstance(data, PhaseChanged):
                self._phase = self._phase_index(data.phase)
            self.record(Event(self.now(), data, answers), self.state, self.timeline)
        if isinstance(data, ErrorRaised):
            # The status row may cut the sentence.
            self.transcript.write("log", data.message)
        if isinstance(data, WorkloadDone | ErrorRaised):
            self.done.set()

    def _phase_index(self, name: str) -> int:
        if name not in self.phases:
            self.phases.append(name)
        return self.phases.index(name)

    def _tick(self, now: float) -> None:
        active, cache, peak, high = self._engine.read()
        c, recent = self._engine.counters, self._footprint
        if now >= recent.due:
            # What need not be seen at each tick.
            recent.at(now)
            self._tell_steps(now)
        sample = Sample(
            now - self._origin,
            active,
            cache,
            peak,
            active + cache,
            recent.bytes,
            c.tokens,
            c.steps,
            c.decode,
            self._phase,
            c.weights,
            c.kv,
            high if high > active else UNKNOWN,
            self._engine.buffers,
        )
        self.history.add(sample)
        self.record_sample(sample, self.state)

    def _tell_steps(self, now: float) -> None:
        """Records the highest steps that nothing replaces any more at `now`."""
        for at, step in self._engine.settled_steps(now):
            self.record(Event(at - self._origin, step), self.state, self.timeline)

    def _late(self, ticks: int) -> None:
        self._emit(TicksMissed(ticks))

    def _on_api_call(self, kind: str, name: str, _now: Snapshot) -> None:
        """Records a call of `mlxtop.mark` or `mlxtop.phase` in this process."""
        if kind == "mark":
            self._mark(name, "program", None)
        else:
            self._emit(PhaseChanged(name))

    # Commands

    def submit(self, command: Command) -> int:
        """See `Session.submit`."""
        command_id = new_id()
        match command:
            case SetLimit(name, size):
                with self._lock:
                    value = self.state.limits[name].default if size == DEFAULT else size
                    if value is None:
                        return command_id
                    self._emit(LimitRequested(name, value), command_id)
                self._engine.submit(command.replace(size=value), command_id)
            case AddMark(name, source):
                self._mark(name, source, command_id)
            case RecordEvent(data):
                self._emit(data, command_id)
            case SetInterval() | SetControl():
                pass
            case _:
                self._engine.submit(command, command_id)
        return command_id

    def _mark(self, name: str, source: str, answers: int | None) -> None:
        """Sets a mark at this moment. Does nothing before MLX is loaded."""
        if self.history.latest is not None:
            self._emit(MarkAdded(name, source, *self._read(), tokens=self._engine.counters.tokens), answers)

    def generate(self, prompt: Prompt, options: Options) -> None:
        """Generates once with its own `options`, after the present generation."""
        self._engine.submit(Generate(prompt, options))
