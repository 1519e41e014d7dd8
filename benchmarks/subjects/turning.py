"""mlx-lm decodes in turns, with mlxtop at work and with mlxtop halted, all in one process. Tells the seconds
of each step of a turn, and the process's processor time of a step.

python -m benchmarks.subjects.turning dashboard STEPS [MODEL]     in this process, under the dashboard
python -m benchmarks.subjects.turning program STEPS [MODEL]       with an agent, under `mlxtop run` or not

Halted, MLX has its own functions back, and each thread of mlxtop waits for a lock. A viewer in another
process is stopped.
"""

import asyncio
import inspect
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice, pairwise
from typing import Any

import psutil

from benchmarks.subjects import PROMPT, mlxtop, tell
from mlxtop.agent import agent
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


TURNS = 8
"""In one generation, half of them without mlxtop."""
CHANCE = random.Random(0)


def in_turns(replies: Iterator[Any], steps: int, halted: Callable[[], Any]) -> Iterator[Any]:
    """Yields `steps` of the replies, takes as many itself without mlxtop, and so on to the last."""
    # Some tokens are slow, those with which the KV cache grows: they come in turns of either kind.
    yield from islice(replies, CHANCE.randrange(2 * steps))
    while True:
        watched, plain = Clock(), Clock()
        for reply in islice(replies, steps):
            watched.tick()
            yield reply
        with halted():
            for _ in islice(replies, steps):
                plain.tick()
        if len(plain.moments) < steps:
            return
        tell(watched=watched.told(), plain=plain.told())


class Clock:
    """Takes the time of the steps of a turn."""

    def __init__(self) -> None:
        self.moments: list[float] = []
        self._cpu: list[float] = []

    def tick(self) -> None:
        self.moments.append(time.perf_counter())
        self._cpu.append(time.process_time())

    def told(self) -> dict[str, Any]:
        """A `turns.Turn`."""
        steps = [after - before for before, after in pairwise(self.moments)]
        return {"steps": steps, "cpu": (self._cpu[-1] - self._cpu[0]) / len(steps)}


class TurningSession(LocalSession):
    """Generates in turns of `steps`."""

    steps = 0

    def __init__(self, options: Options, interval: float) -> None:
        super().__init__(options, interval)
        self._screen, self._sampling = Gate(), Gate()
        self._tick = self._sampling.passed(self._tick)  # type: ignore[assignment,method-assign]
        engine.stream = self._stream

    def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        super().open()

    def _stream(self, *arguments: Any) -> Iterator[Any]:
        return in_turns(stream(*arguments), self.steps, self._halted)

    @contextmanager
    def _halted(self) -> Iterator[None]:
        with self._sampling.shut():
            self._loop.call_soon_threadsafe(self._screen.pass_through)
            with self._screen.shut(), own_functions():
                yield


def dashboard(steps: str, *model: str) -> None:
    TurningSession.steps = int(steps)
    most = str(TURNS * int(steps))
    options = ("--workload", "loop", "--prompt", PROMPT, "--repeat", "forever", "--max-tokens", most)
    mlxtop(TurningSession, [*options, *(("--model", *model) if model else ())])


def program(steps: str, name: str | None = None) -> None:
    import mlx.core as mx
    from mlx_lm import load

    model, tokenizer = load(name)[:2] if name else demo.load(seed=0)
    mx.eval(model.parameters())
    options = Options(name, max_tokens=TURNS * int(steps))
    prompt = encode(tokenizer, Prompt(PROMPT))
    found = agent._agent
    assert found is not None, "the agent comes with mlx.core"
    gate = Gate()
    found.tick = gate.passed(found.tick)  # type: ignore[method-assign,assignment]

    @contextmanager
    def halted() -> Iterator[None]:
        with viewer_stopped(), gate.shut(), own_functions():
            yield

    while True:
        replies = stream(model, tokenizer, prompt, kv_cache(model, None), options, lambda *_: None)
        for _ in in_turns(replies, int(steps), halted):
            pass


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
