"""`mlxtop trace -- COMMAND`: the program as it is without, and a summary at the end."""

import sys
from pathlib import Path

import pytest

from mlxtop.mlx.trace import native
from mlxtop.trace.reader import TraceFile
from tests.process import mlxtop

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(native.load() is None, reason="built without its part in C"),
]

PROGRAM = """\
import sys
import mlx.core as mx
print("to stdout", sys.argv[1:])
print("to stderr", file=sys.stderr)
kept = mx.random.normal((512, 512))
mx.eval(kept)
mx.eval(kept @ kept)
sys.exit(3)
"""


def test_a_program_keeps_its_output_and_its_exit_code(tmp_path: Path) -> None:
    script, file = tmp_path / "work.py", tmp_path / "a trace.mlxtrace"
    script.write_text(PROGRAM)
    command = (
        "trace",
        "-o",
        str(file),
        "--events",
        "2048",
        "--min-size",
        "1K",
        "--",
        sys.executable,
        str(script),
    )
    for _ in range(2):
        # The second time in the place of the first.
        done = mlxtop(*command, "-x", "--", "y")
        assert (done.returncode, done.stdout) == (3, "to stdout ['-x', '--', 'y']\n")
        lines = done.stderr.splitlines()
        assert lines[0] == "to stderr"
        told = dict(line.removeprefix("mlxtop: ").split(maxsplit=1) for line in lines[1:])
        assert list(told) == ["peak", "made", "at", "not", "trace", "see"]
        assert " MiB in process " in told["peak"]
        assert "RandomBits" in told["made"]
        assert told["trace"] == str(file)
        assert told["see"] == f"it    mlxtop trace show '{file}'"
    with TraceFile(file) as trace:
        assert (trace.header.ring_capacity, trace.header.min_size, trace.header.closed) == (2048, 1024, True)
        assert str(script) in trace.header.command


def test_a_program_without_mlx_is_said_to_have_none(tmp_path: Path) -> None:
    file = tmp_path / "t.mlxtrace"
    done = mlxtop("trace", "-o", str(file), "--", sys.executable, "-c", "print(1)")
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert "did not use MLX" in done.stderr
    assert not file.exists()


def test_another_file_is_not_overwritten(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    for arguments in (("trace", "-o", str(notes), "--"), ("run", "--headless", f"--trace={notes}", "--")):
        done = mlxtop(*arguments, sys.executable, "-c", "print(1)")
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{notes} is no trace, and stays" in done.stderr
        assert notes.read_text() == "mine"


def test_what_cannot_be_written_is_refused_before_the_program_starts(tmp_path: Path) -> None:
    done = mlxtop("trace", "-o", f"{tmp_path}/no/t.mlxtrace", "--", sys.executable, "-c", "print(1)")
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be written: No such file or directory" in done.stderr


def test_run_takes_no_program_for_the_file_of_a_trace() -> None:
    done = mlxtop("run", "--headless", "--trace", "python", "train.py")
    assert done.returncode == 2
    assert "write mlxtop run --trace -- python" in done.stderr


def test_a_model_is_traced_with_the_lines_of_mlx_lm(tmp_path: Path) -> None:
    file = tmp_path / "model.mlxtrace"
    done = mlxtop("--headless", "--prompt", "hello", "--max-tokens", "4", f"--trace={file}")
    assert done.returncode == 0
    assert done.stderr == f"mlxtop: demo was traced. See it with: mlxtop trace show {file}\n"
    with TraceFile(file) as trace:
        assert trace.header.closed
        places = {(site.phase, Path(site.stack[0].path).name) for site in trace.sites() if site.stack}
    assert ("decode", "generate.py") in places
