import sys
from pathlib import Path

import pytest

from mlxtop.core.errors import NoBackendError
from mlxtop.probe import backend
from tests.process import mlxtop

linux = pytest.mark.skipif(sys.platform != "linux", reason="on macOS mlx brings its backend")

COMMANDS = [
    (),
    ("info",),
    ("info", "--json"),
    ("--headless",),
    ("--json",),
    ("--model", "x", "--prompt", "hi"),
]


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment whose `mlx` has no backend, as plain `pip install mlx` leaves it on Linux."""
    (tmp_path / "mlx").mkdir()
    (tmp_path / "mlx" / "__init__.py").touch()
    return {"PYTHONPATH": str(tmp_path)}


@pytest.fixture
def broken(bare: dict[str, str]) -> dict[str, str]:
    """An environment whose `mlx` has a backend that cannot start, as CUDA without a driver."""
    mlx = Path(bare["PYTHONPATH"]) / "mlx"
    (mlx / "lib").mkdir()
    (mlx / "lib" / "libmlx.so").touch()
    (mlx / "core.py").write_text("raise ImportError('libcuda.so.1: cannot open shared object file')")
    return bare


@linux
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_without_a_backend_one_line_names_what_to_install(
    bare: dict[str, str], command: tuple[str, ...]
) -> None:
    done = mlxtop(*command, env=bare)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("mlxtop: MLX has no backend here: ")
    assert "pip install 'mlxtop[cpu]'" in line


@linux
@pytest.mark.parametrize("command", [("info",), ("--headless",)], ids=" ".join)
def test_a_backend_that_cannot_start_says_why(broken: dict[str, str], command: tuple[str, ...]) -> None:
    done = mlxtop(*command, env=broken)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert "libcuda.so.1" in lines[0]
    assert "mlxtop[cpu]" in lines[0]


@pytest.mark.parametrize("command", ["--help", "--version", "-h"])
def test_help_and_version_need_no_backend(bare: dict[str, str], command: str) -> None:
    done = mlxtop(command, env=bare)
    assert (done.returncode, done.stderr) == (0, "")
    assert "mlxtop" in done.stdout


def test_without_mlx_the_check_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(NoBackendError, match="MLX is not installed"):
        backend.check()


def test_with_a_backend_the_check_says_nothing() -> None:
    backend.check()


def test_on_a_mac_the_advice_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(backend.sys, "platform", "darwin")
    with pytest.raises(NoBackendError, match="macOS 14"):
        backend.check()
