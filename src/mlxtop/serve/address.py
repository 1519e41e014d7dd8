"""Where `mlxtop serve` listens."""

import ipaddress
import socket
from typing import NamedTuple

from mlxtop.core.errors import UsageError
from mlxtop.core.parsing import whole
from mlxtop.core.text import shortened

DEFAULT = "127.0.0.1:9464"
OWN_NAMES = ("localhost", "host.docker.internal", "host.containers.internal")
"""This machine, and what containers on it call it: nobody can register these."""


class Address(NamedTuple):
    """A number, not a name: a name may lead elsewhere a moment later."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine gets there."""
        return ipaddress.ip_address(self.host.partition("%")[0]).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str) -> Address:
    """`127.0.0.1:9464`, `[::1]:9464`, `localhost:9464`. Raises `UsageError`."""
    host, colon, port = text.rpartition(":")
    number = whole(port)
    if not colon or not host or number is None or number > 65535 or (":" in host) != host.startswith("["):
        raise UsageError(f"--listen: {shortened(text)} is not an address and a port: write {DEFAULT}.")
    try:
        found = socket.getaddrinfo(host.strip("[]"), number, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(
            f"--listen: {shortened(host)} is no address of this machine: {error.strerror}."
        ) from error
    *_, (name, *_) = found[0]
    return Address(str(name), number)


def names_this_machine(host: str) -> bool:
    """Whether the `Host` of a request on loopback says so: `localhost`, or an address in digits.

    A page in a browser gets here by a name of its own that leads to 127.0.0.1 (DNS rebinding), and sends that
    name.
    """
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    if name.lower().rstrip(".") in OWN_NAMES:
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
