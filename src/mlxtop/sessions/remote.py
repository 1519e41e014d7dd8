"""The session of a watched program: receives its agent's messages, and sends commands to it."""

import time
from collections.abc import Callable, Mapping, Sequence

from mlxtop.attach import process_info
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
    SetTrace,
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
from mlxtop.ipc import command_json, protocol
from mlxtop.ipc.protocol import Role
from mlxtop.sessions.death import Death
from mlxtop.sessions.messages import Bye, FactsMessage, Hello, InitialLimit, Message, Phases, Samples
from mlxtop.sessions.session import Capability, Publisher

COST_WINDOW = 5.0
MOST_A_SECOND = 5_000
"""Samples that are kept of one second."""
SPARSE = 2.0
"""Seconds between samples of a session that nobody looks at, one of many."""
SHORT = 200
"""Characters that are kept of a command line."""

CAPABILITIES: frozenset[Capability] = frozenset(
    (SetLimit, ClearCache, ResetPeak, Collect, TakeCensus, AddMark, SetInterval, SetControl, RecordEvent)
)


class RemoteSession(Publisher):
    """A member of a fleet. `handle_message` takes its agent's messages; `send` sends bytes to the agent.

    See `sessions.session.Member`. Messages are checked by `sessions.messages` before.
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
        host: str | None = None,
    ) -> None:
        super().__init__()
        self.pid = hello.pid
        """The process id that the agent states. It only distinguishes members."""
        self.process = process
        self.rank = hello.rank
        self.started = hello.started
        self.interval = hello.interval
        self._protocol = hello.protocol
        self.command = list(hello.argv)
        self.worker = hello.name
        """The name of a worker process; `None` for any other."""
        self._name = hello.name or command(self.command)
        self.title = self._name
        self.label = f"rank {self.rank}" if self.rank is not None else str(self.pid)
        if host is not None:
            self.title, self.label = f"{self._name} on {host}", f"{self.label}@{host}"
        self.watched = hello.watched
        """The process id of the viewer that had control before; `None` without one."""
        self.counts_for_observers = hello.protocol >= protocol.COUNTS_FOR_OBSERVERS
        """Whether the agent takes a census for a viewer that only observes."""
        self.log = hello.log if process is not None else None
        """The file with the program's output; `None` if it is not on this machine."""
        self.footprint_kind = hello.footprint
        self.history = History(self.interval)
        self.timeline = Timeline()
        self.transcript = transcript or Transcript()
        self.state = State()
        self.phases = ["run"]
        self.own_memory = own_memory
        self.ended: str | None = None
        self.controls = controls
        """Whether this viewer has control. One viewer at a time has it; its commands are carried out."""
        self._lent = not controls
        """Whether control is taken only while the session's dashboard is open."""
        self.closely = True
        """Whether all samples are asked for."""
        self.bye: Bye | None = None
        """The program's last message; `None` while it runs, and when it was killed."""
        self.told_to_end = False
        """Whether mlxtop has told the program to end."""
        self.death: Death | None = None
        """How and why it died; `None` while it runs, and when it ended as it should."""
        self.agent_cost: float | None = None
        self._cost_then = (0.0, 0.0)
        self._second, self._in_second = -1, 0
        self.initial_limits: dict[LimitName, int] = {}
        """The limits in bytes when this viewer connected."""
        self.capabilities: frozenset[Capability] = frozenset(
            (
                *CAPABILITIES,
                *([SubmitPrompt] if send_input else ()),
                *([SetTrace] if hello.protocol >= protocol.TRACES else ()),
            )
        )
        self._send_input = send_input
        self._send = send
        self._origin = time.monotonic() - hello.now
        self._ended_at = 0.0

    def align(self, origin: float) -> None:
        """Sets the moment of this machine's monotonic clock at which the session began.

        What the wall clock of the program's machine says no longer counts.
        """
        if origin != self._origin:
            self._origin = origin
            self.started = time.time() - (time.monotonic() - origin)

    def look_at_title(self) -> None:
        """Takes over the title that the process has given itself meanwhile, if any."""
        if self.process is not None:
            self.title = title(self.process, self.command, self._name)

    # What comes in

    def handle_message(self, message: Message) -> None:
        """Takes one message of the agent. Raises `ValueError` when it contradicts earlier ones."""
        match message:
            case Samples(cpu, rows):
                self._cost(cpu)
                for sample in rows:
                    self._sample(sample)
            case Event():
                self._record(message)
            case FactsMessage(at, facts, limits):
                # A limit set since then is reported after this message.
                self._learn(self.now() if at is None else at, facts, limits)
            case Phases(names):
                if len(names) < len(self.phases):
                    raise ValueError("phases are only added")
                self.phases = list(names)
            case Bye():
                self.bye = message

    def _sample(self, sample: Sample) -> None:
        if sample.phase >= len(self.phases):
            raise ValueError("a phase that has no name")
        latest = self.history.latest
        if latest is not None and sample.time < latest.time:
            raise ValueError("time goes backwards")
        # All samples of the present second are kept: their number must be bounded.
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
        """Updates `agent_cost` from the processor seconds that the agent's thread has used so far."""
        now, (then, cpu_then) = self.now(), self._cost_then
        if now - then >= COST_WINDOW:
            self.agent_cost = (cpu - cpu_then) / (now - then) if then else None
            self._cost_then = now, cpu

    def _mark_begin(self, first: Sample) -> None:
        """Sets the mark `start` at the first sample. Deltas start from it until another mark is set."""
        mark = MarkAdded("start", "mlxtop", first.active, first.cache, first.peak, first.tokens)
        event = Event(first.time, mark)
        with self._lock:
            self.state.apply(event)
            # Earlier marks of the program arrive before the first sample: the start is the earliest mark.
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
        """Records that the program has ended or is out of reach. `how` says how."""
        self._ended_at = self.now()
        self.ended = how
        self._record(Event(self._ended_at, PhaseChanged("ended")))
        self._record(Event(self._ended_at, ErrorRaised(how, "ended")))

    def refuse(self, why: str) -> None:
        """Records that another viewer controls the program."""
        self.controls = False
        with self._lock:
            self.state.drop_requests()
        self._record(Event(self.now(), ErrorRaised(why, "limit")))

    def now(self) -> float:
        return self._ended_at if self.ended is not None else time.monotonic() - self._origin

    # Commands

    def submit(self, command: Command) -> int:
        """See `Session.submit`."""
        command_id = new_id()
        match command:
            case SetLimit(name, size):
                value = self.state.limits[name].default if size == DEFAULT else size
                if value is None or self.ended is not None or not self.controls:
                    return command_id
                self._record(Event(self.now(), LimitRequested(name, value), command_id))
                command = command.replace(size=value)
            case SetControl(on) if self._lent and on != self.controls:
                self.controls = on
                self.greet()
            case SetInterval(seconds):
                self.interval = seconds
            case SubmitPrompt(text):
                if self._send_input is not None:
                    self._send_input(text)
            case RecordEvent(data):
                self._record(Event(self.now(), data, command_id))
            case SetTrace() if SetTrace not in self.capabilities:
                # An older agent drops a viewer whose word it does not know.
                return command_id
        line = command_json.line(command, command_id)
        if line is not None:
            self._send(line)
        return command_id

    def greet(self, every: float | None = 0.0) -> None:
        """Tells the agent what this viewer wants of it: news at once, or `every` so many seconds."""
        sparse = not (self.closely or self.controls)
        role: Role = "control" if self.controls else "observe"
        self._send(protocol.hello(role, self._protocol, SPARSE if sparse else every, sparse))

    def look(self, closely: bool) -> None:
        """Has the agent send all samples, or one in `SPARSE` seconds. `greet` tells it."""
        self.closely = closely
        if not closely:
            self.history.interval = max(self.interval, SPARSE)

    def changed_limits(self) -> dict[LimitName, int]:
        """The limits that this viewer changed, with their initial values in bytes."""
        now = self.state.limits
        return {
            name: value
            for name, value in self.initial_limits.items()
            if (now[name].pending is not None or now[name].source in ("keyboard", "flag", "budget"))
            and now[name].wanted != value
        }

    def restore_limits(self) -> None:
        """Sets the limits that this viewer changed to their initial values."""
        for name, value in self.changed_limits().items():
            self.submit(SetLimit(name, value, "mlxtop"))


def already_watched(pid: int, viewer: int) -> str:
    """Why this viewer cannot control process `pid`: the viewer in process `viewer` does."""
    return (
        f"Process {pid} is already watched by mlxtop (process {viewer}): "
        "quit that one first, or use mlxtop top."
    )


def title(pid: int, argv: Sequence[str], name: str) -> str:
    """The title that process `pid` of this machine gave itself, else `name`."""
    found = process_info.title(pid, argv)
    return one_line(found[:SHORT]) if found is not None else name


def command(argv: object) -> str:
    """A command line as short text on one line, without the interpreter and the path of the program."""
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
