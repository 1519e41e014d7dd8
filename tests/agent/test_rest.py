"""A program at rest: hardly any samples are taken, and a viewer sees them all."""

import sys

import pytest

from tests.agent.program import IDLE, MX, PATIENT, Start, WatchedProgram

REST = """
from mlxtop.agent import agent, server
watched = agent._agent
def until(what):
    while not what(): time.sleep(0.01)
ticks = []
def tick(self, now, real=agent.Agent.tick):
    ticks.append(now); real(self, now)
agent.Agent.tick = tick
"""
"""Counts the samples that are taken."""
NEVER = REST + "server.UNSEEN = 1e6\nuntil(lambda: watched.resting); server.STILL = 1e9\n"
"""From here on none is taken by itself; and once woken it stays awake."""
TOLD = "print(watched.resting, watched.command_queue.due, flush=True)\n"
COMES = "end = watched.ring.end; {}; until(lambda: watched.ring.end > end)\n"


def rested(start: Start, code: str) -> WatchedProgram:
    """A program that has run `code`."""
    program = start(MX + code + IDLE)
    assert program.line() == "up"
    return program


def test_samples_that_are_left_out_are_like_those_around_them(start: Start) -> None:
    program = rested(
        start, REST + "end = watched.ring.end\nuntil(lambda: watched.ring.end - end > len(ticks) + 9)\n"
    )
    viewer = program.connect()
    viewer.until(lambda m: m["type"] == "samples")
    rows = viewer.rows()
    assert len({tuple(row[1:4]) for row in rows[-9:]}) == 1
    assert [row[0] for row in rows] == sorted({row[0] for row in rows})
    assert min(later[0] - row[0] for row, later in zip(rows[-19:], rows[-18:], strict=False)) > 0.01


@pytest.mark.parametrize(
    "what",
    {
        "a step": "more = mx.ones((512, 512)); mx.eval(more)",
        "a limit": "mx.set_cache_limit(7)",
        "a mark": "import mlxtop; mlxtop.mark('here')",
    }.items(),
    ids=lambda case: case[0],
)
def test_what_happens_ends_it(start: Start, what: tuple[str, str]) -> None:
    program = start(MX + NEVER + COMES.format(what[1]) + TOLD + IDLE)
    # Each step of the program costs what it did before.
    assert program.line() == "False False"
    assert program.line() == "up"
    assert program.end() == (0, "")


def test_a_viewer_ends_it(start: Start) -> None:
    program = rested(start, NEVER)
    viewer = program.connect()
    viewer.until(lambda m: m["type"] == "samples")
    ticks = len(viewer.rows())
    viewer.until(lambda m: m["type"] == "samples" and len(viewer.rows()) > ticks)


def test_a_program_at_rest_ends_as_any_other(start: Start) -> None:
    assert rested(start, NEVER).end() == (0, "")


@pytest.mark.skipif(sys.platform != "linux", reason="a fork beside MLX is safe there only")
def test_a_fork_of_a_program_at_rest_is_a_session_of_its_own(start: Start) -> None:
    fork = (
        "child = os.fork()\nif child == 0: mx.eval(mx.ones(5)); time.sleep(1000)\nprint(child, flush=True)\n"
    )
    kill = "sys.stdin.readline(); os.kill(child, 9); os.waitpid(child, 0)\n"
    program = start(MX + PATIENT + "\n" + NEVER + fork + kill)
    child = int(program.line())
    for pid in (child, program.pid):
        viewer = program.connect(pid=pid)
        assert viewer.message("hello")["pid"] == pid
        viewer.until(lambda m: m["type"] == "samples")
    program.say()
    assert program.end() == (0, "")
