"""The thread that owns MLX: it imports MLX, loads the model, generates, sets limits and frees everything.

All calls of MLX happen here, because an MLX stream belongs to the thread that created it. Commands wait in a
queue and are executed at the next safe point: between two tokens, between two chunks of a prompt, between
two weights while loading, or at once when idle. Only a limit that waits too long is set by another thread,
where MLX takes no more than a lock for it.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from mlxtop.core.commands import (
    ForgetConversation,
    SetLimit,
    SetTrace,
    StartWorkload,
    StopWorkload,
    SubmitPrompt,
)
from mlxtop.core.errors import MlxtopError, fatal
from mlxtop.core.events import (
    ErrorRaised,
    EventData,
    FactsRead,
    MarkAdded,
    PhaseChanged,
    ProgressMade,
    StepPeaked,
    WorkloadDone,
)
from mlxtop.core.sample import UNKNOWN
from mlxtop.inference.engine_commands import EngineCommand, Generate, Quit
from mlxtop.inference.failure import explain
from mlxtop.inference.generation import Generation, encode, kv_cache, stream
from mlxtop.inference.loading import load
from mlxtop.inference.options import Options
from mlxtop.inference.prompts import Prompt, prompts
from mlxtop.mlx import allocator, backend, breakdown, device
from mlxtop.mlx.controller import AllocatorController, Emit
from mlxtop.mlx.step_log import StepLog
from mlxtop.mlx.step_peaks import Begun, StepPeaks
from mlxtop.system import self_usage

if TYPE_CHECKING:
    from mlxtop.mlx.tracing import EvalLines

Write = Callable[[Literal["prompt", "reply", "log"], str], None]

# Seconds between measurements of the KV cache, and between progress reports while loading.
MEASURE_EVERY = 0.1
LIMIT_WITHIN = 0.04
"""Seconds that a limit waits for a safe point on a GPU: MLX takes half a second for some tokens."""


class Counters:
    """Numbers that the engine writes and the sampler reads. Each is one integer, so no lock is needed."""

    __slots__ = ("decode", "kv", "steps", "tokens", "weights")

    def __init__(self) -> None:
        self.tokens = 0
        self.steps = 0
        self.decode = 0
        self.weights = UNKNOWN
        self.kv = UNKNOWN


class _Waiting:
    """A command in the queue. Whoever takes it executes it."""

    def __init__(self, command: EngineCommand, command_id: int | None) -> None:
        self.command = command
        self.command_id = command_id
        self._taken = threading.Lock()

    def take(self) -> bool:
        """Returns whether nobody took it before."""
        return self._taken.acquire(blocking=False)


class _Interrupted(Exception):
    """A command that was executed at a safe point ends the present work."""


class Engine(threading.Thread):
    """Runs `options` from loading to the end.

    `emit(data, answers)` is called with every event, on this thread. `write(source, text)` is called with
    each prompt, each part of a reply, and log messages. `submit` takes commands from any thread.
    """

    def __init__(self, options: Options, emit: Emit, write: Write) -> None:
        super().__init__(name=self_usage.ENGINE, daemon=True)
        self.options = options
        self.counters = Counters()
        self.failure: MlxtopError | None = None
        self._tell = emit
        self._write = write
        self._inbox: queue.SimpleQueue[_Waiting] = queue.SimpleQueue()
        self._ready = threading.Event()
        self._running = True
        self._quit = False
        self._requested: Generate | None = None
        """The generation that a command asked for, until it begins."""
        self._typed: str | None = None
        """The last typed prompt, until the output shows it."""
        self._source = prompts(options)
        self._conversation: list[Any] | None = None
        self._remembered = 0
        """Tokens in the conversation's KV cache."""
        self._model: Any = None
        self._tokenizer: Any = None
        self._measured = 0.0
        self._at_work = False
        self._at_rest: list[tuple[SetLimit, int | None]] = []
        """Limits to set after the present generation."""
        self._mx: Any = None
        self._controller: AllocatorController | None = None
        self._peaks: StepPeaks | None = None
        self._step_log: StepLog | None = None
        self._step: Begun | None = None
        self._phase = "load"
        """What is being done, for a trace."""
        self._eval_lines: EvalLines | None = None

    def read(self) -> tuple[int, int, int, int]:
        """Active, cache, the peak, and the most that was active since this was last called (0 if nobody
        knows), in bytes. When MLX is loaded; one thread calls it."""
        peaks = self._peaks
        return (*allocator.reader()(), 0) if peaks is None else peaks.sample()

    @property
    def buffers(self) -> int:
        """Live buffers, where a trace counts them; `UNKNOWN` otherwise."""
        return UNKNOWN if self._controller is None else self._controller.buffers

    def settled_steps(self, now: float = inf) -> Iterable[tuple[float, StepPeaked]]:
        """The highest steps to tell, each once, with the monotonic seconds at which they ended."""
        return () if self._step_log is None else self._step_log.settled(now)

    def submit(self, command: EngineCommand, command_id: int | None = None) -> None:
        """Queues `command` and returns at once. The events that answer it carry `command_id`."""
        waiting = _Waiting(command, command_id)
        self._inbox.put(waiting)
        if self._at_work and isinstance(command, SetLimit) and backend.sets_limits_at_once():
            timer = threading.Timer(LIMIT_WITHIN, self._set_overdue, (command, waiting))
            timer.daemon = True
            timer.start()

    def _set_overdue(self, command: SetLimit, waiting: _Waiting) -> None:
        """Sets a limit that still waits for a safe point. The wired limit waits until MLX rests."""
        if self._at_work and command.name != "wired" and waiting.take():
            self._allocator.execute(command, waiting.command_id)

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Waits until MLX is imported and its limits are known, or that failed. False after `timeout` s."""
        return self._ready.wait(timeout)

    def run(self) -> None:
        """Runs until `Quit`. Any other end is reported and stored in `failure`."""
        for stage in (self._begin, self._live, self._end):
            try:
                stage()
            except BaseException as error:
                self._fail(error)
        self._ready.set()

    def _emit(self, data: EventData, answers: int | None = None) -> None:
        if isinstance(data, PhaseChanged):
            self._phase = data.phase
        self._tell(data, answers)

    # Life

    def _fail(self, error: BaseException) -> None:
        if self.failure is not None:
            # The first failure is the cause.
            return
        self.failure = fatal("The thread that runs MLX", error)
        # The failure may be in a listener.
        with suppress(BaseException):
            self._emit(ErrorRaised(str(self.failure), "engine"))
            self._emit(PhaseChanged("failed"))

    def _begin(self) -> None:
        self._emit(PhaseChanged("load"))
        self._mx = backend.load()
        self._emit(FactsRead(device.facts().replace(model=self.options.name)))
        # First: it looks whether somebody has references to MLX's functions.
        self._peaks = StepPeaks()
        self._step_log = StepLog(self._peaks)
        self._peaks.install()
        self._controller = AllocatorController(self._emit, self._mx.synchronize)
        self._controller.install()
        self._controller.read_fresh_limits()
        self._ready.set()
        for name, size in self.options.limits.items():
            self._controller.set_limit(name, size, "flag")
        if self.options.trace is not None:
            self._execute(SetTrace(True, "flag", self.options.trace), None)

    def _live(self) -> None:
        """Loads and generates until `Quit`."""
        with suppress(_Interrupted):
            while not self._over() and not self._attempt("load", self._load):
                self._pause("failed")
            self._work()

    def _over(self) -> bool:
        return self._quit or self.failure is not None

    def _end(self) -> None:
        """Finishes MLX's work and removes its streams: a process that ends with either may crash."""
        self._conversation = self._model = self._tokenizer = None
        if self._controller is not None:
            self._execute(SetTrace(False, "mlxtop"), None)
            self._controller.remove()
        peaks, self._peaks = self._peaks, None
        if peaks is not None:
            peaks.remove()
        if self._mx is not None:
            self._mx.synchronize()
            self._mx.clear_streams()

    def _load(self) -> None:
        self._emit(PhaseChanged("load"))
        self._model = self._tokenizer = self._conversation = None
        self.counters.weights = self.counters.kv = UNKNOWN
        self._model, self._tokenizer = load(self.options, self._emit)
        self._materialize()

    def _materialize(self) -> None:
        """Evaluates the weights one by one, so that loading reports progress and can be ended."""
        total, done, reported = breakdown.weights(self._model), 0, 0.0
        for array in breakdown.arrays(self._model):
            self._begin_step()
            self._mx.eval(array)
            self._end_step("load")
            done += array.nbytes
            if (now := time.monotonic()) - reported >= MEASURE_EVERY:
                self._emit(ProgressMade("load", done, total))
                reported = now
            self._safe_point(loading=True)
        self.counters.weights = total
        self._emit(ProgressMade("load", total, total))
        at = allocator.snapshot()
        self._emit(MarkAdded("loaded", "mlxtop", at.active, at.cache, at.peak, tokens=0))

    # Work

    def _work(self) -> None:
        while not self._over():
            following = self._next()
            if following is not None:
                self._at_work = True
                self._attempt("generation", partial(self._generate, following.prompt, following.options))
                self._at_work = False
                while self._at_rest:
                    self._allocator.execute(*self._at_rest.pop(0))

    def _next(self) -> Generate | None:
        """Returns the next generation: a requested one, else the workload's. Without one it waits for a
        command and returns `None`."""
        if self._requested is not None:
            requested, self._requested = self._requested, None
            return requested
        if self._running:
            prompt = next(self._source, None)
            if prompt is not None:
                return Generate(prompt, self.options)
            # If it is started again, the workload begins from the start.
            self._source, self._running = prompts(self.options), False
            self._emit(WorkloadDone())
        self._pause("idle")
        return None

    def _attempt(self, what: str, act: Callable[[], None]) -> bool:
        """Runs `act`. A failure is reported and ends only `act`; the result is then False."""
        try:
            act()
        except _Interrupted:
            return True
        except Exception as error:
            message = explain(what, self.options, error)
        else:
            return True
        # Outside the handler, so that the traceback no longer references arrays.
        self._running, self._conversation, self.counters.kv = False, None, UNKNOWN
        if self._typed is not None:
            self._write("prompt", self._typed)
            self._typed = None
        self._emit(ErrorRaised(message, what))
        with suppress(Exception):
            self._allocator.clear_cache("mlxtop")
        return False

    def _generate(self, prompt: Prompt, options: Options) -> None:
        self._safe_point()
        tokens = encode(self._tokenizer, prompt)
        if prompt.chat and self._conversation is not None:
            cache, context = self._conversation, self._remembered
        else:
            cache, context = kv_cache(self._model, options.max_kv_size), 0
        self._conversation = cache if prompt.chat else None
        self._typed = None
        self._write("prompt", prompt.text if prompt.length is None else f"a prompt of {len(tokens)} tokens")
        self._emit(PhaseChanged("prefill", len(tokens)))
        run = Generation(len(tokens), context, options.max_tokens, time.monotonic())
        replies = stream(
            self._model, self._tokenizer, tokens, cache, options, partial(self._prefilled, cache, context)
        )
        try:
            self._begin_step()
            with closing(replies):
                for reply in replies:
                    self._decoded(run, cache, reply)
                    self._safe_point()
                    self._begin_step()
        except _Interrupted:
            run.reason = "stopped"
            raise
        finally:
            self._end_step("decode", context + len(tokens) + run.tokens)
            self._remembered = context + len(tokens) + run.tokens
            if run.tokens:
                self._emit(run.summary())
            if not prompt.chat:
                # The KV cache is no longer used.
                self.counters.kv = 0

    def _prefilled(self, cache: list[Any], context: int, done: int, total: int) -> None:
        self._end_step("prefill", context + done)
        self.counters.kv = breakdown.kv(cache)
        self._emit(ProgressMade("prefill", done, total))
        self._safe_point()
        self._begin_step()

    def _decoded(self, run: Generation, cache: list[Any], reply: Any) -> None:
        self._end_step("decode", run.context + run.prompt_tokens + run.tokens)
        now = time.monotonic()
        if run.tokens == 0:
            run.first(now, reply.prompt_tps)
            self._emit(PhaseChanged("decode"))
        else:
            self.counters.decode += round((now - run.last) * 1e6)
            self.counters.steps += 1
        self.counters.tokens += 1
        run.tokens, run.last, run.reason = run.tokens + 1, now, reply.finish_reason or run.reason
        if now - self._measured >= MEASURE_EVERY:
            self._measured = now
            self.counters.kv = breakdown.kv(cache)
            self._emit(ProgressMade("decode", run.tokens, run.most))
        self._write("reply", reply.text)

    # Steps: a weight, a part of a prompt, a token

    def _begin_step(self) -> None:
        assert self._peaks is not None, "no step is done before MLX is loaded"
        self._step = self._peaks.begin()

    def _end_step(self, phase: str, tokens: int | None = None) -> None:
        assert self._peaks is not None
        assert self._step_log is not None
        step, self._step = self._step, None
        rise = self._peaks.end(step)
        if rise is not None:
            self._step_log.note(time.monotonic(), rise, phase, tokens=tokens)

    # Safe points

    def _pause(self, phase: str) -> None:
        """Waits until a command ends the pause."""
        self._emit(PhaseChanged(phase))
        while True:
            if self._take(self._inbox.get()):
                return

    def _safe_point(self, loading: bool = False) -> None:
        """Executes the waiting commands. Raises `_Interrupted` if one of them ends the present work.

        Only `Quit` ends loading.
        """
        interrupted = False
        while True:
            try:
                interrupted |= self._take(self._inbox.get_nowait())
            except queue.Empty:
                break
        if self._quit or (interrupted and not loading):
            raise _Interrupted

    def _take(self, waiting: _Waiting) -> bool:
        """Executes one command unless that is done. Returns whether it ends the present work or pause."""
        return waiting.take() and self._execute(waiting.command, waiting.command_id)

    @property
    def _allocator(self) -> AllocatorController:
        assert self._controller is not None, "no command is executed before MLX is loaded"
        return self._controller

    def _execute(self, command: EngineCommand, command_id: int | None) -> bool:
        """Executes one command. Returns whether it ends the present work or pause."""
        match command:
            case SetLimit(name="wired") if self._at_work:
                # Not while work is queued. Also, mlx-lm would restore the old limit after the generation.
                self._at_rest.append((command, command_id))
            case ForgetConversation():
                known = self._conversation is not None
                self._conversation = None
                self.counters.kv = 0
                self._write("log", "conversation forgotten" if known else "no conversation to forget")
            case SubmitPrompt(text):
                self._set_prompt(text)
                return True
            case Generate():
                self._requested = command
                return True
            case StartWorkload():
                if not self._running:
                    self._running = True
                    return True
            case StopWorkload():
                self._running = False
                return True
            case Quit():
                self._quit = True
                return True
            case SetTrace():
                self._allocator.execute(command, command_id)
                self._name_lines()
            case _:
                self._allocator.execute(command, command_id)
        return False

    def _name_lines(self) -> None:
        """Has a trace that is being written name the lines of mlx-lm."""
        if self._eval_lines is not None:
            self._eval_lines.remove()
            self._eval_lines = None
        if (tracer := self._allocator.tracer) is not None:
            from mlxtop.mlx.tracing import EvalLines

            self._eval_lines = EvalLines(tracer, lambda: self._phase)
            self._eval_lines.install()

    def _set_prompt(self, text: str) -> None:
        """Makes a typed prompt the next one. `loop` repeats it; `ramp` and `chat` use it once."""
        self._typed = text
        if self.options.workload == "loop":
            self.options = replace(self.options, prompt=text)
            self._source, self._running = prompts(self.options), True
        else:
            self._requested = Generate(Prompt(text, chat=self.options.workload == "chat"), self.options)
