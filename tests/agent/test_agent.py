"""What the agent tells of a program, and how it carries out commands in it."""

import time
from itertools import pairwise

import pytest

from tests.agent.program import BROKEN, BUSY, IDLE, KEPT, MX, Message, Start, Viewer

MIB = 2**20
CLEAR = "mx.clear_cache()"


# What it tells


def test_a_viewer_hears_who_it_is_then_facts_then_samples(start: Start) -> None:
    program = start.up()
    before = time.time()
    viewer = program.connect()
    hello = viewer.message("hello")
    after = time.time()
    assert viewer.heard[0] is hello
    assert (hello["pid"], hello["run"], hello["rank"], hello["watched"], hello["interval"]) == (
        program.pid, "", None, None, 0.1,
    )  # fmt: skip
    assert hello["argv"][1] == "-c"
    # Two clocks of one machine may differ by some milliseconds.
    assert before - 0.1 < hello["started"] + hello["now"] < after + 0.1
    facts = viewer.message("facts")
    assert facts["facts"]["pid"] == program.pid
    assert facts["limits"]["cache"] == [32 * MIB, "MLX's default", 32 * MIB]
    viewer.until(lambda m: m["type"] == "samples" and m["rows"][-1][1] in KEPT)
    assert all(len(row) == 12 for row in viewer.rows())


def test_a_viewer_that_comes_late_sees_what_was_before_it_in_order(start: Start) -> None:
    code = """
import mlxtop
for step in range(5):
    mlxtop.mark(f"step {step}"); kept = mx.ones((256 * (step + 2), 256)); mx.eval(kept); time.sleep(0.25)
mx.set_cache_limit(5); mx.clear_cache()
"""
    program = start.up(code)
    viewer = program.connect("observe")
    # Two batches: the ten before it come at once, and then one at a time.
    viewer.until(lambda m: m["type"] == "samples" and m["rows"][-1][0] > 1.3)
    times = [row[0] for row in viewer.rows()]
    assert times == sorted(times)
    assert times[0] < viewer.message("hello")["now"]
    assert len({row[1] for row in viewer.rows()}) >= 5
    viewer.event("clear")
    assert [m["name"] for m in viewer.events("mark")] == [f"step {n}" for n in range(5)]
    # Which steps were the highest is told when nothing can replace them any more.
    told = [m["time"] for m in viewer.heard if m["type"] == "event" and m["kind"] != "peak"]
    assert told == sorted(told)


def test_what_is_remembered_is_bounded(start: Start) -> None:
    # A short memory, so that it is soon full.
    code = "from mlxtop.agent.ring import Ring\nRing.__init__.__defaults__ = (20,)\n" + MX
    code += "import mlxtop\nfor n in range(6000): mlxtop.mark(f'm{n}')\n" + IDLE
    program = start(code)
    # All is told before anybody hears of it.
    assert program.line() == "up"
    first = program.connect()
    first.say("interval", seconds=0.01)
    first.until(lambda m: len(first.rows()) > 60)
    viewer = program.connect("observe")
    viewer.event("mark", name="m5999")
    assert len(viewer.message("samples")["rows"]) <= 20
    assert viewer.rows()[0][0] > first.rows()[20][0]
    names = [m["name"] for m in viewer.events("mark")]
    # The few other events count too.
    assert 4_080 < len(names) <= 4_096
    assert names == [f"m{n}" for n in range(6000 - len(names), 6000)]


def test_limits_set_by_the_program_name_the_line(start: Start) -> None:
    code = "mx.set_cache_limit(1000)\nmx.set_memory_limit(2**34)\nmx.set_wired_limit(0)\n"
    viewer = start.up(code).connect()
    for knob, line in ("cache", 4), ("memory", 5), ("wired", 6):
        found = viewer.until(
            lambda m, knob=knob, line=line: (
                m["type"] == "event"
                and m["kind"] == "limit"
                and (m["data"]["name"], m["data"]["source"]) == (knob, f"<string>:{line}")
            )
        )
        assert found["data"]["new"] == {"cache": 1000, "memory": 2**34, "wired": 0}[knob]
    assert viewer.event("limit", name="cache", new=1000)["old"] == 32 * MIB


def test_clears_and_resets_name_the_line_and_the_size(start: Start) -> None:
    code = "x = mx.ones((512, 512)); mx.eval(x); del x\nmx.clear_cache()\nmx.reset_peak_memory()\n"
    viewer = start.up(code).connect()
    cleared = viewer.event("clear", source="<string>:5")
    assert MIB <= cleared["freed"] <= cleared["total"] - KEPT[0]
    assert viewer.event("reset", source="<string>:6")["peak"] >= MIB + MIB // 4


