"""A host whose agents are watched through ssh: finds their sockets, forwards them, and measures its clock."""

import os
import random
import shutil
import threading
import time
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

from mlxtop.core.errors import MlxtopError, fatal
from mlxtop.ipc import sockets
from mlxtop.ipc.sockets import Address
from mlxtop.sessions.agent_client import read_hello
from mlxtop.sessions.clock import Clock
from mlxtop.sessions.ssh import Destination, LostError, Tunnel, check, is_taken, parse_destination
from mlxtop.system import self_usage
from mlxtop.system.processes import is_alive

LOOK_EVERY = 2.0
"""Seconds between two looks for new agents on a host."""
CLOCK_EVERY = 30.0
"""Seconds between two readings of an agent's clock."""
READINGS = 3
"""Readings of a clock before a session begins."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before another attempt to connect: twice as long after each that failed."""
MOST = 256
"""Agents of one host that are forwarded."""
ENDS_WITHIN = 2.0
SPACE = 75
"""Bytes of the longest folder. A socket's path has 103 on macOS; ssh adds 17 for a while."""
FOLDER = "ssh-"


class Forward:
    """An agent's socket on a host, and the socket of this machine that leads there."""

    def __init__(self, host: str, there: str, here: str) -> None:
        self.host, self.there = host, there
        self.address = Address(0, "", here)
        self.clock = Clock()
        self.answers = False
        """Whether an agent answers. A program that was killed leaves its socket behind."""
        self.due = 0.0
        """When its clock is read next. An agent that does not answer is asked as seldom."""

    def read_clock(self) -> None:
        """Connects to the agent, which greets with the time of its clock."""
        for _ in range(1 if self.answers else READINGS):
            asked = time.monotonic()
            hello = read_hello(self.address.path)
            self.answers = hello is not None
            if hello is None:
                break
            self.clock.hear(asked, time.monotonic(), hello.now)
        self.due = time.monotonic() + CLOCK_EVERY

    def doubt(self) -> None:
        """The agent is gone, or another comes in its place: who answers is asked before it is shown again."""
        self.answers, self.due = False, 0.0


class Host(threading.Thread):
    """Keeps a connection to one host until it is stopped. Each attempt has a folder, named after `place`."""

    def __init__(self, to: Destination, place: str) -> None:
        super().__init__(name=f"mlxtop-host-{to.name}", daemon=True)
        self.label = to.name
        self.trouble: str | None = None
        """Why the host is not shown, and what happens next, in one sentence; `None` while it is connected."""
        self.connected = False
        self.forwards: tuple[Forward, ...] = ()
        """The agents that answer."""
        self._to, self._place = to, place
        self._all: dict[str, Forward] = {}
        self._tunnel: Tunnel | None = None
        self._numbers = count(1)
        self._stopping = threading.Event()

    def state(self) -> str:
        """In a word or two: how exactly its clock is known, or why none of its programs is shown."""
        forwards = self.forwards
        if not self.connected:
            return "lost" if self.trouble else "connecting"
        if not forwards:
            return "no answer" if self._all else "no agent"
        return f"±{max(1, round(max(forward.clock.uncertainty for forward in forwards) * 1000))} ms"

    def hang_up(self) -> None:
        """Asks the thread and ssh to end. Does not wait."""
        self._stopping.set()
        if self._tunnel is not None:
            self._tunnel.hang_up()

    def stop(self) -> None:
        """Ends the connection and the thread."""
        self.hang_up()
        if self.is_alive():
            self.join(ENDS_WITHIN)

    @self_usage.counted()
    def run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            try:
                self._watch()
            except LostError as error:
                if self.connected:
                    pause = FIRST_PAUSE
                if error.final:
                    self._lose(f"{error}.")
                    return
                # Not all viewers of a host that was away come back at the same moment.
                wait = pause * random.uniform(0.7, 1.0)
                self._lose(f"{error}; the next attempt is in {max(1, round(wait))} s.")
                self._stopping.wait(wait)
                pause = min(2 * pause, LONGEST_PAUSE)
            except Exception as error:
                self._lose(str(fatal(f"Watching {self._to.name}", error)))
                return

    def _lose(self, why: str) -> None:
        self.forwards, self.connected, self.trouble = (), False, why

    def _watch(self) -> None:
        """Watches the host until the connection ends. Raises `LostError`."""
        self._all = {}
        tunnel = Tunnel(self._to, Path(f"{self._place}-{next(self._numbers)}"))
        self._tunnel = tunnel
        try:
            if self._stopping.is_set():
                return
            tunnel.open()
            while not self._stopping.is_set():
                self._follow(tunnel, tunnel.sockets()[:MOST])
                self.connected, self.trouble = True, None
                tunnel.wait(LOOK_EVERY)
        finally:
            tunnel.close()

    def _follow(self, tunnel: Tunnel, found: Sequence[str]) -> None:
        """Forwards the sockets at the paths `found` on the host, and no others."""
        gone = [self._all.pop(there) for there in set(self._all).difference(found)]
        unknown = [there for there in found if there not in self._all]
        new = [Forward(self._to.name, there, tunnel.path(next(self._numbers))) for there in unknown]
        if gone:
            tunnel.forward([(f.address.path, f.there) for f in gone], cancel=True)
            for forward in gone:
                Path(forward.address.path).unlink(missing_ok=True)
        if new:
            tunnel.forward([(f.address.path, f.there) for f in new])
        self._all |= {forward.there: forward for forward in new}
        for forward in self._all.values():
            if not self._stopping.is_set() and time.monotonic() >= forward.due:
                forward.read_clock()
        self.forwards = tuple(forward for forward in self._all.values() if forward.answers)


def hosts_of(names: Iterable[str]) -> list[Host]:
    """The hosts of `names`, each once, not started yet. Raises `MlxtopError` for what ssh cannot reach."""
    destinations = [parse_destination(name) for name in dict.fromkeys(names)]
    if not destinations:
        return []
    check()
    place = _own_place()
    return [Host(to, f"{place}-{number}") for number, to in enumerate(destinations)]


def _own_place() -> str:
    """How the paths of this viewer's folders for ssh begin. Removes those of viewers that are gone.

    Raises `MlxtopError` where ssh could not use one.
    """
    try:
        place = Path(sockets.folder())
    except OSError as error:
        raise MlxtopError(f"Could not connect to a host: {error}.") from None
    for entry in place.glob(f"{FOLDER}*"):
        pid = entry.name.removeprefix(FOLDER).partition("-")[0]
        if pid.isdecimal() and not is_alive(int(pid)):
            shutil.rmtree(entry, ignore_errors=True)
    mine = f"{place}/{FOLDER}{os.getpid()}"
    if len(os.fsencode(mine)) > SPACE or not is_taken(f"{mine}/1.sock"):
        raise MlxtopError(
            f"Could not connect to a host: ssh takes no socket in {place}. Set XDG_RUNTIME_DIR to a short "
            "path of letters and digits."
        )
    return mine
