"""The session of a model that runs in this very process."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mlxtop import api
from mlxtop.core.errors import MlxtopError, fatal
from mlxtop.core.events import Event, Kind
from mlxtop.core.history import History
from mlxtop.core.limits import LimitName
from mlxtop.core.playhead import Playhead
from mlxtop.core.sample import Sample
from mlxtop.core.snapshot import Snapshot
from mlxtop.core.state import State
from mlxtop.core.timeline import Timeline
from mlxtop.core.transcript import Transcript
from mlxtop.core.units import DEFAULT, Size
from mlxtop.inference import commands
from mlxtop.inference.engine import Engine
from mlxtop.inference.options import Options
from mlxtop.inference.prompts import Prompt
from mlxtop.mlx import allocator
from mlxtop.mlx.sampler import Sampler
from mlxtop.sessions.session import Capability
from mlxtop.system import footprint, self_usage

Sink = Callable[[Event | Sample], None]


class LocalSession:
    """Runs `options` and watches itself do it. See `sessions.session.Session` for what a screen sees.

    `interval` is the seconds between samples. Each of `sinks`, which begin with `sink`, is told of every
    event and sample on the thread where it happens; it must not wait.
    """

    footprint_kind = footprint.KIND
    steps_are = "tokens"
    agent_cost: float | None = None
    playhead: Playhead | None = None
    process: int | None = os.getpid()
    capabilities: frozenset[Capability] = frozenset(("say", "start", "forget", "collect", "census", "limits"))

    def __init__(self, options: Options, interval: float = 0.1, sink: Sink | None = None) -> None:
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
        """Set when the workload has nothing left to do, or failed."""
        self._origin = time.monotonic()
        self._phase = 0
        self.sinks = [sink] if sink else []
        self._lock = threading.RLock()
        self._read: Callable[[], tuple[int, int, int]] = lambda: (0, 0, 0)
        self._sampler: Sampler | None = None
        self._engine = Engine(options, self._emit, self.transcript.write)
        self._opener = threading.Thread(target=self._watch, name="mlxtop-open", daemon=True)
        self._closed = self._finished = False
        self._failure: MlxtopError | None = None
        self._unlisten: Callable[[], None] = lambda: None

    # Life

    def open(self) -> None:
        """Starts the engine, and the sampler as soon as MLX is there to be read. Returns at once."""
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
            self.mark("start", "mlxtop")
            self._sampler = Sampler(self.interval, self._tick, self._late, self._fail)
            self._sampler.start()

    def _fail(self, error: BaseException) -> None:
        """No more samples: a picture that stands still while the model works would lie."""
        self._failure = fatal("Sampling", error)
        # Whoever listens may be what failed.
        with suppress(BaseException):
            self._emit(Kind.ERROR, message=str(self._failure), phase="sampling")

    def finish(self) -> None:
        """Takes the last sample; none follow it."""
        if self._sampler is not None and not self._finished:
            self._finished = True
            self._sampler.stop()
            self._tick(time.monotonic())

    def close(self, timeout: float) -> bool:
        """Ends the run within `timeout` seconds; False when MLX is still at work then.

        After a False only `os._exit` ends the process without waiting for MLX.
        """
        self._unlisten()
        self._unlisten = lambda: None
        with self._lock:
            # Held by whoever is about to start the sampler: it starts before this, or never.
            self._closed = True
        self.finish()
        self._engine.submit(commands.Quit())
        if not self._engine.ident:
            return True
        self._engine.join(timeout)
        return not self._engine.is_alive()

    @property
    def failure(self) -> MlxtopError | None:
        """Why the run is over before its end: the thread that owns MLX, or the one that samples, failed."""
        return self._engine.failure or self._failure

    # What happens

    def now(self) -> float:
        return time.monotonic() - self._origin

    def _emit(self, kind: Kind, **data: Any) -> None:
        with self._lock:
            event = Event(self.now(), kind, data)
            if kind is Kind.PHASE:
                self._phase = self._phase_index(data["phase"])
            self.state.apply(event)
            if kind is not Kind.PROGRESS:
                self.timeline.add(event)
            for sink in self.sinks:
                sink(event)
        if kind is Kind.ERROR:
            # The status row may be too short for the whole sentence.
            self.transcript.write("log", data["message"])
        if kind in (Kind.DONE, Kind.ERROR):
            self.done.set()

    def _phase_index(self, name: str) -> int:
        if name not in self.phases:
            self.phases.append(name)
        return self.phases.index(name)

    def _tick(self, now: float) -> None:
        active, cache, peak = self._read()
        c = self._engine.counters
        sample = Sample(
            now - self._origin,
            active,
            cache,
            peak,
            active + cache,
            self._footprint.at(now),
            c.tokens,
            c.steps,
            c.decode,
            self._phase,
            c.weights,
            c.kv,
        )
        self.history.add(sample)
        if peak > self.state.run_peak:
            self.state.run_peak = peak
        for sink in self.sinks:
            sink(sample)

    def _late(self, ticks: int) -> None:
        self._emit(Kind.LATE, ticks=ticks)

    def _on_api_call(self, kind: str, name: str, _now: Snapshot) -> None:
        """The program in this process said something of itself by `mlxtop.mark` or `mlxtop.phase`."""
        if kind == "mark":
            self.mark(name, "program")
        else:
            self._emit(Kind.PHASE, phase=name)

    # Commands

    def set_limit(self, knob: LimitName, size: Size, who: str) -> None:
        with self._lock:
            limit = self.state.limits[knob]
            value = limit.default if size == DEFAULT else int(size)
            if value is None:
                return
            self.state.limits[knob] = limit.asked(value)
        self._engine.submit(commands.SetLimit(knob, value, who))

    def clear_cache(self, who: str) -> None:
        self._engine.submit(commands.ClearCache(who))

    def reset_peak(self, who: str) -> None:
        self._engine.submit(commands.ResetPeak(who))

    def mark(self, name: str, who: str) -> None:
        """Marks this moment. Before MLX is there to be read, nothing can be marked."""
        if self.history.latest is None:
            return
        active, cache, peak = self._read()
        tokens = self._engine.counters.tokens
        self._emit(Kind.MARK, name=name, active=active, cache=cache, peak=peak, tokens=tokens, who=who)

    def collect(self) -> None:
        self._engine.submit(commands.Collect("keyboard"))

    def census(self) -> None:
        self._engine.submit(commands.TakeCensus())

    def record_event(self, kind: Kind, **data: Any) -> None:
        self._emit(kind, **data)

    def warn(self, message: str | None) -> None:
        self.state.warning = message

    def send_input(self, text: str) -> None:
        self._engine.submit(commands.SubmitPrompt(text))

    def generate(self, prompt: Prompt, options: Options) -> None:
        """Has the model generate once under options of its own, next after what runs now."""
        self._engine.submit(commands.Generate(prompt, options))

    def start(self) -> None:
        self._engine.submit(commands.StartWorkload())

    def stop(self) -> None:
        self._engine.submit(commands.StopWorkload())

    def forget(self) -> None:
        self._engine.submit(commands.ForgetConversation())
