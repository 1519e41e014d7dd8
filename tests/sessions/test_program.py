"""The program that `mlxtop run` starts: its streams, its signals, its end."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from mlxtop.agent import boot
from mlxtop.core.errors import UsageError
from mlxtop.core.transcript import Transcript
from mlxtop.sessions import program as module
from mlxtop.sessions.program import CannotStartError, Program, child_environment
from tests.agent.program import PATIENCE, until

pytestmark = pytest.mark.usefixtures("processes")


@pytest.fixture
def run() -> Iterator[Callable[..., Program]]:
    """Starts programs; they are killed with the test."""
    programs: list[Program] = []

    def begin(*argv: str, screen: bool = False, log: Path | None = None) -> Program:
        programs.append(Program(argv, screen, log))
        return programs[-1]

    yield begin
    for program in programs:
        program.signal(signal.SIGKILL)
        assert program.wait(PATIENCE)


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(platformdirs, "user_log_path", lambda _: tmp_path / "logs")
    return tmp_path / "logs"


def shown(program: Program) -> list[str]:
    """What a look at its output brings into a pane."""
    assert program.output is not None
    transcript = Transcript()
    program.output.poll(transcript)
    return [line.text for line in transcript.since(0)]


@pytest.mark.parametrize(
    ("code", "exit_code", "how"),
    [
        ("exit 0", 0, "ended with exit code 0"),
        ("exit 3", 3, "ended with exit code 3"),
        ("kill -TERM $$", 143, "was killed by SIGTERM"),
        ("kill -KILL $$", 137, "was killed by SIGKILL"),
        ("kill -INT $$", 130, "was killed by SIGINT"),
    ],
)
def test_how_it_ends(run: Callable[..., Program], code: str, exit_code: int, how: str) -> None:
    program = run("sh", "-c", code)
    assert program.wait(PATIENCE)
    assert (program.exit_code, program.how()) == (exit_code, how)


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no such signals")
def test_a_signal_without_a_name(run: Callable[..., Program]) -> None:
    program = run(sys.executable, "-c", "import os; os.kill(os.getpid(), 40)")
    assert program.wait(PATIENCE)
    assert program.how() == "was killed by signal 40"


def test_while_it_runs(run: Callable[..., Program]) -> None:
    program = run("sleep", "60")
    assert (program.code, program.exit_code, program.how()) == (None, 0, "is running")
    assert not program.wait(0.05)


def test_a_command_that_is_not_there(run: Callable[..., Program], logs: Path) -> None:
    with pytest.raises(CannotStartError, match="Could not find the program no-such-thing") as caught:
        run("no-such-thing", screen=True)
    assert caught.value.exit_code == 127
    # The log that nobody asked for is not left behind.
    assert list(logs.iterdir()) == []


@pytest.mark.parametrize("what", ["a file that is no program", "a directory"])
def test_a_command_that_cannot_be_run(run: Callable[..., Program], tmp_path: Path, what: str) -> None:
    path = tmp_path / "thing"
    if what == "a directory":
        path.mkdir()
    else:
        path.write_text("text")
    with pytest.raises(CannotStartError, match=r"Could not run .*thing: Permission denied") as caught:
        run(str(path))
    assert caught.value.exit_code == 126


def test_a_log_that_cannot_be_written(run: Callable[..., Program], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"Could not write the log .*: .*\. Choose another with --log"):
        run("true", log=tmp_path / "file" / "log")


def test_all_output_goes_to_a_log_that_was_asked_for(run: Callable[..., Program], tmp_path: Path) -> None:
    log = tmp_path / "new" / "log"
    program = run("sh", "-c", "echo out; echo err >&2", log=log)
    assert program.wait(PATIENCE)
    assert log.read_text() == "out\nerr\n"
    assert log.stat().st_mode & 0o777 == 0o600
    assert shown(program) == ["out", "err"]
    program.forget_log()
    assert log.exists()


def test_a_log_is_added_to_and_only_what_is_new_is_output(
    run: Callable[..., Program], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.write_text("earlier\n")
    program = run("echo", "now", log=log)
    assert program.wait(PATIENCE)
    assert log.read_text() == "earlier\nnow\n"
    assert shown(program) == ["now"]


def test_a_log_that_nobody_asked_for_can_be_forgotten(run: Callable[..., Program], logs: Path) -> None:
    program = run("true", screen=True)
    assert program.wait(PATIENCE)
    (log,) = logs.iterdir()
    assert program.log == log
    assert program.run in log.name
    program.forget_log()
    assert list(logs.iterdir()) == []


OUTER = """
import json, sys
from pathlib import Path
from mlxtop.sessions.program import Program
program = Program([sys.executable, "-c", sys.argv[2]], True, Path(sys.argv[1]))
program.send_input("typed")
program.wait(20)
print(json.dumps([program.listens, program.exit_code]), flush=True)
"""


@pytest.mark.parametrize("terminals", [(), (0,), (1,), (2,), (1, 2), (0, 1, 2)])
def test_only_where_ours_is_a_terminal_its_streams_are_taken(
    tmp_path: Path, terminals: tuple[int, ...]
) -> None:
    code = "import os, sys; print('out'); print('err', file=sys.stderr); sys.exit(7 if sys.stdin.readline() == 'typed\\n' else 8)"
    log = tmp_path / "log"
    ours, theirs = pty.openpty()
    files = {1: tmp_path / "1", 2: tmp_path / "2"}
    streams: dict[int, Any] = {
        fd: theirs if fd in terminals else path.open("wb") for fd, path in files.items()
    }
    with subprocess.Popen(
        [sys.executable, "-c", OUTER, str(log), code],
        stdin=theirs if 0 in terminals else subprocess.PIPE, stdout=streams[1], stderr=streams[2],
    ) as outer:  # fmt: skip
        if 0 not in terminals:
            # A pipe stays a pipe: what comes through it is the program's.
            assert outer.stdin is not None
            outer.stdin.write(b"piped\n")
            outer.stdin.close()
        assert outer.wait(PATIENCE) == 0
    os.close(theirs)
    said = {1: "out", 2: "err"}
    assert sorted(log.read_text().split()) == sorted(said[fd] for fd in terminals if fd in said)
    for fd, path in files.items():
        if fd not in terminals:
            assert said[fd] in path.read_text().splitlines()
    end = f"[{'true' if 0 in terminals else 'false'}, {7 if 0 in terminals else 8}]"
    if 1 not in terminals:
        assert end in files[1].read_text().splitlines()
    else:
        assert end in os.read(ours, 4096).decode()
    os.close(ours)


def test_lines_are_typed_into_it_only_where_that_is_ours_to_do(run: Callable[..., Program]) -> None:
    program = run("sleep", "60")
    assert not program.listens
    program.send_input("nobody hears")
    assert program.code is None


def test_signals_reach_its_children(run: Callable[..., Program], tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    program = run("sh", "-c", f"sleep 60 & echo $! > {ready}; wait")
    child = int(until(lambda: ready.exists() and ready.read_text().strip()))
    program.signal(signal.SIGTERM)
    assert program.wait(PATIENCE)
    assert program.exit_code == 143
    until(lambda: gone(child))
    # Afterwards there is nobody to signal.
    program.signal(signal.SIGTERM)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # Nobody waits for an orphan here.
    return Path(f"/proc/{pid}/stat").exists() and " Z " in Path(f"/proc/{pid}/stat").read_text()


def test_our_own_ctrl_c_is_not_its_own(run: Callable[..., Program]) -> None:
    for screen in True, False:
        program = run("sleep", "60", screen=screen)
        assert os.getpgid(program.pid) == program.pid != os.getpgid(0)
        assert (os.getsid(program.pid) == program.pid) is screen


def test_stop_is_gentle_first(run: Callable[..., Program], tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    code = f"""
import pathlib, time
try:
    pathlib.Path({str(ready)!r}).touch(); time.sleep(60)
