"""A watched program sees MLX's own peak, to the byte, and a viewer hears which steps were the highest."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.program import MX, Start, WatchedProgram, starting

KIB, MIB = 2**10, 2**20
REFEREE = """
import json, sys, threading, time
import mlx.core as mx
mx.set_cache_limit(0)  # with a cache, a buffer may be larger than what is asked for
base = mx.get_active_memory()
kept = []
negative = mx.compile(lambda x: -x)

def settle():
    # What is temporary is freed by a thread of MLX's, some time after it is needed.
    mx.synchronize()
    until = time.monotonic() + 10
    while mx.get_active_memory() != base + sum(x.nbytes for x in kept):
        assert time.monotonic() < until, "something is not freed"
        time.sleep(0.0005)

def keep_negative(evaluate, make=lambda x: -x):
    made = make(kept[-1])
    evaluate(made)
    kept.append(made)

def in_threads():
    def work(x=kept[-1]):
        made = -x
        mx.eval(made)
        mx.synchronize()
        kept.append(made)
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

def fail():
    try:
        mx.eval(kept[-1], nonsense=1)
    except TypeError:
        return
    raise AssertionError("it took nonsense")

OPERATIONS = {
    "array": lambda size: kept.append(mx.array(bytes(size))),
    "eval": lambda _: keep_negative(mx.eval),
    "async": lambda _: keep_negative(mx.async_eval),
    "compiled": lambda _: keep_negative(mx.eval, negative),
    "temporary": lambda _: mx.eval(mx.abs(kept[-1]).max()),
    "item": lambda _: mx.abs(kept[-1]).max().item(),
    "nothing": lambda _: mx.eval(kept[-1]),
    "threads": lambda _: in_threads(),
    "fail": lambda _: fail(),
    "free": lambda _: kept.__delitem__(slice(max(1, len(kept) - 1), None)),
    "reset": lambda _: mx.reset_peak_memory(),
    "old reset": lambda _: mx.metal.reset_peak_memory(),
    "peak": lambda _: mx.get_peak_memory(),
    "old peak": lambda _: mx.metal.get_peak_memory(),
}
for line in sys.stdin:
    kept[:] = [mx.array(bytes(1024))]
    settle()
    mx.reset_peak_memory()
    peaks = []
    for name, size in json.loads(line):
        peak = OPERATIONS[name](size)
        settle()
        if name.endswith("peak"):
            peaks.append(peak - base if peak else 0)
    print(json.dumps([*peaks, mx.get_peak_memory() - base]), flush=True)
"""
"""Does what a line says, and answers with the peaks that the program saw."""
NAMES = [
    "array", "eval", "async", "compiled", "temporary", "item", "nothing", "threads", "fail", "free", "reset",
    "old reset", "peak", "old peak",
]  # fmt: skip


@pytest.fixture(scope="module")
def referees(processes: None) -> Iterator[tuple[WatchedProgram, WatchedProgram]]:
    """The same program bare and watched."""
    with starting() as start:
        bare, watched = start(REFEREE, run=None), start(REFEREE)
        yield bare, watched
        assert watched.sockets()


def peaks(program: WatchedProgram, operations: list[tuple[str, int]]) -> Any:
    program.process.stdin.write(json.dumps(operations).encode() + b"\n")  # type: ignore[union-attr]
    program.process.stdin.flush()  # type: ignore[union-attr]
    return program.json()


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(1, 64 * KIB)), max_size=30))
def test_the_program_sees_what_it_would_see_unwatched(
    referees: tuple[WatchedProgram, WatchedProgram], operations: list[tuple[str, int]]
) -> None:
    bare, watched = referees
    assert peaks(watched, operations) == peaks(bare, operations)


CROWD = """
import threading
stop = threading.Event()
def work():
    x = mx.ones((64, 64)); mx.eval(x)
    while not stop.is_set():
        mx.eval(x + 1)
        mx.async_eval(x - 1)
    mx.synchronize()
big = mx.zeros((4096, 4096)); mx.eval(big)
size = big.nbytes
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
"""
"""Three threads of small steps, and one array of 64 MiB."""


def test_no_peak_is_lost_and_none_comes_back_under_threads(start: Start) -> None:
    code = (
        CROWD
        + """
