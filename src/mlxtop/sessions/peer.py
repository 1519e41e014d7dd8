"""Asks the kernel which process is at the other end of a socket. An agent's own statement may be false."""

import os
import socket
import struct
import sys

from mlxtop.ipc.sockets import peer_uid

_SOL_LOCAL, _LOCAL_PEERPID = 0, 2  # <sys/un.h> of macOS


def process(sock: socket.socket, claimed: int) -> int | None:
    """`claimed` if that process of this machine opened the socket and we may signal it.

    `None` otherwise, for example for a socket that ssh forwards: its other end is ssh.
    Linux: SO_PEERCRED, unix(7). macOS: LOCAL_PEERPID; never run there.
    """
    try:
        pid, uid = _pid(sock), peer_uid(sock)
    except (OSError, struct.error):
        return None
    ours = os.geteuid() in (0, uid)
    return claimed if ours and pid == claimed and pid > 0 else None


def _pid(sock: socket.socket) -> int:
    if sys.platform == "darwin":
        return int(struct.unpack("=i", sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID, 4))[0])
    return int(struct.unpack("=iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])
