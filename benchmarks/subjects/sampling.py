"""Sampling with a real MLX.

python -m benchmarks.subjects.sampling path             what a tick costs; one batch after another
python -m benchmarks.subjects.sampling decode SECONDS   1,000 ticks a second while the demo decodes
python -m benchmarks.subjects.sampling rest SECONDS     the same while MLX has nothing to do
python -m benchmarks.subjects.sampling screen SECONDS   the same with the dashboard open, decoding
"""

import sys
import threading
import time

from benchmarks.subjects import PROMPT, mlxtop, tell
from mlxtop.inference.options import Options
from mlxtop.sessions.local import LocalSession

BATCH = 10_000
INTERVAL = 0.001
MAX_TOKENS = 2048


def path() -> None:
    """The way of a sample from MLX's counters into the history, at ten a second of a clock that we turn, so
    that what happens once a second (a bucket that closes, the footprint) has its share."""
    session = LocalSession(Options(workload="chat"))
    session.open()
    _wait(session, "idle")
    assert session._sampler is not None
    session._sampler.stop()
    now = time.monotonic()
    while True:
        began = time.thread_time()
        for _ in range(BATCH):
            now += session.interval
            session._tick(now)
        tell(cost=(time.thread_time() - began) / BATCH * 1e6)


def decode(seconds: float) -> None:
    session = LocalSession(Options(prompt=PROMPT, workload="loop", max_tokens=MAX_TOKENS), INTERVAL)
    session.open()
    _watch(session, "decode", seconds)


def rest(seconds: float) -> None:
    session = LocalSession(Options(workload="chat"), INTERVAL)
    session.open()
    _watch(session, "idle", seconds)


def screen(seconds: float) -> None:
    class Watched(LocalSession):
        def open(self) -> None:
            super().open()
            threading.Thread(target=_watch, args=(self, "decode", seconds), daemon=True).start()

    options = (
        "--workload",
        "loop",
        "--prompt",
        PROMPT,
        "--repeat",
        "forever",
        "--max-tokens",
        str(MAX_TOKENS),
    )
    mlxtop(Watched, [*options, "--interval", str(INTERVAL)])


def _watch(session: LocalSession, phase: str, seconds: float) -> None:
    """Tells, for one stretch of `seconds` after another, how many ticks came in time and what they cost."""
    _wait(session, phase)
    sampler = session._sampler
    assert sampler is not None
    assert sampler.ident is not None
    clock = time.pthread_getcpuclockid(sampler.ident)
    while True:
        then, cpu, ticks, skipped = (
            time.monotonic(),
            time.clock_gettime(clock),
            sampler.ticks,
            sampler.skipped,
        )
        time.sleep(seconds)
        came, missed = sampler.ticks - ticks, sampler.skipped - skipped
        spent, span = time.clock_gettime(clock) - cpu, time.monotonic() - then
        tell(on_time=came / (came + missed) * 100, share=spent / span * 100, tick=spent / came * 1e6)


def _wait(session: LocalSession, phase: str) -> None:
    while session.state.phase != phase:
        time.sleep(0.05)


if __name__ == "__main__":
    if sys.argv[1] == "path":
        path()
    else:
        {"decode": decode, "rest": rest, "screen": screen}[sys.argv[1]](float(sys.argv[2]))
