"""All agents that concern one screen: found, connected to, read and written by one thread."""

import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path

from mlxtop.core.errors import fatal
from mlxtop.core.text import one_line, shortened
from mlxtop.core.transcript import Transcript
from mlxtop.ipc import protocol, sockets
from mlxtop.ipc.protocol import Role
from mlxtop.ipc.sockets import Address
from mlxtop.sessions import messages, peer
from mlxtop.sessions.messages import Hello, Refused
from mlxtop.sessions.remote import RemoteSession
from mlxtop.sessions.session import UnattachedProcess
from mlxtop.system import footprint, self_usage
from mlxtop.system.processes import is_alive

LOOK_EVERY = 0.2
"""Seconds between looks for output and for what has ended."""
FIND_EVERY = 0.4
"""Seconds between looks for new agents where there is one already: reading directories is most of what this
thread does."""
GATHER = 0.02
"""Seconds between two readings: what many agents say is taken in at one go."""
OUTBOX_MOST = 2**20


class Connection:
    """One connection to an agent: its bytes, and the session they make once it has said who it is."""

    def __init__(self, address: Address, sock: socket.socket) -> None:
        self.address = address
        self.socket = sock
        self.session: RemoteSession | None = None
        self.refused: str | None = None
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._lock = threading.Lock()

    def read(self) -> list[dict[str, object]] | None:
        """The messages that have come; `None` at the end. Raises `ValueError` for what is no message."""
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
        """Whether something is to be sent."""
        return bool(self._outbox)

    def put(self, data: bytes) -> None:
        """Adds to what is to be sent; to one that reads nothing, no more than so much."""
        with self._lock:
            if len(self._outbox) + len(data) <= OUTBOX_MOST:
                self._outbox += data

    def flush(self) -> None:
        """Sends what can be sent without waiting."""
        with self._lock, suppress(OSError):
            while self._outbox:
                del self._outbox[: self.socket.send(self._outbox)]


