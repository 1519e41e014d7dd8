"""What a terminal sends: keys arrive, and nothing else acts as one."""

from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from textual import constants, events
from textual.message import Message

from mlxtop.tui import keyboard
from mlxtop.tui.keyboard import KeyboardParser

REPLIES = [
    b"\x1b[>41;354;0c", b"\x1b[6;20;10t", b"\x1b[?997;1n", b"\x1b[?0u", b"\x1b[?1;2c", b"\x1b[?62;22c",
    b"\x1b[4;1080;1920t", b"\x1b[0n", b"\x1b[?1;2;256S", b"\x1b[?12;0$y", b"\x1b[3$y", b"\x1b[97;1:3u", b"\x1b[97:65;2u",
    b"\x1b[99999999u", b"\x1b[" + b"1;" * 60 + b"m", b"\x1bOz", b"\x9b6;20;10t", "\x9b6;20;10t".encode(),
    b"\x1b]11;rgb:1e1e/2c+c/m--\x07", b"\x1b]11;rgb:1e1e/2c+c/m--\x1b\\", b"\x1bP>|XTerm(390) +-cm\x1b\\",
    b"\x1b_Gi=31;OK+-c\x1b\\", b"\x1b^q+\x1b\\", b"\x1bXq+\x1b\\", b"\x1bP" + b"+" * 5000 + b"\x1b\\",
    b"\x1b[M \xff\xf0", b"\x1b[M !!", b"\x1b[M \xc3\xa9", b"\xff", b"\xc3\x28"[:1] + b"\xff", b"\x1b\xff",
    b"\x1b[48;0;0;0;0t", b"\x1b[48;99999;99999;9;9t",
]  # fmt: skip
KEYS = {
    b"q": "q", b"+": "plus", b"\xc3\xa9": "é", b"\r": "enter", b"\x03": "ctrl+c", b"\x7f": "backspace",
    b"\x1b[A": "up", b"\x1bOA": "up", b"\x1b[Z": "shift+tab", b"\x1b[5~": "pageup", b"\x1bOP": "f1",
    b"\x1b[[A": "f1", b"\x1b[15~": "f5", b"\x1b[1;5C": "ctrl+right", b"\x1b[97;5u": "ctrl+a", b"\x1b[27u": "escape",
    b"\x1b[43u": "plus", b"\x1b[99;;99u": "c", b"\x1b[3$": "shift+delete", b"\x1bx": "alt+x", b"\x1b+": "alt+plus", b"\x1b[": "alt+left_square_bracket",
    b"\x1b]": "alt+right_square_bracket", b"\x1bO": "alt+shift+o", b"\x1b": "escape",
}  # fmt: skip


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Textual's time stands still but for `parse`'s own waits."""
    monkeypatch.setattr("textual._parser.get_time", lambda: _now[0])


_now = [0.0]


def parse(*pieces: bytes, wait: float = 0.0) -> list[Message]:
    """What a parser makes of bytes that come in `pieces`, with a `wait` after each, and of no more after them."""
    from codecs import getincrementaldecoder

    parser, decode = KeyboardParser(), getincrementaldecoder("utf-8")("surrogateescape").decode
    found: list[Message] = []
    for piece in pieces:
        if text := decode(piece):
            found += parser.feed(text)
        _now[0] += wait
        found += parser.tick()
    _now[0] += keyboard.PATIENCE * 2
    return [*found, *parser.tick()]


def keys(messages: Iterable[Message]) -> list[str]:
    return [message.key for message in messages if isinstance(message, events.Key)]


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: repr(reply)[:24])
def test_what_is_no_key_is_dropped_whole(reply: bytes) -> None:
    assert keys(parse(reply + b"q")) == ["q"]
    assert keys(parse(reply)) == []
    # In as many reads as there are bytes, which may come late; only an escape alone is the key.
    assert keys(parse(*(reply[i : i + 1] for i in range(len(reply))))) == []
    assert keys(parse(reply[:2], reply[2:], wait=constants.ESCAPE_DELAY * 2)) == []


@pytest.mark.parametrize("pressed", KEYS, ids=repr)
def test_keys_arrive(pressed: bytes) -> None:
    assert keys(parse(pressed)) == [KEYS[pressed]]
    assert keys(parse(*(pressed[i : i + 1] for i in range(len(pressed))))) == [KEYS[pressed]]
    assert keys(parse(pressed, b"q", wait=keyboard.PATIENCE * 2)) == [KEYS[pressed], "q"]


def test_what_is_neither_arrives_too() -> None:
    found = parse(b"\x1b[I\x1b[O\x1b[<0;3;4M\x1b[<64;3;4M\x1b[48;40;120;800;1200t\x1b[?2026;1$y")
    assert [type(message).__name__ for message in found] == [
        "AppFocus", "AppBlur", "MouseDown", "MouseScrollUp", "Resize", "TerminalSupportsSynchronizedOutput",
    ]  # fmt: skip


def test_a_paste_is_text_whatever_is_in_it() -> None:
    text = b"a\x1b[6;20;10t\x1b+\xff\x00\r\xc3\xa9"
    pasted, key = parse(b"\x1b[200~" + text + b"\x1b[201~+", wait=1.0)
    assert isinstance(pasted, events.Paste)
    assert pasted.text == "a\x1b[6;20;10t\x1b+�\ré"
    assert keys([key]) == ["plus"]


def test_an_answer_that_breaks_off_leaves_the_keys_alive() -> None:
    for begun in (b"\x1b[6;2", b"\x1b]11;rgb:", b"\x1bP>|", b"\x1b[M "):
        assert keys(parse(begun, b"q", wait=keyboard.PATIENCE * 2)) == ["q"]
        assert keys(parse(begun + b"\x03")) == ["ctrl+c"]
        assert keys(parse(begun + b"\x1b[A")) == ["up"]


ANY = st.lists(
    st.one_of(st.binary(max_size=6), st.sampled_from([*REPLIES, *KEYS, b"\x1b[200~", b"\x1b[201~"]))
)


@given(ANY)
@example([b"\x1b", b"\x1b"])
def test_any_bytes_leave_it_alive(pieces: list[bytes]) -> None:
    messages = parse(*pieces, b"\x1b[201~", b"\x18q", wait=keyboard.PATIENCE * 2)
    assert keys(messages)[-1:] == ["q"]


@given(st.from_regex(rb"\x1b\[[<-?][0-9;:]{0,12}[ -/]?[@-LN-~]", fullmatch=True))
def test_private_sequences_are_no_keys(sequence: bytes) -> None:
    assert keys(parse(sequence + b"q")) == ["q"]
