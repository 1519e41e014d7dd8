"""Commands as lines between viewer and agent, checked once where they come in. See `ipc/protocol.py`."""

from collections.abc import Mapping

from mlxtop.core.commands import (
    AddMark,
    ClearCache,
    Collect,
    Command,
    ResetPeak,
    SetInterval,
    SetLimit,
    SetTrace,
    TakeCensus,
)
from mlxtop.core.parsing import count, limit_name, size, truth
from mlxtop.core.units import DEFAULT
from mlxtop.ipc import protocol

NAME = 80
"""Letters of a mark, a phase or a viewer's name that are kept."""
SHORTEST, LONGEST = 0.01, 60.0
"""Seconds between samples."""


def line(command: Command, command_id: int) -> bytes | None:
    """A command, ready to be sent; `None` for one that is not for an agent."""
    match command:
        case SetLimit(name, value, source):
            bytes_ = None if value == DEFAULT else value
            return protocol.line("limit", knob=name, bytes=bytes_, who=source, id=command_id)
        case ClearCache(source):
            return protocol.line("clear", who=source, id=command_id)
        case ResetPeak(source):
            return protocol.line("reset", who=source, id=command_id)
        case Collect(source):
            return protocol.line("collect", who=source, id=command_id)
        case TakeCensus():
            return protocol.line("census", id=command_id)
        case SetTrace(on, source):
            return protocol.line("trace", on=on, who=source, id=command_id)
        case AddMark(name, source):
            return protocol.line("mark", name=name, who=source, id=command_id)
        case SetInterval(every):
            return protocol.line("interval", seconds=every, id=command_id)
    return None


def parse(message: Mapping[str, object]) -> tuple[Command, int | None]:
    """A viewer's message → its command and that one's number; `None` where it gives none.

    Raises `ValueError` for what is no command.
    """
    number = message.get("id")
    return _command(message), None if number is None else count(number)


def _command(message: Mapping[str, object]) -> Command:
    source = str(message.get("who", "viewer"))[:NAME]
    match message["type"]:
        case "limit":
            bytes_ = message.get("bytes")
            name = limit_name(message.get("knob"))
            return SetLimit(name, DEFAULT if bytes_ is None else size(bytes_), source)
        case "clear":
            return ClearCache(source)
        case "reset":
            return ResetPeak(source)
        case "collect":
            return Collect(source)
        case "census":
            return TakeCensus()
        case "trace":
            return SetTrace(truth(message.get("on")), source)
        case "mark":
            return AddMark(_name(message.get("name")), source)
        case "interval":
            return SetInterval(_interval(message.get("seconds")))
    raise ValueError("no such command")


def _name(value: object) -> str:
    """As it is, but not endless: whoever shows it sees to it that it can be shown."""
    if not isinstance(value, str):
        raise ValueError("a text was expected")
    return value[:NAME]


def _interval(value: object) -> float:
    """A number of seconds, brought within bounds."""
    if not isinstance(value, int | float):
        raise ValueError("a number was expected")
    return float(min(LONGEST, max(SHORTEST, value)))
