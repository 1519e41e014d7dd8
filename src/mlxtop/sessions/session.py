"""What every session offers, whether it runs here, elsewhere, or came out of a file."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol

from mlxtop.core.events import Kind
from mlxtop.core.limits import LimitName
from mlxtop.core.playhead import Playhead
from mlxtop.core.sample_store import Samples
from mlxtop.core.state import State
from mlxtop.core.timeline import Timeline
from mlxtop.core.transcript import Transcript
from mlxtop.core.units import Size

Capability = Literal["say", "start", "forget", "collect", "census", "limits", "play"]
"""Commands that only some sessions can carry out: `limits` are those on MLX's limits and counters, `play`
moves through time."""


class Session(Protocol):
    """Data to read and commands to send. Nothing here waits: not for MLX, a socket or a disk.

    Times are seconds since the session began. A command is carried out by the thread that owns MLX and comes
    back as an event; until then a limit shows as pending in `state`.
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
    """Which of the optional commands this session carries out."""

    @property
    def history(self) -> Samples: ...

    @property
    def state(self) -> State: ...

    @property
    def transcript(self) -> Transcript: ...

    def now(self) -> float: ...

    def set_limit(self, knob: LimitName, size: Size, who: str) -> None: ...

    def clear_cache(self, who: str) -> None: ...

    def reset_peak(self, who: str) -> None: ...

    def mark(self, name: str, who: str) -> None: ...

    def record_event(self, kind: Kind, **data: Any) -> None:
        """Takes in, from any thread, an event that the viewer's side knows of: a budget and its alarms."""

    def warn(self, message: str | None) -> None:
        """Shows what is wrong with watching itself; `None`: no longer."""

    def send_input(self, text: str) -> None:
        """Gives the model its next prompt, or types a line into the program's standard input."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def forget(self) -> None: ...

    def collect(self) -> None:
        """Has the program run Python's garbage collector."""

    def census(self) -> None:
        """Asks for a count of the live arrays; it comes back in `state.census`."""


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

    def control(self, on: bool) -> None:
        """Takes control of a program that is only looked at, or gives it back."""


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

    def members(self) -> Sequence[Member]:
        """Ranks by number, then processes in the order they came. Costs nothing; ask at every frame."""

    def unattached(self) -> Sequence[UnattachedProcess]: ...

    def status(self) -> str:
        """One line on the program itself: that it runs, waits for MLX, or how it ended."""

    def send_input(self, text: str) -> None:
        """Types a line into the program's standard input."""
