"""`mlxtop attach` to a socket behind which is anybody: it may say anything, and gets no power here."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from mlxtop.ipc import protocol
from tests.e2e.conftest import Spawn

pytestmark = pytest.mark.e2e

MIB = 2**20
HOSTILE = "evil\x1b[2J\x1b[3;3HPWNED\x07\x9b31m"
SAY: dict[str, Any] = {
    "protocol": protocol.PROTOCOL, "mlxtop": "0.1.0", "argv": ["python", HOSTILE], "started": 1.8e9, "now": 1.0,
    "interval": 0.1, "run": "", "rank": None, "watched": None, "footprint": HOSTILE, "counters": None,
}  # fmt: skip


def row(at: float, active: int) -> list[float]:
    return [at, active, 5, active, 9 * MIB, 1, 1, 1, 0, -1, -1]


@contextmanager
def forwarded(path: Path, *lines: bytes) -> Iterator[None]:
    """Says `lines` to the one that comes, and then nothing more."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            with suppress(OSError):
                guest, _ = server.accept()
                with guest:
                    guest.sendall(b"".join(lines))
                    while guest.recv(4096):
                        pass

        threading.Thread(target=serve, daemon=True).start()
        yield


def test_a_forwarded_socket_may_say_anything(spawn: Spawn, tmp_path: Path) -> None:
    log = tmp_path / "secret"
    log.write_text("a secret of this machine\n")
    local = subprocess.Popen(["sleep", "60"])
    mark = {"name": HOSTILE, "who": HOSTILE, "active": 1, "cache": 1, "peak": 1, "tokens": 1}
    lines = (
        protocol.line("hello", **{**SAY, "pid": local.pid, "log": str(log)}),
        protocol.line(
            "facts", facts={"pid": local.pid, "memory": -5, "argv": 5}, limits={"cache": [5, HOSTILE, None]}
        ),
        protocol.line("samples", cpu=0.0, rows=[row(0.1, 7 * MIB), row(2.0, 2**61), row(1e9, 7 * MIB)]),
        protocol.line("event", time=1.0, kind="mark", data=mark),
        protocol.line("event", time=1.0, kind="budget", data={"budget": 1, "level": 100}),
        protocol.line("event", time=1.0, kind="party", data={}),
    )
    try:
        with forwarded(tmp_path / "s", *lines):
            screen = spawn(
                "attach", tmp_path / "s", "--budget", "1M", "--on-budget", "stop", columns=120, rows=40
            )
            screen.wait_for("Could not stop the program")
            screen.wait_for("— · —")
            screen.wait_for("evil")
            for key in ("w", "b", "escape", "m", "escape", "d", "escape", "?", "escape"):
                screen.press(key)
            assert local.poll() is None
            assert "secret" not in screen.text()
            screen.press("ctrl+c")
            assert screen.exit() == 0
        assert b"\x1b[3;3HPWNED" not in screen.raw
        assert b"\xc2\x9b" not in screen.raw
    finally:
        local.kill()
        local.wait()


CRASH = """
import sys
from mlxtop.tui.panels import header

def broken(frame):
    raise RuntimeError("a fault of the screen's own")

header.own_cost = broken
sys.argv = ["mlxtop", *sys.argv[1:]]
from mlxtop.__main__ import main
main()
"""


def test_a_screen_that_fails_says_so(spawn: Spawn, tmp_path: Path) -> None:
    sample = protocol.line("samples", cpu=0.0, rows=[row(0.1, 7 * MIB)])
    with forwarded(tmp_path / "s", protocol.line("hello", **{**SAY, "pid": 77, "log": None}), sample):
        screen = spawn(command=(sys.executable, "-c", CRASH, "attach", tmp_path / "s"), columns=120, rows=40)
        assert screen.exit() == 1
    assert b"a fault of the screen's own" in screen.raw
    assert "mlxtop: the screen crashed. Please report this." in screen.text()


def test_a_refusal_is_text(tmp_path: Path) -> None:
    with forwarded(
        tmp_path / "s", protocol.line("hello", **{**SAY, "pid": 77}), protocol.line("refused", why=HOSTILE)
    ):
        code = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
        command = [
            sys.executable,
            "-c",
            code,
            Path(sys.executable).parent / "mlxtop",
            "attach",
            tmp_path / "s",
        ]
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 1
    assert b"cannot be watched: evil" in done.stdout
    assert b"\x1b[2J" not in done.stdout
    assert not set(done.stdout) & {0x07}


def test_an_agent_that_speaks_for_ever_and_one_that_drips_hold_up_nobody(tmp_path: Path) -> None:
    from mlxtop.sessions.agent_client import read_hello

    with forwarded(tmp_path / "long", b"x" * (2 * protocol.LONGEST_LINE)):
        assert read_hello(str(tmp_path / "long")) is None
    with forwarded(tmp_path / "mute"):
        assert read_hello(str(tmp_path / "mute")) is None
