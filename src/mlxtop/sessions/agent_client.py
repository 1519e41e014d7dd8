"""The client for agents: one thread that finds them, connects to them, and reads and writes messages."""

import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path

from mlxtop.analysis.post_mortem import Evidence, find_cause
from mlxtop.core.errors import fatal
from mlxtop.core.text import one_line, shortened
from mlxtop.core.transcript import Transcript
from mlxtop.ipc import protocol, sockets
from mlxtop.ipc.protocol import Role
from mlxtop.ipc.sockets import Address
from mlxtop.sessions import messages, peer
from mlxtop.sessions.death import Death, Grown, OomCounters, printed
from mlxtop.sessions.messages import Bye, Hello, Refused
from mlxtop.sessions.remote import RemoteSession, already_watched
from mlxtop.sessions.session import UnattachedProcess
from mlxtop.system import footprint, jetsam, machine, self_usage
from mlxtop.system.processes import is_alive

LOOK_EVERY = 0.2
"""Seconds between two polls for output and ended programs."""
FIND_EVERY = 0.4
"""Seconds between two searches for new agents once there is one: reading directories is most of this thread's
work."""
GATHER = 0.02
"""Seconds to wait after a read, so that the messages of many agents are read together."""
WATCH_EVERY = 2.0
"""Seconds between two looks at what the system says of the processes."""
HELLO_WITHIN = 1.0
"""Seconds to wait for an agent's first message, for who wants no more."""
OUTBOX_MOST = 2**20
JUST_NOW = 30.0
"""Seconds before a death from which a report of the system may be about it."""


class Connection:
    """One connection to an agent: its buffers, and its session once the agent has sent its hello."""

    def __init__(self, address: Address, sock: socket.socket) -> None:
        self.address = address
        self.socket = sock
        self.session: RemoteSession | None = None
        self.refused: str | None = None
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._lock = threading.Lock()

    def read(self) -> list[dict[str, object]] | None:
        """The messages received since the last call; `None` when the connection is closed.

        Raises `ValueError` for anything that is not a message.
        """
        try:
            data = self.socket.recv(2**18)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        self._inbox += data
        if b"\n" not in data and len(self._inbox) <= protocol.LONGEST_LINE:
            return []
        *lines, rest = self._inbox.split(b"\n")
        if len(rest) > protocol.LONGEST_LINE:
            raise ValueError("a line without end")
        self._inbox = rest
        return [protocol.read(line) for line in lines]

    @property
    def waits(self) -> bool:
        """Whether there are bytes to send."""
        return bool(self._outbox)

    def put(self, data: bytes) -> None:
        """Queues `data` for sending. Drops it when more than `OUTBOX_MOST` bytes would wait."""
        with self._lock:
            if len(self._outbox) + len(data) <= OUTBOX_MOST:
                self._outbox += data

    def flush(self) -> None:
        """Sends as much as possible without waiting."""
        with self._lock, suppress(OSError):
            while self._outbox:
                del self._outbox[: self.socket.send(self._outbox)]


