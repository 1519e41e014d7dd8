"""Programs on other hosts, through a real ssh and a real sshd."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlxtop.core.commands import SetControl, SetLimit
from mlxtop.core.errors import UsageError
from mlxtop.ipc import sockets
from mlxtop.sessions import host as module
from mlxtop.sessions.clock import DRIFT, Clock
from mlxtop.sessions.host import hosts_of
from mlxtop.sessions.remote import RemoteSession
from mlxtop.sessions.ssh import Destination, explain, parse_destination
from mlxtop.sessions.top_fleet import TopFleet
from tests.agent.program import MX, Start, WatchedProgram, short_folder, until
from tests.sessions.sshd import Keys, Sshd, path_with, usable

ORIGIN = (
    "from mlxtop.agent import agent\nprint(agent._agent.event_log.origin, flush=True)\nsys.stdin.readline()\n"
)
AN_HOUR_AHEAD = "from mlxtop.agent import agent\nagent._agent._started += 3600\n"


@pytest.fixture(scope="module")
def keys(processes: None) -> Iterator[Keys]:
    with short_folder() as folder:
        yield Keys(folder)


@pytest.fixture
def viewer(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for the viewer's own sockets, and the ssh of `keys` in its PATH."""
    with short_folder() as folder:
        monkeypatch.setenv("PATH", path_with(keys))
        monkeypatch.setattr(sockets, "folders", lambda *_: [f"{folder}/mlxtop"])
        monkeypatch.setattr(module, "LOOK_EVERY", 0.1)
        monkeypatch.setattr(module, "FIRST_PAUSE", 0.1)
        yield folder


@pytest.fixture
def make(keys: Keys) -> Iterator[Callable[..., Sshd]]:
    made: list[Sshd] = []

    def make(name: str, home: Path, **options: Any) -> Sshd:
        made.append(Sshd(keys, name, home, **options))
        return made[-1]

    yield make
    for sshd in made:
        sshd.go_down()


