"""The HTTP server under clients of every kind: an honest one is answered beside them all."""

import asyncio
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from mlxtop.core.errors import UsageError
from mlxtop.serve import server as module
from mlxtop.serve.address import Address
from mlxtop.serve.exposition import Page
from mlxtop.serve.server import Guard, Server
from tests.agent.program import until
from tests.serve.scraper import PATIENCE, Answer, ask, connect, raw, read

MOST = 40
"""Connections that a test of so many has."""
TOKEN = "a-token-of-some-length"
BODY = b"mlx_x 1\n" * 2**19
"""Four megabytes: more than the system keeps for a client that does not read."""
ASKED = f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()


class Running:
    """A server on a thread of its own."""

    def __init__(self, guard: Guard, page: Any) -> None:
        self.server = Server(Address("127.0.0.1", 0), guard, page)
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda *_: None)
        self._loop.run_until_complete(self.server.open())
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.port = self.server.address.port

    def clients(self) -> int:
        return len(self.server._clients) + len(self.server._scrapers)

    def scrape(self, **more: Any) -> Answer:
        return ask(self.port, token=TOKEN, **more)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.server.close(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def running(guard: Guard = Guard(TOKEN), page: Any = lambda _: Page("text/plain", BODY)) -> Iterator[Running]:  # noqa: B008 - it is immutable
    server = Running(guard, page)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def served() -> Iterator[Running]:
    """One for all clients: whoever harms it fails every test after."""
    with pytest.MonkeyPatch.context() as patch, running() as server:
        patch.setattr(server.server._rate, "allows", lambda _: True)
        yield server


@pytest.mark.parametrize(
    ("path", "method", "fields", "status"),
    [
        ("/", "GET", {}, HTTPStatus.OK),
        ("/-/healthy", "HEAD", {}, HTTPStatus.OK),
        ("/metrics", "GET", {}, HTTPStatus.UNAUTHORIZED),
        ("/metrics?token=" + TOKEN, "GET", {}, HTTPStatus.UNAUTHORIZED),
        ("/metrics", "GET", {"Authorization": "Bearer wrong"}, HTTPStatus.UNAUTHORIZED),
        ("/metrics", "GET", {"Authorization": f"Bearer {TOKEN}"}, HTTPStatus.OK),
        ("/metrics", "POST", {"Authorization": f"Bearer {TOKEN}"}, HTTPStatus.METHOD_NOT_ALLOWED),
        ("/metrics", "DELETE", {}, HTTPStatus.METHOD_NOT_ALLOWED),
        ("/metrics", "GET", {"Host": "evil.example", "Authorization": f"Bearer {TOKEN}"}, 421),
        ("/", "GET", {"Host": "evil.example"}, 421),
        ("/../metrics", "GET", {"Authorization": f"Bearer {TOKEN}"}, HTTPStatus.NOT_FOUND),
        ("/debug", "GET", {}, HTTPStatus.NOT_FOUND),
        ("/", "GET", {"X": "x" * 9000}, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
        ("/", "GET", {"A B": "x"}, HTTPStatus.BAD_REQUEST),
    ],
)
def test_each_request_has_its_answer(
    served: Running, path: str, method: str, fields: dict[str, str], status: int
) -> None:
    found = ask(served.port, path, method=method, **fields)
    assert found.status == status
    assert "Connection: close" in found.head
    assert (found.body == BODY) is (status == HTTPStatus.OK and path == "/metrics")


def test_a_head_alone_has_the_length_of_the_body(served: Running) -> None:
    found = served.scrape(method="HEAD")
    assert f"Content-Length: {len(BODY)}" in found.head
    assert not found.body


def test_whoever_never_asks_makes_room(served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slowly or not at all: none keeps an honest scrape out, and few are kept."""
    monkeypatch.setattr(module, "MOST", MOST)
    idle = [connect(served.port) for _ in range(MOST)]
    for i, client in enumerate(idle):
        client.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * (60 * i % 8000))
    more = [connect(served.port) for _ in range(MOST)]
    assert served.scrape().body == BODY
    assert served.clients() <= MOST + 1
    # The first have made room for the last.
    assert all(read(client) == b"" for client in idle[: MOST // 2])
    for client in (*idle, *more):
        client.close()


def test_whoever_never_reads_holds_up_nobody(served: Running) -> None:
    """The server has the body once, and of each answer no more than a piece."""
    silent = [connect(served.port) for _ in range(20)]
    for client in silent:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(ASKED)
    assert [served.scrape().body == BODY for _ in range(3)] == [True] * 3
    for client in silent:
        client.close()


def test_whoever_is_slow_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAD_WITHIN", 0.05)
    monkeypatch.setattr(module, "SEND_WITHIN", 0.05)
    asked = threading.Event()

    def page(_: str) -> Page:
        asked.set()
        return Page("text/plain", BODY)

    with running(page=page) as server:
        for said in (b"", b"GET /", b"\xff" * 100):
            assert raw(server.port, said) == b""
        with connect(server.port) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            monkeypatch.setattr(module, "HEAD_WITHIN", 60.0)
            client.sendall(ASKED)
            assert asked.wait(PATIENCE)
            until(lambda: not server.clients())
            assert len(read(client)) < len(BODY)


def test_one_address_is_answered_so_often() -> None:
    with running(page=lambda _: Page("text/plain", b"")) as server:
        found = {server.scrape().status for _ in range(200)}
        assert found == {200, 429}
        # Whoever shows no token is told so, and takes nothing from those that do.
        assert ask(server.port).status == 401


def test_without_a_token_whoever_is_here_reads() -> None:
    with running(Guard()) as server:
        assert ask(server.port).body == BODY
        assert ask(server.port, Host="evil.example").status == 421


def test_a_page_that_fails_is_told() -> None:
    def broken(_: str) -> Page:
        raise ZeroDivisionError("a bug of ours")

    with running(page=broken) as server:
        assert server.scrape().status == 500
        assert "a bug of ours" in str(server.server.problem)
        assert ask(server.port, "/-/healthy").status == 200


def test_an_address_that_is_taken_is_told(served: Running) -> None:
    async def twice() -> None:
        await Server(served.server.address, Guard(), lambda _: Page("", b"")).open()

    with pytest.raises(UsageError, match=r"127\.0\.0\.1:\d+.*--listen"):
        asyncio.run(twice())


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """With its key, for `localhost`."""
    made = tmp_path / "both.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2", "-nodes"]
    done = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", *names,
         "-keyout", made, "-out", tmp_path / "cert.pem"],
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made.write_text(made.read_text() + (tmp_path / "cert.pem").read_text())
    return made


@pytest.mark.usefixtures("processes")
def test_tls(certificate: Path) -> None:
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(certificate)
    theirs = ssl.create_default_context(cafile=str(certificate))
    with running(Guard(TOKEN, ours)) as server:
        plain = connect(server.port)
        for _ in range(20):
            assert ask(server.port, "/", tls=theirs).status == 200
        assert server.scrape(tls=theirs).body == BODY
        assert ask(server.port, tls=theirs).status == 401
        # No server of ours answers in plain text.
        with connect(server.port) as other:
            other.sendall(ASKED)
            assert b"HTTP" not in other.recv(100)
        plain.close()
