"""The session of a program that mlxtop did not write: what its agent tells, and what it is asked for."""

import time
from collections.abc import Callable, Mapping

from mlxtop.core.commands import (
    AddMark,
    ClearCache,
    Collect,
    Command,
    RecordEvent,
    ResetPeak,
    SetControl,
    SetInterval,
    SetLimit,
    SubmitPrompt,
    TakeCensus,
    new_id,
)
from mlxtop.core.events import (
    ErrorRaised,
    Event,
    FactsRead,
    LimitChanged,
    LimitRequested,
    MarkAdded,
    PhaseChanged,
)
from mlxtop.core.facts import Facts
from mlxtop.core.history import History
from mlxtop.core.limits import LimitName
from mlxtop.core.playhead import Playhead
from mlxtop.core.sample import Sample
from mlxtop.core.state import State
from mlxtop.core.text import one_line
from mlxtop.core.timeline import Timeline
from mlxtop.core.transcript import Transcript
from mlxtop.core.units import DEFAULT
from mlxtop.ipc import commands, protocol
from mlxtop.sessions.messages import Bye, FactsMessage, Hello, InitialLimit, Message, Phases, Samples
from mlxtop.sessions.session import Capability, Publisher

COST_WINDOW = 5.0
MOST_A_SECOND = 5_000
"""Samples of a second that are kept."""
SHORT = 200
"""Letters of a command that are kept."""

CAPABILITIES: frozenset[Capability] = frozenset(
    (SetLimit, ClearCache, ResetPeak, Collect, TakeCensus, AddMark, SetInterval, SetControl, RecordEvent)
)


