"""The report as a whole, from real runs of the command."""

import json
from pathlib import Path

import pytest

from mlxtop.doctor import report
from mlxtop.doctor.finding import Finding, Section, Verdict, run
from tests.process import mlxtop


def doctor(env: dict[str, str] | None = None) -> tuple[int, dict[tuple[str, str], Finding]]:
    done = mlxtop("doctor", "--json", env=env or {})
    found = [Finding.from_json(fields) for fields in json.loads(done.stdout)]
    return done.returncode, {(one.section, one.name): one for one in found}


@pytest.mark.usefixtures("processes")
def test_a_healthy_machine() -> None:
    code, found = doctor()
    wrong = [one for one in found.values() if one.verdict is Verdict.WRONG]
    assert not wrong
    assert code == 0
    for name in ("backend", "cache limit", "memory limit", "active", "cache", "peak"):
        assert found["MLX", name].verdict is Verdict.OK, found["MLX", name]
    assert (
        "set to 16.0 MiB and restored" in found["MLX", "cache limit"].value
        or "CPU" not in found["MLX", "backend"].value
    )
    for section in ("Versions", "Machine", "Timer", "Sockets", "Attaching", "Terminal"):
        assert any(key[0] == section for key in found)


def broken_mlx(folder: Path, code: str) -> dict[str, str]:
    """An environment in which `import mlx.core` runs `code`."""
    package = folder / "mlx"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "core.py").write_text(code)
    return {"PYTHONPATH": str(folder)}


@pytest.mark.usefixtures("processes")
def test_an_mlx_that_crashes_is_a_finding(tmp_path: Path) -> None:
    code, found = doctor(broken_mlx(tmp_path, "import os; os.abort()"))
    assert code == 1
    assert found["MLX", "process"].verdict is Verdict.WRONG
    assert "SIGABRT" in found["MLX", "process"].value
    assert ("Sockets", "connection") in found


@pytest.mark.usefixtures("processes")
def test_an_mlx_that_cannot_be_imported_is_missing(tmp_path: Path) -> None:
    code, found = doctor(broken_mlx(tmp_path, "raise ImportError('libmlx.so: no such file')"))
    assert code == 0
    assert found["MLX", ""].verdict is Verdict.MISSING
    assert "libmlx.so: no such file" in found["MLX", ""].advice


@pytest.mark.usefixtures("processes")
def test_a_counter_that_stands_still_is_wrong(tmp_path: Path) -> None:
    wrapped = (
        "import importlib.machinery, importlib.util, sys, os\n"
        f"places = [p for p in sys.path if p != {str(tmp_path)!r}]\n"
        "import mlx\n"
        "mlx.__path__ = [os.path.join(p, 'mlx') for p in places if os.path.isdir(os.path.join(p, 'mlx'))]\n"
        "del sys.modules['mlx.core']\n"
        "import mlx.core as real\n"
        "real.get_active_memory = lambda: 0\n"
    )
    code, found = doctor(broken_mlx(tmp_path, wrapped))
    assert code == 1
    assert found["MLX", "active"].verdict is Verdict.WRONG
    assert found["MLX", "peak"].verdict is Verdict.OK


def test_a_check_that_raises_is_wrong_and_hides_no_other() -> None:
    def check(section: Section) -> list[Finding]:
        raise RuntimeError("no\x1b[31m colour")

    (found,) = run("Here", check)
    assert found.verdict is Verdict.WRONG
    assert "\x1b" not in found.value
    assert not report.is_healthy([found])


def test_the_text_says_what_to_do_below_the_line() -> None:
    section = Section("Here")
    text = list(report.lines([section.missing("gdb", "—", "Install it."), section.wrong("timer", "0")]))
    assert text[0] == "Here"
    assert text[1].split() == ["missing", "gdb", "—"]
    assert text[2].strip() == "Install it."
    assert text[4].strip() == "Please report this."


@pytest.mark.parametrize("verdict", Verdict)
def test_a_finding_survives_json(verdict: Verdict) -> None:
    found = Finding("a", "b", verdict, "c", "d")
    assert Finding.from_json(json.loads(json.dumps(found.to_json()))) == found
