"""Programs of which there is nothing to report, however much they look like it."""

import random
from math import exp

from mlxtop.core.events import COLLECTOR, GarbageCollected, LimitChanged, SystemRead
from mlxtop.core.limits import GIB, MIB
from mlxtop.core.machine import System
from mlxtop.core.sample import UNKNOWN
from tests.analysis.traces import MINUTE, Trace, begin, generation, trace


@trace
def loop(rng: random.Random, missing: float) -> Trace:
    p = begin("loop", rng, missing, rng.choice(("tokens", "evals")))
    base, prompt = p.active, rng.randint(50, 4000)
    while p.time < 25 * MINUTE:
        p.cache = 0
        generation(p, base, prompt, rng.randint(64, 900), base / 4e5)
    return p.trace


@trace
def ramp(rng: random.Random, missing: float) -> Trace:
    """Prompts of all lengths, again and again."""
    p = begin("ramp", rng, missing, "tokens", 4 * GIB)
    base = p.active
    while p.time < 25 * MINUTE:
        for length in (100, 200, 400, 800, 1600, 3200):
            p.cache = 0
            generation(p, base, length, 96, 40e3)
    return p.trace


@trace
def warm_up(rng: random.Random, missing: float) -> Trace:
    p = begin("warm up", rng, missing)
    base, full, tau = p.active, rng.uniform(0.1, 2) * p.active, rng.uniform(10, 180)

    def each(t: float) -> None:
        p.cache = full * (1 - exp(-t / tau)) - abs(rng.gauss(0, 0.02)) * full
        p.active = p.wobble(base + 0.1 * full * (1 - exp(-t / tau)), 0.01 * base)
        p.other = 300 * MIB * (1 - exp(-t / tau))

    p.run(25 * MINUTE, each)
    return p.trace


@trace
def bursts(rng: random.Random, missing: float) -> Trace:
    """A server: requests come in bursts, with long rests; the cache keeps what few shapes there are."""
    p = begin("bursts", rng, missing)
    p.trace.always = {"swings"}
    base, shapes = p.active, [rng.uniform(5, 60) * MIB for _ in range(6)]
    seen: set[int] = set()
    while p.time < 50 * MINUTE:
        for _ in range(rng.randint(1, 12)):
            seen.update(rng.sample(range(6), 3))
            held = sum(shapes[i] for i in seen)
            p.cache = held
            size = rng.uniform(50, 400) * MIB
            long = rng.uniform(1, 40)
            p.run(long, lambda t, s=size, n=long: setattr(p, "active", p.wobble(base + s * t / n, 5 * MIB)))
            p.active = base
        p.run(rng.expovariate(1 / 120), lambda t: None, busy=False)
    return p.trace


@trace
def crowd(rng: random.Random, missing: float) -> Trace:
    """A server with as many conversations at once as happen to be open."""
    p = begin("crowd", rng, missing)
    base, p.trace.always = p.active, {"swings"}
    live: list[tuple[float, float]] = []

    def each(t: float) -> None:
        if rng.random() < p.interval / 12:
            live.append((t + rng.expovariate(1 / 45), rng.uniform(10, 150) * MIB))
        live[:] = [(end, size) for end, size in live if end > t]
        p.active = p.wobble(base + sum(size for _, size in live), 3 * MIB)
        p.cache = (
            min(600 * MIB, p.cache + rng.uniform(0, 2) * MIB) if t < 60 else p.wobble(550 * MIB, 20 * MIB)
        )

    p.run(40 * MINUTE, each)
    return p.trace


@trace
def training(rng: random.Random, missing: float) -> Trace:
    """Steps, and every few minutes an evaluation of another size."""
    p = begin("training", rng, missing)
    base, batch = 3 * p.active, p.active * rng.uniform(0.5, 1.0)
    other, p.trace.always = base * rng.uniform(0.8, 1.25), {"swings"}
    while p.time < 40 * MINUTE:
        p.run(rng.uniform(150, 400), lambda t: setattr(p, "active", base + batch * rng.random()))
        p.cache = p.wobble(batch, 0.05 * batch)
        p.run(rng.uniform(20, 60), lambda t: setattr(p, "active", other + batch * rng.random()))
        p.other = p.wobble(200 * MIB, 30 * MIB)
    return p.trace


