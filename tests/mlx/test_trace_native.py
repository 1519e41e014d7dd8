"""The trace's part in C with an MLX of the test's own, which does what the real one cannot be made to do."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlxtop.trace.reader import TraceFile
from tests.process import ROOT

HERE = Path(__file__).parent
COMPILERS = shutil.which("cc"), shutil.which("c++")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(None in COMPILERS, reason="no compiler for C and C++"),
    pytest.mark.skipif(sys.platform != "linux", reason="libmlx.so is Linux's"),
]
PARTS = ["again", "coroutines", "forks", "full", "leave", "operations", "small"]
SANITIZERS = {
    "thread": ["-fsanitize=thread", "-Wno-tsan"],
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
}

Run = Callable[..., subprocess.CompletedProcess[str]]


def _compile(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _library(folder: Path, *definitions: str) -> Path:
    """The folder of a fake MLX, which was never seen by a sanitizer: neither was the real one."""
    folder.mkdir(exist_ok=True)
    _compile(
        "c++", "-O2", "-std=c++17", "-fPIC", "-shared", "-Wl,--build-id", *(f"-D{name}" for name in definitions),
        HERE / "fake_mlx.cpp", "-o", folder / "libmlx.so",
    )  # fmt: skip
    return folder


def _program(folder: Path, *options: str) -> Path:
    sources = sorted((ROOT / "native").glob("*.c"))
    program = folder / "program"
    objects = []
    for source in sources:
        objects.append(folder / f"{source.stem}.o")
        command = ["cc", "-O1", "-g", "-std=gnu11", "-fexceptions", *options]
        _compile(*command, "-c", source, "-o", objects[-1])
    _compile(
        "c++", "-O1", "-g", "-std=c++17", *options, HERE / "trace_program.cpp", *objects,
        "-o", program, f"-L{folder}", "-lmlx", "-lpthread", f"-Wl,-rpath,{folder}",
    )  # fmt: skip
    return program


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _program(_library(tmp_path_factory.mktemp("fake")))


def _run(program: Path, traces: Path, part: str, *arguments: str, **environment: str) -> str:
    traces.mkdir(exist_ok=True)
    try:
        done = subprocess.run(
            [program, traces, part, *arguments],
            env={**os.environ, **environment}, capture_output=True, text=True, timeout=250,
        )  # fmt: skip
        assert done.returncode == 0, f"{part}: {done.returncode}\n{done.stdout}\n{done.stderr[:5000]}"
        return done.stdout.strip()
    finally:
        if part != "operations":
            # 55 MB each.
            shutil.rmtree(traces)


@pytest.mark.parametrize("part", [part for part in PARTS if part not in ("operations", "full")])
def test_the_program_goes_on(program: Path, tmp_path: Path, part: str) -> None:
    """Traces that begin and end under load, forks, small stacks, stacks elsewhere, an exit amid it all."""
    assert _run(program, tmp_path / "traces", part, "8") == ("" if part == "leave" else "done")


def test_a_full_trace_goes_on_counting(program: Path, tmp_path: Path) -> None:
    """A million live buffers, more texts and sites than there is room for."""
    assert _run(program, tmp_path / "traces", "full") == "done"


OPERATIONS = {"Add", "fast::RMSNorm", "copy_cpu()", "Aligned", "Varying", ""}


def _names(traces: Path) -> dict[str, int]:
    """Allocations by operation."""
    (file,) = traces.iterdir()
    with TraceFile(file) as trace:
        counts = trace.allocated()[1]
        return {site.operation: int(counts[site.index]) for site in trace.sites()[2:]}


def test_the_innermost_operation_is_named_and_exceptions_pass(program: Path, tmp_path: Path) -> None:
    """A frame that has left the stack by a jump, frames of varying sizes, and sizes above 4 GiB are among them."""
    assert _run(program, tmp_path, "operations") == "done"
    assert _names(tmp_path) == {
        "": 40,
        "fast::RMSNorm": 40,
        "copy_cpu()": 40,
        "Aligned": 40,
        "Varying": 40,
        "Add": 42,
    }


NOT_KNOWN = "MLX's allocator is not as this version of mlxtop knows it."
OTHERS = {
    # A class that nobody knows, whose functions are in their places; functions that came after them; an old MLX.
    "ANOTHER_CLASS": "done",
    "MORE_FUNCTIONS": "done",
    "WITHOUT_MAKE_BUFFER": "done",
    "ORDER_DIFFERS": NOT_KNOWN,
    "ALLOCATES_ASIDE": "MLX's CUDA allocator hands out memory by ways that cannot be seen.",
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_mlx_is_traced_by_what_it_has_or_refused(program: Path, tmp_path: Path, other: str) -> None:
    library = _library(tmp_path / "library", other)
    said = _run(program, tmp_path / "traces", "operations", LD_LIBRARY_PATH=str(library))
    assert said == OTHERS[other]
    files = list((tmp_path / "traces").iterdir())
    assert len(files) == (said == "done")
    if files:
        assert set(_names(tmp_path / "traces")) == OPERATIONS


def test_an_mlx_that_was_replaced_on_the_disk_is_let_alone(program: Path, tmp_path: Path) -> None:
    loaded, other = (
        _library(tmp_path / name, *also) / "libmlx.so" for name, *also in (["a"], ["b", "ANOTHER_CLASS"])
    )
    said = _run(
        program, tmp_path / "traces", "replaced", str(loaded), str(other), LD_LIBRARY_PATH=str(loaded.parent)
    )
    assert said == "MLX was replaced on the disk since this program began: start it again."


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_sanitizers_find_nothing(tmp_path: Path, sanitizer: str) -> None:
    try:
        program = _program(_library(tmp_path / "fake"), *SANITIZERS[sanitizer])
    except AssertionError as error:
        if "cannot find" in str(error):
            pytest.skip(f"the compiler has no {sanitizer} sanitizer")
        raise
    for part in PARTS:
        said = _run(program, tmp_path / f"traces.{part}", part, "30", TSAN_OPTIONS="exitcode=66")
        assert said == ("" if part == "leave" else "done")
