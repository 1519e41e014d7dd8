"""Clients of every kind at a real agent's socket: the program and the other clients never suffer."""

import json
import os
import shutil
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlxtop.agent import command_queue
from mlxtop.agent.server import MOST_CLIENTS, MOST_WAITING
from mlxtop.ipc import protocol
from mlxtop.ipc.protocol import Role
from mlxtop.ipc.sockets import peer_uid
from tests.agent.program import BUSY, MX, PATIENT, Start, Viewer, WatchedProgram, starting, until

pytestmark = pytest.mark.usefixtures("processes")

HELLO = {"type": "hello", "protocol": protocol.PROTOCOL, "mlxtop": "0", "pid": 1, "role": "watch"}


@pytest.fixture(scope="module")
def calm() -> Iterator[WatchedProgram]:
    """One program for all clients: whoever harms it fails every test after."""
    with starting() as start:
        yield start.up(PATIENT)


def still_well(program: WatchedProgram) -> None:
    """It runs, lets us in and still samples."""
    assert program.process.poll() is None
    viewer = program.connect("observe")
    viewer.message("facts")
    first = viewer.message("samples")["rows"][0][0]
    viewer.until(lambda m: m["type"] == "samples" and m["rows"][-1][0] > first)
    viewer.close()


def test_only_this_user_may_come_near(calm: WatchedProgram) -> None:
    path = Path(calm.path())
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.lstat().st_mode) == 0o700


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o177])
def test_whatever_the_programs_umask(start: Start, mask: int) -> None:
    code = f"import os; os.umask({mask})\n" + MX + "print(oct(os.umask(0)), flush=True); sys.stdin.readline()"
    program = start(code)
    assert program.line() == oct(mask)
    path = Path(program.path())
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.lstat().st_mode) & 0o077 == 0


def test_a_socket_that_was_swept_away_is_opened_anew(start: Start) -> None:
    """macOS removes what lies in a temporary folder for three days."""
    hurry = "from mlxtop.agent import server; server.PATH_EVERY, server.TOUCH_EVERY = 0.05, 0.1\n"
    program = start(hurry + MX + "print('up', flush=True); sys.stdin.readline()")
    assert program.line() == "up"
    path = Path(program.path())
    viewer = program.connect("observe")
    viewer.message("hello")
    os.utime(path, (1e9, 1e9))
    until(lambda: path.stat().st_mtime > 1e9 + 1)
    path.unlink()
    until(path.exists)
    shutil.rmtree(path.parent)
    until(path.exists)
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.lstat().st_mode) == 0o700
    # Whoever was there has noticed nothing; whoever comes finds it.
    newcomer = program.connect("observe")
    newcomer.message("hello")
    assert len(viewer.heard) > 0
    assert viewer.hear(0.0)
    newcomer.close()
    viewer.close()


def test_the_user_at_the_other_end() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert peer_uid(one) == peer_uid(other) == os.getuid()


def test_another_user_is_turned_away(start: Start) -> None:
    # As if we were somebody else: the real thing takes a second user.
    program = start.up("from mlxtop.agent import server; server.peer_uid = lambda sock: 12345")
    viewer = Viewer(program.path())
    viewer.end()
    assert viewer.heard == []


