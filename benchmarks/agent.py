"""What the agent costs the program it lives in.

Starting: whole Python processes that import MLX and end, with `MLXTOP=1` and without, in turns; the
difference of each pair in processor and wall time. The same for programs that import `mlx.nn`, which needs
some of what the agent needs, and for a Python that never imports MLX. Memory: resident set size of a process
that has used MLX and waits, with an agent less without; once as it is, and once when the agent holds all the
samples and events that it ever keeps. Running: the agent's share of a core and the processor time of a tick
at ten samples a second, by the clock of its thread, with MLX at rest and decoding, with nobody watching and
with `mlxtop attach` in a 120×40 terminal; and what the wrapper of `mx.eval` adds to a call.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil

from benchmarks.measure import Figure, Terminal, interval, main, quartiles, subject
from benchmarks.watching import AGENT, own_place, viewer

PROGRAMS = {
    "a program that imports mlx.core": "import mlx.core",
    "one that imports mlx.nn": "import mlx.nn",
    "one that never imports MLX": "pass",
}
USE = "import sys, mlx.core as mx; x = mx.ones((256, 256)); mx.eval(x); "
FILL = """
from mlxtop.agent import agent, ring
from mlxtop.core.events import CacheCleared
for i in range(ring.ROWS):
    agent._agent.ring.add(0.0, (i,) * 11)
    agent._agent.event_log.emit(CacheCleared("mlx_lm/generate.py:463", i))
"""
WAIT = "print(flush=True); sys.stdin.readline()"
SETTLE = 0.5
MIB = 2**20
SHARE = {"rest": ("≤", 0.1), "decode": ("≤", 0.2)}
"""Percent of a core at most, by what MLX does."""


def measure(starts: int = 60, memory: int = 12, windows: int = 6, seconds: float = 5.0) -> Iterator[Figure]:
    """`starts` of each kind of process, `memory` of those that are weighed, `windows` of `seconds` each."""
    with own_place():
        for words, code in PROGRAMS.items():
            yield from _starting(words, code, starts, ("≤", 15) if code == "import mlx.core" else None)
        yield from _memory(memory)
        for errand, words in {"rest": "MLX at rest", "decode": "decoding"}.items():
            yield from _running(errand, words, windows, seconds)
        yield from _step(windows)


# Starting


def _starting(words: str, code: str, starts: int, bar: tuple[str, float] | None) -> Iterator[Figure]:
    """Milliseconds that `MLXTOP=1` adds to `python -c code`. The first pair, which compiles, is left out."""
    with_, without = [], []
    for i in range(starts + 1):
        for watched in (True, False) if i % 2 else (False, True):
            (with_ if watched else without).append(_whole(code, watched))
    for index, name in enumerate(("CPU time", "wall time")):
        more = [a[index] - b[index] for a, b in zip(with_[1:], without[1:], strict=True)]
        what = f"agent: {name} added to {words}"
        yield Figure(what, statistics.median(more), "ms", interval(more), bar)
        alone = [b[index] for b in without[1:]]
        yield Figure("  the program without it", statistics.median(alone), "ms", quartiles(alone))


def _whole(code: str, watched: bool) -> tuple[float, float]:
    """Processor time and wall time of a process from its first moment to its last, in ms."""
    began = time.perf_counter()
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", code], _environment(watched))
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    assert status == 0, f"python -c {code!r} ended with status {status}"
    return (usage.ru_utime + usage.ru_stime) * 1000, wall * 1000


def _environment(watched: bool) -> dict[str, str]:
    rest = {name: value for name, value in os.environ.items() if not name.startswith("MLXTOP")}
    return {**rest, "MLXTOP": "1"} if watched else rest


# Memory


def _memory(times: int) -> Iterator[Figure]:
    """Resident pages, and among them those that are the process's own, of interleaved processes."""
    sizes: dict[str, list[tuple[float, float]]] = {"bare": [], "agent": [], "full": []}
    for _ in range(times):
        for name, found in sizes.items():
            code = USE + (FILL if name == "full" else "\n") + WAIT
            found.append(_size(code, name != "bare"))
    for name, words in {"agent": "at first", "full": "with all that it keeps"}.items():
        for index, kind in enumerate(("resident", "of that its own pages")):
            more = [a[index] - b[index] for a, b in zip(sizes[name], sizes["bare"], strict=True)]
            what = f"agent: memory it adds {words}" if index == 0 else f"  {kind}"
            bar = ("≤", 5.0) if index == 0 else None
            yield Figure(what, statistics.median(more), "MiB", quartiles(more), bar)
    whole = [resident for resident, _ in sizes["bare"]]
    yield Figure("  the program without it", statistics.median(whole), "MiB", quartiles(whole))


def _size(code: str, watched: bool) -> tuple[float, float]:
    """MiB that a process holds when it waits: resident, and its own."""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, env=_environment(watched), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(SETTLE)
        found = psutil.Process(process.pid).memory_full_info()
        process.communicate(b"\n")
    return found.rss / MIB, found.uss / MIB


# Running


def _running(errand: str, words: str, windows: int, seconds: float) -> Iterator[Figure]:
    """The same program without a viewer, then with one; the first window of each is not counted."""
    with Terminal([*AGENT, *subject("agent_cost", errand, str(seconds))]) as guest:
        yield from _shares(guest, f"{words}, nobody watching", SHARE[errand], windows)
        with Terminal(viewer("attach", str(guest.process.pid))) as screen:
            screen.shown(rb"evals/s")
            guest.hear()
            yield from _shares(guest, f"{words}, with a viewer", SHARE[errand], windows)


def _shares(guest: Terminal, words: str, most: tuple[str, float], windows: int) -> Iterator[Figure]:
    told = [guest.hear() for _ in range(windows + 1)][1:]
    for name, what, unit, bar in (
        ("share", f"agent: share of a core, {words}", "%", most),
        ("tick", "  a tick, waking up, telling and all", "µs", None),
        ("rate", "  ticks", "/s", None),
    ):
        values = [one[name] for one in told]
        yield Figure(what, statistics.median(values), unit, quartiles(values), bar)


def _step(batches: int) -> Iterator[Figure]:
    with Terminal([*AGENT, *subject("agent_cost", "eval", "0")]) as guest:
        told = [guest.hear() for _ in range(batches * 4 + 1)][1:]
    more = [one["with"] - one["without"] for one in told]
    yield Figure("agent: added to a call of mx.eval", statistics.median(more), "µs", quartiles(more))
    alone = [one["without"] for one in told]
    yield Figure(
        "  the call without it, of an array that is there", statistics.median(alone), "µs", quartiles(alone)
    )


if __name__ == "__main__":
    main(measure)
