import csv
import io
import json
import subprocess
from pathlib import Path

import pytest

from mlxtop.core.sample import Sample
from tests.process import MLXTOP, mlxtop
from tests.recording.source import Session, real_run, record

pytestmark = pytest.mark.usefixtures("processes")

COUNT = 5_000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of `COUNT` samples."""
    path = tmp_path_factory.mktemp("export") / "run.mlxtop"
    record(path, [Sample(n / 10, n, 0, n, n) for n in range(COUNT)])
    return path


def refused(*arguments: str) -> tuple[int, str]:
    """The exit code, and the one sentence on standard error."""
    done = mlxtop("export", *arguments)
    assert done.stdout == ""
    assert done.stderr.startswith("mlxtop: ")
    assert done.stderr.endswith(".\n")
    assert done.stderr.count("\n") == 1
    return done.returncode, done.stderr


def test_csv_goes_to_standard_output(path: Path) -> None:
    done = mlxtop("export", str(path), "--format", "csv")
    assert (done.returncode, done.stderr) == (0, "")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == COUNT
    assert [int(row["active_bytes"]) for row in rows] == list(range(COUNT))


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_o_writes_the_same_into_a_file(path: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    done = mlxtop("export", str(path), "--format", form, "-o", str(out))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert out.read_text() == mlxtop("export", str(path), "--format", form, "--output=-").stdout


def test_jsonl_of_a_real_run_is_read_line_by_line(tmp_path: Path) -> None:
    session = Session()
    record(tmp_path / "run.mlxtop", real_run(session), session=session)
    done = mlxtop("export", str(tmp_path / "run.mlxtop"), "--format", "jsonl")
    kinds = [json.loads(line)["type"] for line in done.stdout.splitlines()]
    assert kinds[0] == "session"
    assert set(kinds) == {"session", "sample", "event"}


def test_parquet_needs_a_file(path: Path) -> None:
    code, told = refused(str(path), "--format", "parquet")
    assert code == 2
    assert "-o OUT.parquet" in told


def test_parquet_is_written(path: Path, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    done = mlxtop("export", str(path), "--format", "parquet", "-o", str(tmp_path / "run.parquet"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert pq.read_table(tmp_path / "run.parquet").num_rows == COUNT


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_reader_that_leaves_ends_it_quietly(path: Path, form: str) -> None:
    command = [*MLXTOP, "export", str(path), "--format", form]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


def test_a_recording_is_never_written_over(path: Path) -> None:
    before = path.read_bytes()
    link = path.with_name("link")
    link.symlink_to(path)
    assert refused(str(path), "--format", "csv", "-o", str(link))[0] == 2
    assert path.read_bytes() == before


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_place_that_cannot_be_written_is_named(path: Path, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    code, told = refused(str(path), "--format", form, "-o", "/nowhere/out")
    assert code == 1
    assert "/nowhere/out cannot be written" in told


def test_a_full_disk_is_one_sentence(path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    code, told = refused(str(path), "--format", "csv", "-o", "/dev/full")
    assert code == 1
    assert "No space left" in told


def test_what_is_no_recording_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no recording at all, but long enough to be looked at " * 40)
    assert refused(str(tmp_path / "x"), "--format", "csv")[0] == 1
    assert refused(str(tmp_path / "none"), "--format", "csv")[0] == 1
