"""Real programs that hoard, leak, override and rest, diagnosed from outside while they do it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlxtop.analysis.diagnosis import diagnose
from mlxtop.analysis.verdicts import Verdict
from mlxtop.core.commands import SetInterval, SetLimit, TakeCensus
from mlxtop.mlx.trace import native
from mlxtop.sessions.attach import attach
from mlxtop.sessions.remote import RemoteSession
from tests.agent.program import Start, until

pytestmark = pytest.mark.slow

MIB = 2**20
WINDOW = 10.0
"""Seconds: ten minutes in a nutshell."""
BEGIN = """\
import sys, time
import mlx.core as mx
mx.set_cache_limit(4 << 30)
kept = mx.ones((8 << 20,)); mx.eval(kept)
held, n = [], 0
def step():
    x = mx.ones((64, 1024)); mx.eval(x + n)
while True:
    n += 1
    step()
    time.sleep(0.03)
"""
HOARD = "    mx.eval(mx.ones((64 * 1024 + n * 4096,)) + 1)\n"
LEAK = "    held.append(mx.ones((256 * 1024,)) + n); mx.eval(held[-1])\n"
TINY = "    if len(held) < 100_000: held += [mx.array(float(i)) for i in range(40)]\n"
BYTES = "    held.append(bytearray(b'x') * (1 << 20))\n"
IDLE = "    if n == 60: del kept; time.sleep(1e6)\n"
OVER = "    if n == 60: mx.set_memory_limit(20 << 20)\n"
LONG_PEAK = """\
    if n % 50 == 1: big = mx.ones((80 << 20,)); mx.eval(big)
    if n % 50 == 29: big = None; mx.clear_cache()
"""
METRICS = """\
    total = total + 1 if n > 1 else mx.array(0.0)
    y = mx.ones((1024 * 1024,)) + n; mx.eval(y)
    total = total + y.mean()
"""
REPORT = "    if n % 40 == 0: mx.eval(total)\n"
CYCLES = """\
    if n == 1:
        import gc; gc.set_threshold(300)
        class Node: pass
    node = Node(); node.itself = node; node.more = [[], [], [], []]
    node.x = mx.ones((1024 * 1024,)) + n; mx.eval(node.x)