except KeyboardInterrupt:
    exit(5)
"""
    program = run(sys.executable, "-c", code)
    until(ready.exists)
    program.stop()
    assert program.exit_code == 5


def test_stop_gets_its_way(
    run: Callable[..., Program], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = tuple((number, 0.3) for number, _ in module.PATIENCE)
    monkeypatch.setattr(module, "PATIENCE", patience)
    ready = tmp_path / "ready"
    code = f"trap '' INT TERM; touch {ready}; while true; do sleep 0.1; done"
    program = run("sh", "-c", code)
    until(ready.exists)
    program.stop()
    assert program.how().startswith("was killed by SIGKILL")


def test_the_environment_lets_agents_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", "/mine")
    env = child_environment("abcd", tmp_path / "log")
    assert (env["MLXTOP"], env["MLXTOP_LOG"]) == ("abcd", str(tmp_path / "log"))
    assert env["MLXTOP_VIEWER"] == str(os.getpid())
    assert env["PYTHONPATH"] == f"{boot.BOOTSTRAP}{os.pathsep}/mine"
    monkeypatch.delenv("PYTHONPATH")
    bare = child_environment("abcd", None)
    assert bare["PYTHONPATH"] == boot.BOOTSTRAP
    assert "MLXTOP_LOG" not in bare
    assert {name for name in bare if bare[name] != os.environ.get(name)} == {
        "MLXTOP",
        "MLXTOP_VIEWER",
        "PYTHONPATH",
    }


def test_each_run_has_a_name_of_its_own(run: Callable[..., Program]) -> None:
    assert run("true").run != run("true").run


def test_a_stop_is_told_once_and_an_end_is_not_lost(run: Callable[..., Program]) -> None:
    program = run("sh", "-c", "kill -STOP $$; exit 7")
    until(program.stopped)
    assert not program.stopped()
    program.signal(signal.SIGCONT)
    until(lambda: not program.stopped() and program.code is not None)
    assert program.exit_code == 7
