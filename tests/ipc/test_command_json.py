"""Commands as lines, and back."""

import json

import pytest

from mlxtop.core.commands import (
    AddMark,
    ClearCache,
    Collect,
    Command,
    ResetPeak,
    SetInterval,
    SetLimit,
    SetTrace,
    StartWorkload,
    SubmitPrompt,
    TakeCensus,
    new_id,
)
from mlxtop.ipc import command_json

SENT: list[Command] = [
    SetLimit("cache", 2**21, "keyboard"),
    SetLimit("memory", "default", "flag"),
    ClearCache("keyboard"),
    ResetPeak("budget"),
    Collect("keyboard"),
    TakeCensus(),
    SetTrace(True, "keyboard"),
    SetTrace(False, "mlxtop"),
    AddMark("here", "keyboard"),
    SetInterval(0.25),
]


@pytest.mark.parametrize("command", SENT, ids=[type(command).__name__ for command in SENT])
def test_every_command_for_an_agent_comes_through(command: Command) -> None:
    command_id = new_id()
    line = command_json.line(command, command_id)
    assert line is not None
    assert line.endswith(b"\n")
    assert command_json.parse(json.loads(line)) == (command, command_id)


@pytest.mark.parametrize("command", [SubmitPrompt("hello"), StartWorkload()])
def test_others_stay_with_the_viewer(command: Command) -> None:
    assert command_json.line(command, 1) is None


def test_a_number_may_be_missing() -> None:
    message = {"type": "limit", "knob": "cache", "bytes": 7, "who": "keyboard"}
    assert command_json.parse(message) == (SetLimit("cache", 7, "keyboard"), None)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "obey"},
        {"type": "limit", "knob": "cash", "bytes": 1},
        {"type": "limit", "knob": "cache", "bytes": -1},
        {"type": "limit", "knob": "cache", "bytes": 2**63},
        {"type": "limit", "knob": "cache", "bytes": True},
        {"type": "interval", "seconds": "often"},
        {"type": "trace", "on": 1},
        {"type": "clear", "id": "one"},
    ],
)
def test_what_makes_no_sense_is_refused(message: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        command_json.parse(message)


def test_what_is_long_or_out_of_bounds_is_bounded() -> None:
    assert command_json.parse({"type": "mark", "name": "n" * 500, "who": "w" * 500})[0] == AddMark(
        "n" * 80, "w" * 80
    )
    assert command_json.parse({"type": "interval", "seconds": 0})[0] == SetInterval(command_json.SHORTEST)


def test_numbers_are_never_given_twice() -> None:
    assert len({new_id() for _ in range(100)}) == 100
