"""The trace's part in C as a Mac gets it, made and looked at without one. That it runs there is not shown by this."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mlxtop.mlx.trace import native
from tests.mlx import macho
from tests.process import ROOT

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]
TARGET = "aarch64-macos.14.0"
NEEDED = {
    "__ZN3mlx4core9allocator9allocatorEv",
    "__ZN3mlx4core17get_active_memoryEv",
    "__ZN3mlx4core15get_peak_memoryEv",
}


def _pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot be had here: {done.stderr.strip().splitlines()[-1:]}")


def _do(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_built_for_a_mac_and_needs_the_systems_library_only(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    _do(sys.executable, "-m", "venv", tools)
    _pip("--python", tools, "install", "ziglang", "cmake", "ninja")
    compiler = tmp_path / "cc"
    compiler.write_text(f'#!/bin/sh\nexec {tools}/bin/python -m ziglang cc -target {TARGET} "$@"\n')
    compiler.chmod(0o755)
    build, made = tmp_path / "build", tmp_path / "made"
    _do(
        tools / "bin" / "cmake", "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tools}/bin/ninja",
        "-S", ROOT / "native", "-B", build, f"-DCMAKE_INSTALL_PREFIX={made}", f"-DCMAKE_C_COMPILER={compiler}",
        "-DCMAKE_SYSTEM_NAME=Darwin", "-DCMAKE_SYSTEM_PROCESSOR=arm64", "-DCMAKE_OSX_SYSROOT=",
        "-DCMAKE_INSTALL_NAME_TOOL=true",
    )  # fmt: skip
    _do(tools / "bin" / "cmake", "--build", build)
    _do(tools / "bin" / "cmake", "--install", build)
    library = macho.read(made / "mlxtop" / "mlx" / "trace" / "libmlxtop_trace.so")
    assert library.is_arm64_library
    assert library.libraries == ["/usr/lib/libSystem.B.dylib"]
    # Exceptions of MLX's find their way through.
    assert "__TEXT,__unwind_info" in library.sections
    ours = {name for name in library.exported if "mlxtop" in name}
    assert len(ours) == 11
    assert library.exported - ours <= {"___dso_handle", "__mh_dylib_header"}


def test_what_it_looks_for_is_in_mlx_for_macs(tmp_path: Path) -> None:
    library = native.load()
    if library is None:
        pytest.skip("built without its part in C")
    import mlx.core as mx

    platform = ["--platform", "macosx_14_0_arm64", "--only-binary", ":all:", "--no-deps"]
    _pip("download", *platform, "-d", tmp_path, f"mlx-metal=={mx.__version__}")
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        path = Path(archive.extract("mlx/lib/libmlx.dylib", tmp_path))
    found = native.inspect(library, str(path))
    assert found is not None
    assert found[0] > 300
    assert found[1] == 8
    mlx = macho.read(path)
    assert mlx.exported >= NEEDED
    assert sum("8eval_gpu" in symbol.name for symbol in mlx.defined) > 300
    names = [symbol.name for symbol in mlx.defined]
    table = names.index("__ZTVN3mlx4core5metal14MetalAllocatorE")
    # What stands above it, five functions, and two that end it: the next symbol says how long it is.
    assert mlx.defined[table + 1].address - mlx.defined[table].address == 9 * 8
