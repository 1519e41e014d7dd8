"""Attaches to a running program: connects to its agent, or starts an agent in it first."""

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
from mlxtop.ipc.protocol import Role
from mlxtop.ipc.sockets import Address
from mlxtop.sessions.agent_client import AgentClient, Connection
from mlxtop.sessions.messages import Hello
from mlxtop.sessions.remote import RemoteSession
from mlxtop.sessions.tail import Tail

ANSWER_WITHIN = 5.0
OUTPUT_BACK = 2**14
"""Bytes of a program's earlier output to show."""

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
"""The script to run in a program without an agent. It imports this installation of mlxtop, whatever the
program's environment has, and opens its socket in this mlxtop's folder."""


class AttachFleet(AgentClient):
    """The sessions of the agents at `addresses`, with the program's output if `mlxtop run` logged it."""

    def __init__(
        self,
        addresses: Sequence[Address],
        joined: Callable[[RemoteSession], None] | None = None,
        died: Callable[[RemoteSession], None] | None = None,
        role: Role = "control",
    ) -> None:
        self._waiting = list(addresses)
        super().__init__("attached", self._next, role, joined=joined, died=died)
        self._tails: dict[RemoteSession, Tail] = {}
        self.everyone: tuple[RemoteSession, ...] = ()
        """All sessions, including those of programs that have not created an array yet."""

    def _next(self) -> list[Address]:
        # Each address is tried once: later another program may have it.
        found, self._waiting = self._waiting, []
        return found

    def _accept_hello(self, connection: Connection, hello: Hello) -> None:
        super()._accept_hello(connection, hello)
        self.poll()

    def poll(self) -> None:
        for session in self._members:
            if session not in self.everyone and session.log is not None:
                with suppress(OSError):
                    self._tails[session] = Tail(Path(session.log), OUTPUT_BACK)
        self.everyone = self._members
        for session, tail in self._tails.items():
            tail.poll(session.transcript)

    def last_lines(self, session: RemoteSession) -> tuple[str, ...]:
        if session in self._tails:
            self._tails[session].poll(session.transcript)
        return super().last_lines(session)


def attach(
    which: Sequence[str],
    joined: Callable[[RemoteSession], None] | None = None,
    died: Callable[[RemoteSession], None] | None = None,
    role: Role = "control",
) -> AttachFleet:
    """A connected fleet for `which`: process ids and paths of agents' sockets.

    `joined` is called with each new session, `died` with each that dies, on the fleet's thread. Raises
    `MlxtopError` when one of them cannot be watched.
    """
    addresses = [
        _socket(name) if (pid := whole(name)) is None else _process(pid) for name in dict.fromkeys(which)
    ]
    fleet = AttachFleet(addresses, joined, died, role)
    fleet.start()
    end = time.monotonic() + ANSWER_WITHIN
    while not fleet.problem and len(fleet.everyone) < len(addresses):
        if time.monotonic() > end:
            fleet.stop()
            silent = ", ".join(address.path for address in addresses)
            raise MlxtopError(
                f"No answer from {silent} in {ANSWER_WITHIN:g} s: it may not be an mlxtop agent."
            )
        fleet.changed.wait(0.05)
    if fleet.problem:
        fleet.stop()
        raise MlxtopError(fleet.problem)
    return fleet


def check(which: Sequence[str]) -> None:
    """Raises `UsageError` when one of `which` cannot be attached to. Changes nothing in the programs."""
    for name in which:
        if (pid := whole(name)) is None:
            _socket(name)
        else:
            _find_agent(pid)


def _socket(path: str) -> Address:
    # `os.path.exists` is also false for a name that is too long.
    if not os.path.exists(path):  # noqa: PTH110
        raise UsageError(
            f"{shortened(path, 200)} is neither a process id nor an agent's socket: mlxtop ps lists both."
        )
    return Address(0, "", path)


def _find_agent(pid: int) -> tuple[Address | None, int | None]:
    """The agent's address in process `pid`, `None` without one, and the process's user if it is not ours."""
    if pid == os.getpid():
        raise UsageError("mlxtop cannot attach to itself: start a model with mlxtop --model instead.")
    found = _find(pid)
    if found is not None:
        return found, None
    uid = process_info.read(pid).uid
    # Root may attach to every user's programs. Their agents' sockets are in those users' folders.
    other = uid if uid != os.getuid() else None
    return _find(pid, other), other


def _process(pid: int) -> Address:
    found, other = _find_agent(pid)
    if found is None:
        script = _script(pid, other)
        try:
            inject(pid, script, lambda: _find(pid, other) is not None)
        finally:
            # If a busy program runs the script only now, it finds no file. That is harmless.
            script.unlink(missing_ok=True)
        found = _find(pid, other)
    if found is None:
        raise MlxtopError(
            f"Could not attach to process {pid}: no agent started in it. Start it with mlxtop run instead."
        )
    return found


def _find(pid: int, uid: int | None = None) -> Address | None:
    """The listening agent socket of process `pid`, which belongs to us or to user `uid`; `None` without one.

    Looks in the folders that mlxtop knows, then among the process's open sockets: its environment may name
    another folder.
    """
    for address in sockets.addresses(uid=uid):
        if address.pid == pid and sockets.listens(address):
            return address
    owner = os.getuid() if uid is None else uid
    held = (sockets.named(pid, path, owner) for path in process_info.sockets(pid))
    return next((address for address in held if address is not None and sockets.listens(address)), None)


def _script(pid: int, uid: int | None) -> Path:
    """Writes the script for process `pid`. For another user `uid` it is in a folder that all can read."""
    # Another user's agent chooses its own folder. It is found through the process's open sockets.
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
