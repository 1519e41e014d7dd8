"""The agent's one thread: it ticks, and talks to whoever connects to its socket."""

from __future__ import annotations

import _socket
import os
import select
import time
from _thread import get_ident

from mlxtop.agent.thread import RawThread
from mlxtop.core.parsing import count, seconds
from mlxtop.core.suppress import suppress
from mlxtop.ipc import protocol, sockets
from mlxtop.ipc.sockets import peer_uid
from mlxtop.system.descriptors import out_of_the_way

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any

    from mlxtop.agent.agent import Agent
else:
    import _signal

MOST_CLIENTS = 16
MOST_WAITING = 16
"""Commands that may wait when an observer asks for a census: it leaves room for the viewer that controls."""
HELLO_WITHIN = 5.0
STUCK_AFTER = 30.0
"""Seconds after which a client that reads nothing is dropped."""
FULL = 2**16
"""Bytes waiting for a client beyond which it gets nothing new."""
COMMAND_EVERY = 0.05
"""Seconds between looks at commands that wait for a safe point."""
BATCH = 200
"""Samples in one message: about a millisecond of the program's time."""

STILL = 10
"""Samples that are alike, after which a program is at rest."""
UNSEEN = 1.0
"""Seconds between samples of a program at rest at which nobody looks. For who looks they are gathered."""
TIDY_EVERY = 1.0
"""Seconds between looks at what seldom changes."""
GATHER = 0.45
"""Seconds for which samples are gathered into one message, unless something happens meanwhile: as often as a
screen draws its whole picture."""
SLOWEST = 60.0
"""Most seconds for which samples are gathered for a client that wants few messages."""
CLOSES_WITHIN = 0.2
"""Seconds after which a program that closes all descriptors has done so."""
CALLS_WITHIN = 1.0
"""Seconds at most that a program which was over at once waits for the viewer that started it."""
PATH_EVERY = 5.0
"""Seconds between looks whether the socket's path is still there."""
TOUCH_EVERY = 3600.0
"""Seconds after which the path is touched: what lies unused in a temporary folder is swept, on macOS after
three days."""
_What = tuple[int, int] | None


class LostError(Exception):
    """The program closed a descriptor of ours: its number may be the program's own by now."""


class Client:
    """One connection: what came in, what waits to go out, and how far it has read."""

    def __init__(self, sock: _socket.socket, now: float) -> None:
        self.socket = sock
        self.what = _what(sock.fileno())
        self.since = now
        """When it last showed that it is alive."""
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.waits = False
        """Whether its socket is asked when it takes more."""
        self.role: protocol.Role | None = None
        self.pid: int | None = None
        self.every = GATHER
        """Seconds between two messages of samples."""
        self.fed = 0.0
        """When it was last given samples; 0 when it is to have the next one at once."""
        self.samples = 0
        self.events = 0
        self.phases = 0
        self.sparse = False
        """Whether one sample of `every` seconds is enough for it."""
        self.traces = False
        """Whether it was the last to start or to stop a trace, and started it."""
        self.told = False
        """Whether it knows the facts, which come with MLX's first use."""

    def read(self) -> list[dict[str, object]]:
        """The commands that have come in. Raises `ValueError` or `OSError` when it must be dropped."""
        data = self.socket.recv(protocol.LONGEST_COMMAND)
        if not data:
            raise OSError("gone")
        *lines, rest = bytes(self.inbox + data).split(b"\n")
        if max(map(len, (*lines, rest))) > protocol.LONGEST_COMMAND:
            raise ValueError("too long")
        self.inbox[:] = rest
        return [protocol.read_command(line) for line in lines]

    def send(self) -> None:
        """Hands over what the socket takes without waiting."""
        with suppress(BlockingIOError):
            sent = self.socket.send(self.outbox)
            del self.outbox[:sent]
            if sent:
                self.since = time.monotonic()


