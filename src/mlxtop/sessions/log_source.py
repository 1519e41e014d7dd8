"""Where followed lines come from: a file that grows, a pipe, a socket, a command."""

import errno
import os
import selectors
import signal
import socket
import stat
import subprocess
import termios
import time
import tty
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from mlxtop.core.errors import MlxtopError, UsageError
from mlxtop.core.text import one_line
from mlxtop.follow.lines import encoding_of
from mlxtop.follow.readings import SPACING

READ_MOST = 2**18
"""Bytes of one read."""
BACK = 2**16
"""Bytes before its end from which a file is followed, for what it said last."""
PATIENCE = ((signal.SIGINT, 2.0), (signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0))
"""How a command is stopped: signals, each with the seconds to wait before the next."""
LOOK_EVERY = 0.1
GATHER, PAUSE = SPACING, SPACING / 4
"""Seconds in which what comes is put together, as nearer lines become one sample; and between two reads."""
FULL = 4095
"""Bytes that a pseudo-terminal gives at most: after as many there is no pause, for the program may wait."""


class Chunk(NamedTuple):
    """Bytes of one stream. `stream` tells the streams of a source apart."""

    stream: int
    data: bytes
    encoding: str | None = None
    """Of a stream that is not read from its beginning."""
    begins: bool = False
    """Whether a stream begins here, or begins anew."""


class Source(Protocol):
    """A source of lines. Its methods are called on one thread."""

    title: str
    over: str | None
    """Why nothing more comes, in a few words; `None` while more may come."""
    exit_code: int

    def read(self, timeout: float) -> list[Chunk]:
        """What has come, after `timeout` seconds at most."""

    def close(self) -> None:
        """Ends it. A command is stopped."""


class FileSource:
    """Follows a file as `tail -F` does: by its name, through rotation and truncation, from near its end.

    It may not exist yet. Raises `UsageError` if it cannot be read.
    """

    exit_code = 0
    over: str | None = None

    def __init__(self, path: Path) -> None:
        self.title = one_line(path.name)
        self._path = path
        self._file = -1
        self._inode = (0, 0)
        self._at = 0
        self._regular = True
        self._chunks: list[Chunk] = []
        try:
            self._chunks = [self._open(from_end=True)]
        except OSError as error:
            if not (isinstance(error, FileNotFoundError) and path.parent.is_dir()):
                raise UsageError(f"Could not follow {path}: {error.strerror}.") from error

    def _open(self, from_end: bool = False) -> Chunk:
        file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        found = os.fstat(file)
        if stat.S_ISDIR(found.st_mode):
            os.close(file)
            raise IsADirectoryError(errno.EISDIR, "it is a directory")
        self.close()
        self._file, self._inode = file, (found.st_dev, found.st_ino)
        self._regular = stat.S_ISREG(found.st_mode)
        self._at = 0
        if not (from_end and self._regular and found.st_size > BACK):
            return Chunk(0, b"", None, True)
        encoding = encoding_of(os.pread(file, 64, 0))[0]
        # Where a character takes two bytes, it begins at an even place.
        self._at = (found.st_size - BACK) // 2 * 2
        self._skip_half_line("\n".encode(encoding))
        return Chunk(0, b"", encoding, True)

    def _skip_half_line(self, end: bytes) -> None:
        ahead = os.pread(self._file, 2**12, self._at)
        found = ahead.find(end)
        while found % len(end) and found >= 0:
            found = ahead.find(end, found + 1)
        if found >= 0:
            self._at += found + len(end)

    def read(self, timeout: float) -> list[Chunk]:
        chunks, self._chunks = self._chunks, []
        data = self._read()
        if data:
            chunks.append(Chunk(0, data))
        elif (anew := self._reopened()) is not None:
            chunks.append(anew)
        if not chunks:
            time.sleep(min(timeout, LOOK_EVERY))
        return chunks

    def _read(self) -> bytes:
        if self._file < 0:
            return b""
        try:
            if not self._regular:
                return os.read(self._file, READ_MOST)
            data = os.pread(self._file, READ_MOST, self._at)
        except OSError:
            return b""
        self._at += len(data)
        return data

    def _reopened(self) -> Chunk | None:
        """What is at the beginning of another file of this name, or of this one after it was emptied."""
        if not self._regular:
            return None
        with suppress(OSError):
            found = self._path.stat()
            if (found.st_dev, found.st_ino) != self._inode:
                # What was written to the old file between the last read and the rotation comes first.
                rest = self._read()
                return Chunk(0, rest) if rest else self._open()
            if found.st_size < self._at:
                self._at = 0
                return Chunk(0, b"", None, True)
        return None

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class StreamSource:
    """Reads a descriptor to its end: standard input, or what a command prints."""

    def __init__(self, fd: int, title: str, ends: str) -> None:
        self.title = title
        self.over: str | None = None
        self.exit_code = 0
        self._fd = fd
        self._ends = ends
        self._selector = selectors.DefaultSelector()
        # A regular file is always ready, and epoll refuses it.
        with suppress(PermissionError):
            self._selector.register(fd, selectors.EVENT_READ)

    def read(self, timeout: float) -> list[Chunk]:
        if self.over is not None:
            time.sleep(timeout)
            return []
        data, until = bytearray(), 0.0
        # A read, and a piece that is handed on, cost as much as many lines.
        while self.over is None and len(data) < READ_MOST and self._ready(timeout):
            piece = self._read()
            data += piece
            until = until or time.monotonic() + GATHER
            if len(piece) < FULL:
                time.sleep(PAUSE)
            timeout = until - time.monotonic()
            if timeout <= 0:
                break
        return [Chunk(0, bytes(data))] if data else []

    def _ready(self, timeout: float) -> bool:
        return not self._selector.get_map() or bool(self._selector.select(timeout))

    def _read(self) -> bytes:
        data = b""
        try:
            data = os.read(self._fd, READ_MOST)
        except BlockingIOError:
            return b""
        except OSError as error:
            # A pseudo-terminal without a writer.
            if error.errno != errno.EIO:
                self._ends = f"{self.title} cannot be read: {error.strerror}"
        if not data:
            self.over = self._over()
        return data

    def _over(self) -> str:
        return self._ends

    def close(self) -> None:
        self._selector.close()