BAD = {
    "no JSON": b"hello\n",
    "an empty line": b"\n",
    "no object": b"[1, 2]\n",
    "no type": b'{"role": "watch"}\n',
    "a type that is no text": b'{"type": 5}\n',
    "too long": b"x" * 5000,
    "too long, with an end": b'{"type": "' + b"x" * 5000 + b'"}\n',
    "too deep": b"[" * 4000 + b"\n",
    "no UTF-8": b'{"type": "\xff\xfe"}\n',
    "a command before a greeting": protocol.line("clear", who="me"),
    "another protocol": protocol.line("hello", protocol=99, mlxtop="9", pid=1, role="watch"),
    "no protocol": protocol.line("hello", mlxtop="9", pid=1, role="watch"),
    "another role": protocol.line("hello", protocol=protocol.PROTOCOL, mlxtop="9", pid=1, role="king"),
    "no pid": protocol.line("hello", protocol=protocol.PROTOCOL, mlxtop="9", role="watch"),
    "a pid that is none": protocol.line(
        "hello", protocol=protocol.PROTOCOL, mlxtop="9", role="watch", pid=[]
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_client_that_makes_no_sense_is_dropped(calm: WatchedProgram, what: str) -> None:
    viewer = calm.connect(None)
    viewer.message("hello")
    viewer.raw(BAD[what])
    viewer.end()
    still_well(calm)


WRONG = {
    "an unknown command": {"type": "explode"},
    "a limit without a knob": {"type": "limit", "bytes": 1},
    "a limit of no knob": {"type": "limit", "knob": "disk", "bytes": 1},
    "a knob that is a list": {"type": "limit", "knob": [], "bytes": 1},
    "a limit in words": {"type": "limit", "knob": "cache", "bytes": "all"},
    "a limit with a fraction": {"type": "limit", "knob": "cache", "bytes": 1.5},
    "a limit below nothing": {"type": "limit", "knob": "cache", "bytes": -1},
    "a limit beyond all": {"type": "limit", "knob": "cache", "bytes": 2**63},
    "a limit far beyond all": {"type": "limit", "knob": "cache", "bytes": 10**4000},
    "a mark without a name": {"type": "mark"},
    "an interval in words": {"type": "interval", "seconds": "often"},
    "no interval": {"type": "interval"},
    "an interval that is a list": {"type": "interval", "seconds": [1]},
}


@pytest.mark.parametrize("what", WRONG)
def test_a_command_that_makes_no_sense_drops_its_client(calm: WatchedProgram, what: str) -> None:
    viewer = calm.connect("control")
    viewer.message("facts")
    viewer.raw(json.dumps(WRONG[what]).encode() + b"\n")
    viewer.end()
    still_well(calm)


@pytest.mark.parametrize("seconds", ["1e400", "-1e400", "NaN", "0", "-5", "1e308", "true"])
def test_odd_intervals_are_brought_within_bounds(start: Start, seconds: str) -> None:
    program = start.up()
    viewer = program.connect()
    viewer.message("facts")
    viewer.raw(b'{"type": "interval", "seconds": %s}\n' % seconds.encode())
    viewer.say("mark", name="after", who="me")
    viewer.event("mark", name="after")
    assert 0.01 <= program.connect().message("hello")["interval"] <= 60


HUGE = {
    "a huge pid": [b'{"type": "hello", "protocol": 1, "role": "look", "pid": 1e999}\n'],
}


@pytest.mark.parametrize("what", HUGE)
def test_a_number_too_large_for_a_float_drops_its_client_only(start: Start, what: str) -> None:
    program = start.up()
    viewer = program.connect(None)
    for line in HUGE[what]:
        viewer.raw(line)
    viewer.end()
    assert program.sockets() == [f"{program.pid}.sock"]
    still_well(program)


def values() -> st.SearchStrategy[Any]:
    """Any JSON, numbers that fit no machine included, but those of `HUGE`."""
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | st.floats(-1e300, 1e300)
        | st.text(max_size=9)
    )
    return st.recursive(
        leaves, lambda some: st.lists(some, max_size=4) | st.dictionaries(st.text(max_size=5), some)
    )


KEYS = ("knob", "bytes", "who", "name", "seconds", "role", "protocol", "pid", "mlxtop")
# A census and a collection take their time; they have their own tests.
TYPES = ("hello", "limit", "clear", "reset", "mark", "interval", "bye", "samples")
odd_command = st.builds(
    lambda kind, data: {**data, "type": kind},
    st.sampled_from(TYPES),
    st.dictionaries(
        st.sampled_from(KEYS), values() | st.sampled_from(["cache", "wired", "memory", "look", "watch", 1])
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.binary(max_size=200) | values().map(lambda v: json.dumps(v).encode()), max_size=5))
def test_any_bytes(calm: WatchedProgram, lines: list[bytes]) -> None:
    attack(calm, None, lines)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commands=st.lists(odd_command, max_size=5), role=st.sampled_from(["control", "observe"]))
def test_any_command(calm: WatchedProgram, commands: list[dict[str, Any]], role: Role) -> None:
    attack(calm, role, [json.dumps(command).encode() for command in commands])


def attack(program: WatchedProgram, role: Role | None, lines: list[bytes]) -> None:
    viewer = Viewer(program.path())
    try:
        if role is not None:
            viewer.raw(protocol.hello(role))
        for line in lines:
            viewer.raw(line + b"\n")
    except ConnectionError:
        pass  # dropped already
    viewer.close()
    # The next is still greeted.
    other = Viewer(program.path())
    assert other.message("hello")["pid"] == program.pid
    other.close()


def test_after_all_that_it_is_still_well(calm: WatchedProgram) -> None:
    still_well(calm)
    assert not list(calm.home.glob("mlxtop/*.failed"))


def test_one_byte_at_a_time(calm: WatchedProgram) -> None:
    viewer = calm.connect(None)
    for byte in protocol.hello("control") + protocol.line("mark", name="slowly", who="me"):
        viewer.raw(bytes([byte]))
    assert viewer.event("mark", name="slowly")["source"] == "me"
    viewer.close()


