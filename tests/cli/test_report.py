from pathlib import Path

import pytest

from tests.process import mlxtop
from tests.recording.source import Session, real_run, record

pytestmark = pytest.mark.usefixtures("processes")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    session = Session()
    record(tmp_path / "run.mlxtop", real_run(session), session=session)
    return tmp_path / "run.mlxtop"


def refused(*arguments: str) -> tuple[int, str]:
    done = mlxtop("report", *arguments)
    assert done.stdout == ""
    assert done.stderr.startswith("mlxtop: ")
    assert done.stderr.endswith(".\n")
    assert done.stderr.count("\n") == 1
    return done.returncode, done.stderr


def test_the_page_lies_beside_the_recording_and_its_path_is_printed(path: Path) -> None:
    done = mlxtop("report", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == str(path.with_suffix(".html"))
    assert path.with_suffix(".html").read_text().startswith("<!doctype html>")


def test_a_page_of_ours_is_written_again(path: Path) -> None:
    assert mlxtop("report", str(path)).returncode == 0
    assert mlxtop("report", str(path)).returncode == 0


def test_what_is_no_page_of_ours_is_not_written_over_unless_it_is_named(path: Path) -> None:
    page = path.with_suffix(".html")
    page.write_text("<h1>my notes</h1>")
    code, told = refused(str(path))
    assert code == 2
    assert "choose another file with -o" in told
    assert page.read_text() == "<h1>my notes</h1>"
    done = mlxtop("report", str(path), "-o", str(page))
    assert (done.returncode, done.stdout.strip()) == (0, str(page))
    assert page.read_text().startswith("<!doctype html>")


def test_a_recording_is_never_written_over(path: Path) -> None:
    before = path.read_bytes()
    assert refused(str(path), "-o", str(path))[0] == 2
    renamed = path.rename(path.with_suffix(".html"))
    assert refused(str(renamed))[0] == 2
    assert renamed.read_bytes() == before


def test_a_place_that_cannot_be_written_is_named(path: Path) -> None:
    code, told = refused(str(path), "-o", "/nowhere/page.html")
    assert code == 1
    assert "/nowhere/page.html cannot be written" in told


def test_a_directory_in_the_way_is_not_written_over(path: Path) -> None:
    path.with_suffix(".html").mkdir()
    assert refused(str(path))[0] == 2
