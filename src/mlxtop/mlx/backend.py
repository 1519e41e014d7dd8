"""Is there an MLX that can run here? Asked before anything is imported, answered in one sentence."""

from __future__ import annotations

import os
import sys

from mlxtop.core.errors import NoBackendError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Literal

    Name = Literal["Metal", "CUDA", "CPU"]

EXTRAS = "mlxtop[cpu], mlxtop[cuda12] or mlxtop[cuda13]"
OLDEST = "0.26"
"""The oldest MLX that mlxtop reads; a test runs the agent in it."""
NEEDED = (
    "get_active_memory", "get_cache_memory", "get_peak_memory", "reset_peak_memory", "clear_cache",
    "set_cache_limit", "set_memory_limit", "set_wired_limit", "synchronize", "eval", "async_eval",
)  # fmt: skip
"""What mlxtop calls of `mlx.core` and cannot do without. What came later is asked for where it is used:
`device_info` (0.30), `clear_streams` (0.31.2), `get_memory_limit` (0.32.3)."""


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
    """Imports and returns `mlx.core`. Raises `NoBackendError` when it cannot run here, or is too old."""
    try:
        import mlx.core as mx
    except ImportError as error:
        cause = str(error).splitlines()[0]
        raise NoBackendError(_sentence(f"MLX cannot start here ({cause})")) from error
    if not all(hasattr(mx, needed) for needed in NEEDED):
        version = getattr(mx, "__version__", "older")
        raise NoBackendError(f"mlxtop needs mlx {OLDEST} or newer, and this is {version}: upgrade mlx there.")
    return mx


def name() -> Name:
    """`Metal`, `CUDA` or `CPU`: whose allocator MLX has here, whatever its default device is."""
    mx = load()
    if mx.metal.is_available():
        return "Metal"
    # mx.cuda came with 0.29; before, a GPU that is not Metal's was CUDA's.
    cuda = getattr(mx, "cuda", None)
    there = mx.is_available(mx.gpu) if cuda is None else cuda.is_available()
    return "CUDA" if there else "CPU"


def sets_limits_at_once() -> bool:
    """Whether a limit may be set from any thread at any time: Metal and CUDA only take the allocator's lock.

    The CPU backend waits for all queued work, with the GIL held.
    """
    return name() != "CPU"


def no_wiring() -> str | None:
    """Why a wired limit does nothing here, in few words; `None` where MLX wires memory.

    Only Metal's residency sets do, which macOS has from 15 on: mlx/backend/metal/resident.cpp. Before, the
    setter answers all the same. macOS 15 is Darwin 24.
    """
    if name() != "Metal":
        return "Metal only"
    return None if int(os.uname().release.partition(".")[0]) >= 24 else "macOS 15+"


def keeps_a_cache() -> bool:
    """Whether MLX's allocator here keeps freed buffers. The CPU backend's does from 0.32 on."""
    if name() != "CPU":
        return True
    major, minor = load().__version__.split(".")[:2]
    return (int(major), int(minor)) >= (0, 32)


def device_info() -> dict[str, Any]:
    """What MLX tells of the device whose memory it allocates; empty where an old MLX tells nothing."""
    mx = load()
    if hasattr(mx, "device_info"):
        return dict(mx.device_info(mx.cpu if name() == "CPU" else mx.gpu))
    try:
        # Not deprecated in the versions that have only this.
        return dict(mx.metal.device_info())
    except RuntimeError:
        return {}


def _sentence(what: str) -> str:
    if sys.platform == "darwin":
        return (
            f"{what}: reinstall it with pip install --force-reinstall mlx (Apple silicon, macOS 14 or later)."
        )
    return f"{what}: install one with pip install '{EXTRAS.split(',')[0]}' (one of {EXTRAS})."