def test_many_commands_at_once(calm: WatchedProgram) -> None:
    viewer = calm.connect(None)
    marks = b"".join(protocol.line("mark", name=f"many {n}", who="me") for n in range(500))
    viewer.raw(protocol.hello("control") + marks)
    viewer.event("mark", name="many 499")
    names = [m["name"] for m in viewer.events("mark") if m["name"].startswith("many")]
    assert names == [f"many {n}" for n in range(500)]
    viewer.close()


def test_one_who_only_looks_commands_in_vain(calm: WatchedProgram) -> None:
    viewer = calm.connect("observe")
    viewer.say("mark", name="in vain", who="me")
    viewer.message("samples")
    viewer.more()
    assert "in vain" not in [m["name"] for m in viewer.events("mark")]
    # Then it takes control, and gives it back.
    viewer.raw(protocol.hello("control") + protocol.line("mark", name="granted", who="me"))
    viewer.event("mark", name="granted")
    assert calm.connect(None).message("hello")["watched"] == os.getpid()
    viewer.raw(protocol.hello("observe") + protocol.line("mark", name="in vain", who="me"))
    viewer.more()
    assert "in vain" not in [m["name"] for m in viewer.events("mark")]
    assert calm.connect(None).message("hello")["watched"] is None
    viewer.close()


def test_one_who_only_looks_may_count_but_not_crowd_out_who_controls(start: Start) -> None:
    program = start.up(PATIENT)
    first, second, third = program.connect("control"), program.connect("observe"), program.connect("observe")
    first.message("facts")
    second.say("census", id=7)
    assert second.until(lambda m: m.get("answers") == 7)["kind"] == "census"
    # They come at once: no safe point lies in between.
    third.raw(b"".join(protocol.line("census", id=n) for n in range(100, 101 + MOST_WAITING)))
    third.end()
    first.say("limit", knob="cache", bytes=7, who="me", id=8)
    assert first.until(lambda m: m.get("answers") == 8)["kind"] == "limit"
    assert program.connect(None).message("hello")["watched"] == os.getpid()


def test_the_second_that_would_watch_may_only_look(start: Start) -> None:
    program = start.up()
    first = program.connect("control")
    first.message("facts")
    second = program.connect("control")
    assert second.message("refused")["why"] == f"it is already watched by mlxtop (process {os.getpid()})"
    second.message("samples")
    second.say("mark", name="in vain", who="me")
    second.more()
    assert second.events("mark") == []
    first.close()
    until(lambda: program.connect(None).message("hello")["watched"] is None)
    second.raw(protocol.hello("control") + protocol.line("mark", name="granted", who="me"))
    second.event("mark", name="granted")


def test_a_silent_client_is_dropped_after_a_while_and_a_greeted_one_is_not(start: Start) -> None:
    program = start.up("from mlxtop.agent import server; server.HELLO_WITHIN = 1.0")
    greeted, silent = program.connect("observe"), program.connect(None)
    silent.message("hello")
    silent.end()
    assert greeted.hear(0.3)
    greeted.close()


def test_a_client_that_never_reads_costs_little_and_others_notice_nothing(start: Start) -> None:
    code = """
from mlxtop.agent import server
server.STUCK_AFTER = 3.0
"""
    program = start.up(code)
    stuck = program.connect("control")
    stuck.say("interval", seconds=0.01)
    for n in range(3000):
        stuck.say("mark", name=f"{n} " + "x" * 70, who="me")
    other = program.connect("observe")
    other.event("mark")
    first = other.message("samples")["rows"][0][0]
    other.until(lambda m: m["type"] == "samples" and m["rows"][-1][0] > first + 1)
    # What waits for the stuck one is bounded; in the end it is dropped.
    until(lambda: program.connect(None).message("hello")["watched"] is None)
    stuck.end()


def test_one_that_wants_few_samples_gets_the_highest_of_each_span(start: Start) -> None:
    program = start(MX + BUSY)
    control = program.connect("control")
    control.say("interval", seconds=0.01)
    few = program.connect(None)
    few.raw(protocol.hello("observe", every=0.5, sparse=True))
    # What is kept from before is thinned, too.
    first = few.message("samples")["rows"][-1][0]
    last = few.until(lambda m: m["type"] == "samples" and m["rows"][-1][0] > first + 1.3)["rows"][-1][0]
    control.until(lambda m: m["type"] == "samples" and m["rows"][-1][0] >= last)
    sparse, every = rows(few, first), rows(control, first)
    assert 2 <= len(sparse) < len(every) / 10
    assert set(sparse) <= set(every)
    # It may want all of them again.
    few.raw(protocol.hello("observe", every=0.0))
    few.until(lambda m: m["type"] == "samples" and m["rows"][0][0] > last and len(m["rows"]) > 10)


