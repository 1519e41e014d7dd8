"""What a session can be asked for.

A command is made once, where a key, an option, a budget or a socket asks for it, and goes unchanged to the
thread that carries it out.
"""

from __future__ import annotations

import itertools
import time

from mlxtop.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mlxtop.core.events import EventData
    from mlxtop.core.limits import LimitName
    from mlxtop.core.units import Size


class SetLimit(Record):
    """Sets one of MLX's limits to bytes, or to MLX's default."""

    name: LimitName
    size: Size
    source: str


class ClearCache(Record):
    """Gives the cached buffers back."""

    source: str


class ResetPeak(Record):
    """Has the peak start again from what is active."""

    source: str


class Collect(Record):
    """Runs Python's garbage collector."""

    source: str


class TakeCensus(Record):
    """Counts the live arrays."""


class SetTrace(Record):
    """Starts a trace of every allocation of this process, or stops it."""

    on: bool
    source: str
    path: str = ""
    """The file; empty: one of its own in the folder for traces. An agent never takes one from a viewer."""


class AddMark(Record):
    """Marks this moment."""

    name: str
    source: str


class SetInterval(Record):
    """Has the agent take a sample every so many seconds."""

    seconds: float


class SetControl(Record):
    """Takes control of a program that is only observed, or gives it back."""

    on: bool


class SubmitPrompt(Record):
    """Text that a person typed: the model's next prompt, or a line for the program's standard input."""

    text: str


class StartWorkload(Record):
    """Goes on with the prompts of the workload."""


class StopWorkload(Record):
    """Ends what is generated now; nothing follows it."""


class ForgetConversation(Record):
    """Drops the KV cache of a chat."""


class RecordEvent(Record):
    """Takes in an event that the viewer's side knows of: a budget, its alarms, the machine's memory."""

    data: EventData


Command = (
    SetLimit
    | ClearCache
    | ResetPeak
    | Collect
    | TakeCensus
    | SetTrace
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
