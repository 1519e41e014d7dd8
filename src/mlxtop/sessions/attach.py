"""Getting hold of a program that already runs: through its agent, or by putting one into it."""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from mlxtop.agent import boot
from mlxtop.attach import process_info
from mlxtop.attach.inject import inject
from mlxtop.core.errors import MlxtopError, UsageError
from mlxtop.core.parsing import whole
from mlxtop.core.text import shortened
from mlxtop.ipc import sockets
from mlxtop.ipc.sockets import Address
from mlxtop.sessions.agent_client import AgentClient, Connection
from mlxtop.sessions.messages import Hello
from mlxtop.sessions.remote import RemoteSession
from mlxtop.sessions.tail import Tail

ANSWER_WITHIN = 5.0
OUTPUT_BACK = 2**14
"""Bytes of a program's earlier output that are shown."""

SCRIPT = """\
import sys
sys.path.insert(0, {folder!r})
try:
    from mlxtop.agent import boot
    from mlxtop.ipc import sockets
finally:
    sys.path.remove({folder!r})
sockets.handed = {sockets!r}
boot.start(late=True)
"""
"""What is run in a program that has no agent: it finds this very mlxtop, whatever its environment holds, and
opens its socket where this mlxtop looks."""


class AttachFleet(AgentClient):
    """The sessions of the agents at `addresses`, with a program's output where `mlxtop run` left a log."""

    def __init__(
        self, addresses: Sequence[Address], joined: Callable[[RemoteSession], None] | None = None
    ) -> None:
        self._waiting = list(addresses)
        super().__init__("attached", self._next, joined=joined)
        self._tails: dict[RemoteSession, Tail] = {}
        self.everyone: tuple[RemoteSession, ...] = ()
        """All sessions, also of programs that have not made an array yet."""

    def _next(self) -> list[Address]:
        # Each is tried once: the program that was attached to, and no other that may come after it.
        found, self._waiting = self._waiting, []
        return found

    def _accept_hello(self, link: Connection, hello: Hello) -> None:
        super()._accept_hello(link, hello)
        self.poll()

    def poll(self) -> None:
        for session in self._members:
            if session not in self.everyone and session.log is not None:
                with suppress(OSError):
                    self._tails[session] = Tail(Path(session.log), OUTPUT_BACK)
        self.everyone = self._members
        for session, tail in self._tails.items():
            tail.poll(session.transcript)


def attach(which: Sequence[str], joined: Callable[[RemoteSession], None] | None = None) -> AttachFleet:
    """A fleet of the processes `which`, or of the agents at sockets' paths. It is connected on return.

    Raises `MlxtopError`, one sentence each, when one of them cannot be watched.
    """
    addresses = [
        _socket(name) if (pid := whole(name)) is None else _process(pid) for name in dict.fromkeys(which)
    ]
    fleet = AttachFleet(addresses, joined)
    fleet.start()
    end = time.monotonic() + ANSWER_WITHIN
    while not fleet.problem and len(fleet.everyone) < len(addresses):
        if time.monotonic() > end:
            fleet.stop()
            silent = ", ".join(address.path for address in addresses)
            raise MlxtopError(f"The agent at {silent} does not answer: is it mlxtop's?")
        fleet.changed.wait(0.05)
    if fleet.problem:
        fleet.stop()
        raise MlxtopError(fleet.problem)
    return fleet


def check(which: Sequence[str]) -> None:
    """Raises `UsageError` when one of `which` is nothing to watch. Nothing is done to any of them yet."""
    for name in which:
        if (pid := whole(name)) is None:
            _socket(name)
        else:
            _find_agent(pid)


def _socket(path: str) -> Address:
    # As `os` has it: a name that is too long is none, too.
    if not os.path.exists(path):  # noqa: PTH110
        raise UsageError(
            f"{shortened(path, 200)} is neither a process id nor an agent's socket: mlxtop ps lists both."
        )
    return Address(0, "", path)


def _find_agent(pid: int) -> tuple[Address | None, int | None]:
    """The agent that process `pid` has, and the process's user if that is another than ours."""
    if pid == os.getpid():
        raise UsageError("mlxtop cannot attach to itself: start a model with mlxtop --model instead.")
    found = _find(pid)
    if found is not None:
        return found, None
    uid = process_info.read(pid).uid
    # Root may come to everyone's programs; their agents live with their users.
    other = uid if uid != os.getuid() else None
    return _find(pid, other), other


def _process(pid: int) -> Address:
    found, other = _find_agent(pid)
    if found is None:
        script = _script(pid, other)
        try:
            inject(pid, script, lambda: _find(pid, other) is not None)
        finally:
            # A target that was too busy and comes to it later finds nothing, which does no harm.
            script.unlink(missing_ok=True)
        found = _find(pid, other)
    if found is None:
        raise MlxtopError(f"Process {pid} took no agent in; start it with mlxtop run.")
    return found


def _find(pid: int, uid: int | None = None) -> Address | None:
    """The socket of process `pid`, of ours or of user `uid`, where somebody still listens.

    It is in a folder known to both, or where that process has it: its environment may name other folders
    than ours, and root's are never a user's.
    """
    for address in sockets.addresses(uid=uid):
        if address.pid == pid and sockets.listens(address):
            return address
    owner = os.getuid() if uid is None else uid
    held = (sockets.named(pid, path, owner) for path in process_info.sockets(pid))
    return next((address for address in held if address is not None and sockets.listens(address)), None)


def _script(pid: int, uid: int | None) -> Path:
    """The file that process `pid` is to run; where another user is to read it, in a place open to all."""
    # Another user's agent chooses a folder of that user's, which is read off the process.
    folder = sockets.folder() if uid is None else ""
    text = SCRIPT.format(folder=str(Path(boot.__file__).parents[2]), sockets=folder)
    if uid is None:
        path = Path(folder) / f"{pid}.py"
        path.write_text(text, encoding="utf-8")
        return path
    handle, name = tempfile.mkstemp(prefix=f"mlxtop-{pid}-", suffix=".py", dir="/tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(handle, 0o644)
    return Path(name)