@trace
def restarts(rng: random.Random, missing: float) -> Trace:
    """It drops its model and loads it again, now and then."""
    p = begin("restarts", rng, missing, rng.choice(("tokens", "evals")))
    base, p.trace.always = p.active, {"swings"}
    while p.time < 60 * MINUTE:
        p.cache = base * 0.1
        p.run(rng.uniform(200, 900), lambda t: setattr(p, "active", p.wobble(base, 0.02 * base)))
        p.active = p.cache = 0
        if p.trace.steps_are == "tokens":
            p.enter("load")
        long = rng.uniform(10, 60)
        p.run(long, lambda t, n=long: setattr(p, "active", base * t / n), busy=False)
        if p.trace.steps_are == "tokens":
            p.enter("decode")
    return p.trace


@trace
def cleared(rng: random.Random, missing: float) -> Trace:
    """The program clears its cache by itself, long before it is large for long."""
    p = begin("cleared", rng, missing)
    base, period, rate = p.active, rng.uniform(60, 500), rng.uniform(1, 20) * MIB
    p.trace.right, p.trace.until = {"cache hoard"}, p.time + 1.2 * period
    while p.time < 40 * MINUTE:

        def each(t: float) -> None:
            p.active = p.wobble(base, 5 * MIB)
            p.cache += rate * p.interval * rng.uniform(0, 2)

        p.run(period * rng.uniform(0.8, 1.2), each)
        p.clear("serve.py:40")
    return p.trace


@trace
def switch(rng: random.Random, missing: float) -> Trace:
    """Another model takes the place of the first."""
    p = begin("switch", rng, missing, rng.choice(("tokens", "evals")))
    first = p.active
    second = first * rng.choice((0.3, 1.6, 3))
    p.run(rng.uniform(300, 1200), lambda t: setattr(p, "active", p.wobble(first, 0.01 * first)))
    if p.trace.steps_are == "tokens":
        p.enter("load")
    p.run(rng.uniform(5, 30), lambda t: setattr(p, "active", second), busy=False)
    p.weights = int(second) if p.trace.steps_are == "tokens" else UNKNOWN
    if p.trace.steps_are == "tokens":
        p.enter("decode")
    p.run(25 * MINUTE, lambda t: setattr(p, "active", p.wobble(second, 0.01 * first)))
    return p.trace


@trace
def idle(rng: random.Random, missing: float) -> Trace:
    p = begin("idle", rng, missing)
    p.run(30 * MINUTE, lambda t: None, busy=False)
    return p.trace


@trace
def full(rng: random.Random, missing: float) -> Trace:
    """The cache fills up to its limit and stays there."""
    p = begin("full", rng, missing)
    base, limit = p.active, rng.choice((32 * MIB, 256 * MIB, GIB))
    p.set_limit(limit, rng.choice(("flag", "train.py:3")))
    rate = limit / rng.uniform(20, 120)

    def each(t: float) -> None:
        p.active = p.wobble(base, 5 * MIB)
        p.cache = min(rate * t, limit) * rng.uniform(0.97, 1.0)

    p.run(25 * MINUTE, each)
    return p.trace


@trace
def knobs(rng: random.Random, missing: float) -> Trace:
    """A person tries limits, which cost nothing here."""
    p = begin("knobs", rng, missing)
    base = p.active
    while p.time < 40 * MINUTE:
        p.set_limit(rng.choice((0, 20 * MIB, 256 * MIB, GIB, 80 * GIB)), "keyboard")
        if rng.random() < 0.2:
            p.clear("keyboard")

        def each(t: float) -> None:
            p.active = p.wobble(base, 5 * MIB)
            p.cache = min(600 * MIB * (1 - exp(-t / 20)), p.limit)

        p.run(rng.uniform(5, 400), each)
    return p.trace