class AgentClient(threading.Thread):
    """Connects to every agent that `find` names, and keeps a session of each. See `sessions.session.Fleet`.

    `role` is `control`, or `observe` where nothing in the programs is to change. `joined(session)` is called
    for each new session, on the fleet's thread. Sessions share `transcript` where given.
    """

    def __init__(
        self,
        title: str,
        find: Callable[[], Iterable[Address]],
        role: Role = "control",
        transcript: Transcript | None = None,
        joined: Callable[[RemoteSession], None] | None = None,
    ) -> None:
        super().__init__(name="mlxtop-fleet", daemon=True)
        self.title = title
        self.transcript = transcript
        self.send_input: Callable[[str], None] | None = None
        self.problem: str | None = None
        """Why an agent could not be watched, in one sentence."""
        self.changed = threading.Event()
        """Set whenever a member came or ended."""
        self._find = find
        self._role: Role = role
        self._joined = joined
        self._own_memory = footprint.reader()()
        self._links: dict[str, Connection] = {}
        self._members: tuple[RemoteSession, ...] = ()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        os.set_blocking(self._wake_read, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._stopping = False

    # For the screen

    def members(self) -> tuple[RemoteSession, ...]:
        # A process that imports MLX and never makes an array is no member: `mlx.launch` is one.
        return tuple(m for m in self._members if m.state.run_peak > 0)

    def unattached(self) -> tuple[UnattachedProcess, ...]:
        return ()

    def status(self) -> str:
        return self.problem or ""

    # Life

    def stop(self, timeout: float = 0.5) -> None:
        """Sends what is left to be sent, closes all connections and ends the thread."""
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
            # A picture that stands still must not look like a program that does.
            self.problem = str(fatal("Watching", error))
            with suppress(Exception):
                for member in self._members:
                    if member.ended is None:
                        member.end(self.problem)
        finally:
            self._close()
            self.changed.set()

    def _serve(self) -> None:
        look_at = find_at = 0.0
        while not self._stopping:
            now = time.monotonic()
            if now >= look_at:
                look_at = now + LOOK_EVERY
                if now >= find_at or not self._links:
                    find_at = now + FIND_EVERY
                    self.find_agents()
                self.poll()
            read = False
            for key, _ in self._selector.select(max(0.0, look_at - time.monotonic())):
                if key.data is None:
                    with suppress(OSError):
                        os.read(self._wake_read, 4096)
                else:
                    self._read(key.data)
                    read = True
            for link in self._links.values():
                if link.waits:
                    link.flush()
            if read:
                time.sleep(GATHER)
        self.poll()
        for link in self._links.values():
            link.flush()

    def _close(self) -> None:
        for link in self._links.values():
            link.socket.close()
        self._selector.close()
        # A session may still nudge us.
        pipe, self._wake_read, self._wake_write = (self._wake_read, self._wake_write), -1, -1
        for fd in pipe:
            os.close(fd)

    def settle(self, timeout: float = 1.0) -> None:
        """Waits until all that the program's agents said has come in, then stops."""
        end = time.monotonic() + timeout
        while time.monotonic() < end and any(m.ended is None for m in self._members):
            self.changed.clear()
            self.changed.wait(0.05)
        self.stop()

    def poll(self) -> None:
        """Called on the fleet's thread every `LOOK_EVERY` seconds: what else there is to look after."""

    # Connections

    def find_agents(self) -> None:
        """Connects to agents that have come."""
        for address in self._find():
            if address.path not in self._links:
                self._connect(address)

    def _connect(self, address: Address) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(0.5)
        try:
            sock.connect(address.path)
        except ConnectionRefusedError:
            # Nobody listens there any more.
            sock.close()
            remove_stale(address)
            return
        except OSError:
            sock.close()
            return
        sock.setblocking(False)
        link = Connection(address, sock)
        self._links[address.path] = link
        self._selector.register(sock, selectors.EVENT_READ, link)

    def _read(self, link: Connection) -> None:
        try:
            messages = link.read()
            for message in messages or ():
                self._handle_message(link, message)
        except Exception as error:
            # Whatever it was, it came from this agent: the others go on.
            why = one_line(shortened(f"{type(error).__name__}: {error}", 120))
            self._disconnect(link, f"its agent sent what mlxtop does not understand ({why})")
            return
        if messages is None:
            self._disconnect(link, None)

    def _handle_message(self, link: Connection, message: dict[str, object]) -> None:
        if link.session is None and message["type"] == "hello":
            why = messages.disagreement(message)
            if why is not None:
                link.refused = self.problem = why
                self.changed.set()
                return
        found = messages.parse(message)
        if isinstance(found, Refused):
            link.refused = self.problem = f"{_name(link)} cannot be watched: {found.why}."
            if link.session is not None:
                link.session.refuse(link.refused)
            self.changed.set()
        elif link.session is not None and found is not None:
            link.session.handle_message(found)
        elif isinstance(found, Hello):
            self._accept_hello(link, found)

    def _accept_hello(self, link: Connection, hello: Hello) -> None:

        def send(data: bytes) -> None:
            link.put(data)
            self._nudge()

        if self._role == "control" and hello.watched is not None:
            watcher = f"mlxtop (process {hello.watched})"
            link.refused = self.problem = (
                f"Process {hello.pid} is already watched by {watcher}: leave that one first, "
                "or look on with mlxtop top."
            )
            self.changed.set()
            return
        link.session = self.session(hello, send, peer.process(link.socket, hello.pid))
        self._number_uniquely(link.session)
        send(protocol.hello(self._role, hello.protocol))
        self._members = tuple(sorted((*self._members, link.session), key=_order))
        if self._joined:
            self._joined(link.session)
        self.changed.set()

    def session(self, hello: Hello, send: Callable[[bytes], None], process: int | None) -> RemoteSession:
        """A session for the agent that said `hello`; `process` is it if it is one of this machine."""
        return RemoteSession(
            hello,
            send,
            self.transcript,
            own_memory=self._own_memory,
            controls=self._role == "control",
            process=process,
        )

    def _number_uniquely(self, session: RemoteSession) -> None:
        """Gives a session another number where one that runs has it: on two machines they may be the same."""
        taken = {member.pid for member in self._members}
        if not any(member.ended is None and member.pid == session.pid for member in self._members):
            return
        number = next(n for n in count(2) if -n not in taken)
        session.pid, session.label = -number, f"{session.label} ({number})"

    def _disconnect(self, link: Connection, why: str | None) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(link.socket)
        link.socket.close()
        if why and link.session is None:
            link.refused = self.problem = f"{one_line(link.address.path)} cannot be watched: {why}."
        if link.session is not None and link.session.ended is None:
            link.session.end(why or self.how_it_ended(link.session))
        if not (why or link.refused):
            # The same process may open another after an exec; one that speaks nonsense gets no second try.
            self._links.pop(link.address.path, None)
        self.changed.set()

    def how_it_ended(self, session: RemoteSession) -> str:
        """What is known of the end of a process that is not our child."""
        if session.bye:
            return f"process {session.pid} ended"
        if session.process is None:
            return "the connection to its agent ended"
        if is_alive(session.pid):
            return f"the agent in process {session.pid} is gone; the program itself goes on"
        return f"process {session.pid} ended without a word: it was killed, or ended by os._exit"


def remove_stale(address: Address) -> None:
    """Removes a socket that no process listens on."""
    if not is_alive(address.pid) or address.pid == os.getpid():
        with suppress(OSError):
            Path(address.path).unlink()


def all_addresses() -> Iterable[Address]:
    """All agents of this user on this machine."""
    return list(sockets.addresses())


def _name(link: Connection) -> str:
    """What to call an agent that was not heard of yet."""
    return f"Process {link.address.pid}" if link.address.pid else one_line(link.address.path)


def _order(session: RemoteSession) -> tuple[bool, int, float]:
    return (session.rank is None, session.rank or 0, session.started)