class RemoteSession(Publisher):
    """A member of a fleet: fed with an agent's messages by `handle_message`; its commands leave by `send`.

    See `sessions.session.Member` for what a screen sees. What comes in was checked by `sessions.messages`.
    """

    steps_are = "evals"
    playhead: Playhead | None = None

    def __init__(
        self,
        hello: Hello,
        send: Callable[[bytes], None],
        transcript: Transcript | None = None,
        send_input: Callable[[str], None] | None = None,
        own_memory: int | None = None,
        controls: bool = True,
        process: int | None = None,
    ) -> None:
        super().__init__()
        self.pid = hello.pid
        """The process's number by its own word: it tells members apart, and is good for nothing else."""
        self.process = process
        self.rank = hello.rank
        self.started = hello.started
        self.interval = hello.interval
        self._protocol = hello.protocol
        self.command = list(hello.argv)
        self.title = command(self.command)
        self.label = f"rank {self.rank}" if self.rank is not None else str(self.pid)
        self.watched = hello.watched
        """The process that watched it before us."""
        self.log = hello.log if process is not None else None
        """Where the program's output goes: a path of this machine."""
        self.footprint_kind = hello.footprint
        self.history = History(self.interval)
        self.timeline = Timeline()
        self.transcript = transcript or Transcript()
        self.state = State()
        self.phases = ["run"]
        self.own_memory = own_memory
        self.ended: str | None = None
        self.controls = controls
        """Whether commands reach the program; one viewer at a time controls it."""
        self._lent = not controls
        """Whether control is taken for as long as the session is open in full, and then given back."""
        self.bye = False
        """Whether the program came to its end in order."""
        self.agent_cost: float | None = None
        self._cost_then = (0.0, 0.0)
        self._second, self._in_second = -1, 0
        self.initial_limits: dict[LimitName, int] = {}
        """The limits as they were when we came."""
        self.capabilities: frozenset[Capability] = CAPABILITIES | ({SubmitPrompt} if send_input else set())
        self._send_input = send_input
        self._send = send
        self._origin = time.monotonic() - hello.now
        self._ended_at = 0.0

    # What comes in

    def handle_message(self, message: Message) -> None:
        """One message of the agent's. Raises `ValueError` when it does not go with those before it."""
        match message:
            case Samples(cpu, rows):
                self._cost(cpu)
                for sample in rows:
                    self._sample(sample)
            case Event():
                self._record(message)
            case FactsMessage(at, facts, limits):
                # What was set since is told after it, though it happened before this comes here.
                self._learn(self.now() if at is None else at, facts, limits)
            case Phases(names):
                if len(names) < len(self.phases):
                    raise ValueError("phases are only added")
                self.phases = list(names)
            case Bye():
                self.bye = True

    def _sample(self, sample: Sample) -> None:
        if sample.phase >= len(self.phases):
            raise ValueError("a phase that has no name")
        latest = self.history.latest
        if latest is not None and sample.time < latest.time:
            raise ValueError("time goes backwards")
        # A second is kept as it came until the next begins: its samples are bounded.
        second = int(sample.time)
        self._in_second = self._in_second + 1 if second == self._second else 0
        self._second = second
        if self._in_second >= MOST_A_SECOND:
            return
        self.history.add(sample)
        self.record_sample(sample, self.state)
        if latest is None:
            self._mark_begin(sample)

    def _cost(self, cpu: float) -> None:
        """Seconds the agent's thread has used so far → its share of a core over the last while."""
        now, (then, cpu_then) = self.now(), self._cost_then
        if now - then >= COST_WINDOW:
            self.agent_cost = (cpu - cpu_then) / (now - then) if then else None
            self._cost_then = now, cpu

    def _mark_begin(self, first: Sample) -> None:
        """Deltas are measured from the first thing known of the program until somebody sets a mark."""
        mark = MarkAdded("start", "mlxtop", first.active, first.cache, first.peak, first.tokens)
        event = Event(first.time, mark)
        with self._lock:
            self.state.apply(event)
            # Marks of before we came are told before the first sample is: the start is the earliest all the
            # same.
            self.state.put_last_mark_first()
            self.timeline.insert(event)
            self.publish(event)

    def _record(self, event: Event) -> None:
        self.record(event, self.state, self.timeline)

    def _learn(self, at: float, facts: Facts, limits: Mapping[LimitName, InitialLimit]) -> None:
        self._record(Event(at, FactsRead(facts)))
        for name, limit in limits.items():
            self.initial_limits.setdefault(name, limit.value)
            found = LimitChanged(
                name, limit.value, limit.value, limit.source, default=limit.default, found=True
            )
            self._record(Event(at, found))

    def end(self, how: str) -> None:
        """The program is gone, or out of reach: the picture stands still from here on."""
        self._ended_at = self.now()
        self.ended = how
        self._record(Event(self._ended_at, PhaseChanged("ended")))
        self._record(Event(self._ended_at, ErrorRaised(how, "ended")))

    def refuse(self, why: str) -> None:
        """Somebody else controls the program."""
        self.controls = False
        self._record(Event(self.now(), ErrorRaised(why, "limit")))

    def now(self) -> float:
        return self._ended_at if self.ended is not None else time.monotonic() - self._origin

    # Commands

    def submit(self, command: Command) -> int:
        """See `Session.submit`."""
        id_ = new_id()
        match command:
            case SetLimit(name, size):
                value = self.state.limits[name].default if size == DEFAULT else size
                if value is None or self.ended is not None or not self.controls:
                    return id_
                self._record(Event(self.now(), LimitRequested(name, value), id_))
                command = command._replace(size=value)
            case SetControl(on) if self._lent and on != self.controls:
                self.controls = on
                self._send(protocol.hello("control" if on else "observe", self._protocol))
            case SetInterval(seconds):
                self.interval = seconds
            case SubmitPrompt(text):
                if self._send_input is not None:
                    self._send_input(text)
            case RecordEvent(data):
                self._record(Event(self.now(), data, id_))
        line = commands.line(command, id_)
        if line is not None:
            self._send(line)
        return id_

    def changed_limits(self) -> dict[LimitName, int]:
        """The limits that differ from those found, by our doing: what each was."""
        now = self.state.limits
        return {
            name: value
            for name, value in self.initial_limits.items()
            if now[name].source in ("keyboard", "flag", "budget") and now[name].wanted != value
        }

    def restore_limits(self) -> None:
        """Sets the limits that were changed here to what they were."""
        for name, value in self.changed_limits().items():
            self.submit(SetLimit(name, value, "mlxtop"))


def command(argv: object) -> str:
    """A command line in few words on one line: the interpreter of a file, and paths, say nothing."""
    words = [str(word) for word in argv] if isinstance(argv, list) else []
    while len(words) > 1 and _is_python(words[0]):
        words = words[1:]
        while len(words) > 1 and words[0].startswith("-") and words[0] not in ("-m", "-c"):
            # These two take a word after them.
            words = words[2 if words[0] in ("-X", "-W") and len(words) > 2 else 1 :]
        if words[0] == "-c":
            return one_line(" ".join(["python", "-c", *" ".join(words[1:]).split()])[:SHORT])
        if words[0] == "-m" and len(words) > 1:
            words = words[1:]
        break
    if words and "/bin/" in words[0]:
        words[0] = words[0].rpartition("/")[2]
    return one_line(" ".join(" ".join(words).split())[:SHORT]) or "a program"


def _is_python(word: str) -> bool:
    return word.rpartition("/")[2].startswith(("python", "Python"))
