"""The messages of agents, checked once on arrival. A forwarded socket may lead to any program.

A message becomes a value of one of these types, or `ValueError` is raised. All text in them is safe to show,
all numbers are within bounds, all collections are short. A fact that is missing or invalid is not known.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from mlxtop import __version__
from mlxtop.core.event_json import MESSAGE, NAME, from_json
from mlxtop.core.events import KINDS, Event
from mlxtop.core.facts import UNNAMED, Facts, words
from mlxtop.core.limits import LIMIT_NAMES, LimitName
from mlxtop.core.parsing import count, seconds, size, text
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.ipc import protocol

TEXT, PATH = 200, 4_096
"""Longest text of a refusal and longest path of a file, in characters."""
PHASES, ROWS = 1_000, 20_000
"""Most phases, and most samples of a message."""
T = TypeVar("T")
U = TypeVar("U")
COUNTERS = ("active", "cache", "peak", "footprint")
SHORTEST, LONGEST = 0.001, 60.0
"""Seconds between samples."""


class Hello(NamedTuple):
    """The first message of an agent, about itself and its program. None of it is verified."""

    protocol: int
    pid: int
    argv: tuple[str, ...]
    started: float
    now: float
    interval: float
    rank: int | None
    watched: int | None
    """The process id of the viewer that has control; `None` without one."""
    log: str | None
    footprint: str
    counters: Mapping[str, int]
    """Bytes by name, of the counters that are known."""
    name: str | None = None
    """The name of a worker process; `None` for any other, and from an agent of mlxtop 0.1."""


class Samples(NamedTuple):
    cpu: float
    rows: tuple[Sample, ...]
    """A sample's phase is a number; it may have no name."""


class InitialLimit(NamedTuple):
    """A limit when the agent started."""

    value: int
    source: str
    default: int | None


class FactsMessage(NamedTuple):
    """What the agent's device is, and the limits as it found them."""

    time: float | None
    facts: Facts
    limits: Mapping[LimitName, InitialLimit]


class Phases(NamedTuple):
    names: tuple[str, ...]


class Refused(NamedTuple):
    why: str


class Bye(NamedTuple):
    """The program's interpreter came to its end."""

    error: str | None = None
    """The exception that ended it, as the last line of its traceback; `None` without one."""
    where: str | None = None
    """File, line and function where that was raised."""


Message = Hello | Samples | Event | FactsMessage | Phases | Refused | Bye


def parse(message: Mapping[str, object]) -> Message | None:
    """One message of an agent; `None` for an unknown kind. Raises `ValueError` for an invalid message."""
    match message.get("type"):
        case "samples":
            return _samples(message)
        case "event":
            return _event(message)
        case "facts":
            return _facts(message)
        case "phases":
            names = message.get("names")
            if not isinstance(names, list) or len(names) > PHASES:
                raise ValueError("phases must be a list of names")
            return Phases(tuple(text(name, NAME) for name in names))
        case "hello":
            return hello(message)
        case "refused":
            return Refused(text(message.get("why"), TEXT))
        case "bye":
            return Bye(_message(message.get("error")), _message(message.get("where")))
    return None


def hello(message: Mapping[str, object]) -> Hello:
    """The first message of an agent. Raises `ValueError` for an invalid one."""
    argv, started = message.get("argv"), message.get("started")
    counters = message.get("counters")
    counters = counters if isinstance(counters, dict) else {}
    known = {name: _or(size, counters.get(name), None) for name in COUNTERS}
    return Hello(
        protocol=_or(count, message.get("protocol"), protocol.PROTOCOL),
        pid=count(message.get("pid"), 0, 2**31),
        argv=words(argv),
        started=_or(seconds, started, 0.0),
        now=seconds(message.get("now")),
        interval=min(LONGEST, max(SHORTEST, seconds(message.get("interval")))),
        rank=_or(lambda value: count(value, 0, 2**31), message.get("rank"), None),
        watched=_or(lambda value: count(value, 0, 2**31), message.get("watched"), None),
        log=_path(message.get("log")),
        footprint=_or(lambda value: text(value, 16), message.get("footprint"), "footprint"),
        counters={name: value for name, value in known.items() if value is not None},
        name=_or(lambda value: text(value, NAME), message.get("name"), None) or None,
    )


