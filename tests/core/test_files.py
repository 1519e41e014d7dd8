"""Files are written as a whole where that can be, straight where it cannot, and nothing else is touched."""

import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mlxtop.core import files
from mlxtop.core.files import OutputError, is_regular, put, writing

ROOT = os.geteuid() == 0


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_as_a_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    path.chmod(0o640)
    with path.open() as reader, writing(path) as out:
        out.write(b"ne")
        out.flush()
        assert path.read_text() == "old"
        out.write(b"w")
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["out"]


def test_a_new_file_has_the_mode_that_any_program_gives_it(tmp_path: Path) -> None:
    kept = os.umask(0o027)
    try:
        put(tmp_path / "out", "né")
    finally:
        os.umask(kept)
    assert (tmp_path / "out").read_bytes() == "né".encode()
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o640


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with suppress(KeyError), writing(path) as out:
        out.write(b"half")
        raise KeyError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("there", [True, False])
def test_links_are_followed_and_stay(tmp_path: Path, there: bool) -> None:
    (tmp_path / "far").mkdir()
    target, first, second = tmp_path / "far" / "target", tmp_path / "first", tmp_path / "second"
    if there:
        target.write_text("old")
    first.symlink_to(target)
    second.symlink_to("first")
    # `..` is the folder above where a link to a folder leads, not above the link.
    (tmp_path / "far" / "up").symlink_to("../second")
    (tmp_path / "folder").symlink_to("far")
    for n, link in enumerate((second, tmp_path / "folder" / "up")):
        put(link, f"new {n}")
        assert target.read_text() == f"new {n}"
    assert first.is_symlink()
    assert second.is_symlink()
    assert names(tmp_path / "far") == ["target", "up"]
    assert names(tmp_path) == ["far", "first", "folder", "second"]


def test_a_link_to_itself_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(
        OutputError, match="cannot be written: Too many levels of symbolic links; give another place"
    ):
        put(tmp_path / "loop", "")


@pytest.mark.parametrize("name", ["null", "full"])
def test_a_device_stays_one(tmp_path: Path, name: str) -> None:
    device = Path("/dev", name)
    if not device.exists():
        pytest.skip(f"no {device} here")
    path = tmp_path / name
    if ROOT:
        # A copy of it: what is done wrong here is done to no one else.
        number = device.stat().st_rdev
        try:
            os.mknod(path, device.stat().st_mode, number)
        except PermissionError:
            pytest.skip("may make no devices")
    else:
        path.symlink_to(device)
    assert not is_regular(path)
    if name == "full":
        with pytest.raises(
            OutputError, match="full cannot be written: No space left on device; make room there"
        ):
            put(path, "text")
    else:
        put(path, "text")
    assert path.is_char_device()
    assert names(tmp_path) == [name]


def test_a_fifo_is_written_into_as_soon_as_somebody_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "TOLD_AFTER", 0.0)
    path, read, told = tmp_path / "pipe", list[str](), list[str]()
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.append(path.read_text()))

    def tell(sentence: str) -> None:
        told.append(sentence)
        reader.start()

    put(path, "text" * 50_000, tell)
    reader.join(30)
    assert read == ["text" * 50_000]
    assert told == [f"{path} is a FIFO that nobody reads yet: mlxtop waits for its reader."]
    assert path.is_fifo()


STREAMS = """
import os, sys
from pathlib import Path
from mlxtop.core.files import put
os.write(1, b"before\\n")
put(Path(sys.argv[1]), "text\\n")
os.write(1, b"after\\n")
"""


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "a link"])
@pytest.mark.usefixtures("processes")
def test_a_stream_of_ours_is_written_where_it_stands(tmp_path: Path, name: str) -> None:
    link, out = tmp_path / "link", tmp_path / "out"
    if name == "a link":
        link.symlink_to("/dev/stdout")
    elif not Path(name).exists():
        pytest.skip(f"no {name} here")
    out.write_text("long before\n")
    with out.open("a") as stdout:
        subprocess.run(
            [sys.executable, "-c", STREAMS, link if name == "a link" else name], stdout=stdout, check=True
        )
    assert out.read_text() == "long before\nbefore\ntext\nafter\n"
    assert names(tmp_path) == (["link", "out"] if name == "a link" else ["out"])


@pytest.mark.skipif(not ROOT, reason="only root may mount")
@pytest.mark.usefixtures("processes")
def test_a_file_that_is_a_mount_of_its_own_is_written_into(tmp_path: Path) -> None:
    path, source = tmp_path / "out", tmp_path / "source"
    path.touch()
    source.write_text("old")
    if subprocess.run(["mount", "--bind", source, path], capture_output=True).returncode:
        pytest.skip("may not mount")
    try:
        put(path, "new")
        assert path.read_text() == "new"
    finally:
        subprocess.run(["umount", path], check=True)
    assert source.read_text() == "new"
    assert names(tmp_path) == ["out", "source"]


def test_a_file_of_ours_in_a_folder_of_somebody_else_is_written_into() -> None:
    user = 65534 if ROOT else os.geteuid()
    with TemporaryDirectory(dir="/tmp") as folder:
        path = Path(folder, "out")
        path.write_text("old and longer")
        os.chown(path, user, -1)
        path.parent.chmod(0o555)
        os.seteuid(user)
        try:
            put(path, "new")
            with pytest.raises(
                OutputError, match=r"more cannot be written: Permission denied; give another place\."
            ):
                put(path.with_name("more"), "new")
        finally:
            os.seteuid(os.getuid())
            path.parent.chmod(0o755)
        assert path.read_text() == "new"


@pytest.mark.parametrize(
    ("name", "why"),
    [("none/out", "No such file or directory"), ("folder", "Is a directory"), ("\x1b[2J/x", "No such")],
)
def test_what_cannot_be_written_is_one_sentence(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=rf"cannot be written: {why}.*; give another place\.$") as error:
        put(tmp_path / name, "text")
    assert "\x1b" not in str(error.value)
    assert names(tmp_path) == ["folder"]
