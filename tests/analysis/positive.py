"""Programs that do what a verdict is there for."""

import random

from mlxtop.core.events import (
    COLLECTOR,
    Event,
    GarbageCollected,
    GenerationFinished,
    LimitChanged,
    MarkAdded,
    SystemRead,
)
from mlxtop.core.limits import GIB, MIB
from mlxtop.core.machine import System
from tests.analysis.traces import MINUTE, Program, Trace, begin, generation, trace


@trace
def hoard(rng: random.Random, missing: float) -> Trace:
    p = begin("hoard", rng, missing)
    base, rate, power = p.active, rng.uniform(0.3, 8) * MIB, rng.choice((1.0, 1.0, 0.8))
    quiet = rng.uniform(0, 600)
    p.run(quiet, lambda t: setattr(p, "active", p.wobble(base, 5 * MIB)))
    start = p.time
    p.trace.right, p.trace.since = {"cache hoard"}, start
    grown = rng.choice((0.0, 1.0))

    def each(t: float) -> None:
        p.active = p.wobble(base, 10 * MIB)
        p.cache = rate * 60 * (t / 60) ** power * 1.0 + grown * rng.gauss(0, 4 * MIB)

    p.run(35 * MINUTE, each)
    p.trace.due = start + 15 * MINUTE
    return p.trace


@trace
def hoard_in_bursts(rng: random.Random, missing: float) -> Trace:
    p = begin("hoard in bursts", rng, missing)
    base = p.active
    p.trace.right, p.trace.due = {"cache hoard"}, 40 * MINUTE
    while p.time < 60 * MINUTE:
        more, long = rng.uniform(20, 200) * MIB, rng.uniform(5, 30)
        p.run(long, lambda t: setattr(p, "active", p.wobble(base, 40 * MIB)))
        p.cache += more
        p.active = base
        p.run(rng.expovariate(1 / 40), lambda t: None, busy=False)
    return p.trace


@trace
def hoard_that_was_cleared(rng: random.Random, missing: float) -> Trace:
    p = begin("hoard that was cleared", rng, missing)
    base, rate = p.active, rng.uniform(0.5, 8) * MIB
    p.trace.right = {"cache hoard"}

    def each(t: float) -> None:
        p.active = p.wobble(base, 10 * MIB)
        p.cache += rate * p.interval * rng.uniform(0, 2)

    p.run(rng.uniform(300, 900), each)
    p.clear("keyboard")
    p.trace.due = p.time + 12 * MINUTE
    p.run(20 * MINUTE, each)
    return p.trace


@trace
def leak(rng: random.Random, missing: float) -> Trace:
    p = begin("leak", rng, missing)
    base, rate = p.active, p.active / GIB * rng.uniform(0.1, 2) * MIB
    quiet = rng.uniform(0, 900)
    p.cache = base / 4
    p.run(quiet, lambda t: setattr(p, "active", p.wobble(base, 0.02 * base)))
    p.trace.right, p.trace.since, p.trace.due = {"active grows"}, p.time, p.time + 17 * MINUTE

    def each(t: float) -> None:
        nonlocal base
        base += rate * p.interval * rng.expovariate(1)
        p.active = p.wobble(base, 20 * MIB)

    p.run(30 * MINUTE, each)
    return p.trace


@trace
def leak_by_request(rng: random.Random, missing: float) -> Trace:
    """Each generation leaves something behind."""
    p = begin("leak by request", rng, missing, rng.choice(("tokens", "evals")), 4 * GIB)
    base, left = p.active, rng.uniform(2, 30) * MIB
    p.trace.right, p.trace.due = {"active grows"}, 50 * MINUTE
    while p.time < 60 * MINUTE:
        p.cache = 0
        generation(p, base, rng.randint(50, 2000), rng.randint(64, 600), 40e3)
        base += left
        p.active = base
        if rng.random() < 0.2:
            p.run(rng.expovariate(1 / 30), lambda t: None, busy=False)
    return p.trace


