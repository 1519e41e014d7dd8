"""Builds the C part of `mlxtop trace` with CMake. Without a C compiler, mlxtop is built without it."""

import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LIBRARY = "mlxtop/mlx/trace/libmlxtop_trace.so"
# The oldest that MLX runs on, whatever this Python was made for.
MACOS = "14.0"
FOR_MACOS = (f"-DCMAKE_OSX_DEPLOYMENT_TARGET={MACOS}", "-DCMAKE_OSX_ARCHITECTURES=arm64")


class NativeHook(BuildHookInterface):  # type: ignore[type-arg]
    """For a wheel the library lies in a folder of its own, for an editable install beside its Python code."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        self._folder = tempfile.mkdtemp()
        into = root / "src" if version == "editable" else Path(self._folder) / "wheel"
        if not _build(root / "native", Path(self._folder) / "build", into):
            self.app.display_warning("The C part was not built: `mlxtop trace` will not be there.")
            return
        if version != "editable":
            build_data["force_include"][str(into / LIBRARY)] = LIBRARY
            # No part of Python is used: one library serves every Python 3.
            build_data["tag"] = f"py3-none-{_platform()}"
            build_data["pure_python"] = False

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _platform() -> str:
    platform = f"macosx-{MACOS}-arm64" if sys.platform == "darwin" else sysconfig.get_platform()
    return platform.replace("-", "_").replace(".", "_")


def _build(source: Path, build: Path, into: Path) -> bool:
    """Whether there is a library now."""
    options = (f"-DCMAKE_INSTALL_PREFIX={into}", *(FOR_MACOS if sys.platform == "darwin" else ()))
    steps = (
        ("cmake", "-G", "Ninja", "-S", source, "-B", build, *options),
        ("cmake", "--build", build),
        ("cmake", "--install", build),
    )
    try:
        for step in steps:
            subprocess.run(step, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return (into / LIBRARY).exists()
