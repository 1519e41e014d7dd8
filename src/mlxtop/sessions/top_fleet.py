"""The fleet of all programs that use MLX on this machine, and of those with an agent on other hosts."""

import os
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

import psutil

from mlxtop.attach import process_info
from mlxtop.ipc import sockets
from mlxtop.ipc.sockets import Address
from mlxtop.sessions.agent_client import AgentClient, Connection, all_addresses
from mlxtop.sessions.host import Forward, Host
from mlxtop.sessions.messages import Hello
from mlxtop.sessions.remote import RemoteSession, command
from mlxtop.sessions.session import UnattachedProcess
from mlxtop.system import footprint
from mlxtop.system.descriptors import allow_many

SEARCH_EVERY = 2.0
"""Seconds between two searches for unattached processes; longer where a search takes long, as on macOS."""
FEW = 32
"""Members whose samples are all asked for, on the screen or not."""
SHARE = 20
"""The pause after a search is at least so many times its duration."""


class TopFleet(AgentClient):
    """Observes every agent of this user, here and on `hosts`.

    Also lists the processes of this machine that use MLX without an agent.
    """

    def __init__(self, hosts: Sequence[Host] = ()) -> None:
        super().__init__("MLX programs", self._addresses, role="observe")
        self._hosts = hosts
        self._forwards: dict[str, Forward] = {}
        """By the path here: those of the hosts, and those that a connection goes through."""
        self._through: dict[RemoteSession, Forward] = {}
        self._unattached: tuple[UnattachedProcess, ...] = ()
        self._due = 0.0

    def open(self) -> None:
        """Starts to watch, here and on the hosts."""
        allow_many()
        for host in self._hosts:
            host.start()
        self.start()

    def stop(self, timeout: float = 0.5) -> None:
        for host in self._hosts:
            host.hang_up()
        super().stop(timeout)
        for host in self._hosts:
            host.stop()

    def unattached(self) -> tuple[UnattachedProcess, ...]:
        return self._unattached

    def poll(self) -> None:
        now = time.monotonic()
        if now >= self._due:
            # When the search fails, the last result stays.
            with suppress(OSError):
                self._unattached = unattached_processes()
            took = time.monotonic() - now
            self._due = now + took + max(SEARCH_EVERY, SHARE * took)
        for session, forward in self._through.items():
            if session.ended is None and forward.clock.origin is not None:
                session.align(forward.clock.origin)
        if self._hosts:
            self.title = ", ".join(["here", *(f"{host.label} ({host.state()})" for host in self._hosts)])

    def status(self) -> str:
        if self.problem:
            return self.problem
        if not self.members():
            return self.trouble() or "No program to watch. Start one with mlxtop run -- COMMAND."
        return "Press Enter to open a program."

    def trouble(self) -> str:
        return " ".join(host.trouble for host in self._hosts if host.trouble)

    def look_at(self, pids: Collection[int]) -> None:
        """Asks all samples of the members `pids`, and of all while there are few; of others a few only."""
        few = len(self._members) <= FEW
        for member in self._members:
            if member.ended is None and member.closely != (few or member.pid in pids):
                member.look(not member.closely)
                member.greet()

    def _addresses(self) -> list[Address]:
        forwards = {forward.address.path: forward for host in self._hosts for forward in host.forwards}
        kept = {path: forward for path, forward in self._forwards.items() if path in self._connections}
        self._forwards = kept | forwards
        found = [forward.address for forward in forwards.values() if forward.answers]
        return [*all_addresses(), *found]

    def session(self, hello: Hello, send: Callable[[bytes], None], connection: Connection) -> RemoteSession:
        forward = self._forwards.get(connection.address.path)
        if forward is None:
            session = super().session(hello, send, connection)
        else:
            session = self._forwarded(hello, send, forward)
        # The screen says which are seen; of a large fleet most are not.
        session.look(len(self._members) < FEW)
        return session

    def _forwarded(self, hello: Hello, send: Callable[[bytes], None], forward: Forward) -> RemoteSession:
        session = RemoteSession(hello, send, controls=False, host=forward.host)
        if forward.clock.origin is not None:
            session.align(forward.clock.origin)
        self._leave_out_lost(forward)
        self._through[session] = forward
        return session

    def _leave_out_lost(self, forward: Forward) -> None:
        """Drops what an agent told before its host was lost: it tells its last minutes again."""
        agent = forward.host, forward.there
        lost = [
            session
            for session, other in self._through.items()
            if (other.host, other.there) == agent and session.ended is not None and session.bye is None
        ]
        for session in lost:
            del self._through[session]
        self._members = tuple(member for member in self._members if member not in lost)

    def _end(self, session: RemoteSession, why: str | None) -> None:
        super()._end(session, why)
        if session in self._through:
            self._through[session].doubt()

    def how_it_ended(self, session: RemoteSession) -> str:
        if session in self._through and session.bye is None:
            host = self._through[session].host
            return f"{host} tells nothing more of it: it was killed, or the connection was lost"
        return super().how_it_ended(session)


def unattached_processes() -> tuple[UnattachedProcess, ...]:
    """The processes of this user that have loaded MLX and have no agent, except our own.

    Raises `OSError` if the system does not list its processes.
    """
    known = {address.pid for address in sockets.addresses()} | {os.getpid()}
    found = []
    for pid in process_info.everyone(known):
        try:
            argv = psutil.Process(pid).cmdline()
        except psutil.Error:
            continue
        parent = process_info.parent_of_worker(pid, argv)
        name = command(argv) if parent is None else f"a worker of {command(parent)}"
        found.append(UnattachedProcess(pid, name, footprint.of(pid)))
    return tuple(found)
