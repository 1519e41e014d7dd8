"""Things that happen at a time. Numbers that flow all the time are samples (`core/sample.py`).

Each kind of event has its own data. Sizes are bytes, spans are seconds, and `None` is what nobody knows.
`source` is who did it: `keyboard`, `flag`, `budget`, `program`, or a file and line.
"""

from __future__ import annotations

from mlxtop.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    # A watched program has no use for them.
    from collections.abc import Mapping

    from mlxtop.core.budget import Budget, BudgetUsage
    from mlxtop.core.census import Census
    from mlxtop.core.event import Event as Event
    from mlxtop.core.facts import Facts
    from mlxtop.core.limits import LimitName
    from mlxtop.core.machine import System


class FactsRead(Record):
    """Device, backend, ceilings and versions are known: see `core/facts.py`."""

    facts: Facts


class PhaseChanged(Record):
    """The program does something else now."""

    phase: str
    tokens: int | None = None
    """Of the prompt, when it is prefilled."""


class ProgressMade(Record):
    """How far a phase has come: bytes while loading, tokens while prefilling and decoding."""

    phase: str
    done: int
    total: int


class LimitChanged(Record):
    """A limit was set, or found as it is."""

    name: LimitName
    old: int | None
    new: int | None
    source: str
    asked: int | None = None
    """What the command asked for that this answers: MLX may have refused it."""
    default: int | None = None
    """What MLX starts with, where it is known when the limit is found."""
    found: bool = False
    """It was like this when the agent came."""
    times: int = 1
    """How many changes this stands for."""

    @property
    def rose(self) -> bool:
        """Whether the limit is higher now."""
        return (self.new or 0) > (self.old or 0)


class CacheCleared(Record):
    """The cache was given back."""

    source: str
    freed: int | None = None
    times: int = 1
    total: int | None = None
    """What MLX held before, its arrays included; of several, the most."""


class PeakReset(Record):
    """The peak starts again; before it was `peak`, of several resets the highest."""

    source: str
    peak: int
    times: int = 1


COLLECTOR = "Python"
"""The source of a garbage collection that nobody asked mlxtop for."""


class StepPeaked(Record):
    """A step was one of those in which the most memory was active; the event's time is its end.

    A step is a call of `mx.eval` or `mx.async_eval`; where mlxtop runs the model, a weight, a part of a
    prompt or a token.
    """

    peak: int
    """The most that was active, in bytes."""
    floor: int
    """What was active before it."""
    step: int
    """Its number; 0 for what rose between two steps."""
    phase: str
    caller: str = ""
    """File and line that called `eval`."""
    tokens: int | None = None
    """In the KV cache at its end, where that is known."""
    how: str = ""
    """Why it is not its own peak alone: `async`, `threads`, `between`."""


class GarbageCollected(Record):
    """Python's garbage collector ran."""

    source: str
    objects: int
    freed: int | None


class CensusTaken(Record):
    """The live arrays were counted."""

    census: Census


class TraceStarted(Record):
    """Every allocation goes into a file from here on."""

    path: str
    source: str


class TraceStopped(Record):
    """The trace in that file is complete."""

    path: str
    source: str


class MarkAdded(Record):
    """A moment to measure from."""

    name: str
    source: str
    active: int
    cache: int
    peak: int
    tokens: int


class GenerationFinished(Record):
    """A generation is over. Rates are tokens a second."""

    tokens: int
    prompt_tokens: int
    ttft: float
    """Time to the first token."""
    tps: float
    prompt_tps: float
    reason: str
    """Why it ended: `length`, `stop`, `stopped`."""
    context: int = 0
    """Tokens in the KV cache before it."""


MOST_SPEED = 1e10


class LossReported(Record):
    """A training program reported a loss; the event's time is when it did."""

    iteration: int
    """Steps of training before it."""
    loss: float | None
    """`None` where it is not a finite number: the training has diverged."""
    validation: bool = False
    """Whether it is the loss on the validation set."""
    tps: float | None = None
    """Tokens a second, as the program reported them; on several ranks, of all together."""

    @classmethod
    def of(cls, iteration: int, loss: float, validation: bool = False, tps: object = None) -> LossReported:
        """One of a program's own numbers, `None` for what is not finite."""
        # Of what is neither NaN nor infinite the difference is 0.
        known = float(loss) if loss - loss == 0 else None
        fast = isinstance(tps, float | int) and 0 <= tps <= MOST_SPEED
        return cls(iteration, known, validation, float(tps) if fast else None)  # type: ignore[arg-type]  # checked


class BudgetChanged(Record):
    """A budget was set or taken away, or its alarm went from one level to another."""

    budget: Budget | None
    level: int = 0
    """Percent of the budget whose alarm holds now: one of `core.budget.LEVELS`, or 0."""
    was: int = 0
    used: int | None = None


class SystemRead(Record):
    """What the machine said of its memory."""

    system: System


class ErrorRaised(Record):
    """Something went wrong; `phase` is what was being done."""

    message: str
    phase: str = ""


class TicksMissed(Record):
    """The sampler came too late."""

    ticks: int


class WorkloadDone(Record):
    """The workload has nothing left to do."""


class SessionEnded(Record):
    """Why nothing was recorded from here on; in recordings only."""

    cause: str


class LimitRequested(Record):
    """A limit was asked for, and is not set yet."""

    name: LimitName
    size: int


class BudgetRead(Record):
    """How the session stands to its budget now."""

    usage: BudgetUsage | None


class SystemPolled(Record):
    """What the machine says of its memory now; seldom it is told, as `SystemRead`."""

    system: System


class WarningChanged(Record):
    """What is wrong with watching itself; `None`: nothing any more."""

    message: str | None


EventData = (
    FactsRead
    | PhaseChanged
    | ProgressMade
    | LimitChanged
    | CacheCleared
    | PeakReset
    | StepPeaked
    | GarbageCollected
    | CensusTaken
    | TraceStarted
    | TraceStopped
    | MarkAdded
    | GenerationFinished
    | LossReported
    | BudgetChanged
    | SystemRead
    | ErrorRaised
    | TicksMissed
    | WorkloadDone
    | SessionEnded
    | LimitRequested
    | BudgetRead
    | SystemPolled
    | WarningChanged
)
EVENT_TYPES: tuple[type[EventData], ...] = EventData.__args__
PASSING = (ProgressMade, LimitRequested, BudgetRead, SystemPolled, WarningChanged)
"""Events that only say how things stand at this moment: they are not kept."""
KINDS: Mapping[type[object], str] = {
    FactsRead: "facts",
    PhaseChanged: "phase",
    ProgressMade: "progress",
    LimitChanged: "limit",
    CacheCleared: "clear",
    PeakReset: "reset",
    StepPeaked: "peak",
    GarbageCollected: "collect",
    CensusTaken: "census",
    TraceStarted: "trace",
    TraceStopped: "traced",
    MarkAdded: "mark",
    GenerationFinished: "generation",
    LossReported: "loss",
    BudgetChanged: "budget",
    SystemRead: "system",
    ErrorRaised: "error",
    TicksMissed: "late",
    WorkloadDone: "done",
    SessionEnded: "end",
}
"""The word for each kind, in recordings, in JSON and between agent and viewer."""


def __getattr__(name: str) -> object:
    # Found when asked for: the agent in somebody else's program tells of events, and reads none.
    if name == "Event":
        from mlxtop.core.event import Event

        return Event
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
