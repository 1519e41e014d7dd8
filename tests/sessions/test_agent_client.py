"""Real agents, false agents, and what is known when they are gone."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mlxtop.cli.attach import terminate
from mlxtop.cli.census import census
from mlxtop.core.budget import parse_action
from mlxtop.core.commands import AddMark, SetControl, SetLimit, TakeCensus
from mlxtop.core.errors import MlxtopError, UsageError
from mlxtop.core.events import ErrorRaised
from mlxtop.core.facts import Facts
from mlxtop.core.limits import Limit
from mlxtop.ipc import protocol, sockets
from mlxtop.ipc.sockets import Address
from mlxtop.sessions import messages, top_fleet
from mlxtop.sessions.agent_client import AgentClient, Role, all_addresses, remove_stale
from mlxtop.sessions.attach import AttachFleet, attach
from mlxtop.sessions.budget_monitor import BudgetMonitor, environment
from mlxtop.sessions.program import Program
from mlxtop.sessions.remote import RemoteSession
from mlxtop.sessions.run_fleet import RunFleet
from mlxtop.sessions.top_fleet import TopFleet
from tests.agent.program import BROKEN, KEPT, MX, PATIENCE, Start, descriptors, until

MIB = 2**20


@pytest.fixture(autouse=True)
def here(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Viewer and programs meet in a place of this test's own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(start.home))
    monkeypatch.setattr(sockets, "folders", lambda *_: [f"{start.home}/mlxtop"])


@pytest.fixture
def open_fleet() -> Iterator[Callable[..., Any]]:
    """Starts fleets; they are stopped with the test."""
    fleets: list[AgentClient] = []

    def begin(fleet: AgentClient) -> AgentClient:
        fleets.append(fleet)
        if not fleet.is_alive():
            fleet.start()
        return fleet

    yield begin
    for fleet in fleets:
        fleet.stop()
        assert not fleet.is_alive()


def all_agents(role: Role = "control", **options: Any) -> AgentClient:
    return AgentClient("all", all_addresses, role, **options)


def member(fleet: AgentClient, n: int = 0) -> RemoteSession:
    until(lambda: len(fleet.members()) > n)
    return fleet.members()[n]


# Real agents


def test_a_large_fleet_asks_less_of_members_off_the_screen(
    start: Start, open_fleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(top_fleet, "FEW", 0)
    start.up()
    fleet = open_fleet(TopFleet())
    watched = member(fleet)
    assert not watched.closely
    fleet.look_at([watched.pid])
    assert watched.closely
    count = watched.history.count
    until(lambda: watched.history.count > count + 3)
    fleet.look_at([])
    assert not watched.closely
    monkeypatch.setattr(top_fleet, "FEW", 1)
    fleet.look_at([])
    assert watched.closely


def test_a_member_is_seen_and_controlled(start: Start, open_fleet: Callable[..., Any]) -> None:
    program = start.up()
    joined: list[RemoteSession] = []
    fleet = open_fleet(all_agents(joined=joined.append))
    watched = member(fleet)
    assert (watched.pid, watched.controls, joined) == (program.pid, True, [watched])
    until(lambda: watched.state.limits["cache"].default == 32 * MIB)
    watched.submit(SetLimit("cache", 7, "keyboard"))
    until(lambda: watched.state.limits["cache"].source == "keyboard")
    assert watched.state.limits["cache"] == Limit(7, "keyboard", None, 32 * MIB)
    watched.submit(AddMark("here", "keyboard"))
    until(lambda: "here" in [mark.name for mark in watched.state.marks])
    watched.submit(TakeCensus())
    until(lambda: watched.state.census)
    assert watched.history.latest is not None
    assert watched.history.latest.active in KEPT


def test_mlx_that_was_never_used_makes_no_member(start: Start, open_fleet: Callable[..., Any]) -> None:
    program = start(
        "import sys, mlx.core as mx\nsys.stdin.readline(); mx.eval(mx.ones(3)); sys.stdin.readline()"
    )
    fleet = open_fleet(all_agents())
    until(lambda: fleet._members)
    assert fleet.members() == ()
    program.say()
    assert member(fleet).pid == program.pid


def test_ranks_come_by_number_and_others_after_them(start: Start, open_fleet: Callable[..., Any]) -> None:
    subjects = [start.up(), start.up(MLX_RANK="2"), start.up(MLX_RANK="0"), start.up()]
    fleet = open_fleet(all_agents())
    until(lambda: len(fleet.members()) == 4)
    pids = [program.pid for program in subjects]
    assert [m.pid for m in fleet.members()] == [pids[2], pids[1], pids[0], pids[3]]
    assert [m.label for m in fleet.members()] == ["rank 0", "rank 2", str(pids[0]), str(pids[3])]


ENDS = {
    "process {pid} ended": lambda program: program.end(),
    "process {pid} ended without notice: it was killed, or it called os._exit": lambda program: (
        program.kill()
    ),
    "the agent in process {pid} has ended; the program is still running": lambda program: program.say(
        "break"
    ),
}


@pytest.mark.parametrize("how", ENDS)
def test_how_it_ended(start: Start, open_fleet: Callable[..., Any], how: str) -> None:
    code = """
