"""The sessions of all programs that print into one stream, and the thread that reads it."""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from itertools import count

from mlxtop.core.errors import fatal
from mlxtop.core.transcript import Transcript
from mlxtop.follow.forms import Pattern
from mlxtop.follow.parser import Parser
from mlxtop.follow.readings import NOBODY, Begun, Item, Origin, Reading, Reported
from mlxtop.sessions.followed import FollowedSession
from mlxtop.sessions.log_source import Chunk, Source
from mlxtop.sessions.session import UnattachedProcess
from mlxtop.system import self_usage

WAIT = 0.1
"""Seconds that a read waits for something to come."""
PANE_EVERY, PANE_MOST = 0.2, 2**18
"""The output pane takes so many characters in so many seconds; what it leaves out is told."""
MOST = 200
"""Sessions that are shown of one stream."""
WHAT_TO_PRINT = (
    "Nothing about memory yet. Have the program print one of these, several times a second:",
    "  Swift    print(Memory.snapshot())",
    '  any      mlxtop {"active":123,"cache":45,"peak":150,"footprint":400,"available":900,"phase":"decode"}',
    "or give --pattern for what it prints already. https://github.com/mlxtop/mlxtop/tree/main/docs/guides/iphone.md",
)

NO_LIMITS = "Limits are set by the program: mlxtop only reads here, and has no keys for them."


