"""Tests the folder for the sockets of agents: its permissions, the length of its path, and a connection."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing

from mlxtop.doctor.finding import Finding, Section
from mlxtop.ipc import sockets
from mlxtop.ipc.sockets import peer_uid


def check(section: Section) -> Iterator[Finding]:
    """Opens a socket in the folder, connects to it, and checks the user at the other end."""
    try:
        folder = sockets.folder()
    except OSError as error:
        yield section.missing("folder", "—", f"{error}. Set TMPDIR to a folder that only you can write to.")
        return
    yield section.ok("folder", folder)
    path = f"{folder}/doctor-{os.getpid()}.test"
    yield section.ok("path", f"{len(os.fsencode(path))} of {sockets.LONGEST} bytes")
    try:
        with (
            closing(socket.socket(socket.AF_UNIX)) as listener,
            closing(socket.socket(socket.AF_UNIX)) as client,
        ):
            listener.bind(path)
            listener.listen(1)
            client.connect(path)
            with closing(listener.accept()[0]) as server:
                uid = peer_uid(server)
    except OSError as error:
        yield section.wrong("connection", error)
        return
    finally:
        if os.path.exists(path):  # noqa: PTH110
            os.unlink(path)  # noqa: PTH108
    yield section.ok("connection", "opened")
    if uid == os.getuid():
        yield section.ok("peer", f"user {uid}")
    else:
        yield section.wrong("peer", f"reported as user {uid}, but it is user {os.getuid()}")
