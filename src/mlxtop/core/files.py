"""Writing a file so that whoever reads it finds the old one or the new one, whole."""

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mlxtop.core.errors import MlxtopError
from mlxtop.core.text import one_line

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_BESIDE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EXDEV, errno.ENOENT)
"""Why a folder takes no file beside one that may well be written: it is not ours, or the file is mounted."""
OURS = re.compile(
    r"/dev/(?:fd/(?P<dev>\d+)|(?P<name>stdin|stdout|stderr))|/proc/(?P<pid>\d+)/fd/(?P<proc>\d+)"
)
STANDARD = ("stdin", "stdout", "stderr")
LINKS_MOST = 40
TOLD_AFTER = 1.0
"""Seconds to wait for a FIFO's reader before it is told."""
Told = Callable[[str], None]


class OutputError(MlxtopError):
    """A file cannot be written."""


def put(path: Path, text: str, told: Told | None = None) -> None:
    """Writes `text` to `path`, see `writing`."""
    with writing(path, told) as out:
        out.write(text.encode(errors="backslashreplace"))


@contextmanager
def writing(path: Path, told: Told | None = None) -> Iterator[BinaryIO]:
    """A file that stands at `path` when the block ends, and not at all when it raises.

    That holds for a regular file, whose mode and owner stay, and for a new one; links are followed to where
    they lead. Anything else, a device or a FIFO, is written straight into; `told` hears in a sentence that a
    FIFO has no reader yet. Raises `OutputError`.
    """
    try:
        number, target = _follow(path)
        if number is not None:
            with os.fdopen(os.dup(number), "wb") as out:
                yield out
        elif _is_regular(target):
            yield from _beside(target)
        else:
            with os.fdopen(_open(target, told), "wb") as out:
                yield out
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> OutputError:
    """What to say when `path` cannot be written."""
    what = "make room there, or give another place" if error.errno in FULL else "give another place"
    return OutputError(f"{one_line(str(path))} cannot be written: {error.strerror or error}; {what}.")


def is_regular(path: Path) -> bool:
    """Whether `path` can be written again and again as a whole: a regular file, or nothing yet."""
    with suppress(OSError):
        number, target = _follow(path)
        return number is None and _is_regular(target)
    return True


def append(path: Path) -> int:
    """A descriptor that adds to `path`, made if need be: a file, a device, a FIFO once somebody reads it.

    `/dev/stderr` is our own standard error: opened anew, a file behind it would be written twice at the same
    place. Raises `OSError`.
    """
    number, target = _follow(path)
    if number is not None:
        return os.dup(number)
    return os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _follow(path: Path) -> tuple[int | None, Path]:
    """Where the links at `path` lead: to a descriptor of ours, or to a place.

    `/dev/stdout` is a link to whatever standard output is. As a place it would be written from its beginning,
    or replaced, while others go on with the old one.
    """
    for _ in range(LINKS_MOST):
        path = path.parent.resolve() / path.name
        if (found := OURS.fullmatch(str(path))) and found["pid"] in (None, str(os.getpid())):
            return _number(found), path
        if found or not path.is_symlink():
            return None, path
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _number(found: re.Match[str]) -> int:
    return STANDARD.index(found["name"]) if found["name"] else int(found["dev"] or found["proc"])


def _is_regular(target: Path) -> bool:
    try:
        return stat.S_ISREG(target.stat().st_mode)
    except FileNotFoundError:
        return True


def _beside(target: Path) -> Iterator[BinaryIO]:
    """A temporary file in the target's folder, which takes its place."""
    name = target.parent / f".mlxtop-{secrets.token_hex(8)}"
    try:
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno not in NOT_BESIDE or not target.exists():
            raise
        with target.open("wb") as out:
            yield out
        return
    try:
        with os.fdopen(handle, "wb") as out:
            _like(target, handle)
            yield out
            out.flush()
            # Some file systems tell only here that there was no room.
            os.fsync(handle)
        _take_place(name, target)
    finally:
        name.unlink(missing_ok=True)


def _take_place(new: Path, target: Path) -> None:
    try:
        new.replace(target)
    except OSError as error:
        if error.errno not in NOT_BESIDE or not target.exists():
            raise
        # It is a mount of its own, say: a container's volume of one file.
        with new.open("rb") as data, target.open("wb") as out:
            while piece := data.read(2**20):
                out.write(piece)


def _like(target: Path, handle: int) -> None:
    """Gives a new file the mode and the owner of the one whose place it takes."""
    with suppress(FileNotFoundError):
        old = target.stat()
        with suppress(OSError):
            os.fchown(handle, old.st_uid, old.st_gid)
        os.fchmod(handle, stat.S_IMODE(old.st_mode))


def _open(target: Path, told: Told | None) -> int:
    """A device, or a FIFO as soon as somebody reads it: what was measured for hours is not thrown away."""
    began, said = time.monotonic(), told is None
    while True:
        try:
            handle = os.open(target, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO or not target.is_fifo():
                raise
        else:
            os.set_blocking(handle, True)
            return handle
        if not said and told is not None and time.monotonic() - began > TOLD_AFTER:
            said = True
            told(f"{one_line(str(target))} is a FIFO that nobody reads yet: mlxtop waits for its reader.")
        time.sleep(0.05)