"""
# Cycles are short beside the window, so that a loaded machine does not make too few of them.
SPIKE = "    if n % 60 == 0: mx.eval(mx.ones((64 << 20,))); mx.clear_cache()\n"


@contextmanager
def watched(start: Start, code: str, **environment: str) -> Iterator[RemoteSession]:
    """The session of a program that does `code`, sampled fifty times a second."""
    program = start(BEGIN + code, **environment)
    fleet = attach([program.path()])
    try:
        session = until(lambda: next(iter(fleet.members()), None))
        session.submit(SetInterval(0.02))
        yield session
    finally:
        fleet.stop()
        program.kill()


def verdicts(session: RemoteSession, window: float = WINDOW) -> tuple[Verdict, ...]:
    found = diagnose(
        session.history, session.timeline, session.state, session.phases, session.now(), session.steps_are,
        window=window,
    )  # fmt: skip
    return found.verdicts


def looked_at(session: RemoteSession, kind: str, seconds: float) -> tuple[Verdict, set[str]]:
    """Asks as a screen does, until `kind` is said; what it said, and all that was said before."""
    end, said = time.monotonic() + seconds, set[str]()
    while time.monotonic() < end:
        for verdict in verdicts(session):
            if verdict.kind == kind:
                return verdict, said
            said.add(verdict.kind)
        time.sleep(0.2)
    raise AssertionError(
        f"no {kind!r} within {seconds} s, but {said}: {[v.line() for v in verdicts(session)]}"
    )


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (HOARD, "cache hoard"),
        (LEAK, "active grows"),
        (BYTES, "not MLX"),
        (SPIKE, "spikes"),
        (IDLE, "idle cache"),
        (OVER, "over the limit"),
        (METRICS + REPORT, "swings"),
    ],
    ids=[
        "distinct shapes",
        "arrays in a list",
        "bytearrays",
        "one large array now and then",
        "all arrays dropped",
        "a memory limit below what is held",
        "metrics evaluated now and then",
    ],
)
def test_what_a_program_does_is_said_and_nothing_else(start: Start, code: str, kind: str) -> None:
    # On a machine with other work a cycle is long: then this is true of it for a while.
    also = {SPIKE: {"swings"}, METRICS + REPORT: {"active grows"}}.get(code, set())
    with watched(start, code) as session:
        found, before = looked_at(session, kind, 120)
        assert before <= {"steady", "not enough data", *also}
        assert {v.kind for v in verdicts(session)} <= {kind, *also}
    print(found.line(), dict(found.numbers))
    if kind == "spikes":
        assert found.numbers["peak"] > 256 * MIB
        assert found.numbers["typical"] < 64 * MIB
    elif "per_minute" in found.numbers:
        # A mebibyte or so, thirty times a second at most.
        assert 100 * MIB < found.numbers["per_minute"] < 30 * 60 * 6 * MIB


@pytest.mark.skipif(native.load() is None, reason="built without its part in C")
def test_tiny_buffers_that_stay_are_told_before_their_limit_is_reached(start: Start, tmp_path: Path) -> None:
    """A hundred thousand of them: 0.4 MiB of numbers, and no verdict on bytes."""
    traced = {"MLXTOP_TRACE": str(tmp_path / "t.mlxtrace"), "MLXTOP_BUFFER_LIMIT": "100000"}
    with watched(start, TINY, **traced) as session:
        found, before = looked_at(session, "buffers grow", 120)
        assert before <= {"steady", "not enough data"}
        assert {v.kind for v in verdicts(session)} == {"buffers grow"}
    print(found.line(), dict(found.numbers))
    assert found.numbers["limit"] == 100_000
    assert 1_000 < found.numbers["buffers"] < 100_000
    assert found.numbers["until_limit"] > 0


def test_a_peak_that_lasts_for_half_of_each_cycle_is_a_peak(start: Start) -> None:
    with watched(start, LONG_PEAK) as session:
        found, before = looked_at(session, "spikes", 180)
        # Before there is a third cycle it is no peak yet, and at odd times two sizes of work.
        assert before <= {"steady", "not enough data", "swings"}
    assert found.numbers["peak"] > 320 * MIB
    assert found.numbers["typical"] < 64 * MIB
    assert 0 < found.numbers["lasts"] < found.numbers["period"]


def test_a_sawtooth_of_pythons_collector_says_gc(start: Start) -> None:
    with watched(start, CYCLES) as session:
        until(lambda: any(v.words.get("cause") == "gc" for v in verdicts(session)), 180)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(METRICS, "not evaluated"), (METRICS + REPORT, "swings")],
    ids=["never", "now and then"],
)
def test_a_variable_that_nobody_evaluates_is_named_after_a_census(start: Start, code: str, kind: str) -> None:
    with watched(start, code) as session:
        asked = -1.0

        def named() -> Verdict | None:
            nonlocal asked
            if session.now() - asked > 2.0:
                asked = session.now()
                session.submit(TakeCensus())
            said = [verdict for verdict in verdicts(session) if verdict.kind == kind]
            return next((verdict for verdict in said if "holder" in verdict.words), None)

        found = until(named, 180)
    print(found.line(), found.advice)
    assert "total" in found.words["holder"].split(" or ")


def test_a_steady_program_is_steady(start: Start) -> None:
    with watched(start, "") as session:
        _, before = looked_at(session, "steady", 60)
        assert before <= {"not enough data"}
        end, said = time.monotonic() + 8, set[str]()
        while time.monotonic() < end:
            said |= {v.kind for v in verdicts(session)}
            time.sleep(0.2)
        assert said <= {"steady", "not enough data"}
        assert verdicts(session)[0].kind == "steady"


def test_code_that_overrides_a_limit_is_named_with_its_line(start: Start) -> None:
    with watched(start, "    if n == 100: mx.set_cache_limit(1 << 30)\n") as session:
        session.submit(SetLimit("cache", 20 * MIB, "keyboard"))
        until(lambda: session.state.limits["cache"].source == "keyboard")
        found, before = looked_at(session, "limit overridden", 60)
        assert before <= {"steady", "not enough data"}
    assert (found.numbers["yours"], found.numbers["new"]) == (20 * MIB, 2**30)
    assert found.words["source"].startswith("<string>:")
    assert "20.0 MiB" in found.line()
