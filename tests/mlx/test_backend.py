import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlxtop.core.errors import NoBackendError
from mlxtop.mlx import backend
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
@pytest.mark.usefixtures("processes")
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
@pytest.mark.usefixtures("processes")
def test_a_backend_that_cannot_start_says_why(broken: dict[str, str], command: tuple[str, ...]) -> None:
    done = mlxtop(*command, env=broken)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert "libcuda.so.1" in lines[0]
    assert "mlxtop[cpu]" in lines[0]


@pytest.mark.parametrize("command", ["--help", "--version", "-h"])
@pytest.mark.usefixtures("processes")
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


def mlx(metal: bool = False, gpu: bool = False, **more: Any) -> Any:
    """As much of `mlx.core` as tells whose allocator it has."""
    return SimpleNamespace(
        metal=SimpleNamespace(is_available=lambda: metal, device_info=lambda: {"memory_size": 7}),
        is_available=lambda device: gpu,
        gpu="gpu",
        cpu="cpu",
        default_device=lambda: "cpu",
        **more,
    )


CUDA, NO_CUDA = (SimpleNamespace(is_available=lambda answer=answer: answer) for answer in (True, False))


@pytest.mark.parametrize(
    ("mx", "name"),
    [
        (mlx(metal=True), "Metal"),
        (mlx(gpu=True, cuda=CUDA), "CUDA"),
        (mlx(gpu=True), "CUDA"),  # before 0.29
        (mlx(cuda=NO_CUDA), "CPU"),
        (mlx(), "CPU"),
    ],
)
def test_the_backend_is_whose_allocator_it_is_whatever_the_default_device(
    mx: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "load", lambda: mx)
    assert backend.name() == name
    mx.device_info = lambda device: {"asked": device}
    assert backend.device_info() == {"asked": "cpu" if name == "CPU" else "gpu"}
    del mx.device_info
    assert backend.device_info() == {"memory_size": 7}


@pytest.mark.parametrize(("release", "why"), [("23.6.0", "macOS 15+"), ("24.0.0", None), ("25.1.0", None)])
def test_metal_wires_memory_from_macos_15_on(
    release: str, why: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "load", lambda: mlx(metal=True))
    monkeypatch.setattr(backend, "os", SimpleNamespace(uname=lambda: SimpleNamespace(release=release)))
    assert backend.no_wiring() == why


@pytest.mark.usefixtures("processes")
def test_an_mlx_that_is_too_old_is_told_in_one_sentence(broken: dict[str, str]) -> None:
    core = Path(broken["PYTHONPATH"]) / "mlx" / "core.py"
    core.write_text("__version__ = '0.21.1'\ndef eval(*arrays): ...\n")
    for command in (("info",), ("--headless", "--prompt", "hi")):
        done = mlxtop(*command, env=broken)
        assert done.returncode == 2
        assert (
            done.stderr == "mlxtop: mlxtop needs mlx 0.26 or newer, and this is 0.21.1: upgrade mlx there.\n"
        )


def test_on_a_mac_the_advice_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(backend.sys, "platform", "darwin")
    with pytest.raises(NoBackendError, match="macOS 14"):
        backend.check()