class CommandSource(StreamSource):
    """Runs a command and reads what it prints, on both streams. It is stopped when mlxtop ends.

    Its output is a pseudo-terminal, so that it is not kept back until a buffer is full. Raises `UsageError`
    when it cannot be started.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        output, inner = os.openpty()
        tty.setraw(inner, termios.TCSANOW)
        termios.tcsetwinsize(inner, (50, 250))
        try:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=inner, stderr=inner, start_new_session=True
            )
        except OSError as error:
            os.close(output)
            why = "there is no such program" if isinstance(error, FileNotFoundError) else error.strerror
            raise CannotFollowError(f"Could not run {one_line(argv[0])}: {why}.", error) from error
        finally:
            os.close(inner)
        self._output = output
        super().__init__(output, one_line(" ".join(argv)[:80]), "")

    def read(self, timeout: float) -> list[Chunk]:
        chunks = super().read(timeout)
        if not chunks and self.over is None and self._process.poll() is not None and not self._ready(0):
            # A child that it left behind may hold the terminal open.
            self.over = self._over()
        return chunks

    def _over(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(2.0)
        code = self._process.poll()
        if code is None:
            return f"{self.title} closed its output"
        self.exit_code = code if code >= 0 else 128 - code
        if code >= 0:
            return f"{self.title} ended with exit code {code}"
        return f"{self.title} was killed by {signal.Signals(-code).name}"

    def close(self) -> None:
        for number, seconds in PATIENCE:
            if self._process.poll() is not None:
                break
            with suppress(OSError):
                os.killpg(self._process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        super().close()
        os.close(self._output)


class CannotFollowError(MlxtopError):
    """The command could not be started. `exit_code` is that of a shell: 126 or 127."""

    def __init__(self, sentence: str, error: OSError) -> None:
        super().__init__(sentence)
        self.exit_code = 127 if isinstance(error, FileNotFoundError) else 126


class SocketSource:
    """A Unix socket: connects to it if somebody listens there, else listens for programs that connect.

    Raises `UsageError` when it can do neither.
    """

    exit_code = 0

    def __init__(self, path: Path) -> None:
        self.title = one_line(path.name)
        self.over: str | None = None
        self._path = path
        self._selector = selectors.DefaultSelector()
        self._server: socket.socket | None = None
        self._streams = 0
        try:
            connection = _connected(path)
            if connection is None:
                self._listen()
            else:
                self._take(connection)
        except OSError as error:
            raise UsageError(f"Could not use the socket {path}: {error.strerror or error}.") from error

    def _listen(self) -> None:
        if self._path.is_socket():
            self._path.unlink()
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            self._server.bind(str(self._path))
        finally:
            os.umask(mask)
        self._server.listen(16)
        self._server.setblocking(False)
        self._selector.register(self._server, selectors.EVENT_READ)

    def _take(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._streams += 1
        self._selector.register(connection, selectors.EVENT_READ, self._streams)

    def read(self, timeout: float) -> list[Chunk]:
        chunks: list[Chunk] = []
        for key, _ in self._selector.select(timeout):
            if key.data is None and self._server is not None:
                with suppress(OSError):
                    self._take(self._server.accept()[0])
                    chunks.append(Chunk(self._streams, b"", None, True))
                continue
            assert isinstance(key.fileobj, socket.socket)
            data = b""
            with suppress(BlockingIOError, ConnectionError):
                data = key.fileobj.recv(READ_MOST)
            if data:
                chunks.append(Chunk(key.data, data))
            else:
                self._selector.unregister(key.fileobj)
                key.fileobj.close()
                if self._server is None:
                    self.over = f"{self.title} was closed"
        return chunks

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()
        if self._server is not None:
            with suppress(OSError):
                self._path.unlink()


def _connected(path: Path) -> socket.socket | None:
    if not path.exists():
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except ConnectionRefusedError:
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    return connection


def open_source(what: str | None, command: Sequence[str]) -> Source:
    """The source that a command line names: a command, `-`, `unix:PATH` or a file. Raises `MlxtopError`."""
    if command:
        return CommandSource(command)
    if what == "-":
        # The screen takes the terminal in place of standard input.
        return StreamSource(os.dup(0), "standard input", "standard input ended")
    assert what is not None
    if what.startswith("unix:"):
        return SocketSource(Path(what.removeprefix("unix:")))
    return FileSource(Path(what))
