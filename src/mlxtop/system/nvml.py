"""Memory and utilization of an NVIDIA GPU, from NVML, which is part of the driver and does not need CUDA.

Structures and values are those of <nvml.h>.
"""

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

_HEAT = 0x20 | 0x40
"""nvmlClocksThrottleReasonSwThermalSlowdown, …HwThermalSlowdown."""


class _Memory(ctypes.Structure):
    """nvmlMemory_t, in bytes. `used` includes the driver's own memory."""

    _fields_ = [("total", ctypes.c_uint64), ("free", ctypes.c_uint64), ("used", ctypes.c_uint64)]


class _Utilization(ctypes.Structure):
    """nvmlUtilization_t, in percent of the last 1/6 s to 1 s."""

    _fields_ = [("gpu", ctypes.c_uint), ("memory", ctypes.c_uint)]


class Device(NamedTuple):
    """One measurement; `None` is a value that the GPU does not report."""

    used: int | None = None
    """Bytes that are not free."""
    total: int | None = None
    busy: float | None = None
    """From 0 to 1."""
    thermal: str | None = None
    """`nominal`, or `slowed` while the clocks are reduced because of heat."""


@lru_cache(maxsize=1)
def reader() -> Callable[[], Device] | None:
    """Returns a function that reads this machine's GPU; `None` without a GPU or with several.

    With several it is unknown which one a program uses. Reading the memory takes 4 to 7 µs on an H200, the
    first time 20 ms.
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
    """Returns the handle of the only GPU; `None` without a GPU or with several."""
    count, device = ctypes.c_uint(), ctypes.c_void_p()
    if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) or count.value != 1:
        return None
    return None if nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)) else device


def _getter(nvml: Any, name: str, device: ctypes.c_void_p, kind: type[Any]) -> Callable[[], Any]:
    """Returns a function that calls NVML to fill a `kind`; `None` if the driver or the GPU lacks the call."""
    call = getattr(nvml, name, None)

    def read() -> Any:
        found = kind()
        return None if call is None or call(device, ctypes.byref(found)) else found

    return read