@pytest.mark.parametrize(
    ("call", "kind"),
    [("mx.clear_cache()", "clear"), ("mx.reset_peak_memory()", "reset"), ("mx.set_cache_limit(7)", "limit")],
)
def test_repeated_calls_are_counted_and_do_not_flood(start: Start, call: str, kind: str) -> None:
    code = f"""
def often():
    {call}
for _ in range(2000): often()
time.sleep(1.1)
often()
"""
    viewer = start.up(code).connect()
    # The 2,000 and the one after them: told as few, counted as all.
    viewer.until(lambda m: sum(e.get("times", 1) for e in called(viewer, kind)) == 2001)
    assert len(called(viewer, kind)) <= 5


def called(viewer: Viewer, kind: str) -> list[Message]:
    return [e for e in viewer.events(kind) if e["source"] == "<string>:6"]


def test_the_last_burst_is_counted_too(start: Start) -> None:
    viewer = start.up("for _ in range(500): mx.clear_cache()").connect()
    viewer.until(lambda m: sum(e.get("times", 1) for e in viewer.events("clear")) == 500)


def test_a_limit_that_goes_up_and_down_does_not_flood(start: Start) -> None:
    viewer = start.up("for n in range(3000): mx.set_cache_limit(n % 2)").connect()
    viewer.more()
    assert len(viewer.events("limit")) < 100


def test_phases_and_marks_of_the_program(start: Start) -> None:
    code = """
import mlxtop
with mlxtop.phase("train"):
    mlxtop.mark("inside"); time.sleep(0.25)
time.sleep(0.25)
"""
    viewer = start.up(code).connect()
    mark = viewer.event("mark", name="inside")
    assert mark["source"] == "program"
    assert mark["active"] in KEPT
    viewer.event("phase", phase="idle")
    assert [e["phase"] for e in viewer.events("phase")] == ["run", "train", "idle"]
    names = viewer.message("phases")["names"]
    viewer.until(lambda m: m["type"] == "samples" and m["rows"][-1][8] == names.index("idle"))
    assert names.index("train") in [row[8] for row in viewer.rows()]


def test_a_mark_with_an_endless_name_is_cut(start: Start) -> None:
    viewer = start.up("import mlxtop; mlxtop.mark('x' * 3_000_000)").connect()
    assert len(viewer.event("mark")["name"]) <= 1000


def test_a_phase_that_is_no_text_is_the_programs_own_affair(start: Start) -> None:
    program = start(MX + "import mlxtop\nmlxtop.phase(3); mlxtop.mark(None)")
    assert program.end() == (0, "")


def test_the_rank_of_a_launched_process(start: Start) -> None:
    assert start.up(MLX_RANK="3").connect().message("hello")["rank"] == 3


def test_a_program_that_calls_watch_is_ready(start: Start) -> None:
    program = start.up("import mlxtop; mx.set_cache_limit(9); mlxtop.watch(); mlxtop.watch()", run=None)
    viewer = program.connect()
    # It asks for the limits by setting them, once it is safe: nobody knows who set them before.
    assert viewer.event("limit", name="cache")["source"] == "program"
    assert viewer.event("limit", name="cache")["new"] == 9
    assert len(program.sockets()) == 1
    assert program.end() == (0, "")


# Commands