def disagreement(message: Mapping[str, object]) -> str | None:
    """Why this viewer cannot work with the agent that sent this hello, in one sentence; `None` if it can."""
    theirs = message.get("protocol")
    if type(theirs) is int and protocol.OLDEST <= theirs <= protocol.PROTOCOL:
        return None
    pid = _or(lambda value: count(value, 0, 2**31), message.get("pid"), UNNAMED)
    version = _or(lambda value: text(value, NAME), message.get("mlxtop"), UNNAMED)
    said = f"Process {pid} is watched by mlxtop {version}, which is"
    if type(theirs) is int and theirs > protocol.PROTOCOL:
        return f"{said} newer than this mlxtop {__version__}: upgrade mlxtop here."
    return (
        f"{said} older than this mlxtop {__version__}: upgrade mlxtop in the program's environment and start "
        "it again."
    )


# Single values


def _or(read: Callable[[object], T], value: object, unknown: U) -> T | U:
    """`read(value)`, or `unknown` if that raises `ValueError`."""
    try:
        return read(value)
    except ValueError:
        return unknown


def _message(value: object) -> str | None:
    return _or(lambda value: text(value, MESSAGE), value, None) or None


def _path(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= PATH and "\0" not in value else None


# Samples


def _samples(message: Mapping[str, object]) -> Samples:
    rows = message.get("rows")
    if not isinstance(rows, list) or len(rows) > ROWS:
        raise ValueError("samples must be a list of rows")
    return Samples(seconds(message.get("cpu")), tuple(map(_sample, rows)))


def _sample(row: object) -> Sample:
    if not isinstance(row, list) or not 11 <= len(row) <= 13:
        raise ValueError("a sample is a list of eleven to thirteen numbers")
    time, active, cache, peak, footprint, tokens, steps, decode, phase, weights, kv, high, buffers = row + [
        UNKNOWN
    ] * (13 - len(row))
    for value in (active, cache, peak, tokens, steps, decode):
        if type(value) is not int or not 0 <= value < 2**62:
            raise ValueError("a sample is made of whole numbers")
    for value in (footprint, weights, kv, high, buffers):
        if type(value) is not int or not UNKNOWN <= value < 2**62:
            raise ValueError("a sample is made of whole numbers")
    return Sample(
        seconds(time), active, cache, peak, active + cache, footprint, tokens, steps, decode,
        count(phase, 0, PHASES), weights, kv, high if high > active else UNKNOWN, buffers,
    )  # fmt: skip


# Facts


def _facts(message: Mapping[str, object]) -> FactsMessage:
    given, limits, time = message.get("facts"), message.get("limits"), message.get("time")
    if not isinstance(given, dict) or not isinstance(limits, dict):
        raise ValueError("facts and limits have names")
    found = {name: _found(limits[name]) for name in LIMIT_NAMES if limits.get(name) is not None}
    known = {name: limit for name, limit in found.items() if limit is not None}
    return FactsMessage(None if time is None else seconds(time), Facts.from_json(given), known)


def _found(given: object) -> InitialLimit | None:
    """A limit; `None` if the agent does not know it."""
    if not isinstance(given, list) or len(given) != 3:
        raise ValueError("a limit is a value, who set it, and MLX's default")
    value, source, default = given
    name = text(source, NAME)
    default = None if default is None else size(default)
    return None if value is None else InitialLimit(size(value), name, default)


# Events

AGENT_EVENTS = frozenset(KINDS.values()) - {"facts", "budget", "system", "end"}
"""The events that an agent may send. Budgets, the machine and facts do not come as its events."""


def _event(message: Mapping[str, object]) -> Event | None:
    kind, answers = message.get("kind"), message.get("answers")
    data = from_json(kind, message.get("data")) if isinstance(kind, str) and kind in AGENT_EVENTS else None
    if data is None:
        return None
    return Event(seconds(message.get("time")), data, None if answers is None else count(answers))
