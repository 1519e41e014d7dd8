"""The fleet of all programs on this machine that use MLX."""

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

SEARCH_EVERY = 2.0
"""Seconds between two searches for unattached processes; longer where a search takes long, as on macOS."""
SHARE = 20
"""The pause after a search is at least so many times its duration."""


class TopFleet(AgentClient):
    """Observes every agent of this user. Also lists the processes that use MLX without an agent."""

    def __init__(self) -> None:
        super().__init__("MLX programs", all_addresses, role="observe")
        self._unattached: tuple[UnattachedProcess, ...] = ()
        self._due = 0.0

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

    def status(self) -> str:
        if self.problem:
            return self.problem
        if not self.members():
            return "No program to watch. Start one with mlxtop run -- COMMAND."
        return "Press Enter to open a program."


def unattached_processes() -> tuple[UnattachedProcess, ...]:
    """The processes of this user that have loaded MLX and have no agent, except our own.

    Raises `OSError` if the system does not list its processes.
    """
    known = {address.pid for address in sockets.addresses()} | {os.getpid()}
    found = []
    for pid in process_info.everyone():
        if pid in known:
            continue
        try:
            argv = psutil.Process(pid).cmdline()
        except psutil.Error:
            continue
        parent = process_info.parent_of_worker(pid, argv)
        name = command(argv) if parent is None else f"a worker of {command(parent)}"
        found.append(UnattachedProcess(pid, name, footprint.of(pid)))
    return tuple(found)
