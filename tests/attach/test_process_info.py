"""What can be told about a process from outside: real processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import psutil
import pytest

from mlxtop.attach import process_info
from mlxtop.core.errors import UsageError
from mlxtop.core.facts import words

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@contextmanager
def process(*command: str) -> Iterator[int]:
    """A process that has printed a line and waits to be ended."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield child.pid
        child.kill()


def python(code: str) -> tuple[str, ...]:
    return sys.executable, "-c", f"{code}; print(flush=True); input()"


@linux
@pytest.mark.usefixtures("processes")
def test_a_python_with_mlx() -> None:
    with process(*python("import mlx.core")) as pid:
        found = process_info.read(pid)
        assert (found.pid, found.python, found.mlx) == (pid, sys.version_info[:2], True)
        assert "import mlx.core" in found.command
        assert pid in process_info.everyone()


@linux
@pytest.mark.usefixtures("processes")
def test_a_python_without_mlx() -> None:
    with process(*python("pass")) as pid:
        with pytest.raises(UsageError, match="has not imported MLX"):
            process_info.read(pid)
        assert process_info.python_of(pid) == sys.version_info[:2]
        assert pid not in process_info.everyone()


@linux
@pytest.mark.usefixtures("processes")
def test_not_a_python() -> None:
    with (
        process("sh", "-c", "echo; read line") as pid,
        pytest.raises(UsageError, match="not a Python program"),
    ):
        process_info.read(pid)


@linux
@pytest.mark.usefixtures("processes")
def test_somebody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    with process(*python("pass")) as pid:
        monkeypatch.setattr(os, "geteuid", lambda: 4_000_001)
        with pytest.raises(UsageError, match="belongs to "):
            process_info.read(pid)


@pytest.mark.parametrize("pid", [-1, 2**22 + 1, 2**40])
def test_no_such_process(pid: int) -> None:
    with pytest.raises(UsageError, match="There is no process"):
        process_info.read(pid)


@linux
@pytest.mark.usefixtures("processes")
def test_one_that_has_ended_and_was_not_waited_for() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(UsageError, match="There is no process"):
        process_info.read(child.pid)
    child.wait()


@pytest.mark.parametrize(
    ("files", "version"),
    [
        (["/usr/lib/x86_64-linux-gnu/libpython3.13.so.1.0"], (3, 13)),
        (["/opt/python3.12/lib/libc.so.6", "/x/lib/python3.11/lib-dynload/_json.so"], (3, 11)),
        (["/v/site-packages/mlx/core.cpython-314-x86_64-linux-gnu.so"], (3, 14)),
        (["/usr/bin/python3.10"], (3, 10)),
        (["/Library/Frameworks/Python.framework/Versions/3.12/Python"], (3, 12)),
        (["/usr/bin/sleep", "/usr/lib/libc.so.6"], None),
    ],
)
def test_versions(files: list[str], version: tuple[int, int] | None) -> None:
    assert process_info._python_in(files) == version


def test_what_counts_as_mlx() -> None:
    assert process_info._MLX.search("/v/site-packages/mlx/lib/libmlx.so")
    assert process_info._MLX.search("/v/site-packages/mlx/core.abi3.so")
    assert not process_info._MLX.search("/v/site-packages/libmlx5.so.1")
    assert not process_info._MLX.search("/home/mlx/core.py")


@pytest.mark.parametrize(("uid", "told"), [(0, "start the program"), (None, "attach as root")])
def test_root_is_not_told_to_be_root(monkeypatch: pytest.MonkeyPatch, uid: int | None, told: str) -> None:
    def denied(_: int) -> set[str]:
        raise PermissionError

    monkeypatch.setattr(process_info, "_mapped", denied)
    monkeypatch.setattr(
        process_info.psutil.Process, "uids", lambda _: SimpleNamespace(effective=uid or 12345, real=0)
    )
    monkeypatch.setattr(process_info.os, "geteuid", lambda: uid if uid is not None else 12345)
    with pytest.raises(UsageError, match=f"Could not inspect process {os.getpid()}: .*{told}"):
        process_info.read(os.getpid())
    with pytest.raises(UsageError, match=r"start the program with `mlxtop run`\.$"):
        process_info.read(os.getpid())


RENAME = """
import ctypes, sys
print("up", flush=True); sys.stdin.readline()
# As setproctitle does it: over the place where the kernel reads the command line.
start, end = map(int, open("/proc/self/stat").read().rpartition(")")[2].split()[45:47])
ctypes.memmove(start, b"worker: queue 3".ljust(end - start, b"\\0"), end - start)
print("renamed", flush=True); sys.stdin.readline()
"""


@linux
@pytest.mark.usefixtures("processes")
def test_a_title_that_a_program_gave_itself() -> None:
    argv = [sys.executable, "-c", RENAME, "--port", "8080"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as program:
        assert program.stdout.readline() == "up\n"
        assert process_info.title(program.pid, words(argv)) is None
        program.stdin.write("\n")
        assert program.stdout.readline() == "renamed\n"
        assert process_info.title(program.pid, words(argv)) == "worker: queue 3"
        program.stdin.close()


def test_the_program_behind_a_worker() -> None:
    pid, mine = os.getpid(), psutil.Process().parent().cmdline()
    spawned = [
        "python",
        "-c",
        "from multiprocessing.spawn import spawn_main; spawn_main()",
        "--multiprocessing-fork",
    ]
    assert process_info.parent_of_worker(pid, spawned) == mine
    assert process_info.parent_of_worker(pid, ["python", "train.py"]) is None
    assert process_info.parent_of_worker(2**22 + 1, spawned) is None
