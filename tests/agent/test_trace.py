"""A trace in a program that mlxtop did not write: started by a viewer or by the environment."""

import os
import time
from pathlib import Path

import pytest

from mlxtop.mlx import trace_files
from mlxtop.mlx.trace import native
from mlxtop.trace.composition import by_line
from mlxtop.trace.moments import Moments
from mlxtop.trace.reader import TraceFile
from tests.agent.program import MX, Start, WatchedProgram

pytestmark = pytest.mark.skipif(native.load() is None, reason="built without its part in C")

STEPS = "held = []\nfor n in range(50): held.append(mx.random.normal((64, 64))); mx.eval(held[-1])\n"


def read(path: str) -> Moments:
    with TraceFile(Path(path)) as trace:
        return Moments(trace)


@pytest.fixture
def up(start: Start, tmp_path: Path) -> WatchedProgram:
    """One that does fifty steps when a line comes, and then waits for another."""
    code = f"print('up', flush=True)\nwhile sys.stdin.readline(): exec({STEPS!r}); print('done', flush=True)"
    program = start(MX + code, XDG_STATE_HOME=str(tmp_path))
    assert program.line() == "up"
    return program


def test_a_viewer_starts_and_stops_a_trace(up: WatchedProgram, tmp_path: Path) -> None:
    viewer = up.connect()
    viewer.more()
    assert {len(row) for row in viewer.rows()} == {12}
    viewer.say("trace", on=True, who="keyboard", id=7)
    path = viewer.event("trace", source="keyboard")["path"]
    assert Path(path).parent == tmp_path / "mlxtop/traces"
    # Written by nobody else: a file that is cut short would end the program.
    assert Path(path).stat().st_mode & 0o777 == 0o400
    up.say()
    assert up.line() == "done"
    # The buffers of a sample: those of the trace, while it is written.
    viewer.until(lambda m: m["type"] == "samples" and len(m["rows"][-1]) == 13 and m["rows"][-1][-1] >= 50)
    viewer.say("trace", on=True, who="keyboard", id=8)
    refused = viewer.until(lambda m: m.get("answers") == 8)
    assert refused["data"]["message"] == f"A trace is being written already, into {path}."
    viewer.say("trace", on=False, who="keyboard", id=9)
    assert viewer.event("traced")["path"] == path
    viewer.until(lambda m: m["type"] == "samples" and m["rows"][-1][-1] == -1)
    moments = read(path)
    assert moments.header.closed
    assert moments.now.count >= 50
    kept = {part.name: part.bytes for part in by_line(moments.now, moments.sites)}
    # A key of the random numbers beside the numbers.
    assert 0 <= kept["<string>:2 <module>"] - 50 * 64 * 64 * 4 < 1000
    assert {site.phase for site in moments.sites if site.stack} == {"run"}


def test_a_trace_ends_with_the_viewer_that_started_it(up: WatchedProgram) -> None:
    other, viewer = up.connect("observe"), up.connect()
    viewer.say("trace", on=True, who="keyboard")
    path = viewer.event("trace")["path"]
    viewer.close()
    assert other.event("traced", source="mlxtop")["path"] == path
    up.say()
    assert up.line() == "done"
    assert read(path).header.closed


def test_a_trace_from_the_start_lasts_as_long_as_the_program(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "a b.mlxtrace"
    program = start.up(STEPS, MLXTOP_TRACE=f"events=2048 min_size=0 {path}")
    viewer = program.connect()
    assert viewer.event("trace", source="flag")["path"] == str(path)
    viewer.close()
    other = program.connect("observe")
    other.more()
    assert not read(str(path)).header.closed
    assert program.end() == (0, "")
    moments = read(str(path))
    assert (moments.header.closed, moments.header.ring_capacity) == (True, 2048)
    assert moments.header.before == 0


def test_a_child_that_uses_mlx_has_a_trace_of_its_own(start: Start, tmp_path: Path) -> None:
    """MLX does not work in the child of a process that has used it: this one has not."""
    path = tmp_path / "t.mlxtrace"
    code = f"""
import os, sys
import mlx.core as mx
pid = os.fork()
{STEPS}
if pid: os.waitpid(pid, 0)
"""
    program = start(code, MLXTOP_TRACE=str(path))
    assert program.end() == (0, "")
    (child,) = tmp_path.glob("t-*.mlxtrace")
    for file in (path, child):
        moments = read(str(file))
        assert (moments.header.closed, moments.now.count >= 50) == (True, True), file
    assert child.name == f"t-{read(str(child)).header.pid}.mlxtrace"


def test_workers_that_begin_at_once_have_a_trace_each(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "t.mlxtrace"
    code = f"""
import subprocess, sys
work = [subprocess.Popen([sys.executable, "-c", {MX + STEPS!r}]) for _ in range(3)]
sys.exit(sum(each.wait() for each in work))
"""
    program = start(code, MLXTOP_TRACE=str(path))
    assert program.end() == (0, "")
    files = sorted(tmp_path.glob("*.mlxtrace"))
    assert (len(files), path in files) == (3, True)
    assert all(read(str(file)).now.count >= 50 for file in files)


def test_a_file_that_cannot_be_written_is_told_and_the_program_goes_on(start: Start, tmp_path: Path) -> None:
    program = start.up(STEPS, MLXTOP_TRACE=f"{tmp_path}/nowhere/t.mlxtrace")
    viewer = program.connect()
    told = viewer.event("error", phase="trace")["message"]
    assert f"{tmp_path}/nowhere/t.mlxtrace" in told
    viewer.more()
    assert {len(row) for row in viewer.rows()} == {12}
    assert program.end() == (0, "")


def test_all_but_the_newest_traces_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = Path(trace_files.folder())
    folder.mkdir(parents=True)
    # No process has such a number.
    names = [f"20260101-{n:06}-{2**31 - 1}{trace_files.SUFFIX}" for n in range(30)]
    lives = f"20250101-000000-{os.getpid()}{trace_files.SUFFIX}"
    for name in (*names, lives, "notes.txt"):
        (folder / name).touch()
    path = Path(trace_files.new())
    assert (path.parent, path.name[:8]) == (folder, time.strftime("%Y%m%d"))
    left = sorted(each.name for each in folder.iterdir())
    assert left == sorted([*names[-trace_files.KEPT + 1 :], lives, "notes.txt"])
