"""The thread that owns MLX: it imports, loads, generates, sets the limits and tears down.

Everything that touches MLX happens here, because MLX's streams belong to the thread that made them. What
others ask for waits in an inbox and is carried out at the next safe point: between two tokens, between two
chunks of a prompt, while loading between two weights, or at once when idle.
"""

import queue
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from mlxtop.core.commands import ForgetConversation, SetLimit, StartWorkload, StopWorkload, SubmitPrompt
from mlxtop.core.errors import MlxtopError, fatal
from mlxtop.core.events import (
    ErrorRaised,
    FactsRead,
    MarkAdded,
    PhaseChanged,
    ProgressMade,
    WorkloadDone,
)
from mlxtop.core.sample import UNKNOWN
from mlxtop.inference.commands import EngineCommand, Generate, Quit
from mlxtop.inference.failure import explain
from mlxtop.inference.generation import Generation, encode, kv_cache, stream
from mlxtop.inference.loading import load
from mlxtop.inference.options import Options
from mlxtop.inference.prompts import Prompt, prompts
from mlxtop.mlx import allocator, backend, breakdown, device
from mlxtop.mlx.controller import AllocatorController, Emit
from mlxtop.system import self_usage

Write = Callable[[Literal["prompt", "reply", "log"], str], None]

# How often, in seconds, the KV cache is measured and loading reports how far it is.
MEASURE_EVERY = 0.1


class Counters:
    """What the sampler reads while the engine writes: single integers, never torn."""

    __slots__ = ("decode", "kv", "steps", "tokens", "weights")

    def __init__(self) -> None:
        self.tokens = 0
        self.steps = 0
        self.decode = 0
        self.weights = UNKNOWN
        self.kv = UNKNOWN


class _Interrupted(Exception):
    """A safe point found a reason to leave what is being done."""


