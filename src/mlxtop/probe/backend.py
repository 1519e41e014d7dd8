"""Is there an MLX that can run here? Asked before anything is imported, answered in one sentence."""

import sys
from types import ModuleType

from mlxtop.core.errors import NoBackendError

EXTRAS = "mlxtop[cpu], mlxtop[cuda12] or mlxtop[cuda13]"


def check() -> None:
    """Raises `NoBackendError` when MLX or its backend is plainly absent. Takes about a millisecond.

    On Linux the `mlx` package brings no backend; its shared library comes with an extra.
    """
    # Imported here: what runs in other programs never checks, and these take 5 ms.
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("mlx")
    if spec is None or not spec.submodule_search_locations:
        raise NoBackendError(_sentence("MLX is not installed"))
    if sys.platform != "linux":
        return
    if not any((Path(place) / "lib" / "libmlx.so").exists() for place in spec.submodule_search_locations):
        raise NoBackendError(_sentence("MLX has no backend here"))


def load() -> ModuleType:
    """Imports and returns `mlx.core`. Raises `NoBackendError` when it cannot run on this machine."""
    try:
        import mlx.core as mx
    except ImportError as error:
        cause = str(error).splitlines()[0]
        raise NoBackendError(_sentence(f"MLX cannot start here ({cause})")) from error
    return mx


def name() -> str:
    """`Metal`, `CUDA` or `CPU`: the backend of MLX's default device."""
    mx = load()
    if mx.default_device().type != mx.gpu:
        return "CPU"
    return "Metal" if mx.metal.is_available() else "CUDA"


def _sentence(what: str) -> str:
    if sys.platform == "darwin":
        return (
            f"{what}: reinstall it with pip install --force-reinstall mlx (Apple silicon, macOS 14 or later)."
        )
    return f"{what}: install one with pip install '{EXTRAS.split(',')[0]}' (one of {EXTRAS})."
