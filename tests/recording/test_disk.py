"""The disk is full, the file is gone: the session goes on, and is told."""

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pytest

from mlxtop.core.sample import Sample
from mlxtop.recording import recorder as module
from mlxtop.recording.errors import RecordingError
from mlxtop.recording.reader import Recording
from mlxtop.recording.recorder import Recorder
from tests.recording.source import Session, add, busy_run, recording, samples_of, until


class Disk(NamedTuple):
    folder: Path
    fill: Callable[[], None]
    free: Callable[[], None]
    words: str


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMIT_EVERY", 0.01)
    monkeypatch.setattr(module, "RETRY_EVERY", 0.05)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True
    ).returncode:
        pytest.skip("may not mount")

    def fill() -> None:
        with (folder / "filler").open("ab", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                pass

    yield Disk(folder, fill, (folder / "filler").unlink, "full")
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Disk]:
    """A process whose files may not grow any more: what a quota does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        most = max(part.stat().st_size for part in tmp_path.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))

    def free() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    yield Disk(tmp_path, fill, free, "")
    free()


@pytest.fixture(params=["small", "limited"])
def disk(request: pytest.FixtureRequest) -> Disk:
    return request.getfixturevalue(request.param)


def run() -> Iterator[Sample]:
    return busy_run(100, 100_000)


def put_many(put: Callable[[Sample], None], samples: Iterator[Sample], count: int) -> list[Sample]:
    told = list(islice(samples, count))
    for sample in told:
        put(sample)
    return told


def put_until(
    put: Callable[[Sample], None], samples: Iterator[Sample], what: Callable[[], object]
) -> list[Sample]:
    """Goes on with the session, a few samples at a time, until something has happened."""
    told: list[Sample] = []

    def step() -> object:
        told.extend(put_many(put, samples, 20))
        return what()

    until(step)
    return told


def begun(recorder: Recorder) -> bool:
    """Whether there are samples in the file: a commit may have come before the session did."""
    return recorder._tracks[0].written.until is not None and recorder.size > 50_000


@pytest.mark.usefixtures("processes")
def test_a_full_disk_is_told_and_when_there_is_room_again_nothing_was_lost(disk: Disk) -> None:
    path, session, samples = disk.folder / "run.mlxtop", Session(interval=0.01), run()
    with recording(path) as recorder:
        put = add(recorder, session)
        told = put_until(put, samples, lambda: begun(recorder))
        disk.fill()
        told += put_until(put, samples, lambda: session.warnings)
        (warning,) = session.warnings
        assert warning is not None
        assert warning == recorder.problem
        assert warning.startswith("Recording stopped at ")
        assert str(path) in warning
        assert disk.words in warning
        before = samples_of(path)
        assert before == told[: len(before)]
        assert before
        told += put_many(put, samples, 1_000)
        until(recorder._inbox.empty)
        assert session.warnings == [warning], "said once"
        disk.free()
        until(lambda: session.warnings[1:])
        assert session.warnings[1:] == [None]
        assert recorder.problem is None
        told += put_until(put, samples, lambda: True)
    assert samples_of(path) == told
    said = session.log
    assert said[0] == warning
    assert said[1].startswith("Recording resumed at ")
    assert said[1].endswith("; nothing was lost.")
    assert recorder.failure is None


@pytest.mark.usefixtures("processes")
def test_of_a_long_time_without_room_the_end_is_kept_and_the_loss_is_counted(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_SECONDS", 2.0)
    path, session, samples = disk.folder / "run.mlxtop", Session(interval=0.01), run()
    with recording(path) as recorder:
        put = add(recorder, session)
        told = put_until(put, samples, lambda: begun(recorder))
        disk.fill()
        told += put_until(put, samples, lambda: session.warnings)
        told += put_many(put, samples, 5_000)
        until(recorder._inbox.empty)
        disk.free()
        until(lambda: session.warnings[1:])
    found = samples_of(path)
    lost = len(told) - len(found)
    assert lost > 1_000
    hole = next(i for i, (a, b) in enumerate(zip(found, told, strict=False)) if a != b)
    assert found[:hole] == told[:hole]
    assert found[hole:] == told[hole + lost :]
    assert len(found) - hole >= 200
    assert session.log[1].endswith(f"; {lost:,} samples were lost.")
    assert recorder.failure is not None
    assert f"; {lost:,} samples until " in recorder.failure


@pytest.mark.usefixtures("processes")
def test_a_session_that_ends_on_a_full_disk_leaves_what_there_was(disk: Disk) -> None:
    path, session, samples = disk.folder / "run.mlxtop", Session(interval=0.01), run()
    with recording(path) as recorder:
        put = add(recorder, session)
        told = put_until(put, samples, lambda: begun(recorder))
        disk.fill()
        told += put_until(put, samples, lambda: session.warnings)
    found = samples_of(path)
    assert found == told[: len(found)]
    assert found
    assert recorder.failure is not None
    assert recorder.failure.startswith("Recording stopped at ")
    assert f"; {len(told) - len(found):,} samples are lost." in recorder.failure


@pytest.mark.usefixtures("processes")
def test_on_a_disk_that_is_full_from_the_start_nothing_is_begun(small: Disk) -> None:
    small.fill()
    with pytest.raises(
        RecordingError, match=r"cannot be written: .*full; choose another path with --record\."
    ):
        Recorder(small.folder / "run.mlxtop")
    assert [part.name for part in small.folder.iterdir()] == ["filler"]


# The file goes away


def test_a_file_that_is_removed_is_begun_anew(tmp_path: Path) -> None:
    path, session, samples = tmp_path / "run.mlxtop", Session(), run()
    session.phases.append("decode")
    with recording(path) as recorder:
        put = add(recorder, session)
        told = put_until(put, samples, lambda: begun(recorder))
        path.unlink()
        told += put_until(put, samples, lambda: session.warnings)
        told += put_until(put, samples, lambda: path.exists() and recorder.size)
    assert "was removed at" in str(session.warnings[0])
    read = Recording(path)
    found = list(read.samples(1))
    assert found == told[-len(found) :]
    assert found[-1] == told[-1]
    assert read.phases(1) == ["start", "decode"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_moved_takes_along_what_was_recorded(tmp_path: Path) -> None:
    path, session, samples = tmp_path / "run.mlxtop", Session(), run()
    with recording(path) as recorder:
        put = add(recorder, session)
        told = put_until(put, samples, lambda: begun(recorder))
        moved = path.rename(tmp_path / "moved.mlxtop")
        told += put_until(put, samples, lambda: session.warnings)
    before, after = (samples_of(part) for part in (moved, path))
    assert before + after == told
    assert before
    assert after


def test_a_file_that_somebody_else_put_there_is_left_alone(tmp_path: Path) -> None:
    path, session, samples = tmp_path / "run.mlxtop", Session(), run()
    other = Session("other")
    with recording(path) as recorder:
        put = add(recorder, session)
        told = put_until(put, samples, lambda: begun(recorder))
        path.with_name("moved.mlxtop").hardlink_to(path)
        # Another mlxtop has begun to record under this name, and what it has is not in the file itself yet.
        with recording(tmp_path / "other.mlxtop") as second:
            put_other = add(second, other)
            put_other(told[0])
            until(lambda: second.size)
            for end in ("-wal", ""):
                shutil.copy(f"{second.path}{end}", tmp_path / "copy")
                (tmp_path / "copy").replace(f"{path}{end}")
        theirs = [path, Path(f"{path}-wal")]  # -shm is memory that is shared, and still ours
        kept = [part.read_bytes() for part in theirs]
        told += put_until(put, samples, lambda: session.warnings)
        assert "Recording stopped at" in str(session.warnings[-1])
        assert [part.read_bytes() for part in theirs] == kept
        for part in tmp_path.glob("run.mlxtop*"):
            part.unlink()
        told += put_until(put, samples, lambda: session.warnings[-1] is None)
    before = samples_of(tmp_path / "moved.mlxtop")
    after = samples_of(path)
    assert before + after == told


@pytest.mark.parametrize("seen", [True, False], ids=["its files can be looked at", "nor can it be entered"])
def test_a_folder_that_is_made_read_only_meanwhile_does_no_harm(tmp_path: Path, seen: bool) -> None:
    folder, session, samples = tmp_path / "folder", Session(), run()
    folder.mkdir()
    for parent in folder.parents:
        if parent.stat().st_uid == os.getuid() and parent.is_relative_to(tempfile.gettempdir()):
            parent.chmod(parent.stat().st_mode | 0o055)
    path = folder / "run.mlxtop"
    with recording(path) as recorder:
        put = add(recorder, session)
        told = put_until(put, samples, lambda: begun(recorder))
        folder.chmod(0o555 if seen else 0)
        os.seteuid(65534 if os.geteuid() == 0 else os.geteuid())
        try:
            before = recorder._tracks[0].written.until
            told += put_until(put, samples, lambda: recorder._tracks[0].written.until != before)
        finally:
            os.seteuid(os.getuid())
            folder.chmod(0o755)
    assert session.warnings == []
    assert samples_of(path) == told


def test_a_folder_that_is_removed_is_told(tmp_path: Path) -> None:
    folder, session, samples = tmp_path / "folder", Session(), run()
    folder.mkdir()
    with recording(folder / "run.mlxtop") as recorder:
        put = add(recorder, session)
        told = put_until(put, samples, lambda: begun(recorder))
        shutil.rmtree(folder)
        told += put_until(put, samples, lambda: session.warnings)
        assert "Recording stopped at" in str(session.warnings[-1])
        folder.mkdir()
        told += put_until(put, samples, lambda: session.warnings[-1] is None)
    found = samples_of(folder / "run.mlxtop")
    assert found == told[-len(found) :]
