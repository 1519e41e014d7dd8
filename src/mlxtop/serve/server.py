"""The HTTP server: reads only, and no client can hold it up.

One thread waits for all of them, so a slow client holds none. Each has a few seconds for its request and for
the answer; of too many that have not asked yet, the one that came first makes room. The page is written on a
thread of its own, and sent in pieces: what waits for a client is one piece.
"""

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import NamedTuple

from mlxtop.core.errors import UsageError, fatal
from mlxtop.serve import request, token
from mlxtop.serve.address import Address, names_this_machine
from mlxtop.serve.exposition import Page
from mlxtop.serve.rate import Rate
from mlxtop.serve.request import HEAD_MOST, Request

MOST = 512
"""Connections at once that have not asked for the page yet."""
AT_ONCE = 64
"""Connections that are taken in at once: far fewer, so whoever asks is heard before it would make room."""
SCRAPERS = 128
"""Connections at once that get the page."""
HEAD_WITHIN = 5.0
"""Seconds for TLS and for the head of a request."""
SEND_WITHIN = 10.0
"""Seconds for taking the answer, as long as Prometheus waits for it."""
PIECE = 2**16
"""Bytes that wait for a client here."""
KEPT = 2**18
"""Bytes that the system keeps for one: without this, all of the answer for a client that never reads."""
_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: what was not sent yet is thrown away."""
PLAIN = "text/plain; charset=utf-8"
WHAT = "mlxtop serve: MLX's memory of the programs on this machine, for Prometheus at /metrics\n"


class Guard(NamedTuple):
    """Who may read."""

    token: str | None = None
    """`None`: whoever gets here."""
    tls: ssl.SSLContext | None = None


class Answer(NamedTuple):
    status: HTTPStatus
    page: Page
    more: tuple[str, ...] = ()
    """Further fields of the head."""


class Server:
    """Serves `page(accept)`, which may wait, at `address`."""

    def __init__(self, address: Address, guard: Guard, page: Callable[[str], Page]) -> None:
        self.address = address
        self._guard = guard
        self._page = page
        self._rate = Rate()
        self._clients: dict[asyncio.Task[None], None] = {}
        """Those that are connected, the first that came first."""
        self._scrapers: set[asyncio.Task[None]] = set()
        """Those that get the page."""
        self._server: asyncio.Server | None = None
        self.problem: str | None = None
        """Why the page could not be written, in one sentence."""

    async def open(self) -> None:
        """Listens; `address` has the port from now on. Raises `UsageError`."""
        try:
            self._server = await asyncio.start_server(
                self._meet, self.address.host, self.address.port, limit=HEAD_MOST, backlog=AT_ONCE
            )
        except OSError as error:
            raise UsageError(
                f"Could not listen at {self.address}: {os.strerror(error.errno or 0)}. "
                "Choose another with --listen."
            ) from error
        listener = self._server.sockets[0]
        # Whoever connects gets the same.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KEPT)
        host, port, *_ = listener.getsockname()
        self.address = Address(host, port)

    async def close(self) -> None:
        """Listens no more, and leaves whoever is connected."""
        if self._server is not None:
            self._server.close()
        for client in (clients := [*self._clients, *self._scrapers]):
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    # One client

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = asyncio.current_task()
        assert client is not None
        self._clients[client] = None
        if len(self._clients) > MOST:
            first = next(iter(self._clients))
            del self._clients[first]
            first.cancel()
        try:
            # Whatever a client does, it ends here.
            await self._serve(reader, writer, client)
        except (OSError, TimeoutError, EOFError, asyncio.CancelledError):
            _drop(writer)
        finally:
            self._clients.pop(client, None)
            self._scrapers.discard(client)
            writer.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.Task[None]
    ) -> None:
        host = writer.get_extra_info("peername")[0]
        async with asyncio.timeout(HEAD_WITHIN):
            if self._guard.tls is not None:
                await writer.start_tls(self._guard.tls, ssl_handshake_timeout=HEAD_WITHIN)
            asked, answer = await self._read(reader, host)
        if answer is None and len(self._scrapers) >= SCRAPERS:
            answer = _refuse(HTTPStatus.SERVICE_UNAVAILABLE, "Retry-After: 1")
        if answer is None:
            # It may read: whoever only connects does not take its place.
            self._clients.pop(client, None)
            self._scrapers.add(client)
            answer = await self._scrape(asked.fields.get("accept", ""))
        async with asyncio.timeout(SEND_WITHIN):
            await _send(writer, answer, asked.method == "HEAD")

    async def _scrape(self, accept: str) -> Answer:
        try:
            return Answer(HTTPStatus.OK, await asyncio.to_thread(self._page, accept))
        except Exception as error:
            # Prometheus tells a person that something is wrong here.
            self.problem = str(fatal("Gathering the metrics", error))
            return _refuse(HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _read(self, reader: asyncio.StreamReader, host: str) -> tuple[Request, Answer | None]:
        """The request and its answer; `None` where that is the page."""
        nothing = Request("GET", "", {})
        try:
            asked = request.parse(await reader.readuntil(b"\r\n\r\n"))
        except asyncio.LimitOverrunError:
            return nothing, _refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        except ValueError:
            return nothing, _refuse(HTTPStatus.BAD_REQUEST)
        return asked, self._answer(asked, host)

    def _answer(self, asked: Request, host: str) -> Answer | None:
        if self.address.loopback and not names_this_machine(asked.fields.get("host", "")):
            return _refuse(HTTPStatus.MISDIRECTED_REQUEST)
        if asked.method not in ("GET", "HEAD"):
            return _refuse(HTTPStatus.METHOD_NOT_ALLOWED, "Allow: GET, HEAD")
        if asked.path == "/":
            return Answer(HTTPStatus.OK, Page(PLAIN, WHAT.encode()))
        if asked.path == "/-/healthy":
            return Answer(HTTPStatus.OK, Page(PLAIN, b"mlxtop serve is well\n"))
        if asked.path != "/metrics":
            return _refuse(HTTPStatus.NOT_FOUND)
        if self._guard.token is not None and not token.shown_by(
            asked.fields.get("authorization", ""), self._guard.token
        ):
            return _refuse(HTTPStatus.UNAUTHORIZED, 'WWW-Authenticate: Bearer realm="mlxtop"')
        if not self._rate.allows(host):
            return _refuse(HTTPStatus.TOO_MANY_REQUESTS, "Retry-After: 1")
        return None


def _drop(writer: asyncio.StreamWriter) -> None:
    """Ends a connection at once, whatever is still on its way."""
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    writer.transport.abort()


def _refuse(status: HTTPStatus, *more: str) -> Answer:
    return Answer(status, Page(PLAIN, f"{status.value} {status.phrase}\n".encode()), more)


async def _send(writer: asyncio.StreamWriter, answer: Answer, only_head: bool) -> None:
    status, page = answer.status, answer.page
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {page.type}",
        f"Content-Length: {len(page.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
        *answer.more,
    )
    writer.write("\r\n".join([*head, "", ""]).encode())
    body = memoryview(b"" if only_head else page.body)
    for start in range(0, len(body), PIECE):
        writer.write(body[start : start + PIECE])
        await writer.drain()
    writer.close()
    # Until the client has it all.
    await writer.wait_closed()