class FollowFleet(threading.Thread):
    """Reads `source` and shares out what it tells among sessions. `joined` is called with each when its first
    line is read.

    There is one from the start: it shows what to print until something is recognised.
    """

    send_input: Callable[[str], None] | None = None

    def __init__(
        self,
        source: Source,
        patterns: Sequence[Pattern],
        command: list[str],
        joined: Callable[[FollowedSession], None] | None = None,
    ) -> None:
        super().__init__(name="mlxtop-follow", daemon=True)
        self.title = source.title
        self.transcript: Transcript | None = Transcript()
        self._source = source
        self._patterns = patterns
        self._command = command
        self._joined = joined
        self._numbers = count(1)
        self._parsers: dict[int, Parser] = {}
        self._last: dict[int, FollowedSession] = {}
        """Whose the last line of each stream was."""
        self._by_origin: dict[Origin, FollowedSession] = {}
        self._members: tuple[FollowedSession, ...] = ()
        self._over = threading.Event()
        self.ended = threading.Event()
        """Set when nothing more comes."""
        self.failure: str | None = None
        self.stopped: str | None = None
        """Why mlxtop stopped the command; `None` if it did not."""
        self._room, self._left_out, self._window = 0, 0, 0.0
        self._log(*WHAT_TO_PRINT, NO_LIMITS)
        self._add(NOBODY)

    def members(self) -> tuple[FollowedSession, ...]:
        return self._members

    def unattached(self) -> tuple[UnattachedProcess, ...]:
        return ()

    def status(self) -> str:
        return self.failure or self._source.over or f"following {self.title}"

    def trouble(self) -> str:
        return ""

    def look_at(self, pids: Collection[int]) -> None:
        pass

    def stop_program(self, why: str) -> None:
        """Has the command stopped, because of `why`. Does not wait."""
        self.stopped = why
        self._over.set()

    def stop(self, timeout: float = 7.0) -> None:
        """Ends the thread and its source."""
        self._over.set()
        if self.is_alive():
            self.join(timeout)

    @self_usage.counted()
    def run(self) -> None:
        try:
            while not self._over.is_set() and self._source.over is None:
                self._take(self._source.read(WAIT))
            self._end()
        except Exception as error:
            # Without this a frozen screen would look like an idle program.
            self.failure = str(fatal("Following", error))
            self._log(self.failure)
            for member in self._members:
                member.end(self.failure)
        finally:
            self.ended.set()
            self._source.close()

    def _end(self) -> None:
        self._tell_left_out()
        for stream, parser in self._parsers.items():
            self._share(stream, parser.finish(), time.monotonic())
        how = self._source.over or self.stopped
        for member in self._members:
            if member.ended is None and how is not None:
                member.end(how)
            else:
                member.settle()

    def _take(self, chunks: Sequence[Chunk]) -> None:
        now = time.monotonic()
        for chunk in chunks:
            if chunk.begins or chunk.stream not in self._parsers:
                before = self._parsers.get(chunk.stream)
                if before is not None:
                    self._share(chunk.stream, before.finish(), now)
                self._parsers[chunk.stream] = Parser(self._patterns, chunk.encoding)
            self._share(chunk.stream, self._parsers[chunk.stream].feed(chunk.data), now)

    def _share(self, stream: int, items: Sequence[Item], now: float) -> None:
        touched: dict[FollowedSession, None] = {}
        for item in items:
            if isinstance(item, str):
                self._print(item)
                continue
            session = self._session(stream, item)
            if session not in touched:
                touched[session] = None
                session.arrive(now)
            match item:
                case Reading():
                    session.take(item)
                case Reported():
                    session.take_event(item)
                case Begun():
                    session.begin(item)
        for session in touched:
            session.settle()

    def _session(self, stream: int, item: Reading | Reported | Begun) -> FollowedSession:
        """The session that an item is about; a new one if its program has started anew."""
        found = self._known(stream, item.origin)
        if isinstance(item, Reading):
            anew = found.is_new_run(item)
        else:
            anew = isinstance(item, Begun) and found.spoke
        if anew and len(self._members) < MOST:
            found.end("the program has started anew")
            self._log(f"{found.label} has started anew: a new session")
            found = self._add(found.origin)
        self._last[stream] = found
        if not found.spoke:
            # Only now its name is known.
            found.spoke = True
            found.greet(item)
            if self._joined is not None:
                self._joined(found)
        return found

    def _known(self, stream: int, origin: Origin) -> FollowedSession:
        last = self._last.get(stream)
        if origin is NOBODY or (not origin.name and origin.pid is None):
            return last or self._by_origin.get(NOBODY) or self._members[-1]
        if last is not None and last.origin == origin and self._by_origin[origin] is last:
            return last
        found = self._by_origin.get(origin)
        if found is not None:
            return found
        # The first name that is told is that of whoever spoke before without one.
        nameless = self._by_origin.pop(NOBODY, None)
        if nameless is not None:
            nameless.origin, nameless.label = origin, origin.name or str(origin.pid)
            self._by_origin[origin] = nameless
            return nameless
        if len(self._members) >= MOST:
            return last or self._members[-1]
        return self._add(origin)

    def _add(self, origin: Origin) -> FollowedSession:
        assert self.transcript is not None
        for other in self._members:
            if origin.pid is not None and _earlier(other, origin):
                other.end(f"{origin.name} has started anew as process {origin.pid}")
                self._log(f"{origin.name} has started anew as process {origin.pid}: a new session")
        session = FollowedSession(next(self._numbers), self.title, origin, self.transcript, self._command)
        runs = sum(member.origin.name == origin.name for member in self._members)
        if runs:
            session.label = f"{session.label} ({runs + 1})"
        self._by_origin[origin] = session
        self._members = (*self._members, session)
        if len(self._members) == MOST:
            self._log(f"There are {MOST} sessions: further ones are not told apart.")
        return session

    def _print(self, text: str) -> None:
        """Writes text to the output pane, if there is not more than a person could ever see."""
        assert self.transcript is not None
        now = time.monotonic()
        if now - self._window >= PANE_EVERY:
            self._tell_left_out()
            self._window, self._room = now, PANE_MOST
        if len(text) > self._room:
            self._left_out += len(text)
            return
        self._room -= len(text)
        self.transcript.write("out", text)

    def _tell_left_out(self) -> None:
        assert self.transcript is not None
        self.transcript.behind = self._left_out > 0
        if self._left_out:
            self.transcript.leave_out(self._left_out)
            self._left_out = 0

    def _log(self, *lines: str) -> None:
        assert self.transcript is not None
        for line in lines:
            self.transcript.write("log", line)


def _earlier(session: FollowedSession, origin: Origin) -> bool:
    """Whether a session is of another process of the same name, and was not said to be over."""
    then = session.origin
    return session.ended is None and then.name == origin.name and then.pid not in (None, origin.pid)