class Server:
    """Serves `agent` until it is stopped. A client that misbehaves is dropped, and nobody else notices."""

    def __init__(self, agent: Agent) -> None:
        self.thread = RawThread(self._run)
        self._agent = agent
        self._clients: dict[int, Client] = {}
        self._poll = select.poll()
        self._stopping = False
        self._path = ""
        self._listener: _socket.socket | None = None
        self.met = False
        """Whether anybody ever came who takes what there is to tell."""
        self._pace = UNSEEN
        """Seconds after which the most eager client hears of what is new; `UNSEEN` where none is eager."""
        self._paused = False
        """Whether nobody is let in for a while."""
        self._tidy_at = 0.0
        self._path_at = self._touch_at = 0.0
        self._wake: tuple[_socket.socket, ...] = ()
        """What is sent into the second wakes the thread at the first. Not a pipe: what was sent to a socket
        never ends up in a file of the program's."""
        self._ours: list[tuple[_socket.socket, _What]] = []
        """Our own sockets and what they were when we opened them."""

    def open(self) -> None:
        """Opens the socket. Raises `OSError` when there is no safe place for it."""
        self._path, self._listener = _listen(self._agent.run)
        self._wake = tuple(map(_moved, _socket.socketpair()))
        for sock in self._wake:
            sock.setblocking(False)
        self._poll.register(self._listener, select.POLLIN)
        self._poll.register(self._wake[0], select.POLLIN)
        self._ours = [(sock, _what(sock.fileno())) for sock in (self._listener, *self._wake)]

    def start(self) -> None:
        """Starts the thread. Raises `RuntimeError` where the system gives none."""
        self.thread.start()

    def wake(self) -> None:
        """Something happened that viewers should hear of now."""
        # Our own thread looks at what there is after whatever it does.
        if (self._pace < UNSEEN or self._agent.resting) and get_ident() != self.thread.ident:
            self._nudge()

    def _nudge(self) -> None:
        # Called on the program's threads: the number may be the program's own by now.
        for sock, what in self._ours[2:]:
            if _what(sock.fileno()) == what:
                with suppress(OSError):
                    sock.send(b"!")

    def stop(self, timeout: float) -> None:
        """Ends the thread; waits for it `timeout` seconds at most, longer where no viewer has come yet."""
        self._stopping = True
        self._nudge()
        self.thread.wait(timeout if self.met else timeout + CALLS_WITHIN)

    def forget(self) -> None:
        """Closes what a fork left in the child, so that the parent's viewers see the parent's end."""
        self._close_all()

    def _close_all(self) -> None:
        """Closes what is still ours, and nothing that the program has put in its place."""
        for sock, what in [*((client.socket, client.what) for client in self._clients.values()), *self._ours]:
            _close(sock, what)
        self._clients, self._listener, self._wake, self._ours = {}, None, (), []

    def _run(self) -> None:
        try:
            # A signal that lands here would not wake the program from its own waiting.
            _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
            self._serve()
            self._wait_for_viewer()
            self._send_bye()
        except LostError:
            # It may be closing the others just now: between our look at one and our close of it.
            time.sleep(CLOSES_WITHIN)
            self._agent.reopen()
        except BaseException as error:
            self._agent.event_log.fail(error)
            with suppress(Exception):
                self._feed_all()
        finally:
            with suppress(OSError):
                if not self._agent.is_forked_child():
                    os.unlink(self._path)
            self._close_all()

    def _serve(self) -> None:
        # A tick of a program at rest finds nothing in the processor's caches: each line takes ten times as
        # long as it would, so most rounds go through few of them.
        agent, clock, poll = self._agent, time.monotonic, self._poll.poll
        due = attend = clock()
        while not self._stopping:
            now = clock()
            if now >= due:
                agent.tick(now)
                due += agent.interval
                if due <= now:
                    # What was missed is skipped, not made up for.
                    due += agent.interval * (int((now - due) / agent.interval) + 1)
                if agent.still >= STILL and agent.rest():
                    due += agent.interval * int(self._pace / agent.interval)
            wait = due - now
            if now >= attend:
                attend = now + self._attend(now)
                if agent.command_queue.waiting:
                    wait = min(wait, COMMAND_EVERY)
            if happened := poll(wait * 1000):
                for fd, flags in happened:
                    self._handle_ready(fd, flags)
                attend = clock()
                # Somebody may have asked for a shorter interval.
                due = min(due, attend + agent.interval)

    def _attend(self, now: float) -> float:
        """Looks after all but the samples; returns seconds until that is due again, 0 for the next round."""
        if now >= self._tidy_at:
            self._tidy_at = now + TIDY_EVERY
            self._tidy(now)
        commands = self._agent.command_queue
        if commands.waiting and not self._stopping:
            commands.drain_overdue(now)
        if self._clients:
            self._feed_all()
        soon = commands.waiting > 0 or any(client.fed == 0.0 for client in self._clients.values())
        return 0.0 if soon else GATHER

    def _tidy(self, now: float) -> None:
        self._check()
        self._drop_the_silent(now)
        self._listen_again()
        if now >= self._path_at:
            self._path_at = now + PATH_EVERY
            with suppress(OSError):
                self._keep_path(now)
        self._agent.tidy(now)

    def _keep_path(self, now: float) -> None:
        """Touches the socket's path seldom, and opens another where it is gone. Clients notice nothing."""
        if not os.path.exists(self._path):
            self._path, listener = _listen(self._agent.run)
            (old, what), *others = self._ours
            self._listener, self._paused = listener, False
            with suppress(KeyError, OSError):
                self._poll.unregister(old)
            _close(old, what)
            self._poll.register(listener, select.POLLIN)
            self._ours = [(listener, _what(listener.fileno())), *others]
        elif now >= self._touch_at:
            self._touch_at = now + TOUCH_EVERY
            os.utime(self._path)

    def _check(self) -> None:
        """A program may close all descriptors it does not know of, as daemons do."""
        if not all(_what(sock.fileno()) == what for sock, what in self._ours):
            raise LostError

    def _feed_all(self) -> None:
        for client in list(self._clients.values()):
            self._feed(client)

    def _wait_for_viewer(self) -> None:
        """The viewer that started the program has not found it yet, and would never know what it took."""
        until, agent = time.monotonic() + CALLS_WITHIN, self._agent
        while agent.is_awaited() and not self.met:
            left = until - time.monotonic()
            if left <= 0:
                return
            for fd, flags in self._poll.poll(left * 1000):
                self._handle_ready(fd, flags)
            # It answers our greeting.
            self._feed_all()

    def _send_bye(self) -> None:
        """The program comes to its end; whoever does not take the last word at once misses it."""
        now = time.monotonic()
        self._agent.tick(now)
        self._agent.tidy(now, last=True)
        for client in self._clients.values():
            client.fed = 0.0
        self._feed_all()
        for client in self._clients.values():
            with suppress(OSError):
                client.outbox += protocol.line("bye", **self._agent.last_error)
                client.send()

    def _handle_ready(self, fd: int, flags: int) -> None:
        if self._listener is not None and fd == self._listener.fileno():
            self._accept()
        elif fd == self._wake[0].fileno():
            self._check()
            with suppress(OSError):
                self._wake[0].recv(4096)
        elif fd in self._clients:
            client = self._clients[fd]
            try:
                if flags & select.POLLNVAL or _what(fd) != client.what:
                    raise LostError
                if flags & (select.POLLIN | select.POLLHUP | select.POLLERR):
                    for message in client.read():
                        client.since = time.monotonic()
                        self._handle_message(client, message)
                if flags & select.POLLOUT:
                    client.send()
            except LostError:
                raise
            except Exception:
                # Whatever a client sends, it is the client that goes.
                self._drop(fd)

    def _accept(self) -> None:
        self._check()
        try:
            fd, _ = self._listener._accept()  # type: ignore[union-attr]  # only called while it listens
        except OSError:
            # The program is out of descriptors, say: asked again at once, it would be asked without end.
            self._paused = True
            self._poll.unregister(self._listener)  # type: ignore[arg-type]
            return
        sock = _unix_socket(fd)
        if len(self._clients) >= MOST_CLIENTS or peer_uid(sock) not in (os.getuid(), 0):
            sock.close()
            return
        sock.setblocking(False)
        client = Client(sock, time.monotonic())
        client.samples = self._agent.ring.begin
        client.outbox += protocol.line("hello", **self._agent.hello(), watched=self._controlling_viewer())
        self._clients[sock.fileno()] = client
        self._look_at_pace()
        self._poll.register(sock, select.POLLIN)

    def _look_at_pace(self) -> None:
        self._pace = min([UNSEEN, *(client.every for client in self._clients.values())])

    def _listen_again(self) -> None:
        if self._paused and self._listener is not None:
            self._paused = False
            self._poll.register(self._listener, select.POLLIN)

    def _controlling_viewer(self) -> int | None:
        """The process that watches, if one does; those that only look are not told of."""
        return next((client.pid for client in self._clients.values() if client.role == "control"), None)

    def _handle_message(self, client: Client, message: dict[str, object]) -> None:
        if message["type"] == "hello":
            self._accept_hello(client, message)
        elif client.role == "control":
            self._agent.handle_command(message)
            if message["type"] == "trace":
                for other in self._clients.values():
                    other.traces = other is client and message.get("on") is True
        elif client.role is None:
            raise ValueError("a command before the greeting")
        elif message["type"] == "census":
            if self._agent.command_queue.waiting >= MOST_WAITING:
                raise ValueError("too many commands")
            self._agent.handle_command(message)

    def _accept_hello(self, client: Client, message: dict[str, object]) -> None:
        if message.get("protocol") != protocol.PROTOCOL:
            raise ValueError("another protocol")
        watcher = self._controlling_viewer()
        role = protocol.parse_role(message.get("role"))
        client.pid = count(message.get("pid"))
        if "every" in message:
            client.every = min(max(seconds(message["every"]), GATHER), SLOWEST)
            client.sparse = message.get("sparse") is True
            self._look_at_pace()
        self.met = True
        if role == "observe" or watcher is None or client.role == "control":
            client.role = role
        else:
            client.role = "observe"
            client.outbox += protocol.line(
                "refused", why=f"it is already watched by mlxtop (process {watcher})"
            )

    def _feed(self, client: Client) -> None:
        """Gives a client what is new, as far as it keeps up."""
        agent, now, told = self._agent, time.monotonic(), client.events
        # One that comes late gets what was before it at once.
        due = now - client.fed >= client.every or agent.ring.end - client.samples >= BATCH
        if client.every > GATHER and not (due or client.outbox):
            return
        try:
            while client.role is not None and len(client.outbox) < FULL:
                if not client.told and agent.facts is not None:
                    client.told = True
                    # The time first: what is set meanwhile is told by an event after it.
                    client.outbox += protocol.line(
                        "facts",
                        time=agent.event_log.now(),
                        facts=agent.facts.to_json(),
                        limits={
                            name: list(limit.fields().values())
                            for name, limit in agent.controller.limits().items()
                        },
                    )
                if client.phases < len(agent.phases):
                    client.phases = len(agent.phases)
                    client.outbox += protocol.line("phases", names=agent.phases[: client.phases])
                new = agent.event_log.since(client.events)
                behind = max(client.samples, agent.ring.begin)
                rows = agent.ring.rows(behind, BATCH) if due or new else []
                for number, message in new:
                    client.outbox += message
                    client.events = number + 1
                if rows:
                    client.samples, client.fed = behind + len(rows), now
                    sent = _highest(rows, int(client.every / agent.interval)) if client.sparse else rows
                    client.outbox += protocol.samples(time.thread_time(), sent)
                if not new and len(rows) < BATCH:
                    break
            if told <= agent.event_log.urgent < client.events:
                # The next sample shows what became of it.
                client.fed = 0.0
            if client.outbox:
                client.send()
            waits = bool(client.outbox)
            if waits != client.waits:
                client.waits = waits
                self._poll.modify(client.socket, select.POLLIN | (select.POLLOUT if waits else 0))
        except OSError:
            self._drop(client.socket.fileno())

    def _drop_the_silent(self, now: float) -> None:
        for fd, client in list(self._clients.items()):
            patience = HELLO_WITHIN if client.role is None else STUCK_AFTER if client.outbox else None
            if patience is not None and now - client.since > patience:
                self._drop(fd)

    def _drop(self, fd: int) -> None:
        client = self._clients.pop(fd, None)
        self._look_at_pace()
        if client is not None:
            with suppress(KeyError, OSError):
                self._poll.unregister(fd)
            _close(client.socket, client.what)
            if client.traces:
                self._agent.stop_trace()


