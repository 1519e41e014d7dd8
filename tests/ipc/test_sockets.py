"""Where agents and viewers meet: only what is safe is used, and a program goes on without."""

import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlxtop.ipc import sockets
from mlxtop.ipc.sockets import Address
from tests.agent.program import MX, Start, short_folder, until


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The one place there is."""
    with short_folder() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        monkeypatch.setattr(sockets, "folders", lambda *_: [str(folder / "mlxtop")])
        yield folder / "mlxtop"


def test_it_is_made_for_this_user_alone(home: Path) -> None:
    assert sockets.folder() == str(home)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert sockets.folder() == str(home)


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701, 0o777, 0o1777])
def test_one_that_others_may_enter_is_refused(home: Path, mode: int) -> None:
    home.mkdir()
    home.chmod(mode)
    (home / "1.sock").touch()
    with pytest.raises(OSError, match="no directory that only this user may enter"):
        sockets.folder()
    assert list(sockets.addresses()) == []
    assert stat.S_IMODE(home.stat().st_mode) == mode


def test_a_link_is_refused(home: Path) -> None:
    elsewhere = home.with_name("elsewhere")
    elsewhere.mkdir(0o700)
    (elsewhere / "1.sock").touch()
    home.symlink_to(elsewhere)
    with pytest.raises(OSError, match="no directory"):
        sockets.folder()
    assert list(sockets.addresses()) == []


def test_a_file_in_its_place_is_refused(home: Path) -> None:
    home.write_text("in the way")
    with pytest.raises(OSError, match="no directory"):
        sockets.folder()


def test_somebody_elses_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir(0o700)
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    with pytest.raises(OSError, match="no directory"):
        sockets.folder()
    assert list(sockets.addresses()) == []


def test_the_next_place_is_taken_where_the_best_is_not_safe(start: Start) -> None:
    (start.home / "mlxtop").symlink_to("/tmp")
    temporary = start.home / "t"
    temporary.mkdir()
    program = start(MX + "print('up', flush=True); sys.stdin.readline()", TMPDIR=str(temporary))
    assert program.line() == "up"
    assert (temporary / f"mlxtop-{os.getuid()}" / f"{program.pid}.sock").is_socket()
    assert program.end() == (0, "")


def test_the_places_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    uid = os.getuid()
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/mine")
    monkeypatch.setenv("TMPDIR", "/scratch/")
    assert sockets.folders() == ["/run/mine/mlxtop", f"/scratch/mlxtop-{uid}", f"/tmp/mlxtop-{uid}"]
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.delenv("TMPDIR")
    assert sockets.folders() == [f"/run/user/{uid}/mlxtop", f"/tmp/mlxtop-{uid}"]
    monkeypatch.setenv("MLXTOP_SOCKETS", "/run/agreed")
    assert sockets.folders()[0] == "/run/agreed"


def test_a_path_too_long_for_a_socket_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr(sockets, "folders", lambda *_: [f"{long}/mlxtop"])
    with pytest.raises(OSError, match="no directory"):
        sockets.folder()


@pytest.mark.parametrize("run", ["", "abcd1234", "a-b", "x" * 8])
def test_addresses_tell_process_and_run(home: Path, run: str) -> None:
    path = sockets.address(4_194_304, run)
    assert len(os.fsencode(path)) <= sockets.LONGEST
    Path(path).touch()
    (home / "attach.py").touch()
    (home / "words.sock").touch()
    (home / f"5-{run}.failed").touch()
    assert list(sockets.addresses()) == [Address(4_194_304, run, path)]
    assert list(sockets.addresses(run)) == [Address(4_194_304, run, path)]
    assert list(sockets.addresses("another")) == []


@pytest.mark.parametrize("run", ["a/b", "../b", "x" * 90, "ä" * 40])
def test_a_name_that_makes_no_path_keeps_no_agent_away(start: Start, run: str) -> None:
    program = start(MX + "sys.stdin.readline()", run)
    until(program.sockets)


def test_whether_somebody_listens(home: Path) -> None:
    path = sockets.address(1, "")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    (address,) = sockets.addresses()
    assert sockets.listens(address)
    server.close()
    assert not sockets.listens(address)
    Path(path).unlink()
    assert not sockets.listens(address)


def test_a_word_is_told_once_and_to_its_own_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLXTOP", "abcd")
    sockets.leave_message("OSError: é " + "x" * 5000)
    assert list(sockets.left_messages("other")) == []
    (word,) = sockets.left_messages("abcd")
    assert word[0] == os.getpid()
    assert word[1].startswith("OSError: é xxx")
    assert len(word[1]) <= 2000
    assert list(sockets.left_messages("abcd")) == []
    assert list(home.iterdir()) == []


def test_a_word_that_cannot_be_left_is_not_left(home: Path) -> None:
    home.write_text("in the way")
    sockets.leave_message("nobody hears")
    assert list(sockets.left_messages("1")) == []


@pytest.mark.usefixtures("processes")
def test_what_processes_left_is_removed_and_what_listens_stays(home: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    sockets.folder()
    left, elsewhere = home / f"{gone.pid}.sock", home / f"{gone.pid}-abcd.sock"
    with socket.socket(socket.AF_UNIX) as first:
        first.bind(str(left))
    old, new = home / "1-abcd.failed", home / "2-abcd.failed"
    for path in (old, new):
        path.touch()
    os.utime(old, (1, 1))
    # A container's process has a number that is nobody's here, but it listens.
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(elsewhere))
        listener.listen()
        sockets.remove_stale()
    assert not left.exists()
    assert elsewhere.exists()
    assert not old.exists()
    assert new.exists()