class Engine(threading.Thread):
    """Runs `options` from load to teardown. `emit(data, answers)` hears of all that happens, on this
    thread; `write(who, text)` gets each prompt, what the model says, and that a conversation was forgotten.
    Commands come in by `submit`, from any thread."""

    def __init__(self, options: Options, emit: Emit, write: Write) -> None:
        super().__init__(name=self_usage.ENGINE, daemon=True)
        self.options = options
        self.counters = Counters()
        self.failure: MlxtopError | None = None
        self._emit = emit
        self._write = write
        self._inbox: queue.SimpleQueue[tuple[EngineCommand, int | None]] = queue.SimpleQueue()
        self._ready = threading.Event()
        self._running = True
        self._quit = False
        self._said: Generate | None = None
        self._typed: str | None = None
        """The last prompt that was typed, until the output shows it."""
        self._source = prompts(options)
        self._conversation: list[Any] | None = None
        self._remembered = 0
        """Tokens in the conversation's KV cache."""
        self._model: Any = None
        self._tokenizer: Any = None
        self._measured = 0.0
        self._at_work = False
        self._at_rest: list[tuple[SetLimit, int | None]] = []
        """Limits that are set when the present generation is over."""
        self._mx: Any = None
        self._controller: AllocatorController | None = None

    def submit(self, command: EngineCommand, id_: int | None = None) -> None:
        """Asks for `command`; returns at once. The events that answer it carry its number."""
        self._inbox.put((command, id_))

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Waits until MLX is imported and its limits are known (or that failed)."""
        return self._ready.wait(timeout)

    def run(self) -> None:
        """Whatever ends this thread, other than `Quit`, is in `failure`, and reported."""
        for stage in (self._begin, self._live, self._end):
            try:
                stage()
            except BaseException as error:
                self._fail(error)
        self._ready.set()

    # Life

    def _fail(self, error: BaseException) -> None:
        if self.failure is not None:
            # What came first is the cause.
            return
        self.failure = fatal("The thread that runs MLX", error)
        # Whoever listens may be what failed.
        with suppress(BaseException):
            self._emit(ErrorRaised(str(self.failure), "engine"))
            self._emit(PhaseChanged("failed"))

    def _begin(self) -> None:
        self._emit(PhaseChanged("load"))
        self._mx = backend.load()
        self._emit(FactsRead(device.facts()._replace(model=self.options.name)))
        self._controller = AllocatorController(self._emit, self._mx.synchronize)
        self._controller.install()
        self._controller.read_fresh_limits()
        self._ready.set()
        for name, size in self.options.limits.items():
            self._controller.set_limit(name, size, "flag")

    def _live(self) -> None:
        """From loading to `Quit`."""
        with suppress(_Interrupted):
            while not self._over() and not self._attempt("load", self._load):
                self._pause("failed")
            self._work()

    def _over(self) -> bool:
        return self._quit or self.failure is not None

    def _end(self) -> None:
        """Leaves MLX as a process needs it to end without a crash: no work queued, no stream of ours."""
        self._conversation = self._model = self._tokenizer = None
        if self._controller is not None:
            self._controller.remove()
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
        """Evaluates the weights one by one, so that loading shows how far it is and can be left."""
        total, done, told = breakdown.weights(self._model), 0, 0.0
        for array in breakdown.arrays(self._model):
            self._mx.eval(array)
            done += array.nbytes
            if (now := time.monotonic()) - told >= MEASURE_EVERY:
                self._emit(ProgressMade("load", done, total))
                told = now
            self._safe_point(loading=True)
        self.counters.weights = total
        self._emit(ProgressMade("load", total, total))
        at = allocator.snapshot()
        self._emit(MarkAdded("loaded", "mlxtop", at.active, at.cache, at.peak, tokens=0))

    # Work

    def _work(self) -> None:
        while not self._over():
            wanted = self._next()
            if wanted is not None:
                self._at_work = True
                self._attempt("generation", partial(self._generate, wanted.prompt, wanted.options))
                self._at_work = False
                while self._at_rest:
                    self._allocator.execute(*self._at_rest.pop(0))

    def _next(self) -> Generate | None:
        """What is generated next: what somebody asked for, else what the workload wants; waits while there is
        nothing."""
        if self._said is not None:
            said, self._said = self._said, None
            return said
        if self._running:
            prompt = next(self._source, None)
            if prompt is not None:
                return Generate(prompt, self.options)
            # Started again, the workload begins anew.
            self._source, self._running = prompts(self.options), False
            self._emit(WorkloadDone())
        self._pause("idle")
        return None

    def _attempt(self, what: str, act: Callable[[], None]) -> bool:
        """Runs `act`; a failure is told with its cause and ends only what was tried."""
        try:
            act()
        except _Interrupted:
            return True
        except Exception as error:
            message = explain(what, self.options, error)
        else:
            return True
        # Out of the handler, so that the traceback no longer keeps the arrays of what failed.
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
            self._model, self._tokenizer, tokens, cache, options, partial(self._prefilled, cache)
        )
        try:
            with closing(replies):
                for reply in replies:
                    self._decoded(run, cache, reply)
                    self._safe_point()
        except _Interrupted:
            run.reason = "stopped"
            raise
        finally:
            self._remembered = context + len(tokens) + run.tokens
            if run.tokens:
                self._emit(run.summary())
            if not prompt.chat:
                # A KV cache that is no longer needed is free memory, not a reading.
                self.counters.kv = 0

    def _prefilled(self, cache: list[Any], done: int, total: int) -> None:
        self.counters.kv = breakdown.kv(cache)
        self._emit(ProgressMade("prefill", done, total))
        self._safe_point()

    def _decoded(self, run: Generation, cache: list[Any], reply: Any) -> None:
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

    # Safe points

    def _pause(self, phase: str) -> None:
        """Waits with nothing to do until a command gives a reason to go on."""
        self._emit(PhaseChanged(phase))
        while True:
            if self._execute(*self._inbox.get()):
                return

    def _safe_point(self, loading: bool = False) -> None:
        """Carries out what was asked meanwhile; raises `_Interrupted` when that ends the present work.

        Only quitting ends loading.
        """
        interrupted = False
        while True:
            try:
                interrupted |= self._execute(*self._inbox.get_nowait())
            except queue.Empty:
                break
        if self._quit or (interrupted and not loading):
            raise _Interrupted

    @property
    def _allocator(self) -> AllocatorController:
        assert self._controller is not None, "nothing is carried out before MLX is loaded"
        return self._controller

    def _execute(self, command: EngineCommand, id_: int | None) -> bool:
        """Carries out one command; True when the present work, or the present rest, ends with it."""
        match command:
            case SetLimit(name="wired") if self._at_work:
                # Not under work that is queued; and mlx-lm would put back what it found after us.
                self._at_rest.append((command, id_))
            case ForgetConversation():
                told = "no conversation to forget" if self._conversation is None else "conversation forgotten"
                self._conversation = None
                self.counters.kv = 0
                self._write("log", told)
            case SubmitPrompt(text):
                self._take_prompt(text)
                return True
            case Generate():
                self._said = command
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
            case _:
                self._allocator.execute(command, id_)
        return False

    def _take_prompt(self, text: str) -> None:
        """A typed prompt is next; `loop` goes on with it, `ramp` and `chat` take it once."""
        self._typed = text
        if self.options.workload == "loop":
            self.options = replace(self.options, prompt=text)
            self._source, self._running = prompts(self.options), True
        else:
            self._said = Generate(Prompt(text, chat=self.options.workload == "chat"), self.options)
