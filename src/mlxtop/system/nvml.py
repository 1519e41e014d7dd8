"""An NVIDIA GPU, whoever uses it: NVML, which comes with the driver and needs no CUDA. Structures and values
of <nvml.h>."""

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

_HEAT = 0x20 | 0x40
"""nvmlClocksThrottleReasonSwThermalSlowdown, …HwThermalSlowdown."""


class _Memory(ctypes.Structure):
    """nvmlMemory_t, bytes; `used` counts what the driver keeps for itself too."""

    _fields_ = [("total", ctypes.c_uint64), ("free", ctypes.c_uint64), ("used", ctypes.c_uint64)]


class _Utilization(ctypes.Structure):
    """nvmlUtilization_t, percent of the last sixth of a second to a second."""

    _fields_ = [("gpu", ctypes.c_uint), ("memory", ctypes.c_uint)]


class Device(NamedTuple):
    """One reading; `None` is what this GPU does not tell."""

    used: int | None = None
    """Bytes that are not free."""
    total: int | None = None
    busy: float | None = None
    """From 0 to 1."""
    thermal: str | None = None
    """`nominal`, or `slowed` while heat holds its clocks down."""


@lru_cache(maxsize=1)
def reader() -> Callable[[], Device] | None:
    """A function that reads this machine's GPU.

    `None` without a GPU, and with several: which of them a program uses cannot be told from here. Reading
    its memory takes 4 to 7 µs on an H200, the first 20 ms.
    """
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        device = _only(nvml)
    except (OSError, AttributeError):
        return None
    if device is None:
        return None
    memory = _getter(nvml, "nvmlDeviceGetMemoryInfo", device, _Memory)
    utilization = _getter(nvml, "nvmlDeviceGetUtilizationRates", device, _Utilization)
    reasons = _getter(nvml, "nvmlDeviceGetCurrentClocksThrottleReasons", device, ctypes.c_ulonglong)

    def read() -> Device:
        room, use, why = memory(), utilization(), reasons()
        return Device(
            room and int(room.total - room.free),
            room and int(room.total),
            use and min(1.0, use.gpu / 100),
            None if why is None else "slowed" if why.value & _HEAT else "nominal",
        )

    return read


def _only(nvml: Any) -> ctypes.c_void_p | None:
    """The handle of the one GPU there is."""
    count, device = ctypes.c_uint(), ctypes.c_void_p()
    if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) or count.value != 1:
        return None
    return None if nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)) else device


def _getter(nvml: Any, name: str, device: ctypes.c_void_p, kind: type[Any]) -> Callable[[], Any]:
    """A function that has one of NVML's fill a `kind`; `None` where the driver or the GPU lacks it."""
    call = getattr(nvml, name, None)

    def read() -> Any:
        found = kind()
        return None if call is None or call(device, ctypes.byref(found)) else found

    return read