wrong = []
for n in range(10):
    spike = -big
    mx.eval(spike)
    del spike
    peak = mx.get_peak_memory()
    if not 2 * size <= peak < 2.5 * size: wrong.append(("a spike", n, peak))
    while mx.get_active_memory() > 1.5 * size: time.sleep(0.0005)
    mx.reset_peak_memory()
    for _ in range(10):
        mx.eval(mx.ones((8,)))
        peak = mx.get_peak_memory()
        if peak > 1.5 * size: wrong.append(("no spike", n, peak))
stop.set()
for thread in threads: thread.join()
print(wrong, flush=True)
"""
    )
    assert start(MX + code + "os._exit(0)").line(60.0) == "[]"


SIGNALS = """
import signal
big = mx.zeros((1024, 1024)); mx.eval(big)
size = big.nbytes
small = mx.ones((8,)); mx.eval(small)
hits, wrong = 0, []
def alarm(seconds): signal.setitimer(signal.ITIMER_REAL, seconds)
def settle():
    while mx.get_active_memory() > 1.5 * size: time.sleep(0.0005)
"""


def test_an_exception_in_the_midst_of_a_step_costs_no_peak(start: Start) -> None:
    code = (
        SIGNALS
        + """
class Hit(Exception): pass
def handler(*_):
    global hits
    hits += 1
    raise Hit
signal.signal(signal.SIGALRM, handler)
while hits < 200 and not wrong:
    try:
        alarm(0.0003)
        while True: mx.eval(small + 1)
    except Hit: pass
    try: alarm(0)
    except Hit: alarm(0)
    mx.eval(-big)
    if not 2 * size <= mx.get_peak_memory() < 3 * size: wrong.append(mx.get_peak_memory())
    settle()
    mx.reset_peak_memory()
    mx.eval(small + 1)
    if mx.get_peak_memory() > 1.5 * size: wrong.append(mx.get_peak_memory())
print(wrong, flush=True)
"""
    )
    program = start(MX + code + "sys.stdin.readline()")
    assert program.line(60.0) == "[]"
    # Steps are still told.
    assert program.connect().event("peak", caller="<string>:27")["peak"] >= 8 * MIB


def test_a_step_in_a_signals_handler_costs_no_peak(start: Start) -> None:
    code = (
        SIGNALS
        + """
def handler(*_):
    global hits
    mx.eval(-big)
    hits += 1
signal.signal(signal.SIGALRM, handler)
for n in range(1, 101):
    mx.reset_peak_memory()
    alarm(0.005)
    while hits < n: mx.eval(small + 1)
    alarm(0)
    hits = n
    if not 2 * size <= mx.get_peak_memory() < 3.5 * size: wrong.append(mx.get_peak_memory())
    settle()