def _highest(rows: list[tuple[Any, ...]], many: int) -> list[tuple[Any, ...]]:
    """Of each `many` rows that in which MLX held most."""
    many = max(1, many)
    return [max(rows[i : i + many], key=lambda row: row[1] + row[2]) for i in range(0, len(rows), many)]


def _listen(run: str) -> tuple[str, _socket.socket]:
    """A new socket of this process and its path. Raises `OSError` when there is no safe place for it."""
    path = sockets.address(os.getpid(), run)
    with suppress(FileNotFoundError):
        # A process with this number is no more, or it was ourselves before an exec.
        os.unlink(path)
    listener = _moved(_unix_socket())
    try:
        listener.bind(path)
        os.chmod(path, 0o600)
        listener.listen(8)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return path, listener


def _what(fd: int) -> _What:
    """What a descriptor leads to, `None` when it is closed."""
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _unix_socket(fd: int | None = None) -> _socket.socket:
    """A new one, or that of a descriptor."""
    return _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fd)


def _moved(sock: _socket.socket) -> _socket.socket:
    return _unix_socket(out_of_the_way(sock.detach()))


def _close(sock: _socket.socket, what: _What) -> None:
    """Closes a socket if its descriptor is still what it was."""
    if _what(sock.fileno()) == what:
        sock.close()
    else:
        sock.detach()
