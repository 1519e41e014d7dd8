"""Files that grow, rotate and shrink; pipes, sockets and commands."""

import os
import socket
import sys
import time
from pathlib import Path

import pytest

from mlxtop.core.errors import UsageError
from mlxtop.sessions.log_source import (
    BACK,
    CannotFollowError,
    CommandSource,
    FileSource,
    SocketSource,
    Source,
    StreamSource,
    open_source,
)

PATIENCE = 20.0


def until(source: Source, wanted: bytes) -> bytes:
    """All that comes until `wanted` is in it."""
    found, end = b"", time.monotonic() + PATIENCE
    while wanted not in found:
        assert time.monotonic() < end, found
        found += b"".join(chunk.data for chunk in source.read(0.02))
    return found


def test_a_file_is_followed_through_rotation_and_truncation(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"one\n")
    source = FileSource(path)
    assert until(source, b"one\n") == b"one\n"
    with path.open("ab") as file:
        file.write(b"two\n")
        file.flush()
        assert until(source, b"two\n") == b"two\n"
        path.rename(tmp_path / "app.log.1")
        file.write(b"after the rotation\n")
    path.write_bytes(b"three\n")
    assert until(source, b"three\n") == b"after the rotation\nthree\n"
    path.write_bytes(b"4\n")
    assert until(source, b"4\n") == b"4\n"
    source.close()


def test_a_new_file_begins_a_stream_anew(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"half a li")
    source = FileSource(path)
    until(source, b"half a li")
    path.unlink()
    path.write_bytes("zwei\n".encode("utf-16"))
    begins, end = False, time.monotonic() + PATIENCE
    while not begins:
        assert time.monotonic() < end
        begins = any(chunk.begins for chunk in source.read(0.02))
    source.close()


def test_a_file_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "later.log"
    source = FileSource(path)
    assert source.read(0) == []
    path.write_bytes(b"here\n")
    assert until(source, b"here\n") == b"here\n"
    source.close()
    for wrong in (tmp_path / "no" / "folder", tmp_path):
        with pytest.raises(UsageError):
            FileSource(wrong)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
def test_a_file_of_10_gb_is_opened_at_its_end(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "huge.log"
    first = "the first line of a log that is very long\n".encode(encoding)
    last = "ä last line\n".encode({"utf-16": "utf-16-le"}.get(encoding, encoding))
    with path.open("wb") as file:
        file.write(first)
        file.truncate(10 * 2**30)  # a hole: it takes no room
        file.seek(0, os.SEEK_END)
        file.write(last)
    source = FileSource(path)
    chunks = source.read(0)
    while not any(chunk.data for chunk in chunks):
        chunks += source.read(0)
    assert sum(len(chunk.data) for chunk in chunks) <= BACK + len(last)
    assert chunks[0].encoding == {"utf-16": "utf-16-le"}.get(encoding, encoding)
    assert chunks[-1].data.endswith(last)
    source.close()


def test_a_fifo_is_followed_past_the_end_of_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    source = FileSource(path)
    for word in (b"one\n", b"two\n"):
        path.write_bytes(word)
        assert until(source, word) == word
    assert source.over is None
    source.close()


def test_a_pipe_ends_with_its_writer() -> None:
    out, into = os.pipe()
    source = StreamSource(out, "standard input", "standard input ended")
    os.write(into, b"one\n")
    assert until(source, b"one\n") == b"one\n"
    os.close(into)
    while source.over is None:
        source.read(0.02)
    assert source.over == "standard input ended"
    source.close()
    os.close(out)


def test_a_command_is_read_as_it_prints_and_its_exit_code_kept() -> None:
    # It does not flush: a pipe would keep the line back.
    code = "import sys, time\nprint('half', end=' '); print('line'); sys.stderr.write('err\\n'); sys.exit(3)"
    source = CommandSource([sys.executable, "-c", code])
    found, end = b"", time.monotonic() + PATIENCE
    while source.over is None:
        assert time.monotonic() < end
        found += b"".join(chunk.data for chunk in source.read(0.02))
    assert sorted(found.split(b"\n")) == [b"", b"err", b"half line"]
    assert source.exit_code == 3
    assert "ended with exit code 3" in source.over
    source.close()


def test_a_command_is_stopped_with_mlxtop_and_one_that_is_not_there_is_refused() -> None:
    source = CommandSource([sys.executable, "-u", "-c", "print('up'); import time; time.sleep(600)"])
    until(source, b"up")
    source.close()
    assert source._process.poll() is not None
    with pytest.raises(CannotFollowError, match="no such program") as raised:
        CommandSource(["/no/such/program"])
    assert raised.value.exit_code == 127


def test_a_socket_is_connected_to_or_listened_at(tmp_path: Path) -> None:
    path = tmp_path / "s"
    listening = open_source(f"unix:{path}", ())
    assert path.stat().st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as a, socket.socket(socket.AF_UNIX) as b:
        for name, each in ((b"a", a), (b"b", b)):
            each.connect(str(path))
            each.sendall(name)
        streams: dict[int, bytes] = {}
        end = time.monotonic() + PATIENCE
        while len(streams) < 2:
            assert time.monotonic() < end
            for chunk in listening.read(0.02):
                if chunk.data:
                    streams[chunk.stream] = chunk.data
        assert sorted(streams.values()) == [b"a", b"b"]
    listening.close()
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        connecting = SocketSource(path)
        theirs = server.accept()[0]
        theirs.sendall(b"hello\n")
        assert until(connecting, b"hello\n") == b"hello\n"
        theirs.close()
        while connecting.over is None:
            connecting.read(0.02)
        connecting.close()
