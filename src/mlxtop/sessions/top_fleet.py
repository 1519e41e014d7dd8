"""The fleet of everything on this machine that uses MLX."""

import os
import time
from contextlib import suppress

import psutil

from mlxtop.attach import process_info
from mlxtop.ipc import sockets
from mlxtop.sessions.agent_client import AgentClient, all_addresses
from mlxtop.sessions.remote import command
from mlxtop.sessions.session import UnattachedProcess
from mlxtop.system import footprint

STRANGERS_EVERY = 2.0
"""Seconds between looks for strangers; more where a look takes long, as on macOS."""
SHARE = 20
"""How many times as long as a look took nobody looks again."""


class TopFleet(AgentClient):
    """Looks at every agent of this user; a process with MLX and without an agent is a stranger."""

    def __init__(self) -> None:
        super().__init__("MLX programs", all_addresses, role="observe")
        self._unattached: tuple[UnattachedProcess, ...] = ()
        self._due = 0.0

    def unattached(self) -> tuple[UnattachedProcess, ...]:
        return self._unattached

    def poll(self) -> None:
        now = time.monotonic()
        if now >= self._due:
            # What cannot be had just now is as it was.
            with suppress(OSError):
                self._unattached = unattached_processes()
            took = time.monotonic() - now
            self._due = now + took + max(STRANGERS_EVERY, SHARE * took)

    def status(self) -> str:
        if self.problem:
            return self.problem
        if not self.members():
            return "No program with MLX is watched here: mlxtop run -- COMMAND starts one."
        return "Enter opens a program in full."


def unattached_processes() -> tuple[UnattachedProcess, ...]:
    """The processes of this user that have MLX and no agent, our own aside.

    Raises `OSError` where the system does not tell.
    """
    known = {address.pid for address in sockets.addresses()} | {os.getpid()}
    found = []
    for pid in process_info.everyone():
        if pid in known:
            continue
        try:
            found.append(UnattachedProcess(pid, command(psutil.Process(pid).cmdline()), footprint.of(pid)))
        except psutil.Error:
            continue
    return tuple(found)
