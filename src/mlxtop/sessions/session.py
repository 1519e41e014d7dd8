"""What every session offers, whether it runs here, elsewhere, or came out of a file."""

from collections.abc import Callable, Sequence
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
    """Data to read, commands to submit, and what happens to listen to. Nothing here waits: not for MLX, a
    socket or a disk.

    Times are seconds since the session began.
    """

    title: str
    process: int | None
    """The program's process where that is known to be one of this machine: only this may be signalled or
    read. `None` behind a forwarded socket, and in a recording."""
    interval: float
    """Seconds between samples."""
    timeline: Timeline
    phases: list[str]
    """Phase names; a sample's `phase` is an index into it."""
    footprint_kind: str
    """What `footprint` measures here: `RSS`, `phys_footprint`."""
    own_memory: int | None
    """Bytes the process had before MLX came into it: mlxtop itself."""
    steps_are: str
    """What a step is here: `tokens` where mlx-lm is driven, `evals` where a program is watched."""
    agent_cost: float | None
    """Share of a core that the agent in a watched program takes; `None` where there is none."""
    playhead: Playhead | None
    """Where a replay stands; `None` where time goes by itself."""
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
        """Asks for a command. Returns its number, which the events that answer it carry.

        The thread that owns MLX carries it out; until then a limit shows as pending in `state`. A command
        that is not among the `capabilities` has no effect.
        """

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` for every event and sample, on the thread where it happens; it must not wait.

        Returns a function that ends this.
        """


class Member(Session, Protocol):
    """The session of one process among several."""

    pid: int
    """What tells it from the others: its process id, if no other names the same. Never signalled nor read."""
    label: str
    """What tells it from the others in a few letters: `rank 0`, or its process id."""
    rank: int | None
    started: float
    """Seconds since the epoch when the session's clock stood at 0."""
    ended: str | None
    """How the process ended, in a few words; `None` while it runs."""


class UnattachedProcess(NamedTuple):
    """A process with MLX in it that has no agent: it is known from outside only."""

    pid: int
    command: str
    footprint: int | None
    """Bytes; `None` when it cannot be read."""


class Fleet(Protocol):
    """The sessions of one program and its children, or of all programs on this machine."""

    title: str
    transcript: Transcript | None
    """What the program prints; `None` where its output goes elsewhere."""
    send_input: Callable[[str], None] | None
    """Types a line into the program's standard input; `None` where that is not ours."""

    def members(self) -> Sequence[Member]:
        """Ranks by number, then processes in the order they came. Costs nothing; ask at every frame."""

    def unattached(self) -> Sequence[UnattachedProcess]: ...

    def status(self) -> str:
        """One line on the program itself: that it runs, waits for MLX, or how it ended."""


class Publisher:
    """Where a session's events and samples come together: each changes the state, and whoever subscribed
    hears of it. They may come from any thread; they are taken in one at a time."""

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
        """Takes an event in. One that only says how things stand now is not kept in the timeline."""
        with self._lock:
            state.apply(event)
            if not isinstance(event.data, PASSING):
                timeline.add(event)
            self.publish(event)

    def record_sample(self, sample: Sample, state: State) -> None:
        """Takes in a sample that is in the history."""
        with self._lock:
            state.apply_sample(sample)
            self.publish(sample)