@trace
def chat(rng: random.Random, missing: float) -> Trace:
    """One conversation whose KV cache grows; the person thinks between two prompts."""
    p = begin("chat", rng, missing, "tokens", 4 * GIB)
    base, held, per_token = p.active, 0.0, rng.uniform(60e3, 200e3)
    p.trace.right, p.trace.due = {"active grows"}, 40 * MINUTE
    p.trace.items.append(Event(p.time, MarkAdded("loaded", "me", 0, 0, 0, 0)))
    while p.time < 45 * MINUTE:
        p.enter("decode")
        tokens = rng.uniform(100, 600)

        def each(t: float) -> None:
            nonlocal held
            held += p.speed * p.interval
            p.kv = int(held // 256 * 256 * per_token)
            p.active = p.wobble(base + p.kv, 10 * MIB)
            p.cache = (held % 256) / 256 * 40 * MIB

        p.run(tokens / p.speed, each)
        p.event(GenerationFinished(int(tokens), int(held), 0.2, 50.0, 1.0, "stop"))
        p.active = base + p.kv
        p.enter("idle")
        p.run(rng.expovariate(1 / 25), lambda t: None, busy=False)
    return p.trace


@trace
def not_mlx(rng: random.Random, missing: float) -> Trace:
    p = begin("not mlx", rng, missing)
    base, rate = p.active, rng.uniform(0.3, 5) * MIB * max(1, p.active / (4 * GIB))
    p.trace.right, p.trace.due = {"not MLX"}, 20 * MINUTE
    p.cache = base / 8

    def each(t: float) -> None:
        p.active = p.wobble(base, 0.02 * base)
        p.other += rate * p.interval * rng.expovariate(1)

    p.run(30 * MINUTE, each)
    return p.trace


@trace
def not_mlx_beside_a_loop(rng: random.Random, missing: float) -> Trace:
    p = begin("not mlx beside a loop", rng, missing, "tokens", 4 * GIB)
    base = p.active
    p.trace.right, p.trace.due = {"not MLX"}, 35 * MINUTE
    while p.time < 45 * MINUTE:
        p.cache = 0
        generation(p, base, rng.randint(50, 2000), rng.randint(64, 600), 40e3)
        p.other += rng.uniform(10, 60) * MIB
    return p.trace


@trace
def spikes(rng: random.Random, missing: float) -> Trace:
    """A long prompt now and then."""
    p = begin("spikes", rng, missing, "tokens", 4 * GIB)
    base = p.active
    p.trace.right = {"spikes"}
    while p.time < 30 * MINUTE:
        p.cache = 0
        long = rng.random() < 0.25
        generation(
            p, base, 6000 if long else 300, rng.randint(200, 600), 40e3, 5 * GIB if long else 100 * MIB
        )
    p.trace.due = 30 * MINUTE
    return p.trace


@trace
def thrash(rng: random.Random, missing: float) -> Trace:
    p = begin("thrash", rng, missing, rng.choice(("tokens", "evals")))
    base, worth = p.active, rng.uniform(0.4, 0.72)
    p.phase = "decode"

    def each(t: float) -> None:
        p.active = p.wobble(base, 10 * MIB)
        p.cache = min(p.wobble(600 * MIB, 20 * MIB), p.limit)

    p.run(rng.uniform(200, 900), each)
    for size in (256 * MIB, 100 * MIB, 20 * MIB):
        p.set_limit(size, "keyboard")
        p.run(1, each)
    p.speed *= worth
    p.trace.right, p.trace.since, p.trace.due = {"thrash"}, p.time, p.time + 4 * MINUTE
    p.run(10 * MINUTE, each)
    return p.trace


@trace
def overridden(rng: random.Random, missing: float) -> Trace:
    p = begin("overridden", rng, missing)
    base = p.active
    each = lambda t: setattr(p, "active", p.wobble(base, 10 * MIB))  # noqa: E731
    p.run(100, each)
    p.set_limit(20 * MIB, rng.choice(("keyboard", "flag")))
    p.run(rng.uniform(10, 300), each)
    p.set_limit(rng.choice((0, GIB)), "site-packages/loader.py:31")
    p.trace.right, p.trace.since, p.trace.due = {"limit overridden"}, p.time, p.time + 1
    p.run(10 * MINUTE, each)
    return p.trace


@trace
def unloaded(rng: random.Random, missing: float) -> Trace:
    """The model was dropped; all that MLX holds is its cache."""
    p = begin("unloaded", rng, missing, rng.choice(("tokens", "evals")))
    base = p.active
    p.run(rng.uniform(20, 400), lambda t: setattr(p, "active", p.wobble(base, 10 * MIB)))
    p.active, p.cache, p.kv, p.weights = 0.0, base, 0, 0
    p.trace.right, p.trace.due = {"idle cache"}, p.time + 3 * MINUTE
    p.run(rng.choice((15, 90)) * MINUTE, lambda t: None, busy=False)
    return p.trace


@trace
def server_at_rest(rng: random.Random, missing: float) -> Trace:
    """Requests, and then none for a long time; the cache has what they took."""
    p = begin("server at rest", rng, missing, weights=2 * GIB)
    base = p.active
    p.trace.right, p.trace.always = {"idle cache"}, {"cache hoard"}
    while p.time < 10 * MINUTE:
        p.run(rng.uniform(5, 20), lambda t: setattr(p, "active", p.wobble(base, 100 * MIB)))
        p.active, p.cache = base, min(p.cache + 400 * MIB, 3 * GIB)
        p.run(rng.uniform(1, 20), lambda t: None, busy=False)
    p.trace.due = p.time + 3 * MINUTE
    p.run(30 * MINUTE, lambda t: None, busy=False)
    return p.trace


def climb(p: Program, base: float, period: float, size: float, busy: bool = True) -> None:
    """One tooth of a saw."""
    p.run(period, lambda t: setattr(p, "active", p.wobble(base + size * t / period, 2 * MIB)), busy)
    p.active = base


@trace
def metrics_never_evaluated(rng: random.Random, missing: float) -> Trace:
    """Metrics are added up; nobody evaluates them until the next report. Somebody looks once."""
    p = begin("metrics never evaluated", rng, missing, weights=0.2 * GIB)
    base, period, size = p.active, rng.uniform(30, 150), rng.uniform(0.2, 3) * GIB
    p.trace.right, p.trace.due = {"swings"}, 20 * MINUTE
    p.trace.causes.add("not evaluated")
    while p.time < 40 * MINUTE:
        climb(p, base, period * rng.uniform(0.95, 1.05), size)
        if p.time > 20 * MINUTE:
            p.active = base + 0.9 * size
            p.census(0.9 * size, "accumulated in train.py")
            p.active = base
    return p.trace


@trace
def graph_that_grows(rng: random.Random, missing: float) -> Trace:
    """As above, and the report never comes; somebody counts the arrays now and then."""
    p = begin("graph that grows", rng, missing, weights=0.2 * GIB)
    base, rate = p.active, rng.uniform(0.3, 5) * MIB
    p.trace.right, p.trace.due = {"active grows", "not evaluated"}, 15 * MINUTE
    while p.time < 30 * MINUTE:
        start = p.active
        p.run(4 * MINUTE, lambda t, s=start: setattr(p, "active", s + rate * t + rng.uniform(0, 5 * MIB)))
        p.census(p.active - base, "accumulated in train.py", "loss in train.py")
    return p.trace


@trace
def loop_without_an_eval(rng: random.Random, missing: float) -> Trace:
    """Only the graph grows, which is no memory of MLX's; somebody counts the arrays now and then."""
    p = begin("loop without an eval", rng, missing)
    rate = rng.uniform(1, 5) * MIB * max(1, p.active / (4 * GIB))
    p.trace.right, p.trace.due = {"not evaluated", "not MLX"}, 25 * MINUTE
    while p.time < 35 * MINUTE:
        start = p.other
        p.run(rng.uniform(2, 4) * MINUTE, lambda t, s=start: setattr(p, "other", s + rate * t), busy=False)
        p.census(0, "x in loop.py")
    return p.trace


@trace
def collected(rng: random.Random, missing: float) -> Trace:
    """Cycles hold arrays until Python's collector comes."""
    p = begin("collected", rng, missing, weights=0.5 * GIB)
    base, period, size = p.active, rng.uniform(25, 150), rng.uniform(0.4, 3) * GIB
    p.trace.right, p.trace.due = {"swings"}, 20 * MINUTE
    p.trace.causes.add("gc")
    while p.time < 30 * MINUTE:
        climb(p, base, period * rng.uniform(0.8, 1.2), size)
        p.event(GarbageCollected(COLLECTOR, rng.randint(10, 5000), int(size * rng.uniform(0.9, 1))))
    return p.trace


@trace
def long_peaks(rng: random.Random, missing: float) -> Trace:
    """Most of each minute it needs many times what it needs in the rest."""
    p = begin("long peaks", rng, missing, weights=0.05 * GIB)
    base, times, period = p.active, rng.uniform(10, 40), rng.uniform(40, 120)
    # Before it is seen to be regular.
    p.trace.right, p.trace.always, p.trace.due = {"spikes"}, {"swings"}, 20 * MINUTE
    while p.time < 30 * MINUTE:
        p.run(period * 0.42, lambda t: setattr(p, "active", p.wobble(base, 0.1 * base)))
        p.run(period * 0.58, lambda t: setattr(p, "active", p.wobble(base * times, 0.3 * base)))
    return p.trace


@trace
def above_the_memory_limit(rng: random.Random, missing: float) -> Trace:
    p = begin("above the memory limit", rng, missing, weights=4 * GIB)
    base = p.active
    p.event(LimitChanged("memory", 100 * GIB, 6 * GIB, "train.py:9"))
    p.run(rng.uniform(60, 600), lambda t: setattr(p, "active", p.wobble(base, 50 * MIB)))
    p.trace.right, p.trace.since, p.trace.due = {"over the limit"}, p.time, p.time + MINUTE
    p.run(10 * MINUTE, lambda t: setattr(p, "active", p.wobble(1.8 * base, 50 * MIB)))
    return p.trace


@trace
def swap_fills(rng: random.Random, missing: float) -> Trace:
    """A leak on a machine that is soon full."""
    p = begin("swap fills", rng, missing, weights=4 * GIB)
    base, rate, room = p.active, rng.uniform(10, 30) * MIB, rng.uniform(1, 3) * GIB
    p.trace.right, p.trace.due = {"over the limit", "active grows"}, 15 * MINUTE
    while p.time < 20 * MINUTE:
        start = p.active
        p.run(10, lambda t, s=start: setattr(p, "active", s + rate * t))
        grown = p.active - base
        level = "normal" if grown < room else "warning" if grown < 1.5 * room else "critical"
        swap = max(0, int(grown - room))
        p.event(SystemRead(System(pressure=level, swap_used=swap, available=max(10, int(room - grown)))))
    return p.trace


def slow_leak(rng: random.Random, hours: float, per_minute: float, interval: float = 5.0) -> Trace:
    """A day of a server with 16 GiB of weights that leaks a little."""
    p = Program(Trace("slow leak", right={"active grows"}), rng, interval)
    base = 16.0 * GIB
    p.run(30, lambda t: setattr(p, "active", base * t / 30), busy=False)
    p.cache = 2.0 * GIB

    def each(t: float) -> None:
        p.active = p.wobble(base + per_minute * t / 60, 50 * MIB)

    p.run(hours * 3600, each)
    return p.trace


@trace
def buffers_that_stay(rng: random.Random, missing: float) -> Trace:
    """A server keeps a few tiny arrays of each request: its bytes are flat."""
    p = begin("buffers that stay", rng, missing)
    base, rate, busy = p.active, rng.uniform(3, 20), rng.uniform(50, 2000)
    p.buffers = level = rng.uniform(500, 4000)
    quiet = rng.uniform(0, 900)
    p.run(quiet, lambda t: setattr(p, "buffers", p.wobble(level, busy)))
    p.trace.right, p.trace.since, p.trace.due = {"buffers grow"}, p.time, p.time + 20 * MINUTE

    def each(t: float) -> None:
        nonlocal level
        level += rate * p.interval * rng.expovariate(1)
        p.active = p.wobble(base, 20 * MIB)
        p.buffers = p.wobble(level, busy)

    p.run(30 * MINUTE, each)
    return p.trace


@trace
def buffers_that_stay_in_a_trace_that_was_started_late(rng: random.Random, missing: float) -> Trace:
    p = begin("buffers that stay in a trace that was started late", rng, missing)
    base, rate = p.active, rng.uniform(5, 20)
    p.run(rng.uniform(600, 1200), lambda t: setattr(p, "active", p.wobble(base, 20 * MIB)))
    p.trace.right, p.trace.since, p.trace.due = {"buffers grow"}, p.time, p.time + 20 * MINUTE
    p.run(30 * MINUTE, lambda t: setattr(p, "buffers", p.wobble(rate * t, 300)))
    return p.trace
