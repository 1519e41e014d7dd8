"""The device MLX runs on and the versions in play: facts that hold for a whole session."""

import os
import platform
import sys
from typing import Any

from mlxtop.probe import backend


def facts() -> dict[str, Any]:
    """Device, backend, ceilings in bytes (`None` where the device names none) and versions.

    Raises `NoBackendError` when MLX cannot run here.
    """
    # Imported late, here and below: the first frame is on the screen before anybody asks for facts.
    import psutil

    mx = backend.load()
    device = mx.default_device()
    info = dict(mx.device_info(device)) if device.type == mx.gpu else dict(mx.device_info())
    name = backend_name()
    return {
        "device": str(info.get("device_name") or info.get("architecture") or device),
        "backend": name,
        "unified": name != "CUDA",
        "architecture": info.get("architecture"),
        "memory": info.get("memory_size") or info.get("total_memory") or psutil.virtual_memory().total,
        "working_set": info.get("max_recommended_working_set_size"),
        "max_buffer": info.get("max_buffer_length"),
        "system_memory": psutil.virtual_memory().total,
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "mlx": mx.__version__,
        "mlx_lm": version("mlx-lm"),
        "mlxtop": version("mlxtop"),
        "pid": os.getpid(),
        "argv": sys.argv,
    }


def backend_name() -> str:
    """`Metal`, `CUDA` or `CPU`: the backend of MLX's default device."""
    mx = backend.load()
    if mx.default_device().type != mx.gpu:
        return "CPU"
    return "Metal" if mx.metal.is_available() else "CUDA"


def version(package: str) -> str | None:
    """The installed version of `package`, or `None`."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