class AgentClient(threading.Thread):
    """Connects to every agent that `find` returns and keeps a session for each. See `sessions.session.Fleet`.

    With the role `observe` the programs' agents take only a census. `joined(session)` is called for each new
    session, on the fleet's thread, and `died(session)` when one has died. Sessions share `transcript` if it
    is given. Agents are looked for every `look_every` seconds at most. With `every` agents tell what is new
    so seldom, in seconds. Sessions that have ended are no members unless `keep_ended`.
    """

    def __init__(
        self,
        title: str,
        find: Callable[[], Iterable[Address]],
        role: Role = "control",
        transcript: Transcript | None = None,
        joined: Callable[[RemoteSession], None] | None = None,
        died: Callable[[RemoteSession], None] | None = None,
        look_every: float = LOOK_EVERY,
        every: float | None = None,
        keep_ended: bool = True,
    ) -> None:
        super().__init__(name="mlxtop-fleet", daemon=True)
        self.title = title
        self.transcript = transcript
        self.send_input: Callable[[str], None] | None = None
        self.problem: str | None = None
        """Why an agent could not be watched, in one sentence; `None` without a problem."""
        self.changed = threading.Event()
        """Set when a member is added or ends."""
        self._find = find
        self._role: Role = role
        self._joined = joined
        self._died = died
        self._every = every
        self._keep_ended = keep_ended
        self._oom_counters: dict[RemoteSession, OomCounters] = {}
        self._own_memory = footprint.reader()()
        self._connections: dict[str, Connection] = {}
        self._members: tuple[RemoteSession, ...] = ()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        os.set_blocking(self._wake_read, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._stopping = False
        self._look_every = look_every
        self._find_every = FIND_EVERY * look_every / LOOK_EVERY

    # For the screen

    def members(self) -> tuple[RemoteSession, ...]:
        # A process that imports MLX but never creates an array, such as `mlx.launch`, is not shown.
        return tuple(m for m in self._members if m.state.run_peak > 0)

    def unattached(self) -> tuple[UnattachedProcess, ...]:
        return ()

    def status(self) -> str:
        return self.problem or ""

    def trouble(self) -> str:
        return ""

    def look_at(self, pids: Collection[int]) -> None:
        pass

    # Life

    def stop(self, timeout: float = 0.5) -> None:
        """Sends what is queued, closes all connections and ends the thread, within `timeout` seconds."""
        self._stopping = True
        self._nudge()
        if self.is_alive():
            self.join(timeout)

    def _nudge(self) -> None:
        with suppress(OSError):
            os.write(self._wake_write, b"!")

    @self_usage.counted()
    def run(self) -> None:
        try:
            self._serve()
        except Exception as error:
            # Without this a frozen display would look like an idle program.
            self.problem = str(fatal("Watching", error))
            with suppress(Exception):
                for member in self._members:
                    if member.ended is None:
                        member.end(self.problem)
        finally:
            self._close()
            self.changed.set()

    def _serve(self) -> None:
        look_at = find_at = watch_at = 0.0
        while not self._stopping:
            now = time.monotonic()
            if now >= look_at:
                look_at = now + self._look_every
                if now >= find_at or not self._connections:
                    find_at = now + self._find_every
                    self.find_agents()
                self.poll()
                if now >= watch_at:
                    watch_at = now + WATCH_EVERY
                    self._watch_processes()
            read = False
            for key, _ in self._selector.select(max(0.0, look_at - time.monotonic())):
                if key.data is None:
                    with suppress(OSError):
                        os.read(self._wake_read, 4096)
                else:
                    self._read(key.data)
                    read = True
            for connection in self._connections.values():
                if connection.waits:
                    connection.flush()
            if read:
                time.sleep(GATHER)
        self.poll()
        for connection in self._connections.values():
            connection.flush()

    def _close(self) -> None:
        for connection in self._connections.values():
            connection.socket.close()
        self._selector.close()
        # A session may still call `_nudge`.
        pipe, self._wake_read, self._wake_write = (self._wake_read, self._wake_write), -1, -1
        for fd in pipe:
            os.close(fd)

    def settle(self, timeout: float = 1.0) -> None:
        """Waits until all agents have ended, `timeout` seconds at most, then stops. No message is lost."""
        end = time.monotonic() + timeout
        while time.monotonic() < end and any(m.ended is None for m in self._members):
            self.changed.clear()
            self.changed.wait(0.05)
        self.stop()

    def _watch_processes(self) -> None:
        """Reads what the system says of the processes: only what changes just before a death is evidence."""
        kills = machine.oom_kills()
        for session, counters in self._oom_counters.items():
            counters.look(kills)
            session.look_at_title()

    def poll(self) -> None:
        """Does a subclass's periodic work. Called on the fleet's thread every `look_every` seconds."""

    # Connections

    def find_agents(self) -> None:
        """Connects to new agents."""
        for address in self._find():
            if address.path not in self._connections:
                self._connect(address)

    def _connect(self, address: Address) -> None:
        try:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError as error:
            self.problem = f"Some programs are not shown: {error.strerror}. Raise the limit with ulimit -n."
            return
        sock.settimeout(0.5)
        try:
            sock.connect(address.path)
        except ConnectionRefusedError:
            # No process listens there any more.
            sock.close()
            remove_stale(address)
            return
        except OSError:
            sock.close()
            return
        sock.setblocking(False)
        connection = Connection(address, sock)
        self._connections[address.path] = connection
        self._selector.register(sock, selectors.EVENT_READ, connection)

    def _read(self, connection: Connection) -> None:
        try:
            messages = connection.read()
            for message in messages or ():
                self._handle_message(connection, message)
        except Exception as error:
            # The error is about this agent: the others are kept.
            why = one_line(shortened(f"{type(error).__name__}: {error}", 120))
            self._disconnect(connection, f"its agent sent an invalid message ({why})")
            return
        if messages is None:
            self._disconnect(connection, None)

    def _handle_message(self, connection: Connection, message: dict[str, object]) -> None:
        if connection.session is None and message["type"] == "hello":
            why = messages.disagreement(message)
            if why is not None:
                connection.refused = self.problem = why
                self.changed.set()
                return
        found = messages.parse(message)
        if isinstance(found, Refused):
            connection.refused = self.problem = f"{_name(connection)} cannot be watched: {found.why}."
            if connection.session is not None:
                connection.session.refuse(connection.refused)
            self.changed.set()
        elif connection.session is not None and found is not None:
            connection.session.handle_message(found)
        elif isinstance(found, Hello):
            self._accept_hello(connection, found)

    def _accept_hello(self, connection: Connection, hello: Hello) -> None:

        def send(data: bytes) -> None:
            connection.put(data)
            self._nudge()

        if self._role == "control" and hello.watched is not None:
            connection.refused = self.problem = already_watched(hello.pid, hello.watched)
            self.changed.set()
            return
        connection.session = self.session(hello, send, connection)
        self._number_uniquely(connection.session)
        connection.session.greet(self._every)
        if connection.session.process is not None:
            self._oom_counters[connection.session] = OomCounters(connection.session.process)
            connection.session.look_at_title()
        self._members = tuple(sorted((*self._members, connection.session), key=_order))
        if self._joined:
            self._joined(connection.session)
        self.changed.set()

    def session(self, hello: Hello, send: Callable[[bytes], None], connection: Connection) -> RemoteSession:
        """A session for the agent that sent `hello`."""
        return RemoteSession(
            hello,
            send,
            self.transcript,
            own_memory=self._own_memory,
            controls=self._role == "control",
            process=peer.process(connection.socket, hello.pid),
        )

    def _number_uniquely(self, session: RemoteSession) -> None:
        """Gives a session another number if a running one has the same: two machines may use the same ids."""
        taken = {member.pid for member in self._members}
        if not any(member.ended is None and member.pid == session.pid for member in self._members):
            return
        number = next(n for n in count(2) if -n not in taken)
        session.pid = -number
        if any(member.ended is None and member.label == session.label for member in self._members):
            session.label = f"{session.label} ({number})"

    def _disconnect(self, connection: Connection, why: str | None) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(connection.socket)
        connection.socket.close()
        if why and connection.session is None:
            connection.refused = self.problem = (
                f"{one_line(connection.address.path)} cannot be watched: {why}."
            )
        if connection.session is not None and connection.session.ended is None:
            self._end(connection.session, why)
        if not (why or connection.refused):
            # The process may open a new socket after an exec. After an invalid message it is not tried again.
            self._connections.pop(connection.address.path, None)
        self.changed.set()

    def _end(self, session: RemoteSession, why: str | None) -> None:
        """Ends a session whose connection is closed: because of `why`, or with its process."""
        how = why or self.how_it_ended(session)
        if why is None:
            session.death = self._examine(session, how)
        self._oom_counters.pop(session, None)
        session.end(session.death.text if session.death else how)
        if not self._keep_ended:
            self._members = tuple(member for member in self._members if member is not session)
        if session.death is not None and self._died is not None:
            self._died(session)

    def _examine(self, session: RemoteSession, how: str) -> Death | None:
        """Why a process died; `None` if it runs, is out of reach, or ended as it should."""
        gone = session.bye is not None or (session.process is not None and not is_alive(session.process))
        if not gone or session.told_to_end:
            return None
        counters = self._oom_counters.get(session)
        grown = counters.grown() if counters is not None else Grown()
        now, bye, lines = time.time(), session.bye or Bye(), self.last_lines(session)
        evidence = Evidence(
            status=self.exit_status(session),
            in_order=session.bye is not None,
            error=bye.error,
            lines=lines,
            oom_kills=grown.kills,
            machine_oom_kills=grown.machine_kills,
            limit_hits=grown.hits,
            jetsam=jetsam.reason(session.process, now - JUST_NOW) if session.process else None,
            system=session.state.system,
        )
        cause = find_cause(evidence)
        return None if cause is None else Death(now, how, cause, bye.where, lines)

    def exit_status(self, session: RemoteSession) -> int | None:
        """The exit code of a session's process, negative for a signal; `None` if only its parent knows."""
        return None

    def last_lines(self, session: RemoteSession) -> tuple[str, ...]:
        """The last lines that a session's process printed, as far as mlxtop has them."""
        return printed(session.transcript)

    def how_it_ended(self, session: RemoteSession) -> str:
        """How a process that is not mlxtop's child ended, as far as known, in a few words."""
        if session.bye:
            return f"process {session.pid} ended"
        if session.process is None:
            return "the connection to the agent was closed"
        if is_alive(session.pid):
            return f"the agent in process {session.pid} has ended; the program is still running"
        return f"process {session.pid} ended without notice: it was killed, or it called os._exit"


def read_hello(path: str) -> Hello | None:
    """The first message of the agent at `path`; `None` when none comes in time."""
    end, text = time.monotonic() + HELLO_WITHIN, b""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, suppress(OSError, ValueError):
        sock.settimeout(HELLO_WITHIN)
        sock.connect(path)
        while b"\n" not in text and len(text) <= protocol.LONGEST_LINE:
            # The limit holds for the whole answer, also for one that comes byte by byte.
            sock.settimeout(max(0.001, end - time.monotonic()))
            more = sock.recv(2**16)
            if not more:
                return None
            text += more
        return messages.hello(protocol.read(text.partition(b"\n")[0]))
    return None


def remove_stale(address: Address) -> None:
    """Removes an agent's socket file if its process has ended."""
    if not is_alive(address.pid) or address.pid == os.getpid():
        with suppress(OSError):
            Path(address.path).unlink()


def all_addresses() -> Iterable[Address]:
    """All agents of this user on this machine."""
    return list(sockets.addresses())


def _name(connection: Connection) -> str:
    """A name for an agent that has not sent its hello."""
    return (
        f"Process {connection.address.pid}" if connection.address.pid else one_line(connection.address.path)
    )


def _order(session: RemoteSession) -> tuple[bool, int, float]:
    return (session.rank is None, session.rank or 0, session.started)
