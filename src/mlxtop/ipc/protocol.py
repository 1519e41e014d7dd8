"""What agent and viewer say to each other: one JSON object a line, each with a `type`.

The agent speaks first. Its `hello` and the protocol's number in it never change their form, so that any
two versions can tell each other which of them to upgrade.

Agent to viewer:
    hello    protocol, mlxtop, pid, argv, started, now, interval, run, rank, log, watched, footprint,
             counters; name: of a worker of multiprocessing
    facts    facts (see `mlx/device.py`) and limits (value, who, default of each): once MLX is in use
    phases   names: all phases so far; a sample's `phase` is an index into them
    samples  rows: each the fields of `core.sample.Sample` but `total`, `high` where the agent has it; cpu:
             seconds the agent's thread used. A row ends with the live buffers once a trace counts them
    event    time, kind and data: see `core/event_json.py`; answers: the id of the command that it answers
    refused  why
    bye      the program comes to its end; error and where: the exception that ends it, if one does
Viewer to agent, each command with an `id` of the viewer's: see `ipc/command_json.py`
    hello    protocol, mlxtop, pid, role: `look` to observe, `watch` to control (no id); every: the seconds
             between two messages with samples, from a viewer that wants few; sparse: of so many seconds one
             sample will do, that with the highest total. Older agents ignore both. It may come again
    limit    knob, bytes (`null` is MLX's default), who
    clear, reset, collect   who
    mark     name, who
    census   from an observer, too (since 3)
    trace    on, who (since 3)
    interval seconds
"""

from __future__ import annotations

import os

from mlxtop import __version__
from mlxtop.core.event_json import to_json
from mlxtop.core.events import KINDS
from mlxtop.core.parsing import parse_json
from mlxtop.ipc import plain_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Literal

    from mlxtop.core.events import EventData

    Role = Literal["observe", "control"]
    """What a viewer may do: one at a time controls a program, any number observe it and count its arrays."""
else:
    Role = str

PROTOCOL = 3
"""Since 3 an agent can trace, and counts arrays for observers; since 2 an event has the
fields of its data, and `answers`; 1 is that of mlxtop 0.1."""
TRACES = 3
"""The oldest agent that can trace."""
COUNTS_FOR_OBSERVERS = 3
"""The oldest agent that takes a census for a viewer that only observes."""
OLDEST = 1
"""The oldest agent that a viewer understands."""
WIRE_ROLES: dict[Role, str] = {"observe": "look", "control": "watch"}
"""The words that agents of protocol 1 know; today's understand both."""
LONGEST_COMMAND = 4_096
"""Bytes of the longest line an agent reads."""
LONGEST_LINE = 2**20
"""Bytes of the longest line a viewer reads."""
_ROWS = {length: b"[%.6f" + b",%d" * (length - 1) + b"]" for length in (12, 13)}
"""The form of a row of so many numbers."""


def line(kind: str, /, **fields: Any) -> bytes:
    """One message, ready to be sent."""
    return plain_json.write({"type": kind, **fields}).encode() + b"\n"


def event_line(time: float, data: EventData, answers: int | None = None) -> bytes:
    """A message of one event."""
    more = {} if answers is None else {"answers": answers}
    return line("event", time=round(time, 6), kind=KINDS[type(data)], data=to_json(data), **more)


def samples(cpu: float, rows: Iterable[tuple[Any, ...]]) -> bytes:
    """A message of samples. Made without `json`, whose cold code would be most of what a tick costs."""
    return b'{"type":"samples","cpu":%.6f,"rows":[%s]}\n' % (
        cpu,
        b",".join([_ROWS[len(row)] % row for row in rows]),
    )


def read(text: bytes | bytearray) -> dict[str, object]:
    """One line → one message. Raises `ValueError` for anything that is none."""
    message = parse_json(text)
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ValueError("not a message")
    return message


def read_command(text: bytes) -> dict[str, object]:
    """A viewer's line → its message. Raises `ValueError` for anything that is none."""
    message = plain_json.read(text.decode())
    if not isinstance(message.get("type"), str):
        raise ValueError("not a message")
    return message


def hello(role: Role, number: int = PROTOCOL, every: float | None = None, sparse: bool = False) -> bytes:
    """The first message of a viewer, to an agent of protocol `number`.

    `every`: seconds between two messages with samples. `sparse`: of these, one sample is enough.
    """
    more = {} if every is None else {"every": every, "sparse": sparse}
    return line("hello", protocol=number, mlxtop=__version__, pid=os.getpid(), role=WIRE_ROLES[role], **more)


def parse_role(word: object) -> Role:
    """Raises `ValueError` for what is no role."""
    for role, old in WIRE_ROLES.items():
        if word in (role, old):
            return role
    raise ValueError("no such role")
