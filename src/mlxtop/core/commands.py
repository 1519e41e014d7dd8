"""What a session can be asked for.

A command is made once, where a key, an option, a budget or a socket asks for it, and goes unchanged to the
thread that carries it out. Named tuples, not dataclasses: the agent imports them in somebody else's program,
where making as many dataclasses takes 20 ms and these take 3.
"""

import itertools
import time
from typing import NamedTuple

from mlxtop.core.distinct import distinct
from mlxtop.core.events import EventData
from mlxtop.core.limits import LimitName
from mlxtop.core.units import Size


@distinct
class SetLimit(NamedTuple):
    """Sets one of MLX's limits to bytes, or to MLX's default."""

    name: LimitName
    size: Size
    source: str


@distinct
class ClearCache(NamedTuple):
    """Gives the cached buffers back."""

    source: str


@distinct
class ResetPeak(NamedTuple):
    """Has the peak start again from what is active."""

    source: str


@distinct
class Collect(NamedTuple):
    """Runs Python's garbage collector."""

    source: str


@distinct
class TakeCensus(NamedTuple):
    """Counts the live arrays."""


@distinct
class AddMark(NamedTuple):
    """Marks this moment."""

    name: str
    source: str


@distinct
class SetInterval(NamedTuple):
    """Has the agent take a sample every so many seconds."""

    seconds: float


@distinct
class SetControl(NamedTuple):
    """Takes control of a program that is only observed, or gives it back."""

    on: bool


@distinct
class SubmitPrompt(NamedTuple):
    """Text that a person typed: the model's next prompt, or a line for the program's standard input."""

    text: str


@distinct
class StartWorkload(NamedTuple):
    """Goes on with the prompts of the workload."""


@distinct
class StopWorkload(NamedTuple):
    """Ends what is generated now; nothing follows it."""


@distinct
class ForgetConversation(NamedTuple):
    """Drops the KV cache of a chat."""


@distinct
class RecordEvent(NamedTuple):
    """Takes in an event that the viewer's side knows of: a budget, its alarms, the machine's memory."""

    data: EventData


Command = (
    SetLimit
    | ClearCache
    | ResetPeak
    | Collect
    | TakeCensus
    | AddMark
    | SetInterval
    | SetControl
    | SubmitPrompt
    | StartWorkload
    | StopWorkload
    | ForgetConversation
    | RecordEvent
)

# Two viewers of one program, one after the other, must not give the same number.
_ids = itertools.count(time.time_ns() // 1000)


def new_id() -> int:
    """The number of a command: the events that answer it carry it."""
    return next(_ids)
