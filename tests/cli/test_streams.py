"""Standard streams that are closed or full, and signals that are ignored: every command says so or goes on."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.process import MLXTOP, ROOT

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")


def shell(arguments: str, redirected: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """`mlxtop ARGUMENTS REDIRECTED`, as a shell runs it."""
    return subprocess.run(
        ["sh", "-c", f"{shlex.join(MLXTOP)} {arguments} {redirected}"],
        cwd=ROOT,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


ONE = "--prompt hello --max-tokens 2"


@pytest.mark.parametrize(
    ("arguments", "redirected"),
    [
        ("--help", ">/dev/full"),
        ("--version", ">&-"),
        ("info --json", ">/dev/full"),
        ("ps --json", ">&-"),
        (f"--headless {ONE}", ">&-"),
        (f"--json {ONE}", ">/dev/full"),
        ("sweep --headless --limits 0,default --prompt-tokens 4 --max-tokens 2 --repeats 1", ">/dev/full"),
    ],
)
@pytest.mark.usefixtures("processes")
def test_a_result_that_cannot_be_written_is_one_sentence_and_code_1(arguments: str, redirected: str) -> None:
    done = shell(arguments, redirected)
    assert done.returncode == 1
    told = [line for line in done.stderr.splitlines() if "cannot be written" in line]
    assert len(told) == 1, done.stderr
    assert told[0].startswith("mlxtop: standard output cannot be written: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("redirected", [">/dev/full", "2>/dev/full", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.usefixtures("processes")
def test_the_exit_code_of_a_program_survives(redirected: str) -> None:
    assert shell("run --headless -- sh -c 'exit 5'", redirected).returncode == 5


@pytest.mark.usefixtures("processes")
def test_a_program_finds_closed_what_was_closed() -> None:
    bare = f"{sys.executable} -c 'import sys; sys.exit(10 + (sys.stdin is None) + 2 * (sys.stdout is None))'"
    assert shell(f"run --headless -- {bare}", "<&- >&-").returncode == 13
    assert shell(f"run --headless -- {bare}", "").returncode == 10


@pytest.mark.usefixtures("processes")
def test_a_log_on_standard_error_or_into_a_fifo(tmp_path: Path) -> None:
    program = "-- sh -c 'echo out; exit 3'"
    done = shell(f"run --headless --log /dev/stderr {program}", f"2>{tmp_path}/errors")
    assert done.returncode == 3
    said = (tmp_path / "errors").read_text()
    assert said.startswith("out\nmlxtop: sh -c")
    os.mkfifo(tmp_path / "fifo")
    done = shell(f"run --headless --log {tmp_path}/fifo {program}", f"& cat {tmp_path}/fifo; wait $!")
    assert (done.returncode, done.stdout) == (3, "out\n")


@pytest.mark.usefixtures("processes")
def test_a_closed_standard_error_stops_no_run() -> None:
    done = shell(f"--headless {ONE}", "2>&-")
    assert done.returncode == 0
    assert "Ending memory" in done.stdout


@pytest.mark.usefixtures("processes")
def test_a_hangup_that_is_ignored_at_the_start_stays_ignored() -> None:
    run = subprocess.Popen(
        [*MLXTOP, "--json", "--prompt", "hello", "--max-tokens", "300"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert run.stdout is not None
    for line in run.stdout:
        if '"phase":"decode"' in line:
            break
    run.send_signal(signal.SIGHUP)
    *_, last = run.stdout
    assert run.wait(30) == 0
    assert '"type":"summary","code":0' in last


@pytest.mark.usefixtures("processes")
def test_a_dumb_terminal_is_told_of_headless(tmp_path: Path) -> None:
    import pty

    master, slave = pty.openpty()
    record = tmp_path / "run.mlxtop"
    done = subprocess.run(
        [*MLXTOP, "--record", str(record)],
        env={**os.environ, "TERM": "dumb"},
        stdin=slave,
        stdout=slave,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
    )
    os.close(master)
    os.close(slave)
    assert done.returncode == 2
    assert "--headless" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not record.exists()


def test_a_log_where_home_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlxtop.sessions import log_files

    monkeypatch.setenv("HOME", "/nowhere/at/all")
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/state")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path, into = log_files.new("abcd")
    os.close(into)
    assert path.parent == tmp_path
    assert path.stat().st_mode & 0o777 == 0o600


def test_old_logs_are_removed_unless_a_program_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlxtop.sessions import log_files

    monkeypatch.setattr("platformdirs.user_log_path", lambda _: tmp_path)
    held, into = log_files.new("held")
    old = time.time() - (log_files.DAYS + 1) * 86_400
    os.utime(held, (old, old))
    gone = tmp_path / "20200101-000000-gone.log"
    gone.touch()
    os.utime(gone, (old, old))
    for i in range(log_files.KEPT + 5):
        (tmp_path / f"20990101-{i:06}-x.log").touch()
    _, other = log_files.new("last")
    assert held.exists()
    assert not gone.exists()
    assert len(list(tmp_path.glob("*.log"))) <= log_files.KEPT + 2
    os.close(into)
    os.close(other)
