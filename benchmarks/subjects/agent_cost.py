"""A program with an agent in it, which tells what that agent uses.

    MLXTOP=1 python -m benchmarks.subjects.agent_cost ERRAND SECONDS

`rest` and `decode`: what MLX does meanwhile; tells, for one stretch of SECONDS after another, the agent's
share of a core and the processor time of a tick. `eval`: tells, for one batch after another, what an
`mx.eval` with nothing to do takes with the agent's wrapper around it and without.
"""

import sys
import threading
import time

import mlx.core as mx
from mlx_lm import stream_generate

from benchmarks.subjects import PROMPT, tell
from mlxtop.agent import agent
from mlxtop.inference import demo

BATCH = 20_000


def watch(seconds: float) -> None:
    """By the clock of the agent's thread, which is exact to the microsecond."""
    assert agent._agent is not None
    ident = agent._agent._server.thread.ident
    assert ident is not None
    ring, clock = agent._agent.ring, time.pthread_getcpuclockid(ident)
    while True:
        then, cpu, ticks = time.monotonic(), time.clock_gettime(clock), ring.end
        time.sleep(seconds)
        spent, span = time.clock_gettime(clock) - cpu, time.monotonic() - then
        came = ring.end - ticks
        tell(share=spent / span * 100, tick=spent / max(1, came) * 1e6, rate=came / span)


def decode() -> None:
    model, tokenizer = demo.load(seed=0)
    prompt = list(tokenizer.encode(PROMPT))
    while True:
        for _ in stream_generate(model, tokenizer, prompt, max_tokens=2048):
            pass


def steps() -> None:
    """In turns, both ways."""
    x = mx.ones(8)
    mx.eval(x)
    ways = {"with": mx.eval, "without": mx.eval.__wrapped__}
    while True:
        told = {}
        for name, function in ways.items():
            began = time.perf_counter()
            for _ in range(BATCH):
                function(x)
            told[name] = (time.perf_counter() - began) / BATCH * 1e6
        tell(**told)


def main(errand: str, seconds: float) -> None:
    # The agent starts to read when MLX is in use.
    mx.eval(mx.ones(8))
    if errand == "eval":
        steps()
        return
    threading.Thread(target=watch, args=(seconds,), name="benchmark", daemon=True).start()
    if errand == "decode":
        decode()
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
