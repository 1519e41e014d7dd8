"""The interfaces of sessions and fleets, the same for a live run, a watched program and a recording."""

from collections.abc import Callable, Collection, Sequence
from threading import RLock
from typing import NamedTuple, Protocol

from mlxtop.core.commands import Command
from mlxtop.core.events import PASSING, Event
from mlxtop.core.playhead import Playhead
from mlxtop.core.sample import Sample
from mlxtop.core.sample_store import Samples
from mlxtop.core.state import State
from mlxtop.core.timeline import Timeline
from mlxtop.core.transcript import Transcript

Capability = type[Command]
"""A kind of command that a session carries out."""
Listener = Callable[[Event | Sample], None]


class Session(Protocol):
    """One watched run: data to read, commands to submit, and events to subscribe to.

    No method waits for MLX, a socket or a disk. Times are seconds since the session began.
    """

    title: str
    process: int | None
    """The program's process id if it is on this machine: only then it may be signalled or read. `None` for a
    forwarded socket and a recording."""
    interval: float
    """Seconds between samples."""
    timeline: Timeline
    phases: list[str]
    """Names of the phases. A sample's `phase` is an index into this list."""
    footprint_kind: str
    """What `footprint` measures here: `RSS`, `phys_footprint`."""
    own_memory: int | None
    """Bytes of the process before MLX was loaded: mlxtop's own memory. `None` if not known."""
    steps_are: str
    """What a step is: `tokens` if mlxtop runs the model, `evals` in a watched program."""
    agent_cost: float | None
    """Share of a core that the agent in a watched program uses; `None` without an agent."""
    playhead: Playhead | None
    """The position of a replay; `None` in a live session."""
    capabilities: frozenset[Capability]
    """The kinds of command that this session carries out."""

    @property
    def history(self) -> Samples: ...

    @property
    def state(self) -> State: ...

    @property
    def transcript(self) -> Transcript: ...

    def now(self) -> float: ...

    def submit(self, command: Command) -> int:
        """Requests a command. Returns its id, which is in `Event.answers` of the events that answer it.

        The thread that owns MLX carries it out. Until then `state` shows a limit as pending. A command
        that is not among the `capabilities` has no effect.
        """

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` for every event and sample, on the thread where it happens. It must not wait.

        Returns a function that ends the subscription.
        """


class Member(Session, Protocol):
    """The session of one process among several."""

    pid: int
    """A unique number: the process id, unless another member has the same. Not for signals."""
    label: str
    """A short name: `rank 0`, or the process id."""
    rank: int | None
    started: float
    """Seconds since the epoch when the session began."""
    ended: str | None
    """How the process ended, in a few words; `None` while it runs."""


class UnattachedProcess(NamedTuple):
    """A process that has loaded MLX and has no agent."""

    pid: int
    command: str
    footprint: int | None
    """Bytes; `None` when it cannot be read."""


class Fleet(Protocol):
    """The sessions of one program and its children, or of all programs on this machine."""

    title: str
    transcript: Transcript | None
    """The program's output; `None` if mlxtop does not have it."""
    send_input: Callable[[str], None] | None
    """Writes a line to the program's standard input; `None` if mlxtop does not have it."""

    def members(self) -> Sequence[Member]:
        """Ranks by number, then processes by start time. Cheap enough for every frame."""

    def unattached(self) -> Sequence[UnattachedProcess]: ...

    def status(self) -> str:
        """One line about the program: that it is running, has not used MLX yet, or how it ended."""

    def trouble(self) -> str:
        """One line about what mlxtop cannot show, a host out of reach say; empty when there is nothing."""

    def look_at(self, pids: Collection[int]) -> None:
        """Tells which members are on the screen. Of others a fleet may ask less."""


class Publisher:
    """Applies a session's events and samples to its state and passes them to the listeners.

    They may come from any thread and are handled one at a time.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._listeners: tuple[Listener, ...] = ()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """See `Session.subscribe`."""
        with self._lock:
            self._listeners += (listener,)

        def end() -> None:
            with self._lock:
                self._listeners = tuple(one for one in self._listeners if one is not listener)

        return end

    def publish(self, item: Event | Sample) -> None:
        """Tells all listeners."""
        for listener in self._listeners:
            listener(item)

    def record(self, event: Event, state: State, timeline: Timeline) -> None:
        """Applies an event and publishes it. Events of the types `PASSING` are not kept in the timeline."""
        with self._lock:
            state.apply(event)
            if not isinstance(event.data, PASSING):
                timeline.add(event)
            self.publish(event)

    def record_sample(self, sample: Sample, state: State) -> None:
        """Applies a sample, which is already in the history, and publishes it."""
        with self._lock:
            state.apply_sample(sample)
            self.publish(sample)
