"""Clients of the HTTP server, honest and hostile, byte by byte."""

import socket
import ssl
from typing import NamedTuple

PATIENCE = 60.0
"""Seconds within which anything is expected to happen on a loaded machine."""


class Answer(NamedTuple):
    status: int
    head: str
    body: bytes


def connect(port: int, tls: ssl.SSLContext | None = None) -> socket.socket:
    found = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    return found if tls is None else tls.wrap_socket(found, server_hostname="localhost")


def raw(port: int, data: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """What comes back until the server closes."""
    with connect(port, tls) as client:
        client.sendall(data)
        return read(client)


def read(client: socket.socket) -> bytes:
    found = bytearray()
    while True:
        try:
            piece = client.recv(2**16)
        except ConnectionError:
            return bytes(found)
        if not piece:
            return bytes(found)
        found += piece


def ask(
    port: int, path: str = "/metrics", token: str | None = None, method: str = "GET", tls: ssl.SSLContext | None = None,
    **fields: str,
) -> Answer:  # fmt: skip
    """One request and its answer."""
    lines = {"Host": f"127.0.0.1:{port}", **fields}
    if token is not None:
        lines["Authorization"] = f"Bearer {token}"
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    found = raw(port, f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode(), tls)
    head, _, body = found.partition(b"\r\n\r\n")
    assert head, "no answer"
    return Answer(int(head.split()[1]), head.decode(), body)