@trace
def swapped(rng: random.Random, missing: float) -> Trace:
    """The system takes pages away, and the program comes to need them again."""
    p = begin("swapped", rng, missing)
    base, gone = p.active, p.active * 0.5
    p.run(rng.uniform(400, 900), lambda t: setattr(p, "active", p.wobble(base, 5 * MIB)))
    long = rng.uniform(60, 600)
    p.run(1200, lambda t: setattr(p, "swapped", gone * max(0.0, 1 - t / long)))
    return p.trace


@trace
def teeth(rng: random.Random, missing: float) -> Trace:
    """It gathers for a long time and lets go: in the first tooth that is growth, as far as anybody knows."""
    p = begin("teeth", rng, missing)
    base, period, rate = p.active, rng.uniform(12, 30) * MINUTE, rng.uniform(0.2, 4) * MIB
    p.trace.right, p.trace.until = {"active grows"}, p.time + 1.1 * period + 60
    p.trace.always = {"swings"}
    while p.time < 7 * period:
        p.run(
            period * rng.uniform(0.9, 1.1), lambda t: setattr(p, "active", p.wobble(base + rate * t, 5 * MIB))
        )
        p.active = base
    return p.trace


@trace
def slower_by_itself(rng: random.Random, missing: float) -> Trace:
    """Decoding slows as the conversation grows; a limit that was lowered meanwhile has no part in it."""
    p = begin("slower by itself", rng, missing, "tokens")
    base = p.active
    p.phase = "decode"

    def each(t: float) -> None:
        p.active = p.wobble(base, 10 * MIB)
        p.cache = min(p.wobble(100 * MIB, 20 * MIB), p.limit)
        p.speed = 60 / (1 + p.time / 900)

    p.run(rng.uniform(200, 900), each)
    p.set_limit(20 * MIB, "keyboard")
    p.run(10 * MINUTE, each)
    return p.trace


@trace
def loader(rng: random.Random, missing: float) -> Trace:
    """It reads its data for a long time before it evaluates anything; its model waits to be computed."""
    p = begin("loader", rng, missing)
    p.trace.right = {"not MLX"}
    rate = rng.uniform(1, 5) * MIB * max(1, p.active / (4 * GIB))
    p.run(40 * MINUTE, lambda t: setattr(p, "other", rate * t), busy=False)
    return p.trace


@trace
def leak_beside_an_odd_array(rng: random.Random, missing: float) -> Trace:
    """It keeps its arrays, and the census explains them all; one more that is not computed holds nothing."""
    p = begin("leak beside an odd array", rng, missing, weights=GIB)
    base, rate = p.active, rng.uniform(0.5, 4) * MIB
    p.trace.right = {"active grows"}
    while p.time < 25 * MINUTE:
        start = p.active
        p.run(3 * MINUTE, lambda t, s=start: setattr(p, "active", s + rate * t))
        p.census(rng.uniform(0, 0.02) * base, "mask in serve.py")
    return p.trace


@trace
def report_beside_a_collector(rng: random.Random, missing: float) -> Trace:
    """It lets go by itself; the collector runs at other times, or frees little."""
    p = begin("report beside a collector", rng, missing, weights=0.5 * GIB)
    base, period, size = p.active, rng.uniform(40, 120), rng.uniform(0.4, 3) * GIB
    p.trace.right = {"swings"}
    while p.time < 25 * MINUTE:
        if rng.random() < 0.3:
            p.event(GarbageCollected(COLLECTOR, 4000, int(0.1 * size)))
        p.run(period, lambda t: setattr(p, "active", p.wobble(base + size * t / period, 5 * MIB)))
        p.active = base
    return p.trace