def rows(viewer: Viewer, after: float) -> list[tuple[float, ...]]:
    """The samples heard after a time."""
    batches = [message["rows"] for message in viewer.heard if message["type"] == "samples"]
    return [tuple(row) for batch in batches for row in batch if row[0] > after]


def test_one_that_was_stuck_misses_nothing_that_is_still_kept(start: Start) -> None:
    program = start.up()
    viewer = program.connect("control")
    for n in range(4000):
        viewer.say("mark", name=f"{n}", who="me")
    viewer.event("mark", name="3999")
    assert [m["name"] for m in viewer.events("mark")] == [str(n) for n in range(4000)]


def test_more_clients_than_there_is_room_for(start: Start) -> None:
    program = start.up()
    inside = [program.connect("observe") for _ in range(MOST_CLIENTS)]
    for viewer in inside:
        viewer.message("hello")
    outside = program.connect(None)
    outside.end()
    assert outside.heard == []
    inside.pop().close()
    until(lambda: Viewer(program.path()).hear(1))
    for viewer in inside:
        assert viewer.hear(0.2)


def test_connections_that_are_reset(calm: WatchedProgram) -> None:
    for _ in range(50):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(calm.path())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.send(protocol.hello("control"))
        sock.close()
    still_well(calm)


def test_commands_that_cannot_be_carried_out_do_not_pile_up(start: Start) -> None:
    code = "from mlxtop.agent.agent import _agent\n_agent.command_queue.drain_overdue = lambda now: None\n"
    code += (
        "print('ready', flush=True); sys.stdin.readline(); print(len(_agent.command_queue._todo), flush=True)"
    )
    program = start(MX + code)
    assert program.line() == "ready"
    viewer = program.connect()
    try:
        for _ in range(200):
            viewer.raw(protocol.line("clear", who="me") * 100)
    except ConnectionError:
        pass
    viewer.close()
    until(lambda: program.connect(None).message("hello")["watched"] is None)
    program.say()
    assert 0 < int(program.line()) <= command_queue.MOST


def test_every_viewer_hears_of_everything(start: Start) -> None:
    program = start.up()
    viewers = [program.connect("observe") for _ in range(4)]
    watcher = program.connect("control")
    for n in range(50):
        watcher.say("mark", name=str(n), who="me")
    for viewer in (watcher, *viewers):
        viewer.event("mark", name="49")
        assert [m["name"] for m in viewer.events("mark")] == [str(n) for n in range(50)]


def test_the_sample_after_an_event_is_not_gathered_with_others(calm: WatchedProgram) -> None:
    viewer = calm.connect("control")
    viewer.message("samples")
    viewer.say("mark", name="here", who="me")
    at = viewer.event("mark", name="here")["time"]
    after = viewer.until(lambda m: m["type"] == "samples" and m["rows"][-1][0] > at)["rows"]
    # Those that are gathered come by fours or fives.
    assert sum(row[0] > at for row in after) <= 2
    viewer.close()


@pytest.mark.parametrize("role", ["look", "observe", "watch", "control"])
def test_both_words_for_a_role_are_understood(calm: WatchedProgram, role: str) -> None:
    viewer = Viewer(calm.path())
    viewer.say("hello", protocol=protocol.PROTOCOL, mlxtop="0", pid=1, role=role)
    assert viewer.message("facts")
    viewer.say("mark", name=f"as {role}", who="me")
    if role in ("watch", "control"):
        assert viewer.event("mark", name=f"as {role}")
    viewer.close()


def test_a_client_that_wants_few_messages_gets_few(calm: WatchedProgram) -> None:
    calm_one, eager = calm.connect(role=None), calm.connect("observe")
    calm_one.raw(json.dumps({**HELLO, "role": "look", "every": 1e9}).encode() + b"\n")
    calm_one.message("samples")
    calm_one.hear(0.5)
    heard = len(calm_one.heard)
    eager.more()
    calm_one.hear(0.0)
    assert len(calm_one.heard) == heard
    # It is looked after as any other.
    calm_one.say("census")
    still_well(calm)
    calm_one.close()
    eager.close()


@pytest.mark.parametrize("every", ["soon", -1, None])
def test_a_pace_that_makes_no_sense_is_refused(calm: WatchedProgram, every: object) -> None:
    client = calm.connect(role=None)
    client.raw(json.dumps({**HELLO, "role": "look", "every": every}).encode() + b"\n")
    client.end()
    still_well(calm)
