"""Where agents and viewers meet: a directory that only this user may enter.

Plain `os` instead of `pathlib`: this is read in every watched program.
"""

from __future__ import annotations

import _socket
import os
import stat
import sys
import time

from mlxtop.core.record import Record
from mlxtop.core.suppress import suppress
from mlxtop.ipc import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIX, WORD = ".sock", ".failed"
LONGEST = 100
"""Bytes of a socket's path: macOS takes 103, Linux 107."""
DAY = 86_400.0
"""Seconds for which a word that nobody heard is kept."""
MESSAGE_MOST = 2000
"""Bytes of what an agent leaves for a viewer."""


handed = ""
"""The folder that a viewer handed in with the agent, in a program that it attached to."""


class Address(Record):
    """A socket that an agent once opened."""

    pid: int
    run: str
    path: str


def folder() -> str:
    """This user's directory for sockets, made if need be. Raises `OSError` when none is safe to use."""
    for place in folders():
        parent = os.path.dirname(place)
        if len(os.fsencode(place)) + 30 > LONGEST or not os.access(parent, os.W_OK | os.X_OK):
            continue
        with suppress(FileExistsError):
            os.mkdir(place, 0o700)
        if _ours_alone(place):
            return place
    raise OSError("there is no directory that only this user may enter, for mlxtop's socket")


def folders(uid: int | None = None) -> list[str]:
    """Where a socket of this user's agents, or of another's, may be, the best place first."""
    places = [f"/run/user/{uid}/mlxtop"]
    if uid is None:
        uid = os.getuid()
        runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
        temporary = (os.environ.get("TMPDIR") or "/tmp").rstrip("/")
        agreed = filter(None, (handed, os.environ.get(environment.SOCKETS)))
        places = [*agreed, f"{runtime}/mlxtop", f"{temporary}/mlxtop-{uid}"]
    return list(dict.fromkeys([*places, f"/tmp/mlxtop-{uid}"]))


def _ours_alone(place: str, uid: int | None = None) -> bool:
    try:
        found = os.lstat(place)
    except OSError:
        return False
    owner = os.getuid() if uid is None else uid
    return stat.S_ISDIR(found.st_mode) and found.st_uid == owner and not found.st_mode & 0o077


def address(pid: int, run: str) -> str:
    """The path of the socket of process `pid`. `run` is empty or the name of the run it belongs to."""
    of = f"-{run}" if run.replace("-", "").isalnum() and len(run) <= 16 else ""
    return f"{folder()}/{pid}{of}{SUFFIX}"


def addresses(run: str | None = None, uid: int | None = None) -> Iterator[Address]:
    """All sockets of this user, or those of one run, or those of user `uid`, for root. Some may be stale."""
    for name, path in _entries(SUFFIX, uid):
        pid, _, of = name.removesuffix(SUFFIX).partition("-")
        if pid.isascii() and pid.isdecimal() and (run is None or run == of):
            yield Address(int(pid), of, path)


def named(pid: int, path: str, uid: int) -> Address | None:
    """The address of a socket that process `pid` of user `uid` has open, where it is one of an agent's.

    Root may follow such a path: none but that user could have put the socket there.
    """
    folder, _, name = path.rpartition("/")
    number, _, run = name.removesuffix(SUFFIX).partition("-")
    if number != str(pid) or not name.endswith(SUFFIX) or not _ours_alone(folder, uid):
        return None
    with suppress(OSError):
        found = os.lstat(path)
        if stat.S_ISSOCK(found.st_mode) and found.st_uid == uid:
            return Address(pid, run, path)
    return None


def listens(address: Address) -> bool:
    """Whether somebody answers at a socket; a process that was killed leaves its socket behind."""
    # Imported here: an agent asks nobody.
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, suppress(OSError):
        probe.settimeout(0.5)
        probe.connect(address.path)
        return True
    return False


def leave_message(text: str) -> None:
    """What an agent of a run has to say that no viewer heard, in a file beside its socket: that it could not
    open one, or that its program was over so soon."""
    if os.environ.get("MLXTOP", "1") == "1":
        return
    with suppress(OSError):
        path = address(os.getpid(), os.environ.get("MLXTOP", "")).removesuffix(SUFFIX) + WORD
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(fd, text.encode(errors="replace")[:MESSAGE_MOST])
        os.close(fd)


def remove_stale() -> None:
    """Removes what processes that are gone have left: sockets on which nobody listens, old words and signs.

    A process that lives elsewhere, in a container that shares the folder, has another number here: so a
    socket has to be silent as well.
    """
    for address in addresses():
        if not _exists(address.pid) and not listens(address):
            with suppress(OSError):
                os.unlink(address.path)
    oldest = time.time() - DAY
    for suffix in (WORD, environment.STARTED):
        for _, path in _entries(suffix):
            with suppress(OSError):
                if os.lstat(path).st_mtime < oldest:
                    os.unlink(path)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return True


def was_started(run: str) -> bool:
    """Whether a Python of that run was started under watch. Asked once: what says so is removed."""
    found = False
    for _, path in _entries(f"{run}{environment.STARTED}"):
        with suppress(OSError):
            os.unlink(path)
            found = True
    return found


def left_messages(run: str) -> Iterator[tuple[int, str]]:
    """What agents of a run had to say that no viewer heard. Each is told once."""
    for name, path in _entries(f"-{run}{WORD}"):
        with suppress(OSError, ValueError):
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            text = os.read(fd, MESSAGE_MOST).decode(errors="replace")
            os.close(fd)
            os.unlink(path)
            yield int(name.partition("-")[0]), text


def _entries(suffix: str, uid: int | None = None) -> Iterator[tuple[str, str]]:
    for place in folders(uid):
        if not _ours_alone(place, uid):
            continue
        with suppress(OSError):
            for name in os.listdir(place):
                if name.endswith(suffix):
                    yield name, f"{place}/{name}"


def peer_uid(sock: _socket.socket) -> int:
    """The user at the other end of a Unix socket.

    Linux: SO_PEERCRED, unix(7). macOS: LOCAL_PEERCRED, struct xucred in <sys/ucred.h>; never run by us yet.
    """
    if sys.platform == "darwin":
        found = sock.getsockopt(0, 1, 76)
    else:
        found = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    # The second of its fields of 32 bits.
    return int.from_bytes(found[4:8], sys.byteorder)
