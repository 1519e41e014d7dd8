"""mlx-lm decodes in turns, with mlxtop at work and with mlxtop halted, all in one process. Tells the seconds
of each step of a turn, and the process's processor time of a step.

python -m benchmarks.subjects.turning dashboard TOKENS [MODEL]     in this process, under the dashboard
python -m benchmarks.subjects.turning program TOKENS [MODEL]       with an agent, under `mlxtop run` or not

Halted, MLX has its own functions back, and each thread of mlxtop waits for a lock. A viewer in another
process is stopped.
"""

import asyncio
import inspect
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import psutil

from benchmarks.subjects import PROMPT, mlxtop, tell
from mlxtop.agent import agent
from mlxtop.core.events import Event, GenerationFinished
from mlxtop.inference import demo, engine
from mlxtop.inference.generation import encode, kv_cache, stream
from mlxtop.inference.options import Options
from mlxtop.inference.prompts import Prompt
from mlxtop.ipc import environment
from mlxtop.sessions.local import LocalSession


class Gate:
    """Where threads of mlxtop wait while it is shut."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waits = threading.Event()

    def passed(self, act: Callable[..., object]) -> Callable[..., object]:
        """`act`, which waits at the gate first."""

        def act_later(*arguments: Any) -> object:
            self.pass_through()
            return act(*arguments)

        return act_later

    def pass_through(self) -> None:
        if self._lock.locked():
            self._waits.set()
        with self._lock:
            pass

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Returns once a thread waits."""
        self._waits.clear()
        with self._lock:
            self._waits.wait(5)
            yield


@contextmanager
def own_functions() -> Iterator[None]:
    """MLX has its own functions, without ours around them."""
    import mlx.core as mx

    ours = {name: found for name, found in vars(mx).items() if hasattr(found, "__wrapped__")}
    for name, found in ours.items():
        setattr(mx, name, inspect.unwrap(found))
    try:
        yield
    finally:
        for name, found in ours.items():
            setattr(mx, name, found)


class Clock:
    """Takes the time of the steps of a turn."""

    def __init__(self) -> None:
        self._moments: list[float] = []
        self._cpu = 0.0

    def timed(self, replies: Iterable[object]) -> Iterator[object]:
        """`replies`, whose times are taken."""
        self._moments.clear()
        for reply in replies:
            self._moments.append(time.perf_counter())
            # The prompt is no step.
            self._cpu = self._cpu if len(self._moments) > 1 else time.process_time()
            yield reply

    def told(self) -> dict[str, Any]:
        """A `turns.Turn`."""
        steps = [after - before for before, after in pairwise(self._moments)]
        return {"steps": steps, "cpu": (time.process_time() - self._cpu) / len(steps)}


def turn(replies: Iterable[object]) -> dict[str, Any]:
    clock = Clock()
    for _ in clock.timed(replies):
        pass
    return clock.told()


class TurningSession(LocalSession):
    """After each generation of the workload comes one without mlxtop."""

    def __init__(self, options: Options, interval: float) -> None:
        super().__init__(options, interval)
        self._screen, self._sampling = Gate(), Gate()
        self._tick = self._sampling.passed(self._tick)  # type: ignore[assignment,method-assign]
        self._clock = Clock()
        self._options = options
        engine.stream = self._timed
        self.subscribe(self._hear)

    def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        super().open()

    def _timed(self, *arguments: Any) -> Iterator[object]:
        return self._clock.timed(stream(*arguments))

    def _hear(self, item: object) -> None:
        if isinstance(item, Event) and isinstance(item.data, GenerationFinished):
            watched = self._clock.told()
            tell(watched=watched, plain=self._plain())

    def _plain(self) -> dict[str, Any]:
        """On the engine's thread, which is the one that owns MLX."""
        model, tokenizer = self._engine._model, self._engine._tokenizer
        tokens = encode(tokenizer, Prompt(PROMPT))
        cache = kv_cache(model, None)
        with self._sampling.shut():
            self._loop.call_soon_threadsafe(self._screen.pass_through)
            with self._screen.shut(), own_functions():
                return turn(stream(model, tokenizer, tokens, cache, self._options, lambda *_: None))


def dashboard(tokens: str, *model: str) -> None:
    options = ("--workload", "loop", "--prompt", PROMPT, "--repeat", "forever", "--max-tokens", tokens)
    mlxtop(TurningSession, [*options, *(("--model", *model) if model else ())])


def program(tokens: str, name: str | None = None) -> None:
    import mlx.core as mx
    from mlx_lm import load

    model, tokenizer = load(name)[:2] if name else demo.load(seed=0)
    mx.eval(model.parameters())
    options = Options(name, max_tokens=int(tokens))
    prompt = encode(tokenizer, Prompt(PROMPT))

    def decode() -> dict[str, Any]:
        return turn(stream(model, tokenizer, prompt, kv_cache(model, None), options, lambda *_: None))

    found = agent._agent
    assert found is not None, "the agent comes with mlx.core"
    gate = Gate()
    found.tick = gate.passed(found.tick)  # type: ignore[method-assign,assignment]
    while True:
        watched = decode()
        with viewer_stopped(), gate.shut(), own_functions():
            plain = decode()
        tell(watched=watched, plain=plain)


@contextmanager
def viewer_stopped() -> Iterator[None]:
    """The viewer that started this process, if there is one, is stopped."""
    viewer = os.environ.get(environment.VIEWER)
    if viewer is None:
        yield
        return
    process = psutil.Process(int(viewer))
    process.suspend()
    while process.status() != psutil.STATUS_STOPPED:
        time.sleep(0.001)
    try:
        yield
    finally:
        process.resume()


if __name__ == "__main__":
    {"dashboard": dashboard, "program": program}[sys.argv[1]](*sys.argv[2:])
