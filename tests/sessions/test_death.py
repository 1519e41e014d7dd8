"""How watched programs die, and what is known of it."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import platformdirs
import pytest

from mlxtop.ipc import sockets
from mlxtop.sessions import agent_client, death
from mlxtop.sessions.agent_client import AgentClient, all_addresses
from mlxtop.sessions.death import ErrorFile, OomCounters
from mlxtop.sessions.program import Program
from mlxtop.sessions.remote import RemoteSession
from mlxtop.sessions.run_fleet import RunFleet
from tests.agent.program import LEISURE, MX, PATIENCE, Start, until
from tests.system.test_machine import V2_MOUNTS, root_of

READ = "sys.stdin.readline()\n"
TEXT = (
    "[metal::malloc] Attempting to allocate 28611722496 bytes which is greater than the maximum allowed buffer "
    "size of 9534832640 bytes."
)
LARGE = f"raise RuntimeError({TEXT!r})\n"
"""What only Metal says, as MLX says it."""
HUGE = "mx.eval(mx.ones((2**28, 2**28)))\n"
"""More than there are addresses: MLX's CPU backend crashes when it cannot allocate, or says so."""


@pytest.fixture(autouse=True)
def here(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Viewer and programs meet in a place of this test's own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(start.home))
    monkeypatch.setattr(sockets, "folders", lambda *_: [f"{start.home}/mlxtop"])
    monkeypatch.setattr(platformdirs, "user_log_path", lambda _: tmp_path / "logs")


class Run:
    """`mlxtop run`, without its screen."""

    def __init__(self, code: str, log: Path | None, wrapper: Sequence[str]) -> None:
        self.died: list[RemoteSession] = []
        argv = [*wrapper, sys.executable, "-c", code]
        self.program = Program(argv, screen=False, log=log, spoken_to=False)
        self.fleet = RunFleet(self.program, died=self.died.append)
        self.fleet.start()

    @property
    def session(self) -> RemoteSession:
        until(self.fleet.members)
        return self.fleet.members()[0]

    def over(self) -> RemoteSession:
        """The session once its program has ended."""
        until(lambda: self.session.ended)
        self.fleet.settle()
        return self.session

    def close(self) -> None:
        self.program.signal(signal.SIGKILL)
        assert self.program.wait(PATIENCE)
        self.fleet.stop()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def begin(code: str, log: bool = True, wrapper: Sequence[str] = ()) -> Run:
        # It waits until it is watched: a program that dies at once is not.
        waits = f"{LEISURE}\nwhile not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.01)\n"
        runs.append(Run(MX + waits + code, tmp_path / "out.log" if log else None, wrapper))
        assert (runs[-1].session.pid == runs[-1].program.pid) == (not wrapper)
        (tmp_path / "go").touch()
        return runs[-1]

    yield begin
    for each in runs:
        each.close()


def test_a_clean_end_is_no_death(run: Callable[..., Run]) -> None:
    it = run("print('done')")
    assert it.over().death is None
    assert it.died == []
    assert it.session.ended == "the program ended with exit code 0"


def test_an_exception_is_named_with_its_place(run: Callable[..., Run]) -> None:
    it = run("def step(): raise KeyError('x')\nprint('step 1', flush=True)\nstep()")
    found = it.over().death
    assert found is not None
    assert (found.cause.kind, found.where) == ("exception", "<string>:6 step()")
    assert it.session.ended == "the program ended with exit code 1: KeyError: 'x'"
    assert it.died == [it.session]
    assert (found.lines[0], found.lines[-1]) == ("step 1", "KeyError: 'x'")


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize(
    ("code", "kinds"),
    [
        (LARGE, ("buffer too large",)),
        ("bytearray(2**62)", ("no memory outside MLX",)),
        (HUGE, ("crash", "allocation failed")),
    ],
)
def test_it_asked_for_too_much(run: Callable[..., Run], code: str, kinds: tuple[str, ...], log: bool) -> None:
    it = run(code, log)
    found = it.over().death
    assert found is not None, (it.session.ended, it.program.code, it.session.bye, it.program.told_to_end)
    assert found.cause.kind in kinds
    if code != HUGE:
        assert found.cause.about_memory
        assert found.lines or not log


def test_sigkill_without_a_sign_is_never_for_want_of_memory(run: Callable[..., Run]) -> None:
    it = run("time.sleep(1000)")
    os.kill(it.program.pid, signal.SIGKILL)
    found = it.over().death
    assert found is not None
    # Somebody else's program may be short of memory here.
    assert found.cause.kind in ("killed", "memory pressure", "OOM killer")
    if found.cause.kind == "killed":
        assert it.session.ended == "the program was killed by SIGKILL"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("", None),
        ("os.kill(os.getpid(), 15)", None),
        ("os.kill(os.getpid(), 11)", "crash"),
        (LARGE, "buffer too large"),
    ],
)
def test_a_shell_ends_as_what_it_runs(run: Callable[..., Run], code: str, kind: str | None) -> None:
    found = run(code, wrapper=("sh", "-c", '"$@"; exit $?', "sh")).over().death
    assert (found and found.cause.kind) == kind