from mlxtop.agent import agent
print("up", flush=True)
if sys.stdin.readline():
    for client in list(agent._agent._server._clients.values()): client.socket.close()
    agent._agent._server._listener.close(); sys.stdin.readline()
"""
    program = start(MX + code)
    assert program.line() == "up"
    fleet = open_fleet(all_agents())
    watched = member(fleet)
    fleet.changed.clear()
    ENDS[how](program)
    until(lambda: watched.ended)
    assert watched.ended == how.format(pid=program.pid)
    assert fleet.changed.is_set()
    assert fleet.members() == (watched,)


def test_an_agent_that_breaks_is_gone_and_the_program_is_not(
    start: Start, open_fleet: Callable[..., Any]
) -> None:
    program = start(MX + BROKEN)
    assert program.line() == "up"
    watched = member(open_fleet(all_agents()))
    program.say()
    until(lambda: watched.ended)
    assert watched.ended == f"the agent in process {program.pid} has ended; the program is still running"
    (broke,) = [e for e in watched.timeline.between(ErrorRaised, 0, 1e9) if e.data.phase == "agent"]
    assert "a bug of ours" in broke.describe()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_a_killed_program_is_never_said_to_go_on(start: Start, open_fleet: Callable[..., Any]) -> None:
    fleet = open_fleet(all_agents())
    for n in range(15):
        program = start.up("ballast = mx.ones((4096, 4096)); mx.eval(ballast)")
        watched = member(fleet, n)
        os.kill(program.pid, signal.SIGKILL)
        until(lambda watched=watched: watched.ended)
        assert "ended without notice" in str(watched.ended)


def test_a_zombie_has_ended(start: Start, open_fleet: Callable[..., Any]) -> None:
    program = start.up()
    watched = member(open_fleet(all_agents()))
    os.kill(program.pid, signal.SIGKILL)
    # Nobody has waited for it.
    until(lambda: watched.ended)
    assert "ended without notice" in str(watched.ended)


def test_a_socket_that_was_left_behind_is_removed(start: Start, open_fleet: Callable[..., Any]) -> None:
    program = start.up()
    program.kill()
    assert len(program.sockets()) == 1
    fleet = open_fleet(all_agents())
    until(lambda: program.sockets() == [])
    assert fleet.members() == ()


def test_a_socket_of_a_process_that_lives_is_left_alone(start: Start) -> None:
    path = sockets.address(os.getppid(), "")
    Path(path).touch()
    remove_stale(Address(os.getppid(), "", path))
    remove_stale(Address(0, "", path))
    assert Path(path).exists()
    remove_stale(Address(2**22 - 1, "", path))
    assert not Path(path).exists()


def test_an_exec_makes_a_second_session_of_the_same_process(
    start: Start, open_fleet: Callable[..., Any]
) -> None:
    again = MX + "sys.stdin.readline()"
    program = start(
        MX + "print('up', flush=True); sys.stdin.readline()\n"
        f"os.execv(sys.executable, [sys.executable, '-c', {again!r}])"
    )
    assert program.line() == "up"
    fleet = open_fleet(all_agents())
    first = member(fleet)
    program.say()
    second = member(fleet, 1)
    assert first.ended
    assert second.ended is None
    assert first.pid == second.pid == program.pid


def test_settle_waits_for_the_last_words(start: Start, open_fleet: Callable[..., Any]) -> None:
    program = start.up("import atexit, mlxtop; atexit.register(lambda: mlxtop.mark('at the very end'))")
    fleet = open_fleet(all_agents())
    watched = member(fleet)
    program.end()
    fleet.settle(PATIENCE)
    assert watched.ended == f"process {program.pid} ended"
    assert "at the very end" in [mark.name for mark in watched.state.marks]


def test_a_second_viewer_is_refused(start: Start, open_fleet: Callable[..., Any]) -> None:
    program = start.up()
    first = open_fleet(all_agents())
    until(lambda: program.connect(None).message("hello")["watched"])
    second = open_fleet(all_agents())
    until(lambda: second.problem)
    assert second.problem == (
        f"Process {program.pid} is already watched by mlxtop (process {os.getpid()}): quit that one first, or use mlxtop top."
    )
    assert second.members() == ()
    member(first).submit(AddMark("still mine", "keyboard"))
    until(lambda: "still mine" in [mark.name for mark in member(first).state.marks])


def test_one_that_only_looks_takes_control_and_gives_it_back(
    start: Start, open_fleet: Callable[..., Any]
) -> None:
    program = start.up()
    fleet = open_fleet(TopFleet())
    watched = member(fleet)
    assert not watched.controls
    assert program.connect(None).message("hello")["watched"] is None
    watched.submit(SetControl(True))
    until(lambda: program.connect(None).message("hello")["watched"] == os.getpid())
    watched.submit(SetLimit("cache", 7, "keyboard"))
    until(lambda: watched.state.limits["cache"].value == 7)
    watched.submit(SetControl(False))
    until(lambda: program.connect(None).message("hello")["watched"] is None)


def test_control_that_another_has_is_refused_and_asked_for_again(
    start: Start, open_fleet: Callable[..., Any]
) -> None:
    program = start.up()
    other = program.connect("control")
    other.message("facts")
    fleet = open_fleet(TopFleet())
    watched = member(fleet)
    watched.submit(SetControl(True))
    until(lambda: watched.state.error)
    assert "already watched" in str(watched.state.error)
    assert not watched.controls
    other.close()
    until(lambda: program.connect(None).message("hello")["watched"] is None)
    watched.submit(SetControl(True))
    watched.submit(SetLimit("cache", 7, "keyboard"))
    until(lambda: watched.state.limits["cache"].value == 7)


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_a_program_without_an_agent_is_unattached(start: Start, open_fleet: Callable[..., Any]) -> None:
    known = start.up()
    unknown = start.up(run=None)
    fleet = open_fleet(TopFleet())
    until(lambda: unknown.pid in {stranger.pid for stranger in fleet.unattached()})
    (stranger,) = [one for one in fleet.unattached() if one.pid == unknown.pid]
    assert "import mlx.core" in stranger.command
    assert stranger.footprint > MIB
    assert not {known.pid, os.getpid()} & {one.pid for one in fleet.unattached()}


def test_looking_costs_the_program_no_control(start: Start, open_fleet: Callable[..., Any]) -> None:
    start.up()
    fleets = [open_fleet(TopFleet()) for _ in range(3)]
    watcher = open_fleet(all_agents())
    for fleet in (*fleets, watcher):
        member(fleet)
    member(watcher).submit(AddMark("seen by all", "keyboard"))
    for fleet in (*fleets, watcher):
        until(lambda fleet=fleet: "seen by all" in [m.name for m in member(fleet).state.marks])


# False agents


def say_hello(**other: Any) -> bytes:
    hello = {
        "protocol": protocol.PROTOCOL, "mlxtop": "0.1.0", "pid": os.getpid(), "argv": ["x"], "started": 1.8e9, "now": 1.0,
        "interval": 0.1, "run": "", "rank": None, "log": None, "watched": None, "footprint": "RSS", "counters": None,
    }  # fmt: skip
    return protocol.line("hello", **{**hello, **other})


SAMPLE = protocol.line("samples", cpu=0.0, rows=[[0.5, MIB, 0, MIB, -1, 0, 0, 0, 0, -1, -1]])


@contextmanager
def false_agent(*lines: bytes, stays: bool = True, pid: int | None = None) -> Iterator[str]:
    """Says `lines` to whoever comes; its address is that of this very process, or of `pid`."""
    path = sockets.address(pid or os.getpid(), "")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    done = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            while not done.is_set():
                guest, _ = server.accept()
                with guest, suppress(OSError):
                    for n, line in enumerate(lines):
                        guest.sendall(line)
                        if n == 0 and len(lines) > 2:
                            # It has been understood so far.
                            guest.settimeout(5)
                            guest.recv(4096)
                    if stays:
                        done.wait(20)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield path
    done.set()
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(5)


NONSENSE = {
    "no JSON": b"nonsense\n",
    "no object": b"[]\n",
    "no type": b"{}\n",
    "samples that are none": b'{"type": "samples", "cpu": 0, "rows": [[1, 2]]}\n',
    "too deep": b"[" * 100_000 + b"\n",
    "a line without end": b"x" * (protocol.LONGEST_LINE + 2**19),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_an_agent_that_speaks_nonsense_is_left_and_not_tried_again(
    open_fleet: Callable[..., Any], what: str
) -> None:
    with false_agent(say_hello(), SAMPLE, NONSENSE[what]):
        joined: list[RemoteSession] = []
        fleet = open_fleet(all_agents(joined=joined.append))
        until(lambda: joined and joined[0].ended)
        assert str(joined[0].ended).startswith("its agent sent an invalid message")
        # It looks around again, and does not come back to this one.
        look_twice(fleet)
        assert len(joined) == 1


def look_twice(fleet: AgentClient) -> None:
    """Waits until it has looked around twice more."""
    for _ in range(2):
        looked = threading.Event()
        fleet.poll = looked.set  # type: ignore[method-assign]
        assert looked.wait(5)


ODD = {
    "a count of nothing": b'{"type": "event", "time": 1, "kind": "done", "data": null}\n',
    "a cost beyond all": b'{"type": "samples", "cpu": %s, "rows": []}\n' % (b"9" * 400),
    "a time beyond all": b'{"type": "samples", "cpu": 0, "rows": [[1e999, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1]]}\n',
}


@pytest.mark.parametrize("what", ODD)
def test_an_agent_that_speaks_odd_nonsense_ends_its_own_session_only(
    open_fleet: Callable[..., Any], what: str
) -> None:
    with false_agent(say_hello(), SAMPLE, ODD[what]):
        fleet = open_fleet(all_agents())
        until(lambda: fleet._members and (fleet._members[0].ended or not fleet.is_alive()))
        assert fleet.is_alive()


@pytest.mark.parametrize("hello", [{"pid": None}, {"interval": "often"}, {"argv": 5, "started": None}])
def test_a_hello_that_is_none_makes_no_member(open_fleet: Callable[..., Any], hello: dict[str, Any]) -> None:
    with false_agent(say_hello(**hello)):
        fleet = open_fleet(all_agents())
        until(lambda: fleet.changed.is_set())
        assert fleet.members() == ()
        assert fleet.is_alive()


@pytest.mark.parametrize(("number", "age"), [(99, "newer"), (0, "older")])
def test_an_agent_of_another_version(open_fleet: Callable[..., Any], number: int, age: str) -> None:
    # More than the three words that never change need not be there.
    hello = protocol.line("hello", protocol=number, mlxtop="7.7", pid=5)
    with false_agent(hello, b'{"type": "whatever it says"}\n'):
        fleet = open_fleet(all_agents())
        until(lambda: fleet.problem)
        assert f"is watched by mlxtop 7.7, which is {age} than this mlxtop" in str(fleet.problem)
        assert fleet.members() == ()


def test_an_agent_that_says_nothing_is_no_member(start: Start, open_fleet: Callable[..., Any]) -> None:
    program = start.up()
    with false_agent():
        fleet = open_fleet(all_agents())
        assert member(fleet).pid == program.pid


def test_an_agent_that_refuses(open_fleet: Callable[..., Any]) -> None:
    with false_agent(
        say_hello(), protocol.line("refused", why="it is already watched by mlxtop (process 5)"), SAMPLE
    ):
        fleet = open_fleet(all_agents())
        until(lambda: fleet.problem)
        assert str(fleet.problem).endswith("cannot be watched: it is already watched by mlxtop (process 5).")
        assert not member(fleet).controls


def test_what_nobody_here_knows_is_passed_over(open_fleet: Callable[..., Any]) -> None:
    unknown = b'{"type": "event", "time": 1, "kind": "party", "data": {}}\n{"type": "party"}\n'
    mark = {"name": "after it", "who": "x", "active": 1, "cache": 1, "peak": 1, "tokens": 1}
    with false_agent(say_hello(), SAMPLE, unknown, protocol.line("event", time=1.0, kind="mark", data=mark)):
        fleet = open_fleet(all_agents())
        until(lambda: fleet.members() and "after it" in [m.name for m in member(fleet).state.marks])


def test_a_process_is_this_machine_s_by_the_kernel_s_word_alone(
    start: Start, open_fleet: Callable[..., Any], tmp_path: Path
) -> None:
    """The number of a local process, named by one who is not that process, gives no power over it."""
    program, log = start.up(), tmp_path / "secret"
    log.write_text("a secret of this machine")
    sample = protocol.line("samples", cpu=0.0, rows=[[0.5, MIB, 0, MIB, MIB, 0, 0, 0, 0, -1, -1]])
    with false_agent(say_hello(pid=program.pid, log=str(log)), sample) as path:
        fleet = open_fleet(AttachFleet([Address(0, "", path)]))
        until(lambda: fleet.members())
        (liar,) = fleet.everyone
        assert (liar.pid, liar.process, liar.log) == (program.pid, None, None)
        liar.handle_message(messages.FactsMessage(1.0, Facts(pid=program.pid), {}))
        monitor = BudgetMonitor(lambda: [liar], 1, [parse_action("stop")], terminate)
        for _ in range(3):
            monitor.check()
        assert "Could not stop the program" in str(liar.state.error)
        assert liar.state.system is None
        assert "MLXTOP_PID" not in environment(liar)
        assert "secret" not in "".join(line.text for line in liar.transcript.since(0))
        assert fleet.how_it_ended(liar) == "the connection to the agent was closed"
        assert program.process.poll() is None
    real = member(open_fleet(all_agents()))
    assert (real.pid, real.process) == (program.pid, program.pid)
    terminate(real)
    program.process.wait(10)


def test_two_machines_may_name_the_same_process(open_fleet: Callable[..., Any]) -> None:
    with false_agent(say_hello(pid=1), SAMPLE) as one, false_agent(say_hello(pid=1), SAMPLE, pid=1) as other:
        fleet = open_fleet(AttachFleet([Address(0, "", one), Address(0, "", other)]))
        until(lambda: len(fleet.members()) == 2)
        assert [m.label for m in fleet.members()] == ["1", "1 (2)"]
        assert len({m.pid for m in fleet.members()}) == 2


# Attaching


@contextmanager
def forwarded(to: str, home: Path) -> Iterator[str]:
    """What `ssh -L` makes: a socket that leads to another one."""
    path = str(home / "forwarded.sock")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                guest, _ = server.accept()
                there = socket.socket(socket.AF_UNIX)
                there.connect(to)
                for ends in ((guest, there), (there, guest)):
                    threading.Thread(target=pump, args=ends, daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield path
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(5)


def test_an_old_agent_counts_only_for_who_controls() -> None:
    with false_agent(say_hello(protocol=2, pid=7, watched=5)) as path:
        error = CliRunner().invoke(census, [path]).exception
    assert str(error) == (
        "Process 7 is already watched by mlxtop (process 5): quit that one first, or use mlxtop top."
    )


def test_attach_by_process_id(start: Start, open_fleet: Callable[..., Any]) -> None:
    program = start.up()
    fleet = open_fleet(attach([str(program.pid)]))
    assert fleet.everyone[0].pid == program.pid
    until(lambda: program.connect(None).message("hello")["watched"] == os.getpid())
    with pytest.raises(
        MlxtopError, match=r"is already watched by mlxtop \(process \d+\): quit that one first"
    ):
        attach([str(program.pid)])
    fleet.stop()
    until(lambda: program.connect(None).message("hello")["watched"] is None)
    again = open_fleet(attach([str(program.pid)]))
    assert again.everyone[0].pid == program.pid
    assert program.end() == (0, "")


def test_attach_through_a_forwarded_socket(start: Start, open_fleet: Callable[..., Any]) -> None:
    program = start.up()
    with forwarded(program.path(), start.home) as path:
        fleet = open_fleet(attach([path]))
        watched = fleet.everyone[0]
        assert watched.pid == program.pid
        watched.submit(SetLimit("cache", 7, "keyboard"))
        until(lambda: watched.state.limits["cache"].value == 7)
        program.end()
        until(lambda: watched.ended)
        assert watched.ended == f"process {program.pid} ended"


def test_attach_shows_the_output_where_a_log_has_it(
    start: Start, tmp_path: Path, open_fleet: Callable[..., Any]
) -> None:
    log = tmp_path / "log"
    log.write_text("before us\n")
    program = start.up(MLXTOP_LOG=str(log))
    watched = open_fleet(attach([str(program.pid)])).everyone[0]
    with log.open("a") as file:
        file.write("after us\n")
    until(lambda: [line.text for line in watched.transcript.since(0)] == ["before us", "after us"])


def test_attach_to_what_is_none(start: Start) -> None:
    with pytest.raises(UsageError, match="cannot attach to itself"):
        attach([str(os.getpid())])
    with pytest.raises(UsageError, match="neither a process id nor an agent's socket"):
        attach([str(start.home / "nothing")])
    with pytest.raises(UsageError, match="There is no process"):
        attach([str(2**22 + 5)])


def test_attach_to_somebody_who_is_no_agent(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlxtop.sessions.attach.ANSWER_WITHIN", 0.5)
    with (
        false_agent() as path,
        pytest.raises(MlxtopError, match=r"No answer from .*: it may not be an mlxtop agent"),
    ):
        attach([path])
    file = start.home / "file"
    file.touch()
    with pytest.raises(MlxtopError, match="it may not be an mlxtop agent"):
        attach([str(file)])


@pytest.mark.timeout(60)
def test_attach_to_one_that_speaks_nonsense_says_so(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlxtop.sessions.attach.ANSWER_WITHIN", 600.0)
    with false_agent(b"HTTP/1.1 400 Bad Request\r\n\r\n") as path, pytest.raises(MlxtopError):
        attach([path])


# Runs


def test_a_run_with_its_children(start: Start, tmp_path: Path, open_fleet: Callable[..., Any]) -> None:
    child = MX + "sys.stdin.readline()"
    code = (
        MX
        + f"""