@trace
def two_batches(rng: random.Random, missing: float) -> Trace:
    """Small and large batches in turn: both are its work."""
    p = begin("two batches", rng, missing, weights=GIB)
    base, more, period = p.active, rng.uniform(0.5, 4) * GIB, rng.uniform(20, 200)
    p.trace.right = {"swings", "spikes"}
    while p.time < 30 * MINUTE:
        p.run(period, lambda t: setattr(p, "active", p.wobble(base, 5 * MIB)))
        p.run(period * rng.uniform(0.5, 1.5), lambda t: setattr(p, "active", p.wobble(base + more, 5 * MIB)))
    return p.trace


@trace
def others_fill_the_machine(rng: random.Random, missing: float) -> Trace:
    """Another program takes the machine's memory; this one grows a little, below its limits."""
    p = begin("others fill the machine", rng, missing, weights=4 * GIB)
    base, p.trace.right = p.active, {"cache hoard"}
    p.event(LimitChanged("memory", 100 * GIB, int(1.1 * base), "train.py:9"))
    begun = p.time
    while p.time < 20 * MINUTE:
        p.run(10, lambda t: setattr(p, "active", p.wobble(base, 50 * MIB)))
        taken = (p.time - begun) * 20 * MIB
        p.cache = min(taken / 50, 200 * MIB)
        level = "normal" if taken < 2 * GIB else "critical"
        swap = max(0, int(taken - 2 * GIB))
        p.event(SystemRead(System(pressure=level, swap_used=swap, available=max(10, int(2 * GIB - taken)))))
    return p.trace


@trace
def buffers_of_a_crowd(rng: random.Random, missing: float) -> Trace:
    """Requests come and go, each with some thousand small buffers."""
    p = begin("buffers of a crowd", rng, missing)
    base, live = p.active, list[tuple[float, float]]()

    def each(t: float) -> None:
        if rng.random() < p.interval / 8:
            live.append((t + rng.expovariate(1 / 60), rng.uniform(100, 4000)))
        live[:] = [(end, count) for end, count in live if end > t]
        p.active = p.wobble(base, 5 * MIB)
        p.buffers = p.wobble(800 + sum(count for _, count in live), 100)

    p.run(40 * MINUTE, each)
    return p.trace


@trace
def buffers_seen_late(rng: random.Random, missing: float) -> Trace:
    """A trace begins in a program that runs: what it sees rises until all buffers are new ones."""
    p = begin("buffers seen late", rng, missing)
    base, full, tau = p.active, rng.uniform(2_000, 100_000), rng.uniform(5, 300)
    p.run(rng.uniform(60, 900), lambda t: setattr(p, "active", p.wobble(base, 20 * MIB)))
    p.run(30 * MINUTE, lambda t: setattr(p, "buffers", p.wobble(full * (1 - exp(-t / tau)), 0.01 * full)))
    return p.trace


@trace
def buffers_let_go(rng: random.Random, missing: float) -> Trace:
    """It gathers metrics for an epoch and lets them go."""
    p = begin("buffers let go", rng, missing)
    base, period, rate = p.active, rng.uniform(60, 400), rng.uniform(2, 50)
    p.buffers = 900
    while p.time < 40 * MINUTE:

        def each(t: float) -> None:
            p.active = p.wobble(base, 10 * MIB)
            p.buffers = p.wobble(900 + rate * t, 100)

        p.run(period * rng.uniform(0.9, 1.1), each)
    return p.trace


@trace
def buffers_of_another_model(rng: random.Random, missing: float) -> Trace:
    """A second model is loaded: more buffers, once."""
    p = begin("buffers of another model", rng, missing)
    base, first = p.active, rng.uniform(300, 2000)
    p.buffers = first
    for more in (0, rng.uniform(1_000, 20_000)):
        p.run(
            rng.uniform(400, 1500),
            lambda t, more=more: (
                setattr(p, "buffers", p.wobble(first + more, 50)) or setattr(p, "active", base)
            ),
        )
    return p.trace
