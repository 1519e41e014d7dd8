"""Getting hold of a program that already runs: through its agent, or by putting one into it."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mlxtop.agent import boot, place, target
from mlxtop.agent.inject import inject
from mlxtop.agent.place import Address
from mlxtop.core.errors import MlxtopError, UsageError
from mlxtop.session.fleet import AgentFleet
from mlxtop.session.remote import RemoteSession
from mlxtop.session.tail import Tail

ANSWER_WITHIN = 5.0
OUTPUT_BACK = 2**14
"""Bytes of a program's earlier output that are shown."""

SCRIPT = """\
import sys
sys.path.insert(0, {folder!r})
try:
    from mlxtop.agent import boot
finally:
    sys.path.remove({folder!r})
boot.start(late=True)
"""
"""What is run in a program that has no agent: it finds this very mlxtop, whatever its environment holds."""


class AttachFleet(AgentFleet):
    """The one session of the agent at `address`, with the program's output where `mlxtop run` left a log."""

    def __init__(self, address: Address, joined: Callable[[RemoteSession], None] | None = None) -> None:
        super().__init__(address.path, lambda: (address,), joined=joined)
        self._tail: Tail | None = None
        self.session_found: RemoteSession | None = None

    def look(self) -> None:
        if self.session_found is None and self._members:
            self.session_found = self._members[0]
            if self.session_found.log is not None:
                with suppress(OSError):
                    self._tail = Tail(Path(self.session_found.log), OUTPUT_BACK)
        if self._tail is not None and self.session_found is not None:
            while text := self._tail.read():
                self.session_found.transcript.write("out", text)

    def _look_for_new(self) -> None:
        # The program that was attached to, and no other that may come after it.
        if self.session_found is None:
            super()._look_for_new()


def attach(which: str, joined: Callable[[RemoteSession], None] | None = None) -> AttachFleet:
    """A fleet of one: process `which`, or the agent at a socket's path. It is connected when this returns.

    Raises `MlxtopError`, one sentence each, when the process cannot be watched.
    """
    address = _socket(which) if not which.isdigit() else _process(int(which))
    fleet = AttachFleet(address, joined)
    fleet.start()
    end = time.monotonic() + ANSWER_WITHIN
    while not (fleet.problem or fleet.session_found):
        if time.monotonic() > end:
            fleet.stop()
            raise MlxtopError(f"The agent at {address.path} does not answer: is it mlxtop's?")
        fleet.changed.wait(0.05)
    if fleet.problem:
        fleet.stop()
        raise MlxtopError(fleet.problem)
    return fleet


def _socket(path: str) -> Address:
    if not Path(path).exists():
        raise UsageError(f"{path} is neither a process id nor an agent's socket: mlxtop ps lists both.")
    return Address(0, "", path)


def _process(pid: int) -> Address:
    if pid == os.getpid():
        raise UsageError("mlxtop cannot attach to itself: start a model with mlxtop --model instead.")
    found = _find(pid)
    if found is None:
        target.look(pid)
        script = _script(pid)
        try:
            inject(pid, script, lambda: _find(pid) is not None)
        finally:
            # A target that was too busy and comes to it later finds nothing, which does no harm.
            script.unlink(missing_ok=True)
        found = _find(pid)
    if found is None:
        raise MlxtopError(f"Process {pid} took no agent in; start it with mlxtop run.")
    return found


def _find(pid: int) -> Address | None:
    """The socket of process `pid` where somebody still listens."""
    for address in place.addresses():
        if address.pid == pid and place.listens(address):
            return address
    return None


def _script(pid: int) -> Path:
    folder = Path(boot.__file__).parents[2]
    path = Path(place.folder()) / f"{pid}.py"
    path.write_text(SCRIPT.format(folder=str(folder)), encoding="utf-8")
    return path