import subprocess
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdin=subprocess.PIPE)
print("hello", flush=True)
while not os.path.exists({str(tmp_path / "end")!r}): time.sleep(0.02)
child.communicate(); sys.exit(3)
"""
    )
    other = start.up()
    program = Program([sys.executable, "-c", code], False, tmp_path / "log")
    fleet = open_fleet(RunFleet(program))
    until(lambda: len(fleet.members()) == 2)
    pids = {m.pid for m in fleet.members()}
    assert program.pid in pids
    assert other.pid not in pids
    assert fleet.status().endswith(f"is running (process {program.pid})")
    until(lambda: "hello" in [line.text for line in fleet.transcript.since(0)])
    (tmp_path / "end").touch()
    assert program.wait(20)
    fleet.settle(PATIENCE)
    ends = {m.pid: m.ended for m in fleet.members()}
    assert ends.pop(program.pid) == "the program ended with exit code 3"
    ((pid, end),) = ends.items()
    assert end == f"process {pid} ended"
    assert fleet.status() == f"{fleet.title} ended with exit code 3"


def test_a_run_that_never_used_mlx(start: Start, tmp_path: Path, open_fleet: Callable[..., Any]) -> None:
    program = Program(["sh", "-c", "echo out; echo err >&2; exit 4"], False, tmp_path / "log")
    fleet = open_fleet(RunFleet(program))
    assert program.wait(20)
    until(lambda: len(fleet.transcript.since(0)) == 3)
    assert [line.text for line in fleet.transcript.since(0)][:2] == ["out", "err"]
    assert fleet.status().endswith("ended with exit code 4; it started no Python that mlxtop can watch")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("pass", "it did not use MLX as far as mlxtop could see"),
        ("import mlx.core, time; time.sleep(1)", "it imported MLX but allocated no memory with it"),
        (
            "import mlx.core, os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "it imported MLX and was killed before mlxtop could connect",
        ),
    ],
)
def test_why_no_memory_was_seen(code: str, why: str, start: Start, open_fleet: Callable[..., Any]) -> None:
    program = Program([sys.executable, "-c", code], False)
    fleet = RunFleet(program)
    if "kill" in code:
        # Nobody looks until it has ended.
        assert program.wait(20)
    fleet = open_fleet(fleet)
    assert program.wait(20)
    fleet.settle(PATIENCE)
    assert fleet.status().endswith(f"; {why}")
    until(lambda: not list(sockets.addresses(program.run)))
    assert not sockets.was_started(program.run)


def test_a_socket_that_nobody_ever_looked_at_is_removed(start: Start) -> None:
    code = "import mlx.core, os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    program = Program([sys.executable, "-c", code], False)
    fleet = RunFleet(program)
    assert program.wait(20)
    assert list(sockets.addresses(program.run))
    fleet.stop()
    fleet.start()
    fleet.join(20)
    assert list(sockets.addresses(program.run)) == []


def test_a_program_nobody_can_watch_is_told_of(
    open_fleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "folders", lambda *_: ["/nowhere/at/all"])
    program = Program(["true"], False)
    fleet = open_fleet(RunFleet(program))
    assert program.wait(20)
    fleet.settle(PATIENCE)
    assert "it found no private folder for its sockets" in fleet.status()


def test_an_agent_that_could_not_start_is_told_of(start: Start, open_fleet: Callable[..., Any]) -> None:
    program = Program(["sleep", "30"], False)
    fleet = open_fleet(RunFleet(program))
    assert fleet.status().endswith("has not used MLX yet")
    code = "from mlxtop.agent import boot; boot._leave_message(OSError('no room'))"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "MLXTOP": program.run}, check=True)
    until(lambda: fleet.problem)
    assert str(fleet.problem).endswith(": OSError: no room")
    assert fleet.status() == fleet.problem
    program.stop()


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_fleets_leave_no_descriptor_behind(start: Start) -> None:
    start.up()

    def once() -> int:
        fleet = all_agents("observe")
        fleet.start()
        member(fleet)
        fleet.stop()
        return len(descriptors(os.getpid()))

    once()
    assert once() == once()


def test_ps_forgets_stale_sockets_and_knows_who_is_watched(start: Start) -> None:
    from mlxtop.cli.ps import collect

    killed = start.up()
    killed.kill()
    ready, watched = start.up(), start.up()
    viewer = watched.connect("control")
    viewer.message("facts")
    rows = {row["pid"]: row for row in json.loads(json.dumps(collect()))}
    assert rows[ready.pid]["watched"] == "ready"
    assert rows[watched.pid]["watched"] == "yes"
    assert rows[ready.pid]["active"] in KEPT
    assert killed.pid not in rows
    viewer.close()
    assert not Path(f"{start.home}/mlxtop/{killed.pid}.sock").exists()
