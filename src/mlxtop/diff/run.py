"""What a file tells of a run: its measures by phase and as a whole, and what holds for all of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

Kind = Literal["recording", "stream", "summary", "trace", "sweep"]
PartKind = Literal["whole", "phase", "operation", "line", "choice"]
KINDS: Mapping[Kind, str] = {
    "recording": "recording",
    "stream": "stream of JSON lines",
    "summary": "summary",
    "trace": "trace",
    "sweep": "sweep",
}
"""What a person calls each kind of file."""
WHOLE = "whole"
"""The name of the part that is the whole run."""


class Fastest(NamedTuple):
    """The speed that a run came to again and again where nothing else slowed it down."""

    speed: float
    spread: float
    """By which share its stretches of that speed differ."""


class Value(NamedTuple):
    """One measure of one part of a run, in the unit of its measure."""

    value: float
    noise: float = 0.0
    """How far another run of the same program may lie from it."""
    blocks: tuple[float, ...] = ()
    """Of what is timed: its value in each stretch of work, or in each repeat."""
    fastest: Fastest | None = None
    """`None` where its fastest stretches differ, or samples are too few to tell."""


@dataclass(frozen=True, slots=True)
class Part:
    """The whole run, one phase of it, an operation or a line of a trace, or a choice of a sweep."""

    name: str
    kind: PartKind
    values: Mapping[str, Value]
    """By the names of `measures.MEASURES`."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Why a measure is not there: a clause."""


@dataclass(frozen=True, slots=True)
class Run:
    """One side of a comparison."""

    path: Path
    kind: Kind
    title: str
    """What ran: a program's name, or a model's."""
    seconds: float | None
    parts: tuple[Part, ...]
    """The whole first."""
    facts: Mapping[str, str]
    """What holds for the whole run, in words: versions, device, limits, command."""
    steps_are: str = ""
    """`tokens` or `evals`; empty where there are no steps."""
    footprint_kind: str = ""
    """What `footprint` measures: `RSS`, `phys_footprint`; empty where it is not told."""
    traced: bool = False
    """Whether a trace was written meanwhile, which takes time."""

    def part(self, name: str) -> Part | None:
        return next((part for part in self.parts if part.name == name), None)
