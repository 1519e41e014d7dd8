"""Programs that do what a verdict is there for."""

import random

from mlxtop.core.events import Event, GenerationFinished, MarkAdded
from mlxtop.core.limits import GIB, MIB
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
