"""What a stranger installs: the wheel, in an environment that has nothing else of ours."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.e2e.screen import Screen
from tests.process import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"
LIBRARY = "mlxtop/mlx/trace/libmlxtop_trace.so"
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
# Each takes half a minute, and is installed on by the workflow `package` too.
VERSIONS = [
    version if version == HERE else pytest.param(version, marks=pytest.mark.soak)
    for version in ("3.11", "3.12", "3.13", "3.14")
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel that was made from it."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _one(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def interpreter(version: str) -> str:
    """A Python of that version; skips the test where there is none."""
    pyenv = Path.home().glob(f".pyenv/versions/{version}.*/bin/python3")
    for path in filter(None, (shutil.which(f"python{version}"), *map(str, pyenv))):
        code = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([path, "-c", code], capture_output=True, text=True)
        if done.stdout.strip() == version:
            return path
    pytest.skip(f"no Python {version} here")


def test_the_wheel_has_all_that_is_not_python(built: Path) -> None:
    names = set(zipfile.ZipFile(_one(built, "*.whl")).namelist())
    here = {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert here <= names, here - names
    assert {name for name in names if ".dist-info/" not in name} == here


def test_the_wheel_has_its_part_in_c_for_this_system_and_any_python(built: Path) -> None:
    wheel = _one(built, "*.whl")
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    assert LIBRARY in zipfile.ZipFile(wheel).namelist()
    system = "macosx_14_0_arm64" if sys.platform == "darwin" else f"linux_{os.uname().machine}"
    assert wheel.stem.endswith(f"-py3-none-{system}")


@pytest.mark.soak
def test_without_a_c_compiler_a_wheel_is_built_that_lacks_it(built: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path)]
    done = subprocess.run(
        [*command, str(_one(built, "*.tar.gz"))],
        env={**os.environ, "CC": "/no/compiler"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wheel = _one(tmp_path, "*.whl")
    assert wheel.stem.endswith("-py3-none-any")
    assert LIBRARY not in zipfile.ZipFile(wheel).namelist()


def test_the_sdist_has_the_tests_and_nothing_of_this_machine(built: Path) -> None:
    with tarfile.open(_one(built, "*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "Makefile", "tests/conftest.py"} <= names
    assert {"hatch_build.py", "native/CMakeLists.txt", "native/trace.c", "native/trace.h"} <= names
    assert {".ci/constraints.txt", "screenshots/make.py", "benchmarks/__main__.py", "SECURITY.md"} <= names
    assert not [name for name in names if ".venv" in name or "__pycache__" in name or name.endswith(".pyc")]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", VERSIONS)
def test_installed_it_runs_the_demo(built: Path, tmp_path: Path, version: str) -> None:
    home = tmp_path / "venv"
    subprocess.run([interpreter(version), "-m", "venv", "--without-pip", str(home)], check=True)
    extra = "[cpu]" if sys.platform == "linux" else ""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(home), "install", "-q"]
    wheel = f"mlxtop{extra} @ {_one(built, '*.whl').as_uri()}"
    done = subprocess.run(
        [*pip, "--no-compile", "-c", str(CONSTRAINTS), wheel], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

    # The first program compiles what it imports, and leaves it to the others.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = home / "bin" / "mlxtop"
    # From elsewhere: nothing of the checkout is in sight.
    done = subprocess.run(
        [command, "--headless", "--prompt", "hello", "--max-tokens", "8"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Tokens/s:" in done.stdout

    watched = "import time, mlx.core as mx; mx.eval(mx.ones(8)); time.sleep(1)"
    done = subprocess.run(
        [command, "run", "--headless", "--", home / "bin" / "python", "-c", watched],
        cwd=tmp_path, env={**env, "XDG_RUNTIME_DIR": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Peak" in done.stderr

    with Screen(command=[command], cwd=tmp_path) as screen:
        screen.wait_for("decode", within=60)
        screen.press("q")
        assert screen.exit() == 0