COMMANDS = {
    "limit": ({"knob": "cache", "bytes": 12_345, "who": "keyboard"}, {"new": 12_345, "asked": 12_345}),
    "clear": ({"who": "keyboard"}, {"source": "keyboard"}),
    "reset": ({"who": "keyboard"}, {"source": "keyboard"}),
    "collect": ({"who": "keyboard"}, {"source": "keyboard"}),
    "mark": ({"name": "here", "who": "keyboard"}, {"name": "here", "source": "keyboard"}),
    "census": ({}, {}),
}
PROGRAMS = {
    "busy": BUSY,
    "asleep": "time.sleep(1000)\n",
    "waits for a lock": "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()\n",
    "evaluates by item only": "x = mx.ones((64, 64))\nwhile True:\n    x = x * 0.5 + 1; x.sum().item()\n",
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_command_is_carried_out_within_seconds(start: Start, program: str, command: str) -> None:
    viewer = start(MX + PROGRAMS[program]).connect()
    viewer.message("facts")
    fields, answer = COMMANDS[command]
    viewer.say(command, **fields)
    viewer.event(command, timeout=3, **answer)


def test_a_command_is_carried_out_beside_a_worker_that_never_calls_eval(start: Start) -> None:
    code = """
import threading
def work():
    x = mx.ones((64, 64))
    while True: x = x * 0.5 + 1; x.sum().item()
worker = threading.Thread(target=work, daemon=True); worker.start(); worker.join()
"""
    viewer = start(MX + code).connect()
    viewer.message("facts")
    viewer.say("clear", who="keyboard")
    viewer.event("clear", timeout=5, source="keyboard")


@pytest.mark.parametrize("command", ["limit", "clear"])
def test_a_command_is_carried_out_on_the_thread_that_evaluates(start: Start, command: str) -> None:
    # What the setters do is seen by the program itself: who called them is its own thread.
    code = """
import threading
from mlxtop.mlx.hooks import AllocatorHooks
for name in ("set", "call"):
    def spy(self, *args, _real=getattr(AllocatorHooks, name)):
        print(threading.current_thread().name, flush=True); return _real(self, *args)
    setattr(AllocatorHooks, name, spy)
print("up", flush=True)
"""
    program = start(MX + code + BUSY)
    assert program.line() == "up"
    viewer = program.connect()
    viewer.say(command, **COMMANDS[command][0])
    assert program.line() == "MainThread"
    viewer.close()


def test_null_means_mlx_default(start: Start) -> None:
    viewer = start.up("mx.set_cache_limit(1)").connect()
    viewer.message("facts")
    viewer.say("limit", knob="cache", bytes=None, who="keyboard")
    assert viewer.event("limit", source="keyboard")["new"] == 32 * MIB


def test_a_limit_that_mlx_refuses_is_told_and_is_no_longer_asked_for(start: Start) -> None:
    code = """
from mlxtop.mlx.hooks import AllocatorHooks
def refuse(self, name, value, source, request): raise ValueError("too much")
AllocatorHooks.set = refuse
"""
    viewer = start.up(code).connect()
    viewer.message("facts")
    viewer.say("limit", knob="wired", bytes=77, who="keyboard")
    viewer.event("limit", name="wired", asked=77, new=0)
    assert "MLX refused the wired limit: too much." in [e["message"] for e in viewer.events("error")]


def test_the_wired_limit_of_a_backend_without_one_stays_what_it_is(start: Start) -> None:
    viewer = start.up().connect()
    viewer.message("facts")
    viewer.say("limit", knob="wired", bytes=77, who="keyboard")
    answer = viewer.event("limit", name="wired", asked=77)
    assert answer["new"] == 0


def test_the_interval_can_be_changed(start: Start) -> None:
    viewer = start.up().connect()
    viewer.message("samples")
    viewer.say("interval", seconds=0.01)
    viewer.until(lambda m: any(b[0] - a[0] < 0.03 for a, b in pairs(viewer)))
    viewer.say("interval", seconds=1.0)
    viewer.until(lambda m: viewer.rows()[-1][0] - viewer.rows()[-2][0] > 0.8)


def pairs(viewer: Viewer) -> list[tuple[list[float], list[float]]]:
    rows = viewer.rows()[-20:]
    return list(pairwise(rows))


def test_from_a_long_interval_to_a_short_one_takes_no_long_interval(start: Start) -> None:
    viewer = start.up().connect()
    viewer.message("samples")
    viewer.say("interval", seconds=600)
    viewer.say("mark", name="a long one", who="me")
    viewer.event("mark", name="a long one")
    viewer.say("interval", seconds=0.05)
    seen = len(viewer.rows())
    viewer.until(lambda m: len(viewer.rows()) > seen + 3)


def test_a_command_does_not_wait_for_a_long_interval(start: Start) -> None:
    viewer = start.up().connect()
    viewer.message("samples")
    viewer.say("interval", seconds=600)
    viewer.say("mark", name="a long one", who="me")
    viewer.event("mark", name="a long one")
    viewer.say("clear", who="keyboard")
    viewer.event("clear")


def test_what_happens_in_the_agent_stays_in_the_agent_and_is_told(start: Start) -> None:
    code = """
from mlxtop.agent.controller import ProgramController
def collect(self, source, request): raise KeyError("boom")
ProgramController.collect = collect
"""
    program = start.up(code)
    viewer = program.connect()
    viewer.say("collect", who="keyboard")
    assert "boom" in viewer.event("error")["message"]
    viewer.say("clear", who="keyboard")
    viewer.event("clear")
    assert program.end() == (0, "")


def test_an_agent_that_breaks_does_not_break_the_program(start: Start) -> None:
    # Only who started a run looks for the word that is left.
    program = start(MX + BROKEN, run="abc")
    assert program.line() == "up"
    viewer = program.connect()
    viewer.message("samples")
    program.say()
    viewer.end()
    words = list(program.home.glob("mlxtop/*.failed"))
    assert "a bug of ours" in words[0].read_text()
    assert program.end() == (5, "")


def test_an_agent_that_breaks_says_so_to_who_is_connected(start: Start) -> None:
    program = start(MX + BROKEN)
    assert program.line() == "up"
    viewer = program.connect()
    viewer.message("samples")
    program.say()
    viewer.end()
    assert [e["message"] for e in viewer.events("error")] == [
        "mlxtop's agent failed: ZeroDivisionError: a bug of ours"
    ]
    # The program goes on: it has not said farewell.
    assert "bye" not in viewer.kinds()


def test_an_agent_without_a_place_is_silent_and_changes_nothing(start: Start) -> None:
    code = """
import sys, threading
from mlxtop.ipc import sockets
sockets.folders = lambda *_: ["/nowhere/at/all"]
import mlx.core as mx
mx.eval(mx.ones(3)); mx.set_cache_limit(3); mx.clear_cache()
print(threading.active_count(), hasattr(mx.eval, "__wrapped__"), hasattr(mx.clear_cache, "__wrapped__"))
"""
    program = start(code)
    assert program.line() == "1 False False"
    assert program.end() == (0, "")
    assert program.sockets() == []


def test_a_command_that_comes_while_the_last_is_carried_out_is_not_forgotten(start: Start) -> None:
    code = """
from collections import deque
from mlxtop.agent import agent
from mlxtop.core.commands import TakeCensus
class Late(deque):
    "Empty for the one who obeys, and then not: what another thread does in between."
    def __bool__(self):
        full = len(self) > 0
        if not full and late and sys._getframe(1).f_code.co_name == "_run_all": late.pop()()
        return full
commands = agent._agent.command_queue
commands._todo = Late()
commands.drain_overdue = lambda now: None
commands._execute = lambda command, command_id: command_id == 2 and print("done", flush=True)
late = [lambda: commands.submit(TakeCensus(), 2)]
commands.submit(TakeCensus(), 1)
while True: mx.eval(mx.ones(3)); time.sleep(0.01)
"""
    assert start(MX + code).line() == "done"


def test_a_variable_of_a_loop_that_never_evaluates_is_named_each_time(start: Start) -> None:
    # As on a machine that is busy otherwise: all that the program gets of it looks like rest.
    code = """
from mlxtop.agent import command_queue as module
module.IDLE_SHARE = 1000.0
# And it is given all the time that it needs to come by, once it was asked to.
def interrupt(self, real=module.CommandQueue._interrupt): module.SAFE_WITHIN = 1000.0; real(self)
def drain(self, before, real=module.CommandQueue.drain): real(self, before); module.SAFE_WITHIN = 0.25
module.CommandQueue._interrupt, module.CommandQueue.drain = interrupt, drain
def run():
    while True:
        x = mx.ones((64, 64))
        for _ in range(5_000): x = x * 1.0001 + 1
run()
"""
    viewer = start(MX + code).connect()
    viewer.message("facts")
    for _ in range(5):
        viewer.say("census")
        counted = viewer.event("census", timeout=30)
        assert [h["holder"] for h in counted["holdings"] if h["holder"].startswith("x in ")], counted


def test_arrays_are_counted_after_an_eval_where_they_are_computed(start: Start) -> None:
    code = """
a = mx.ones((64, 64)); mx.eval(a)
while True:
    made = [a @ a for _ in range(8)]
    time.sleep(0.05)
    mx.eval(made)
    print("round", flush=True)
"""
    program = start(MX + code)
    assert program.line() == "round"
    viewer = program.connect()
    viewer.message("facts")
    viewer.say("census")
    counted = viewer.event("census")
    assert (counted["lazy"], counted["lazy_count"]) == (0, 0)
    assert counted["counts"]["other"] >= 9


def test_the_agents_cost_is_told(start: Start) -> None:
    viewer = start.up().connect()
    cpu = viewer.until(lambda m: m["type"] == "samples" and m["cpu"] > 0)["cpu"]
    assert cpu < 1