def test_what_mlxtop_ends_has_not_died(run: Callable[..., Run]) -> None:
    it = run(
        "import signal; signal.signal(2, signal.SIG_IGN); print('up', flush=True)\nwhile True: time.sleep(1)"
    )
    until(lambda: any("up" in line for line in it.fleet.last_lines(it.session)))
    it.program.signal(signal.SIGINT)
    it.program.signal(signal.SIGKILL)
    assert it.over().death is None


def test_an_abort_says_why_in_the_log(run: Callable[..., Run]) -> None:
    text = "terminate called after throwing an instance of 'std::runtime_error'"
    said = f"sys.stderr.write({text!r} + '\\n  what():  [malloc] Unable to allocate 1024 bytes.\\n'); sys.stderr.flush(); os.abort()"
    found = run(said).over().death
    assert found is not None
    assert (found.cause.kind, found.how) == ("allocation failed", "the program was killed by SIGABRT")


def attached() -> tuple[AgentClient, list[RemoteSession]]:
    died: list[RemoteSession] = []
    fleet = AgentClient("all", all_addresses, died=died.append)
    fleet.start()
    return fleet, died


@pytest.mark.parametrize(
    ("code", "kind"),
    [("", None), ("sys.exit(3)", None), ("raise ValueError('x')", "exception"), (LARGE, "buffer too large")],
)
def test_attached_the_last_message_tells(start: Start, code: str, kind: str | None) -> None:
    program = start(MX + LEISURE + "\nprint('up', flush=True)\n" + READ + code)
    fleet, died = attached()
    until(fleet.members)
    program.say()
    until(lambda: fleet.members()[0].ended)
    fleet.stop()
    assert [session.death.cause.kind for session in died if session.death] == ([kind] if kind else [])


class Counters(OomCounters):
    """Those of a container that a test has made of files."""

    root = ""

    def __init__(self, pid: int) -> None:
        super().__init__(pid, self.root)


@pytest.mark.parametrize("kills", [0, 1])
def test_the_oom_killers_counter_grows(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int
) -> None:
    program = start.up()
    events = tmp_path / "sys/fs/cgroup/memory.events"
    files = {
        f"proc/{program.pid}/{name}": text for name, text in (("cgroup", "0::/\n"), ("mountinfo", V2_MOUNTS))
    }
    Counters.root = root_of(tmp_path, "", "", {**files, "sys/fs/cgroup/memory.events": "oom_kill 4\n"})
    monkeypatch.setattr(agent_client, "OomCounters", Counters)
    # The counter grows between two looks.
    monkeypatch.setattr(agent_client, "WATCH_EVERY", 1e6)
    fleet, died = attached()
    until(fleet.members)
    events.write_text(f"oom_kill {4 + kills}\n")
    program.kill()
    until(lambda: fleet.members()[0].ended)
    fleet.stop()
    (session,) = died
    assert session.death is not None
    assert (session.death.cause.kind == "OOM killer") == bool(kills)
    assert ("OOM killer" in str(session.ended)) == bool(kills)


def test_a_file_behind_standard_error_is_read_from_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "err.log"
    path.write_text("of an earlier run\n")
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    file = ErrorFile(fd)
    assert file.lines() == ()
    os.write(fd, b"\x1b[31mred\x1b[0m\n" + b"".join(b"line %d\n" % n for n in range(10_000)))
    assert file.lines()[-2:] == ("line 9998", "line 9999")
    assert len(file.lines()) == death.LINES
    os.ftruncate(fd, 0)
    os.write(fd, b"anew\n")
    assert file.lines() == ("anew",)
    os.close(fd)


def test_what_is_no_file_has_no_lines() -> None:
    ours, other = os.pipe()
    assert ErrorFile(other).lines() == ()
    os.close(ours)
    os.close(other)
    assert ErrorFile(other).lines() == ()
