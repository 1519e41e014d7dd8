"""Who may ask, how, and how often."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.core.errors import UsageError
from mlxtop.serve import address, request, token
from mlxtop.serve.rate import ADDRESSES, AT_ONCE, Rate


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:9464", "127.0.0.1", 9464, True),
        ("127.8.8.8:0", "127.8.8.8", 0, True),
        ("[::1]:80", "::1", 80, True),
        ("0.0.0.0:9464", "0.0.0.0", 9464, False),
        ("[::]:9464", "::", 9464, False),
    ],
)
def test_an_address_is_read(text: str, host: str, port: int, loopback: bool) -> None:
    found = address.parse(text)
    assert (found, found.loopback, str(found)) == ((host, port), loopback, text)


@pytest.mark.parametrize(
    "text", ["9464", ":9464", "localhost", "h:", "h:x", "h:65536", "h:-1", "h:²", "::1:80", "[h:1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--listen"):
        address.parse(text)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("LOCALHOST:9464", True),
        ("host.docker.internal:9464", True),
        ("127.0.0.1:1", True),
        ("[::1]:9464", True),
        ("[::1]", True),
        ("192.0.2.7:9464", True),
        ("localhost.evil.example", False),
        ("evil.example:9464", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
        (":9464", False),
    ],
)
def test_a_page_of_a_browser_has_another_name(host: str, here: bool) -> None:
    assert address.names_this_machine(host) is here


def test_a_token_is_made_once_and_for_its_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(token.VARIABLE, raising=False)
    monkeypatch.setattr(token, "default_file", lambda: tmp_path / "a" / "serve.token")
    old = os.umask(0)
    try:
        secret, where = token.read()
    finally:
        os.umask(old)
    assert len(secret) >= 43
    assert stat.S_IMODE((tmp_path / "a" / "serve.token").stat().st_mode) == 0o600
    assert token.read() == (secret, where)
    monkeypatch.setenv(token.VARIABLE, "of-the-environment")
    assert token.read()[0] == "of-the-environment"
    assert token.read(tmp_path / "a" / "serve.token")[0] == secret


@pytest.mark.parametrize("text", ["", "short", "has a space in the middle", "ü" * 40, "x" * 600])
def test_what_is_no_token_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(UsageError, match="no token"):
        token.read(file)


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o666, 0o620])
def test_a_token_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "token"
    file.write_text("a-token-of-some-length")
    file.chmod(mode)
    with pytest.raises(UsageError, match="chmod 600"):
        token.read(file)
    file.unlink()
    with pytest.raises(UsageError, match="No such file"):
        token.read(file)


@pytest.mark.parametrize(
    ("shown", "right"),
    [
        ("Bearer a-token", True),
        ("bearer  a-token ", True),
        ("Bearer a-tokem", False),
        ("Bearer ", False),
        ("Basic a-token", False),
        ("a-token", False),
        ("", False),
        ("Bearer ÿ", False),
    ],
)
def test_only_the_token_opens(shown: str, right: bool) -> None:
    assert token.shown_by(shown, "a-token") is right


def test_a_request_is_read() -> None:
    head = b"GET /metrics?x=1 HTTP/1.1\r\nHost: h:1\r\nAccept: a\r\nACCEPT:\tb \r\nX:\r\n\r\n"
    found = request.parse(head)
    assert found == ("GET", "/metrics", {"host": "h:1", "accept": "a, b", "x": ""})


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET /\r\n\r\n",
        b"GET / HTTP/2\r\n\r\n",
        b"get / HTTP/1.1\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno field\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: 1\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: x\ny\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nAuthorization: a\r\nauthorization: b\r\n\r\n",
        b"GET /" + b"x" * 2000 + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused(head: bytes) -> None:
    with pytest.raises(ValueError, match=" "):
        request.parse(head)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_are_a_request_or_none(line: bytes, field: bytes) -> None:
    for head in (line, b"GET / HTTP/1.1\r\n" + field + b"\r\n\r\n"):
        try:
            found = request.parse(head)
        except ValueError:
            continue
        assert found.method.isalpha()


def test_an_address_is_answered_so_often() -> None:
    now = [0.0]
    rate = Rate(lambda: now[0])
    assert [rate.allows("a") for _ in range(30)] == [True] * int(AT_ONCE) + [False] * (30 - int(AT_ONCE))
    assert rate.allows("b")
    now[0] = 0.5
    assert [rate.allows("a") for _ in range(7)] == [True] * 5 + [False] * 2
    # However many there are, few are remembered.
    for i in range(3 * ADDRESSES):
        rate.allows(str(i))
    assert len(rate._left) == ADDRESSES