print(wrong, flush=True)
"""
    )
    assert start(MX + code + "os._exit(0)").line(60.0) == "[]"


SPIKES = """
floor = mx.zeros((512, 1024)); mx.eval(floor)
def spike(n):
    mx.eval(mx.abs(mx.zeros((n, MIB // 4))).max())  # line 7
MIB = 2**20
"""


def test_what_rose_between_two_samples_is_told_once(start: Start) -> None:
    viewer = start.up(SPIKES + "spike(64)\n").connect()
    viewer.until(lambda m: m["type"] == "samples" and any(row[11] > 66 * MIB for row in m["rows"]))
    viewer.more()
    # MLX's own peak stands where it was.
    assert viewer.rows()[-1][3] > 66 * MIB
    assert viewer.rows()[-1][11] < 8 * MIB


def test_a_viewer_hears_of_the_highest_steps_with_file_and_line(start: Start) -> None:
    program = start.up(SPIKES + "import mlxtop\nspike(16)\nwith mlxtop.phase('train'): spike(64)\n")
    viewer = program.connect()
    high = viewer.event("peak", phase="train")
    assert 66 * MIB < high["peak"] < 200 * MIB
    assert 2 * MIB <= high["floor"] < 4 * MIB
    assert high["caller"] == "<string>:7"
    low = viewer.event("peak", phase="run", caller="<string>:7")
    assert (16 + 2) * MIB < low["peak"] < high["peak"]
    assert 0 < low["step"] < high["step"]
    assert "how" not in high


def test_a_step_of_all_but_the_last_second_is_told_at_the_end(start: Start) -> None:
    program = start(MX + SPIKES + "sys.stdin.readline()\nspike(16)\n")
    viewer = program.connect()
    viewer.message("samples")
    program.process.stdin.write(b"\n")  # type: ignore[union-attr]
    program.process.stdin.flush()  # type: ignore[union-attr]
    program.end()
    viewer.message("bye")
    assert viewer.event("peak", caller="<string>:7")["peak"] > 16 * MIB


def test_steps_that_grow_are_told_once_a_second(start: Start) -> None:
    code = "grown = []\nend = time.monotonic() + 2.5\nwhile time.monotonic() < end or len(grown) < 500:\n"
    code += "    grown.append(mx.ones((64,))); mx.eval(grown[-1]); time.sleep(0.001)\n"
    viewer = start.up(code).connect()
    viewer.until(lambda m: m["type"] == "event" and m["kind"] == "peak" and m["data"]["step"] >= 500)
    viewer.more()
    found = [m for m in viewer.heard if m["type"] == "event" and m["kind"] == "peak"]
    times = sorted(m["time"] for m in found if m["data"]["caller"] == "<string>:7")
    assert 2 <= len(times) <= times[-1] - times[0] + 2
    steps = sorted((m["data"]["step"], m["data"]["peak"]) for m in found)
    assert all(before < after for (_, before), (_, after) in pairwise(steps))


def test_what_is_not_a_steps_own_is_told_as_such(start: Start) -> None:
    code = (
        SPIKES
        + """
y = mx.abs(mx.zeros((16, MIB // 4))); mx.async_eval(y); mx.synchronize(); del y
mx.abs(mx.zeros((32, MIB // 4))).max().item()
mx.eval(floor)
"""
    )
    viewer = start.up(code).connect()
    assert viewer.event("peak", how="async")["caller"] == "<string>:10"
    between = viewer.event("peak", how="between")
    assert between["peak"] > 32 * MIB
    assert between["step"] == 0
    assert "caller" not in between


def test_steps_of_several_threads_are_told_as_shared(start: Start) -> None:
    code = CROWD + "mx.eval(-big)\n" * 8 + "stop.set()\nfor thread in threads: thread.join()\n"
    viewer = start.up(code).connect()
    assert viewer.event("peak", how="threads")["peak"] >= 128 * MIB


def test_a_program_that_took_a_reference_before_keeps_mlxs_own_peak(start: Start) -> None:
    code = (
        MX
        + """
from mlx.core import get_peak_memory, reset_peak_memory
import mlxtop.agent.boot as boot
boot.start(late=True)
big = mx.zeros((1024, 1024)); mx.eval(big)
own = mx.get_peak_memory() == get_peak_memory()
mx.eval(-big); mx.eval(big + 1)
same = [mx.get_peak_memory() == get_peak_memory() >= 2 * big.nbytes]
reset_peak_memory()
same.append(mx.get_peak_memory() == get_peak_memory() == 0)
mx.eval(mx.ones((8,)))
same.append(mx.get_peak_memory() == get_peak_memory() < 2 * big.nbytes)
print(own, same, flush=True)
"""
    )
    assert start(code, run=None).line() == "True [True, True, True]"


def test_a_peak_that_is_reset_past_us_is_the_programs(start: Start) -> None:
    # As a C++ library would: by no function that Python can name.
    code = (
        "import mlx.core as mx\nhidden = mx.reset_peak_memory\n"
        + """
import mlxtop.agent.boot as boot
import mlxtop.mlx.step_peaks as step_peaks
step_peaks._is_referenced = lambda place: False
boot.start(late=True)
big = mx.zeros((1024, 1024)); mx.eval(big)
mx.eval(-big); mx.eval(mx.ones((8,)))
before = mx.get_peak_memory() >= 2 * big.nbytes
hidden()
after = mx.get_peak_memory()
mx.eval(-big)
print(before, after, 2 * big.nbytes <= mx.get_peak_memory() < 3 * big.nbytes, flush=True)
"""
    )
    assert start(code, run=None).line() == "True 0 True"
