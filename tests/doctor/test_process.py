"""A program that runs, looked into by its number."""

import shutil
import sys

import pytest

from mlxtop.doctor.finding import Verdict, run
from mlxtop.doctor.process import checking
from tests.agent.program import IDLE, MX, Start


def found(pid: int) -> dict[str, tuple[Verdict, str]]:
    return {one.name: (one.verdict, one.value or one.advice) for one in run("Process", checking(pid))}


def test_a_program_with_an_agent(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    program = start(MX + IDLE)
    assert program.line() == "up"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(start.home))
    told = found(program.pid)
    assert told["active"][1] == "256.0 KiB"
    assert {verdict for verdict, _ in told.values()} == {Verdict.OK}
    assert program.end() == (0, "")


def test_a_program_without_mlx_is_left_alone(start: Start) -> None:
    program = start("import sys; print('up', flush=True); sys.stdin.readline()", run=None)
    assert program.line() == "up"
    told = found(program.pid)
    assert [verdict for verdict, _ in told.values()] == [Verdict.MISSING]
    assert program.end() == (0, "")


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("gdb") is None, reason="needs Linux and gdb")
def test_a_program_without_an_agent_gets_one(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    program = start(
        MX + "print('up', flush=True)\nwhile not os.path.exists(sys.argv[0] + 'x'): time.sleep(0.05)",
        run=None,
    )
    assert program.line() == "up"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(start.home))
    told = found(program.pid)
    assert told["agent"][0] is Verdict.OK
    assert told["active"][1] == "256.0 KiB"
    assert told["cache limit"][1] == "32.0 MiB"
    assert program.process.poll() is None
    program.process.kill()