def left(folder: Path) -> list[str]:
    """The processes of ssh that have a file in `folder`, and what lies there."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or ())
        if str(folder) in command and process.pid != os.getpid():
            found.append(command)
    return [*found, *(str(path) for path in folder.glob("mlxtop/ssh-*"))]


def ranks(fleet: TopFleet) -> list[RemoteSession]:
    """The members that this test started. Others of this user may have theirs in /tmp."""
    return [m for m in fleet.members() if m.label in ("rank 0@gpu1", "rank 1@gpu2")]


def test_programs_of_two_hosts_stand_on_one_axis(
    start: Start, make: Callable[..., Sshd], viewer: Path, keys: Keys
) -> None:
    with short_folder() as other:
        first, _ = make("gpu1", start.home), make("gpu2", other)
        usable(keys, first)
        zero = start(MX + ORIGIN, MLX_RANK="0")
        one = WatchedProgram(other, MX + AN_HOUR_AHEAD + ORIGIN, MLX_RANK="1")
        origins = [float(program.line()) for program in (zero, one)]
        fleet = TopFleet(hosts_of(["gpu1", "gpu2"]))
        fleet.open()
        try:
            a, b = until(lambda: len(found := ranks(fleet)) == 2 and found)
            assert [a.label, b.label] == ["rank 0@gpu1", "rank 1@gpu2"]
            # Nobody here may signal or read what has such a number here.
            assert (a.process, b.process) == (None, None)
            # The clocks are known by asking, whatever the hosts' wall clocks say.
            for session, origin in zip((a, b), origins, strict=True):
                clock = fleet._through[session].clock
                assert clock.origin is not None
                assert abs(clock.origin - origin) <= clock.uncertainty < 1.0
                assert session._origin == clock.origin
            assert abs(b.started - a.started) < 600
            until(lambda: fleet.title.startswith("here, gpu1 (±"))
            # Commands work as they do here.
            a.submit(SetControl(True))
            a.submit(SetLimit("cache", 7, "keyboard"))
            until(lambda: a.state.limits["cache"].source == "keyboard")
            # A lost host is told of, and comes back with what its agents have kept.
            first.go_down()
            until(lambda: "No connection to gpu1: " in fleet.trouble())
            until(lambda: a.ended is not None)
            assert a.ended == "gpu1 tells nothing more of it: it was killed, or the connection was lost"
            assert b.ended is None
            assert "gpu1 (lost)" in until(lambda: "(lost)" in fleet.title and fleet.title)
            first.come_up()
            until(lambda: [m.ended for m in ranks(fleet)] == [None, None])
            again = ranks(fleet)[0]
            assert again is not a
            assert again.label == "rank 0@gpu1"
            assert fleet.trouble() == ""
            until(lambda: again.history.first is not None)
            assert again.history.first is not None
            assert a.history.first is not None
            assert again.history.first.time == a.history.first.time
            # One ends, another is killed and leaves its socket behind.
            zero.end()
            until(lambda: again.ended == f"process {zero.pid} ended")
            one.kill()
            until(lambda: b.ended is not None)
            until(lambda: not [f for host in fleet._hosts for f in host.forwards if str(one.pid) in f.there])
        finally:
            fleet.stop()
            one.kill()
        assert not any(host.is_alive() for host in fleet._hosts)
        until(lambda: left(viewer) == [])


def trouble(name: str) -> str:
    """Why a host is not shown."""
    (host,) = hosts_of([name])
    host.start()
    try:
        return str(until(lambda: host.trouble))
    finally:
        host.stop()


def test_a_host_that_is_not_known_is_not_believed(
    viewer: Path, keys: Keys, make: Callable[..., Sshd]
) -> None:
    make("stranger", viewer, known=False)
    before = keys.known.read_bytes()
    told = trouble("stranger")
    assert told.startswith(
        "The key of stranger is not known: run 'ssh stranger' once, compare the key and accept it there; "
    )
    assert keys.known.read_bytes() == before
    port = make("changed", viewer, known=False).port
    kind, key = (keys.folder / "mine.pub").read_text().split()[:2]
    keys.known.write_bytes(before + f"[127.0.0.1]:{port} {kind} {key}\n".encode())
    assert trouble("changed").startswith("The key of changed is not the one in known_hosts: find out why.")
    assert keys.known.read_bytes().startswith(before)
    until(lambda: left(viewer) == [])


def test_a_host_that_wants_a_password_is_not_asked_again(
    viewer: Path, keys: Keys, make: Callable[..., Sshd]
) -> None:
    sshd = make("locked", viewer)
    usable(keys, sshd)
    (keys.folder / "locked.authorized").write_text("")
    (host,) = hosts_of([f"ssh://127.0.0.1:{sshd.port}"])
    host.start()
    host.join(60)
    assert host.trouble == (
        f"127.0.0.1:{sshd.port} took none of your keys, and mlxtop asks for no password: make "
        f"'ssh ssh://127.0.0.1:{sshd.port}' work without one (ssh-copy-id, ssh-add), and start mlxtop again."
    )


def test_a_host_may_forward_nothing(
    start: Start, viewer: Path, keys: Keys, make: Callable[..., Sshd]
) -> None:
    sshd = make("closed", start.home, settings="AllowStreamLocalForwarding no")
    usable(keys, sshd)
    start.up()
    (host,) = hosts_of(["closed"])
    host.start()
    until(lambda: host.state() == "no answer")
    host.stop()


VIEWER = """
import sys, time
from mlxtop.sessions.host import hosts_of
(host,) = hosts_of(sys.argv[1:])
host.start()
while not host.forwards: time.sleep(0.01)
print("up", flush=True)
time.sleep(1000)
"""


def test_a_viewer_that_is_killed_leaves_nothing(
    start: Start, viewer: Path, keys: Keys, make: Callable[..., Sshd]
) -> None:
    # What the shell of that user prints by itself is nothing to us.
    make("gpu3", start.home, settings="ForceCommand echo welcome; exec sh")
    start.up()
    killed = subprocess.Popen(
        [sys.executable, "-c", VIEWER, "gpu3"],
        env={**os.environ, "XDG_RUNTIME_DIR": str(viewer)},
        stdout=subprocess.PIPE,
    )
    assert killed.stdout is not None
    assert killed.stdout.readline() == b"up\n"
    assert left(viewer)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    until(lambda: left(viewer) == [])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("gpu1", "gpu1"),
        ("me@gpu1.lan", "gpu1.lan"),
        ("ssh://gpu1", "gpu1"),
        ("ssh://me@gpu1:2222", "gpu1:2222"),
        ("ssh://[fe80::1%25en0]:22", "[fe80::1%25en0]:22"),
    ],
)
def test_a_host_is_named(text: str, name: str) -> None:
    assert parse_destination(text) == Destination(text, name)


@pytest.mark.parametrize(
    "text",
    ["", "-oProxyCommand=x", "ssh://-x", "a b", "gpu1:22", "ssh://a/b", "a;b", "$(x)", "ssh://me:pw@x"],
)
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(UsageError, match="no password here" if "pw" in text else "is not a host"):
        parse_destination(text)


def test_what_ssh_says_last_is_told() -> None:
    said = "debug\nssh: Could not resolve hostname x\x1b[2J: Name or service not known.\r\n\n"
    to = parse_destination("x")
    assert str(explain(to, said)) == (
        "No connection to x: ssh: Could not resolve hostname x␛[2J: Name or service not known"
    )
    assert str(explain(to, "")) == "No connection to x: it was closed"


def test_a_clock_is_known_within_bounds_that_are_right() -> None:
    clock = Clock()
    assert clock.origin is None
    # It was zero at 100; the way there is longer than the way back.
    clock.hear(110.0, 110.5, 10.4)
    assert clock.origin == pytest.approx(99.85)
    assert clock.uncertainty == pytest.approx(0.25)
    clock.hear(111.0, 111.02, 11.01)
    assert abs((clock.origin or 0) - 100) <= clock.uncertainty <= 0.011
    # A worse answer changes nothing; the bounds widen with time.
    before, known = clock.origin, clock.uncertainty
    clock.hear(120.0, 121.0, 20.5)
    assert clock.origin == before
    assert clock.uncertainty == pytest.approx(known + 10 * DRIFT, rel=0.01)
    # It was asleep for a minute.
    clock.hear(200.0, 200.01, 40.005)
    assert clock.origin == pytest.approx(160.0)
    assert clock.uncertainty == pytest.approx(0.005)
