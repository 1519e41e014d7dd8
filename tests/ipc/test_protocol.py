"""Lines to and from an agent, and two versions that meet."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop import __version__
from mlxtop.ipc import protocol
from mlxtop.sessions import messages
from tests.agent.program import PATIENT, Start

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(allow_nan=False) | st.text(),
    lambda some: st.lists(some, max_size=4) | st.dictionaries(st.text(max_size=5), some, max_size=4),
    max_leaves=20,
)


@given(
    st.text(),
    st.dictionaries(st.from_regex("[a-z]{1,8}", fullmatch=True).filter(lambda k: k != "type"), plain),
)
def test_what_is_said_is_what_is_read(kind: str, fields: dict[str, Any]) -> None:
    line = protocol.line(kind, **fields)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert protocol.read(line) == {"type": kind, **fields}


@given(st.binary())
def test_any_bytes_are_a_message_or_a_value_error(data: bytes) -> None:
    try:
        message = protocol.read(data)
    except ValueError:
        return
    assert isinstance(message["type"], str)


@pytest.mark.parametrize(
    "text", ["5", "null", "[]", '"x"', "{}", '{"type": 1}', "[" * 90_000, "9" * 5000, ""]
)
def test_what_is_no_message(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        protocol.read(text.encode())


def test_what_json_cannot_say_is_said_in_words() -> None:
    assert protocol.read(protocol.line("x", what={"a": {1}, "b": object}))["what"]["a"] == "{1}"


def test_a_hello_fits_what_an_agent_reads() -> None:
    assert len(protocol.hello("control")) < protocol.LONGEST_COMMAND


def test_a_newer_agent() -> None:
    assert messages.disagreement({"protocol": protocol.PROTOCOL + 1, "mlxtop": "9.1.0", "pid": 77}) == (
        f"Process 77 is watched by mlxtop 9.1.0, which is newer than this mlxtop {__version__}: upgrade mlxtop here."
    )


@pytest.mark.parametrize("protocol", [0, -1, None, "1", [], 0.5])
def test_an_older_agent_or_one_that_names_no_protocol(protocol: Any) -> None:
    assert messages.disagreement({"protocol": protocol, "mlxtop": "0.0.1", "pid": 77}) == (
        f"Process 77 is watched by mlxtop 0.0.1, which is older than this mlxtop {__version__}: "
        "upgrade mlxtop in the program's environment and start it again."
    )


def test_the_same_protocol_is_no_disagreement() -> None:
    assert messages.disagreement(json.loads(protocol.hello("control"))) is None


def test_an_agent_lets_a_viewer_of_another_protocol_go(start: Start) -> None:
    program = start.up(PATIENT)
    viewer = program.connect(None)
    # What it says of itself comes first and in the form that never changes.
    hello = viewer.message("hello")
    assert (hello["protocol"], hello["mlxtop"], hello["pid"]) == (protocol.PROTOCOL, __version__, program.pid)
    viewer.say("hello", protocol=protocol.PROTOCOL + 1, mlxtop="9", pid=1, role="watch")
    viewer.end()
    assert program.connect().message("facts")
